"""Values that everything else speaks in: errors, ids, digests, instants, canonical JSON.

Standard library only; imports nothing of ours; every other package may import it.
"""

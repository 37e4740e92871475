"""Checkpoints that somebody holds from earlier or from elsewhere: this log must be one that goes on from them.

What finds a database that was taken back to an older state together with everything beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archive.fsck.keys import Pinned
from archive.fsck.notes import Head, cosigners, signed
from archive.fsck.standing import Standing
from archive.kernel.findings import Finding, indeterminate, invalid, valid


@dataclass(frozen=True, slots=True)
class Held:
    """A checkpoint that was brought along, and what it is called in findings."""

    name: str
    head: Head


def check_held(
    held: Sequence[Held], roots: Mapping[int, bytes], *, pinned: Pinned, standing: Standing
) -> Iterator[Finding]:
    """Hold the log against each checkpoint; `roots` are those of the log at the sizes that were asked for."""
    for each in held:
        head = each.head
        is_prefix = roots.get(head.size) == head.root
        if not _is_signed(head, pinned):
            told = "No pinned key has signed the checkpoint that was given, so it speaks for nobody; the log "
            told += "goes on from it all the same" if is_prefix else "does not go on from it"
            yield indeterminate("fsck.checkpoint_unsigned", told, each.name)
        elif head.origin != standing.origin:
            told = f"The checkpoint that was given is of another log: {head.origin}"
            yield indeterminate("fsck.checkpoint_of_other_log", told, each.name)
        elif not is_prefix:
            told = "does not begin with" if head.size in roots else "has fewer than"
            told = f"The log {told} the {head.size} entries of the checkpoint that was given: rewritten, or taken back"
            yield invalid("fsck.checkpoint_not_prefix", told, each.name)
        else:
            standing.held.append(head.size)
            standing.count(head.size, cosigners(head, pinned.witnesses), pinned=pinned)
            yield valid(
                "fsck.checkpoint_prefix", f"The log goes on from the {head.size} entries that were given", each.name
            )


def _is_signed(head: Head, pinned: Pinned) -> bool:
    """Whether a pinned key of the log or of a witness has signed, and none that claims to have has not."""
    known = [signed(head, key) for key in (*pinned.keys_of(head.origin), *pinned.witnesses.values())]
    return True in known and False not in known

"""Search: an index over words and facets that the domains feed, in the transaction that changes what it speaks of.

The index is derived: `liuhen search rebuild` makes it again from the catalogue. A word is found wherever it stands, in
Chinese and in Latin script, also within other words: what matches is a run of characters, as `folding` sees them.
"""

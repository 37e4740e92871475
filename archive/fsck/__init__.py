"""The independent check: stores, log and catalogue read raw, each against itself and against the others.

Shares no code with what it checks but the kernel and the verification of signatures: the tree, the OCFL layout and the
tables are read anew here, so that one bug cannot hide behind itself.
"""

from archive.fsck.copies import SecondCopy
from archive.fsck.keys import Outside
from archive.fsck.raw import Places
from archive.fsck.run import Target, fsck
from archive.fsck.verdicts import ArchiveReport

__all__ = ["ArchiveReport", "Outside", "Places", "SecondCopy", "Target", "fsck"]

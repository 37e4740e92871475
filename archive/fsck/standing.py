"""How far the log goes, by whose word, and what was held against it: what the two verdicts rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from archive.fsck.keys import Pinned
from archive.fsck.notes import Head, as_time, signed_times
from archive.fsck.raw import read_object, rows

_LAST: Final = "SELECT e.body FROM log_leaf l JOIN log_entry e ON e.id = l.entry_id WHERE l.leaf_index = :last"


@dataclass(frozen=True, slots=True)
class Witnessed:
    """The newest checkpoint that the quorum has cosigned, and what its witnesses say of the time, POSIX seconds."""

    size: int
    time: str | None
    by: Mapping[str, int]


@dataclass(slots=True)
class Standing:
    """What the checks of the log came to know. `held` are sizes of checkpoints from outside that the log goes on from.

    `cosigned` holds by size which pinned witnesses have cosigned, and when.
    """

    origin: str | None = None
    size: int | None = None
    time: str | None = None
    held: list[int] = field(default_factory=list)
    cosigned: dict[int, dict[str, int]] = field(default_factory=dict)
    witnessed: Witnessed | None = None

    def count(self, size: int, by: Mapping[str, int], *, pinned: Pinned) -> None:
        """Add cosignatures that verify on the checkpoint of this size, where a quorum is asked for.

        Sizes below one at which it is met are let go.
        """
        if not pinned.asks:
            return
        there = self.cosigned.setdefault(size, {})
        for name, time_s in by.items():
            there[name] = max(time_s, there.get(name, 0))
        if pinned.is_met_by(there.keys()):
            self.cosigned = {other: found for other, found in self.cosigned.items() if other >= size}


def time_of(connection: Connection, head: Head | None, size: int, pinned: Pinned) -> str | None:
    """Return the time of a checkpoint: the one that its log signed along, else what its last entry tells."""
    if head is not None:
        signed_s = max(signed_times(head, pinned.keys_of(head.origin)), default=0)
        if signed_s:
            return as_time(signed_s)
    for row in rows(connection, _LAST, last=size - 1):
        told = (read_object(bytes(row["body"])) or {}).get("t")
        return told if isinstance(told, str) else None
    return None

"""What witnesses have signed, against the checkpoints that they signed, and how far the quorum goes.

Lines by keys that nobody has pinned count for nothing, and are not judged. Source: C2SP tlog-cosignature, tlog-policy.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.keys import Pinned
from archive.fsck.notes import Head, Line, read_head, read_line, verifies
from archive.fsck.raw import rows
from archive.fsck.standing import Standing, Witnessed, time_of
from archive.kernel.findings import Finding, indeterminate, invalid, valid

_MOST_TOLD: Final = 20
_CODE: Final = "fsck.cosignature_invalid"
_NOTE: Final = "SELECT note FROM log_checkpoint WHERE size = :size"


def check_cosignatures(
    connection: Connection, *, published: str | None, pinned: Pinned, standing: Standing
) -> Iterator[Finding]:
    """Judge every stored cosignature, hold the published ones against them, and say how far the quorum goes.

    What the quorum has cosigned is put into `standing`.
    """
    head = None if published is None else read_head(published)
    missing = set() if head is None else set(head.lines)
    judged, unknown, faults = 0, 0, 0
    for row in rows(
        connection,
        "SELECT s.size, s.key, s.time_s, s.line, c.note FROM log_cosignature s "
        "LEFT JOIN log_checkpoint c ON c.size = s.size ORDER BY s.size",
    ):
        line = _line(row)
        if line is None or row["note"] is None:
            faults += 1
            if faults <= _MOST_TOLD:
                yield invalid(_CODE, "A cosignature is not what its row says, or of no checkpoint", _where(row))
            continue
        note = read_head(row["note"])
        if head is not None and note.text == head.text:
            missing.discard(row["line"])
        names = [name for name, key in pinned.witnesses.items() if line.is_of(key)]
        if not names:
            unknown += 1
        elif not all(verifies(note.text, line, pinned.witnesses[name]) for name in names):
            faults += 1
            if faults <= _MOST_TOLD:
                yield invalid(_CODE, "A cosignature is not the witness's over this checkpoint", _where(row))
        else:
            judged += 1
            standing.count(int(row["size"]), dict.fromkeys(names, line.stated_s), pinned=pinned)
    if faults == 0:
        told = f"{judged} cosignatures of pinned witnesses verify"
        more = f"; {unknown} are by keys that are not pinned, and count for nothing"
        yield valid("fsck.cosignatures", told + (more if unknown else ""))
    yield from _published(connection, head, missing)
    yield from _quorum(connection, pinned, standing)


def _line(row: Mapping[str, Any]) -> Line | None:
    """Return the line of a row where it is what the row says of it."""
    line = read_line(str(row["line"]))
    if line is None or line.stated_s != int(row["time_s"]) or not line.stated_s:
        return None
    return line if f"{line.name}+{line.identity.hex()}" == row["key"] else None


def _where(row: Mapping[str, Any]) -> str:
    return f"{row['size']} {row['key']} {row['time_s']}"


def _published(connection: Connection, head: Head | None, missing: set[str]) -> Iterator[Finding]:
    """Say which published lines neither the log nor a stored row has; what is published of no log is told elsewhere."""
    if head is None or not missing or not head.stated[0].isdecimal():
        return
    for row in rows(connection, _NOTE, size=head.size):
        note = read_head(row["note"])
        if note.text == head.text:
            for _ in sorted(missing.difference(note.lines))[:_MOST_TOLD]:
                told = "The published checkpoint carries a cosignature that is not stored"
                yield invalid("fsck.cosignature_lost", told, "log/checkpoint")


def _quorum(connection: Connection, pinned: Pinned, standing: Standing) -> Iterator[Finding]:
    if not pinned.asks:
        return
    met = [size for size, by in standing.cosigned.items() if pinned.is_met_by(by.keys())]
    if not met:
        told = f"No checkpoint is cosigned as the quorum {pinned.quorum} asks: nobody else says how far the log goes"
        yield indeterminate("fsck.quorum_missing", told)
        return
    size = max(met)
    head = next((read_head(row["note"]) for row in rows(connection, _NOTE, size=size)), None)
    by = standing.cosigned[size]
    standing.witnessed = Witnessed(size, time_of(connection, head, size, pinned), by)
    yield valid("fsck.quorum", f"The quorum {pinned.quorum} has cosigned {size} entries: {', '.join(sorted(by))}")

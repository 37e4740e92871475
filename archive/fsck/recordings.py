"""Recordings and clips against the log and against each other.

Each clip is where the newest entry of its item says; all that a recording says of itself follows from its clips. A
detail that was erased is not asked about; what came after the newest entry that can be read neither.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, rows
from archive.kernel.findings import Finding, invalid, valid

_TYPE: Final = "recording.grouped"
_MS: Final = timedelta(milliseconds=1)
_ITEM_FACTS: Final = ("device_serial", "source_kind")

Row = Mapping[str, Any]


def check_recordings(connection: Connection) -> Iterator[Finding]:
    """Hold every clip against the entries that tell of it, in both directions; every recording against its clips."""
    newest, erased = _told(connection)
    clips: dict[str, list[Row]] = {}
    count = 0
    for row in rows(
        connection,
        "SELECT c.*, i.device_serial, i.source_kind FROM clip c"
        " LEFT JOIN evidence_item i ON i.object_id = c.object_id ORDER BY c.position",
    ):
        count += 1
        where = as_uuid(row["object_id"])
        clips.setdefault(as_uuid(row["recording_id"]), []).append(row)
        yield from _against_the_log(where, row, newest.pop(where, None), erased)
    for where, entry in newest.items():
        if (entry.detail or {}).get("recording") is not None and not erased.get(where, "") > entry.id:
            yield invalid("fsck.row_missing", "The log tells of a clip that the catalogue lacks", where)
    for row in rows(connection, "SELECT * FROM recording"):
        where = as_uuid(row["id"])
        for column in _faults(row, clips.pop(where, [])):
            yield invalid("fsck.row_changed", f"recording.{column} is not what follows from its clips", where)
    for where in clips:
        yield invalid("fsck.row_missing", "There are clips of a recording that the catalogue lacks", where)
    yield valid("fsck.recordings", f"{count} clips were held against the log")


def _told(connection: Connection) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return by item the newest entry about its place, and the newest one whose detail is gone; ids go with time."""
    newest: dict[str, Entry] = {}
    erased: dict[str, str] = {}
    for entry in entries(connection, {_TYPE}):
        where = str(entry.told("obj", "id"))
        if entry.detail is None:
            erased[where] = max(entry.id, erased.get(where, ""))
        elif where not in newest or newest[where].id < entry.id:
            newest[where] = entry
    return newest, erased


def _against_the_log(where: str, row: Row, entry: Entry | None, erased: Mapping[str, str]) -> Iterator[Finding]:
    if erased.get(where, "") > ("" if entry is None else entry.id):
        return
    detail = None if entry is None else entry.detail
    if detail is None:
        yield invalid("fsck.unlogged", "A clip has no log entry", where)
        return
    checks = (
        ("recording_id", as_uuid(row["recording_id"]) == detail.get("recording")),
        ("starts_at", _is_same_time(row["starts_at"], detail.get("starts_at"))),
        ("duration_ms", row["duration_ms"] == detail.get("duration_ms")),
    )
    for column, holds in checks:
        if not holds:
            yield invalid("fsck.row_changed", f"clip.{column} is not what the log entry says", where)


def _faults(recording: Row, clips: Sequence[Row]) -> Iterator[str]:
    if not clips:
        yield "clip_count"
        return
    starts = [as_instant(clip["starts_at"]) for clip in clips]
    ends = [start + (clip["duration_ms"] or 0) * _MS for start, clip in zip(starts, clips, strict=True)]
    checks: dict[str, Any] = {
        "clip_count": len(clips),
        "duration_ms": sum(clip["duration_ms"] or 0 for clip in clips),
        **{name: clips[0][name] for name in _ITEM_FACTS},
    }
    yield from (column for column, value in checks.items() if recording[column] != value)
    for column, at in (("started_at", starts[0]), ("ended_at", max(ends))):
        if not _is_same_time(recording[column], at.isoformat()):
            yield column
    numbers_hold = [clip["position"] for clip in clips] == list(range(1, len(clips) + 1)) and starts == sorted(starts)
    if not numbers_hold or clips[0]["gap_before_ms"] is not None:
        yield "clip_count"
    for (before, clip), (end, start) in zip(pairwise(clips), zip(ends, starts[1:], strict=False), strict=True):
        gap_ms = (start - end) // _MS
        is_unknown = before["duration_ms"] is None or gap_ms == 0
        if clip["gap_before_ms"] != gap_ms and not (clip["gap_before_ms"] is None and is_unknown):
            yield "duration_ms"


def _is_same_time(value: Any, told: Any) -> bool:
    try:
        return as_instant(value) == as_instant(told)
    except (ValueError, TypeError):
        return False

"""The ledger of devices against the log: who handed which one to whom, after which check.

A detail that was erased is not asked about; that its row exists, when it came and by whom, still is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, rows
from archive.kernel.findings import Finding, invalid, valid

_HANDED_OVER: Final = "device.handed_over"
_CHECKED: Final = ("battery_percent", "free_mib", "clock_offset_s", "remarks")


def check_handovers(connection: Connection) -> Iterator[Finding]:
    """Hold every line of the ledger against its entry, in both directions."""
    told = {entry.id: entry for entry in entries(connection, {_HANDED_OVER})}
    count = len(told)
    for row in rows(connection, "SELECT * FROM device_handover"):
        where = as_uuid(row["entry_id"])
        entry = told.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A hand-over of a device has no log entry", where)
        elif not _is_told(row, entry):
            yield invalid("fsck.row_changed", "A hand-over of a device is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "The log tells of a hand-over that the ledger lacks", where)
    yield valid("fsck.handovers", f"{count} hand-overs of devices were held against the log")


def _is_told(row: Mapping[str, Any], entry: Entry) -> bool:
    try:
        is_at = as_instant(row["at"]) == as_instant(entry.told("t"))
    except ValueError:
        return False
    if not is_at or (as_uuid(row["device_id"]), as_uuid(row["by_id"])) != (
        entry.told("obj", "id"),
        entry.told("actor"),
    ):
        return False
    if entry.detail is None:
        return True
    was = entry.detail.get("was")
    holders = (was.get("holder") if isinstance(was, dict) else None, entry.detail.get("holder"))
    if (_id(row["from_id"]), _id(row["to_id"])) != holders:
        return False
    return all(row[name] == entry.detail.get(name) for name in _CHECKED)


def _id(value: Any) -> str | None:
    return None if value is None else as_uuid(value)

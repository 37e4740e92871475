"""Retention schedules against the log: their rules by digest, and that nobody put in force what they saved themselves.

That each row says what its entries say is asked by the check of changes. Digests stand in the entries for good, so the
rules are held against them also where a detail was erased.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, rows
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, invalid, valid
from archive.kernel.instants import BUREAU_ZONE, parse_instant

_SAVED: Final = "admin.schedule_saved"
_FORCED: Final = "admin.schedule_put_in_force"
_WITHDRAWN: Final = "admin.schedule_withdrawn"


def check_schedules(connection: Connection) -> Iterator[Finding]:
    """Hold versions of the schedule against the entries that tell of them."""
    logged: dict[str, list[Entry]] = {}
    for entry in entries(connection, {_SAVED, _FORCED, _WITHDRAWN}):
        logged.setdefault(str(entry.told("obj", "id")), []).append(entry)
    for told in logged.values():
        told.sort(key=lambda entry: entry.id)
        yield from _order(told)
    count = 0
    for row in rows(connection, "SELECT id, content FROM retention_schedule"):
        count += 1
        where = as_uuid(row["id"])
        told = logged.get(where, [])
        if told and _sha256(row["content"]) != told[-1].told("dig", "sha256"):
            yield invalid("fsck.row_changed", "retention_schedule.content is not what the log entry says", where)
    yield valid("fsck.schedules", f"{count} versions of the retention schedule were held against the log")


def _order(told: list[Entry]) -> Iterator[Finding]:
    """Say where a version was put in force by whoever saved it, in another form than it was saved, or for days past."""
    saved: Entry | None = None
    for entry in told:
        if entry.type == _SAVED:
            saved = entry
        if entry.type != _FORCED:
            continue
        where = str(entry.told("obj", "id"))
        if saved is None or saved.told("actor") == entry.told("actor"):
            yield invalid("fsck.schedule_by_one", "A retention schedule was put in force by one person alone", where)
        elif saved.told("dig") != entry.told("dig"):
            yield invalid("fsck.schedule_changed", "A retention schedule was put in force that nobody saved so", where)
        if _is_for_past_days(entry):
            yield invalid("fsck.schedule_backdated", "A retention schedule was put in force for days past", where)


def _is_for_past_days(entry: Entry) -> bool:
    if entry.detail is None:
        return False
    try:
        at = parse_instant(str(entry.told("t"))).astimezone(BUREAU_ZONE).date()
        # The entry's own time and the day that was asked for may lie on two sides of midnight.
        return date.fromisoformat(str(entry.detail.get("valid_from"))) < at - timedelta(days=1)
    except (InvalidInput, ValueError):
        return True


def _sha256(value: Any) -> str:
    return hashlib.sha256(str(value).encode("utf-8", "surrogatepass")).hexdigest()

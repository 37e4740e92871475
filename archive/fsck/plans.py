"""Until when objects are kept: what was planned against the entries that tell of it, and locks against what was planned.

A plan only grows: an entry that says less than one before it is a fault too, whoever wrote it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from archive.db import only_grows
from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.fsck.stores import StoredObject
from archive.kernel.findings import Finding, invalid, valid

_PLANNED: Final = "retention.planned"
_STEP: Final = timedelta(days=20 * 365)
"""What is kept for longer is locked in steps, of which at least this is left."""
_SAID: Final = {
    "is_permanent": "permanent",
    "is_waiting": "waiting",
    "waits_for": "waits_for",
    "rule": "rule",
    "basis": "basis",
}
_LOST: Final = """
SELECT e.object_id FROM planning_state s
JOIN log_leaf l ON l.leaf_index < s.scanned
JOIN custody_event e ON e.entry_id = l.entry_id
    AND e.type IN ('object.preserved', 'record.filed', 'volume.closed')
LEFT JOIN retention_plan p ON p.object_id = e.object_id
WHERE p.object_id IS NULL AND s.swept IS NOT NULL
"""


class _Said(NamedTuple):
    """What the newest entry says of an object."""

    entry: Entry
    said: Mapping[str, Any]
    counted_from: Any


@dataclass(frozen=True, slots=True)
class Planned:
    """Until when an object is kept, as the catalogue says; `lock_due`: nobody has held its locks against that yet."""

    until: datetime | None
    is_permanent: bool
    is_waiting: bool
    lock_due: bool

    def is_over(self, at: datetime) -> bool:
        """Return whether nothing keeps it any more but what stops its disposition."""
        return not self.is_permanent and not self.is_waiting and self.until is not None and self.until <= at


def planned(connection: Connection) -> Iterator[tuple[str, Planned]]:
    """Yield each object that has a plan, with it."""
    for row in rows(
        connection, "SELECT object_id, retain_until, is_permanent, is_waiting, lock_due FROM retention_plan"
    ):
        until = None if row["retain_until"] is None else as_instant(row["retain_until"])
        found = Planned(until, bool(row["is_permanent"]), bool(row["is_waiting"]), bool(row["lock_due"]))
        yield as_uuid(row["object_id"]), found


def check_plans(connection: Connection) -> Iterator[Finding]:
    """Hold every plan against the newest entry that tells of it, and each entry against what was said before."""
    for name in only_grows.missing(connection):
        yield invalid("fsck.trigger_missing", "A trigger that keeps plans from shrinking is gone or changed", name)
    told: dict[str, _Said] = {}
    erased: set[str] = set()
    for entry in sorted(entries(connection, {_PLANNED}), key=lambda entry: entry.id):
        if entry.detail is None:
            erased.add(entry.id)
            continue
        for said in entry.detail["plans"]:
            moments = said["counted_from"]
            for number, object_id in enumerate(said["objects"]):
                before = told.get(object_id)
                if before is not None and _is_less(said, before.said):
                    yield invalid(
                        "fsck.plan_shrunk", "An entry keeps an object for shorter than one before it", object_id
                    )
                counted_from = moments[number] if isinstance(moments, list) else moments
                told[object_id] = _Said(entry, said, counted_from)
    count = 0
    for row in rows(connection, "SELECT * FROM retention_plan"):
        count += 1
        where = as_uuid(row["object_id"])
        newest = told.pop(where, None)
        if row["entry_id"] is not None and as_uuid(row["entry_id"]) in erased:
            continue
        if newest is None:
            yield invalid("fsck.unlogged", "A plan has no log entry", where)
            continue
        for column in _differing(row, newest):
            yield invalid("fsck.row_changed", f"retention_plan.{column} is not what the log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "The log tells of a plan that the catalogue lacks", where)
    for row in rows(connection, _LOST):
        told_so = "An object has no plan: the planner looked past its entry"
        yield invalid("fsck.plan_lost", told_so, as_uuid(row["object_id"]))
    yield from _position(connection)
    yield valid("fsck.plans", f"{count} plans were held against the entries that tell of them")


def check_locks(
    connection: Connection, stored: Mapping[str, StoredObject], *, at: datetime, locks_as_it_comes: bool
) -> Iterator[Finding]:
    """Hold the locks of the medium against the plans."""
    plans, count = dict(planned(connection)), 0
    for found in stored.values():
        count += len(found.locks)
        yield from lock_faults(found, plans.get(found.object_id), at=at, locks_as_it_comes=locks_as_it_comes)
    yield valid("fsck.locks", f"The locks of {count} files were held against the plans of their objects")


def lock_faults(
    found: StoredObject, plan: Planned | None, *, at: datetime, locks_as_it_comes: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the locks of a stored object. One whose time is over needs none."""
    if plan is not None and plan.is_over(at):
        return
    is_looked_at = plan is not None and not plan.lock_due
    for place, lock in found.locks.items():
        where = str(found.folder / place)
        if (locks_as_it_comes or is_looked_at) and not lock.lasts(at):
            yield invalid("fsck.unlocked", "A stored file can be deleted: its lock is missing, or has ended", where)
        elif plan is not None and is_looked_at and plan.is_permanent and not lock.is_held:
            yield invalid("fsck.lock_short", "What is kept for ever is not under legal hold", where)
        elif plan is not None and is_looked_at and plan.until is not None:
            least = min(plan.until, at + _STEP)
            if not lock.is_held and (lock.until is None or lock.until < least):
                yield invalid("fsck.lock_short", "A lock ends before the object's time", where)


def _is_less(said: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    if said["permanent"]:
        return False
    if before["permanent"]:
        return True
    until, kept = said["until"], before["until"]
    return kept is not None and (until is None or as_instant(until) < as_instant(kept))


def _differing(row: Mapping[str, Any], newest: _Said) -> Iterator[str]:
    said = newest.said
    for column, name in _SAID.items():
        is_flag = column.startswith("is_")
        if (bool(row[column]) if is_flag else row[column]) != said[name]:
            yield column
    for column, value in (("retain_until", said["until"]), ("basis_at", newest.counted_from)):
        if not _is_same_time(row[column], value):
            yield column
    for column, value in (("schedule_id", said["schedule"]), ("entry_id", newest.entry.id)):
        if (None if row[column] is None else as_uuid(row[column])) != value:
            yield column
    if not is_at(row["planned_at"], newest.entry):
        yield "planned_at"


def _is_same_time(value: Any, told: Any) -> bool:
    if value is None or told is None:
        return value is told
    try:
        return as_instant(value) == as_instant(told)
    except ValueError:
        return False


def _position(connection: Connection) -> Iterator[Finding]:
    size = next(iter(rows(connection, "SELECT count(*) AS size FROM log_leaf")))["size"]
    for row in rows(connection, "SELECT scanned FROM planning_state"):
        if int(row["scanned"]) > int(size):
            yield invalid("fsck.row_changed", "The planner looked at more entries than there are", "planning_state")

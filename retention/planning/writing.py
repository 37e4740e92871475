"""Writing plans: what is new or different, with the one log entry that tells of it.

A plan only grows: what keeps an object already is never taken back by an answer that asks for less.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry
from retention.planning.deciding import Decision
from retention.planning.readings import Driver, Row, as_text

_COLUMNS: Final = (
    "object_id", "retain_until", "is_permanent", "is_waiting", "rule", "basis", "basis_at", "schedule_id", "waits_for",
    "planned_at", "entry_id", "lock_due",
)  # fmt: skip
_TYPES: Final = (
    "uuid", "timestamptz", "boolean", "boolean", "text", "text", "timestamptz", "uuid", "text", "timestamptz", "uuid",
    "boolean",
)  # fmt: skip
_NAMES: Final = ", ".join(_COLUMNS)
_INSTEAD: Final = (
    "ON CONFLICT (object_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
    + ", stale_since = NULL"
)
_PUT: Final = f"INSERT INTO retention_plan ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))}) {_INSTEAD}"
_PUT_POSTGRES: Final = (
    f"INSERT INTO retention_plan ({_NAMES}) SELECT * FROM unnest("  # noqa: S608 - named above
    f"{', '.join(f'%s::{kind}[]' for kind in _TYPES)}) {_INSTEAD}"
)
_FRESH: Final = "UPDATE retention_plan SET stale_since = NULL WHERE stale_since IS NOT NULL AND object_id IN"
_FRESH_SQLITE: Final = f"{_FRESH} (SELECT value FROM json_each(?))"
_FRESH_POSTGRES: Final = f"{_FRESH} (SELECT unnest(%s::uuid[]))"
_PRESENT: Final = (
    "SELECT object_id, retain_until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for,"
    " stale_since IS NOT NULL FROM retention_plan WHERE object_id IN (SELECT value FROM json_each(?))"
)
# In the order in which whoever marks plans takes them (`mark_stale`), so that nobody waits for each other.
_PRESENT_POSTGRES: Final = (
    "SELECT object_id::text, to_char(retain_until, 'YYYY-MM-DD HH24:MI:SS.US'), is_permanent, is_waiting, rule, basis,"
    " to_char(basis_at, 'YYYY-MM-DD HH24:MI:SS.US'), schedule_id::text, waits_for, stale_since IS NOT NULL"
    " FROM retention_plan WHERE object_id = ANY(%s::uuid[]) ORDER BY object_id FOR UPDATE"
)


class Plan(NamedTuple):
    """What a row says; texts as of `retention.planning.readings`."""

    until: str | None
    is_permanent: bool
    is_waiting: bool
    rule: str | None
    basis: str | None
    basis_at: str | None
    schedule_id: str | None
    waits_for: str | None


class Present(NamedTuple):
    """The row that is there, and whether it is stale."""

    plan: Plan
    is_stale: bool


def present_plans(driver: Driver, keys: Sequence[str]) -> Mapping[str, Present]:
    """Return the plans of objects that have one; nobody else changes or marks them until the transaction ends."""
    found = driver.rows(_PRESENT, _PRESENT_POSTGRES, driver.listed(keys))
    if not driver.is_sqlite:
        return {row[0]: Present(Plan._make(row[1:9]), row[9]) for row in found}
    return {
        key: Present(Plan(until, bool(permanent), bool(waiting), *rest), bool(is_stale))
        for key, until, permanent, waiting, *rest, is_stale in found
    }


def grown(decision: Decision, schedule_id: str | None, before: Plan | None) -> Plan:
    """Return what the plan of an object is, after what schedules ask for now and what kept it before."""
    answer, basis_at = decision
    until, is_permanent, is_waiting, rule, basis, waits_for = answer
    if before is not None and not is_permanent:
        if before.is_permanent:
            return before._replace(is_waiting=False, waits_for=None)
        if before.until is not None and (until is None or until <= before.until):
            return before._replace(is_waiting=is_waiting, waits_for=waits_for)
    elif before is not None and before.is_permanent:
        return before
    found = Plan(until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id if rule else None, waits_for)
    # The same reason in a later version of the schedule is no change.
    is_same = before is not None and found[:6] == before[:6] and waits_for == before.waits_for
    return before if is_same and before is not None else found


def write_plans(
    tx: Session,
    driver: Driver,
    changed: Mapping[str, Plan],
    settled: Iterable[str],
    *,
    by: Actor,
    at: Instant,
) -> None:
    """Write plans that are new or different with their log entry; take the marks of those that are as they were.

    In the caller's transaction, which holds the rows.
    """
    if unchanged := list(settled):
        driver.write(_FRESH_SQLITE if driver.is_sqlite else _FRESH_POSTGRES, driver.listed(unchanged))
    if not changed:
        return
    entry = NewEntry(EntryType.RETENTION_PLANNED, by, detail={"plans": _told(driver, changed)})
    entry_id = append_entry(tx, entry, at=at)
    _put(driver, changed, entry_id, at)


def _put(driver: Driver, changed: Mapping[str, Plan], entry_id: UUID, at: Instant) -> None:
    planned_at, entry = as_text(at), driver.key(entry_id)
    if driver.is_sqlite:
        rows: list[Row] = [(key, *plan, planned_at, entry, True) for key, plan in changed.items()]
        driver.write_all(_PUT, rows)
        return
    plans = list(changed.values())
    columns = [list(changed), *([plan[n] for plan in plans] for n in range(len(Plan._fields)))]
    fixed = [[value] * len(plans) for value in (planned_at, entry, True)]
    driver.write(_PUT_POSTGRES, *map(_array, [*columns, *fixed]))


def _array(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL reads it."""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _told(driver: Driver, changed: Mapping[str, Plan]) -> list[dict[str, Any]]:
    """Return plans as the log holds them: those that say the same together, each object with what it counts from.

    `counted_from` is one moment where it is the same for all, else one for each object in their order.
    """
    alike: dict[tuple[Any, ...], list[tuple[str, str | None]]] = defaultdict(list)
    for key, (until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for) in changed.items():
        alike[until, is_permanent, is_waiting, rule, basis, schedule_id, waits_for].append((key, basis_at))
    told = []
    for (until, is_permanent, is_waiting, rule, basis, schedule_id, waits_for), objects in alike.items():
        moments = [None if at is None else rfc_3339(at) for _, at in objects]
        told.append(
            {
                "until": None if until is None else rfc_3339(until),
                "permanent": is_permanent,
                "waiting": is_waiting,
                "waits_for": waits_for,
                "rule": rule,
                "basis": basis,
                "schedule": None if schedule_id is None else driver.dashed(schedule_id),
                "counted_from": moments[0] if len(set(moments)) == 1 else moments,
                "objects": [driver.dashed(key) for key, _ in objects],
            }
        )
    return told


def rfc_3339(text: str) -> str:
    """Return a moment of the readings as the log has it."""
    return f"{text[:10]}T{text[11:]}Z"

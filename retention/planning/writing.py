"""Writing plans: what is new or different, with the one log entry that tells of it.

A plan only grows: what keeps an object already is never taken back by an answer that asks for less.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry
from retention.planning.deciding import Decision
from retention.planning.readings import Driver, as_text

_COLUMNS: Final = (
    "retain_until", "is_permanent", "is_waiting", "rule", "basis", "basis_at", "schedule_id", "waits_for",
    "planned_at", "entry_id", "lock_due",
)  # fmt: skip
_TYPES: Final = (
    "timestamptz", "boolean", "boolean", "text", "text", "timestamptz", "uuid", "text", "timestamptz", "uuid",
    "boolean",
)  # fmt: skip
_NAMES: Final = ", ".join(_COLUMNS)
_ADD: Final = f"INSERT INTO retention_plan ({_NAMES}, object_id) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
_CHANGE: Final = (
    f"UPDATE retention_plan SET {', '.join(f'{name} = ?' for name in _COLUMNS)}, stale_since = NULL WHERE object_id = ?"  # noqa: S608
)
_GIVEN: Final = f"unnest({', '.join(f'%s::{kind}[]' for kind in (*_TYPES, 'uuid'))})"
_ADD_POSTGRES: Final = f"INSERT INTO retention_plan ({_NAMES}, object_id) SELECT * FROM {_GIVEN}"  # noqa: S608
_CHANGE_POSTGRES: Final = (
    f"UPDATE retention_plan p SET {', '.join(f'{name} = n.{name}' for name in _COLUMNS)}, stale_since = NULL"  # noqa: S608
    f" FROM {_GIVEN} AS n ({_NAMES}, object_id) WHERE p.object_id = n.object_id"
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
_UNTIL, _PERMANENT, _WAITING, _RULE, _BASIS, _BASIS_AT, _SCHEDULE, _WAITS_FOR = range(8)

Plan = tuple[str | None, bool, bool, str | None, str | None, str | None, str | None, str | None]
"""What a row says, texts as of `retention.planning.readings`: until when, whether for ever, whether something waits; rule
and basis of that, the moment that it counts from, the version of the schedule; the rule whose clock waits."""
Given = Sequence[tuple[str, Plan]]


def present_plans(driver: Driver, keys: Sequence[str]) -> tuple[Mapping[str, Plan], frozenset[str]]:
    """Return the plans of objects that have one, and which are stale.

    Nobody else changes or marks them until the transaction ends.
    """
    found = driver.rows(_PRESENT, _PRESENT_POSTGRES, driver.listed(keys))
    plans: Mapping[str, Plan] = {row[0]: row[1:9] for row in found}  # type: ignore[misc]
    return plans, frozenset(row[0] for row in found if row[9])


def grown(decision: Decision, schedule_id: str | None, before: Plan | None) -> Plan:
    """Return what the plan of an object is, after what schedules ask for now and what kept it before."""
    (until, is_permanent, is_waiting, rule, basis, waits_for), basis_at = decision
    if rule is None:
        schedule_id = None
    found = (until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for)
    if before is None:
        return found
    kept = before[_UNTIL]
    if before[_PERMANENT]:
        return before if is_permanent else (*before[:_WAITING], False, *before[_RULE:_WAITS_FOR], None)
    if not is_permanent and kept is not None and (until is None or until <= kept):
        return (*before[:_WAITING], is_waiting, *before[_RULE:_WAITS_FOR], waits_for)
    # The same reason in a later version of the schedule is no change.
    is_same = found[:_SCHEDULE] == before[:_SCHEDULE] and waits_for == before[_WAITS_FOR]
    return before if is_same else found


def write_plans(
    tx: Session, driver: Driver, new: Given, changed: Given, settled: Sequence[str], *, by: Actor, at: Instant
) -> None:
    """Write plans that are new or different with their log entry; take the marks of those that are as they were.

    In the caller's transaction, which holds the rows.
    """
    if settled:
        driver.write(_FRESH_SQLITE if driver.is_sqlite else _FRESH_POSTGRES, driver.listed(settled))
    if not new and not changed:
        return
    told = _told(driver, [*new, *changed])
    entry_id = append_entry(tx, NewEntry(EntryType.RETENTION_PLANNED, by, detail={"plans": told}), at=at)
    for given, sqlite, postgres in ((new, _ADD, _ADD_POSTGRES), (changed, _CHANGE, _CHANGE_POSTGRES)):
        if given:
            _put(driver, given, (as_text(at), driver.key(entry_id), True), sqlite, postgres)


def _put(driver: Driver, given: Given, more: tuple[str, str, bool], sqlite: str, postgres: str) -> None:
    if driver.is_sqlite:
        driver.write_all(sqlite, [(*plan, *more, key) for key, plan in given])
        return
    columns: list[Sequence[Any]] = [*zip(*(plan for _, plan in given), strict=True)]
    columns += [[value] * len(given) for value in more]
    driver.write(postgres, *map(_array, [*columns, [key for key, _ in given]]))


def _array(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL reads it."""
    elements = {value: _element(value) for value in set(values)}  # most stand in it many times
    return "{" + ",".join([elements[value] for value in values]) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _told(driver: Driver, given: Given) -> list[dict[str, Any]]:
    """Return plans as the log holds them: those that say the same together, each object with what it counts from.

    `counted_from` is one moment where it is the same for all, else one for each object in their order.
    """
    alike: dict[tuple[Any, ...], list[tuple[str, str | None]]] = defaultdict(list)
    for key, plan in given:
        alike[plan[:_BASIS_AT] + plan[_SCHEDULE:]].append((key, plan[_BASIS_AT]))
    dashed, told = driver.dashed, []
    for (until, is_permanent, is_waiting, rule, basis, schedule_id, waits_for), objects in alike.items():
        moments = {at: None if at is None else rfc_3339(at) for _, at in objects}
        told.append(
            {
                "until": None if until is None else rfc_3339(until),
                "permanent": bool(is_permanent),
                "waiting": bool(is_waiting),
                "waits_for": waits_for,
                "rule": rule,
                "basis": basis,
                "schedule": None if schedule_id is None else dashed(schedule_id),
                "counted_from": [moments[at] for _, at in objects] if len(moments) > 1 else next(iter(moments.values())),
                "objects": [dashed(key) for key, _ in objects],
            }
        )
    return told


def rfc_3339(text: str) -> str:
    """Return a moment of the readings as the log has it."""
    return f"{text[:10]}T{text[11:]}Z"

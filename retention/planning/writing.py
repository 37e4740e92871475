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
from retention.planning.readings import Driver, Which, rfc_3339

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
_ADD_POSTGRES: Final = f"COPY retention_plan ({_NAMES}, object_id) FROM STDIN (NULL '')"
_GIVEN: Final = f"unnest({', '.join(f'%s::{kind}[]' for kind in (*_TYPES, 'uuid', 'timestamptz'))})"
# What was marked stale since it was read stays so.
_UNMARKED: Final = "CASE WHEN p.stale_since IS NOT DISTINCT FROM n.stale THEN NULL ELSE p.stale_since END"
_CHANGE_POSTGRES: Final = (
    f"UPDATE retention_plan p SET {', '.join(f'{name} = n.{name}' for name in _COLUMNS)}, stale_since = {_UNMARKED}"  # noqa: S608
    f" FROM {_GIVEN} AS n ({_NAMES}, object_id, stale) WHERE p.object_id = n.object_id"
)
_FRESH: Final = "UPDATE retention_plan SET stale_since = NULL WHERE object_id IN (SELECT value FROM json_each(?))"
_FRESH_POSTGRES: Final = (
    "UPDATE retention_plan p SET stale_since = NULL FROM unnest(%s::uuid[], %s::timestamptz[]) AS n (object_id, stale)"
    " WHERE p.object_id = n.object_id AND p.stale_since = n.stale"
)
_PRESENT: Final = (
    "SELECT object_id, retain_until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for,"
    " stale_since FROM retention_plan WHERE {0}"
)

Plan = tuple[str | None, bool, bool, str | None, str | None, str | None, str | None, str | None]
"""What a row says, texts as of `retention.planning.readings`: until when, whether for ever, whether something waits; rule
and basis of that, the moment that it counts from, the version of the schedule; the rule whose clock waits."""
New = Sequence[tuple[str, Plan]]
Changed = Sequence[tuple[str, Plan, str | None]]
"""With the moment since which each was stale, as it was read."""


def present_plans(driver: Driver, which: Which) -> Mapping[str, tuple[Plan, str | None]]:
    """Return the plans of objects that have one, and since when each is stale.

    To be read before what is known of the objects: a mark that comes later is then of something that is known, or stays.
    """
    found = driver.bulk(_PRESENT, which, "object_id")
    if driver.is_sqlite:
        return {row[0]: (row[1:9], row[9]) for row in found}
    return {
        key: (
            (
                until or None,
                is_permanent == "t",
                is_waiting == "t",
                rule or None,
                basis or None,
                basis_at or None,
                schedule_id or None,
                waits_for or None,
            ),
            stale or None,
        )
        for key, until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for, stale in found
    }


def grown(decision: Decision, schedule_id: str | None, before: Plan | None) -> Plan:
    """Return what the plan of an object is, after what schedules ask for now and what kept it before."""
    until, is_permanent, is_waiting, rule, basis, basis_at, waits_for = decision
    if rule is None:
        schedule_id = None
    found = until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for
    if before is None:
        return found
    kept, was_permanent, _, kept_rule, kept_basis, kept_at, kept_schedule, waited_for = before
    if was_permanent:
        return before if is_permanent else (None, True, False, kept_rule, kept_basis, kept_at, kept_schedule, None)
    if not is_permanent and kept is not None and (until is None or until <= kept):
        return kept, False, is_waiting, kept_rule, kept_basis, kept_at, kept_schedule, waits_for
    # The same reason in a later version of the schedule is no change.
    is_same = found[:6] == before[:6] and waits_for == waited_for
    return before if is_same else found


def write_plans(
    tx: Session,
    driver: Driver,
    new: New,
    changed: Changed,
    settled: Sequence[tuple[str, str]],
    *,
    by: Actor,
    at: Instant,
) -> None:
    """Write plans that are new or different with their log entry; take the marks of those that are as they were.

    `settled` has these with the moment since which they were stale.
    """
    if settled:
        keys, stale = [key for key, _ in settled], [moment for _, moment in settled]
        if driver.is_sqlite:
            driver.write(_FRESH, driver.listed(keys))
        else:
            driver.write(_FRESH_POSTGRES, _array(keys), _array(stale))
    if not new and not changed:
        return
    told = _told(driver, [*new, *((key, plan) for key, plan, _ in changed)])
    entry_id = append_entry(tx, NewEntry(EntryType.RETENTION_PLANNED, by, detail={"plans": told}), at=at)
    more = (driver.texts.of(at), driver.key(entry_id), True)
    if driver.is_sqlite:
        driver.write_all(_ADD, [(*plan, *more, key) for key, plan in new])
        driver.write_all(_CHANGE, [(*plan, *more, key) for key, plan, _ in changed])
        return
    if new:
        _copy(driver, new, more)
    if changed:
        columns = [*zip(*((*plan, *more, key, stale) for key, plan, stale in changed), strict=True)]
        driver.write(_CHANGE_POSTGRES, *map(_array, columns))


class _Escaped(dict[str | None, str]):
    """Words as PostgreSQL's COPY reads them; nothing is the empty text."""

    def __missing__(self, word: str | None) -> str:
        text = (word or "").replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        self[word] = text
        return text


def _copy(driver: Driver, new: New, more: tuple[str, str, bool]) -> None:
    """Put new rows by COPY, which takes half the time of inserting them."""
    word, ending = _Escaped(), "\t".join((more[0], more[1], "t"))
    lines = [
        f"{until or ''}\t{is_permanent}\t{is_waiting}\t{word[rule]}\t{basis or ''}\t{basis_at or ''}"
        f"\t{schedule_id or ''}\t{word[waits_for]}\t{ending}\t{key}\n"
        for key, (until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for) in new
    ]
    driver.copy_in(_ADD_POSTGRES, "".join(lines))


def _array(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL reads it."""
    elements = {value: _element(value) for value in set(values)}  # most stand in it many times
    return "{" + ",".join([elements[value] for value in values]) + "}"


def _element(value: str | bool | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _told(driver: Driver, given: New) -> list[dict[str, Any]]:
    """Return plans as the log holds them: those that say the same together, each object with what it counts from.

    `counted_from` is one moment where it is the same for all, else one for each object in their order.
    """
    alike: dict[tuple[Any, ...], list[tuple[str, str | None]]] = defaultdict(list)
    for key, plan in given:
        alike[plan[:5] + plan[6:]].append((key, plan[5]))
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
                "counted_from": [moments[at] for _, at in objects]
                if len(moments) > 1
                else next(iter(moments.values())),
                "objects": [dashed(key) for key, _ in objects],
            }
        )
    return told

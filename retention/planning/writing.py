"""Writing plans: what is new or different, with the one log entry that tells of it.

A plan only grows: what keeps an object already is never taken back by an answer that asks for less.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from archive.kernel.errors import Conflict
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry
from retention.planning.deciding import Decider, Decision
from retention.planning.driver import Driver, Query, Which, rfc_3339
from retention.planning.readings import Reading

_COLUMNS: Final = (
    "retain_until", "is_permanent", "is_waiting", "rule", "basis", "basis_at", "schedule_id", "waits_for",
    "planned_at", "entry_id", "lock_due",
)  # fmt: skip
_TYPES: Final = (
    "timestamptz", "boolean", "boolean", "text", "text", "timestamptz", "uuid", "text", "timestamptz", "uuid",
    "boolean",
)  # fmt: skip
_NAMES: Final = ", ".join(_COLUMNS)
_KEY, _MOMENT = 32, 26
_ROW: Final = _KEY + 2 * _MOMENT
# All rows that say the same in one step: ids and moments are cut out of one value. Binding each takes twice as long.
_ADD: Final = (
    f"INSERT INTO retention_plan (object_id, {_NAMES}) WITH RECURSIVE cut (n) AS"
    f" (SELECT 1 UNION ALL SELECT n + {_ROW} FROM cut WHERE n + {_ROW} <= length(:rows))"
    f" SELECT CAST(substr(:rows, n, {_KEY}) AS TEXT),"
    f" CASE WHEN :ends THEN CAST(substr(:rows, n + {_KEY}, {_MOMENT}) AS TEXT) END, :permanent, :waiting, :rule, :basis,"
    f" CASE WHEN :counts THEN CAST(substr(:rows, n + {_KEY + _MOMENT}, {_MOMENT}) AS TEXT) END, :schedule, :waits_for,"
    " :at, :entry, 1 FROM cut"
)
_ADD_POSTGRES: Final = f"COPY retention_plan (object_id, {_NAMES}) FROM STDIN (NULL '')"
# Of what was changed or marked stale since it was read nothing is written over.
_CHANGE: Final = (
    f"UPDATE retention_plan SET {', '.join(f'{name} = ?' for name in _COLUMNS)}, stale_since = NULL"  # noqa: S608
    " WHERE object_id = ? AND entry_id IS ? AND stale_since IS ?"
)
_GIVEN: Final = f"unnest({', '.join(f'%s::{kind}[]' for kind in (*_TYPES, 'uuid', 'uuid', 'timestamptz'))})"
_CHANGE_POSTGRES: Final = (
    f"UPDATE retention_plan p SET {', '.join(f'{name} = n.{name}' for name in _COLUMNS)}, stale_since = NULL"  # noqa: S608
    f" FROM {_GIVEN} AS n ({_NAMES}, object_id, was_entry, was_stale) WHERE p.object_id = n.object_id"
    " AND p.entry_id IS NOT DISTINCT FROM n.was_entry AND p.stale_since IS NOT DISTINCT FROM n.was_stale"
)
_SETTLE: Final = "UPDATE retention_plan SET stale_since = NULL WHERE object_id = ? AND stale_since = ?"
_SETTLE_POSTGRES: Final = (
    "UPDATE retention_plan p SET stale_since = NULL FROM unnest(%s::uuid[], %s::timestamptz[]) AS n (object_id, stale)"
    " WHERE p.object_id = n.object_id AND p.stale_since = n.stale"
)
_PRESENT: Final = Query(
    (
        "object_id", "retain_until", "CASE WHEN is_permanent THEN 1 ELSE 0 END",
        "CASE WHEN is_waiting THEN 1 ELSE 0 END", "rule", "basis", "basis_at", "schedule_id", "waits_for", "entry_id",
        "stale_since",
    ),
    "FROM retention_plan WHERE {0}",
    ("object_id",),
)  # fmt: skip

Reason = tuple[str | None, bool, bool, str | None, str | None, str | None, str | None]
"""What a row says of why: until when, whether for ever, whether something waits, rule and basis of that, the version of
the schedule; the rule whose clock waits. Moments are texts of the database."""
Plan = tuple[Reason, str | None]
"""With the moment that it counts from."""
Kept = tuple[Plan, str, str]
"""A plan that is there, with its entry and since when it is stale, or nothing."""


class PlannedMeanwhile(Conflict):
    """Somebody else has planned these objects since they were looked at."""

    code = "retention.planned_meanwhile"


@dataclass(slots=True)
class Batch:
    """What is to be written: new plans and changed ones by their reasons, and plans that are as they were, but stale.

    New is an object with the moment that its plan counts from; what changes has its entry and mark as they were read.
    """

    new: dict[Reason, list[tuple[str, str | None]]] = field(default_factory=lambda: defaultdict(list))
    changed: dict[Reason, list[tuple[str, str | None, str, str]]] = field(default_factory=lambda: defaultdict(list))
    settled: list[tuple[str, str]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Of how many objects the plan is new or different."""
        return sum(map(len, self.new.values())) + sum(map(len, self.changed.values()))


def present_plans(driver: Driver, which: Which) -> Mapping[str, Kept]:
    """Return the plans of objects that have one.

    To be read before what is known of the objects: a mark that comes later is then of something that is known, or stays.
    """
    return {
        key: (
            (
                (
                    until or None,
                    is_permanent == "1",
                    is_waiting == "1",
                    rule or None,
                    basis or None,
                    schedule_id or None,
                    waits_for or None,
                ),
                basis_at or None,
            ),
            entry_id,
            stale_since,
        )
        for (
            key, until, is_permanent, is_waiting, rule, basis, basis_at, schedule_id, waits_for, entry_id, stale_since,
        ) in driver.bulk(_PRESENT, which)
    }  # fmt: skip


def grown(decision: Decision, schedule_id: str | None, before: Plan) -> Plan:
    """Return what the plan of an object is, after what schedules ask for now and what kept it before."""
    until, is_permanent, is_waiting, rule, basis, basis_at, waits_for = decision
    (kept, was_permanent, _, kept_rule, kept_basis, kept_schedule, _), kept_at = before
    if was_permanent:
        return before if is_permanent else ((None, True, False, kept_rule, kept_basis, kept_schedule, None), kept_at)
    if not is_permanent and kept is not None and (until is None or until <= kept):
        return (kept, False, is_waiting, kept_rule, kept_basis, kept_schedule, waits_for), kept_at
    # The same reason in a later version of the schedule is no change.
    same = (until, is_permanent, is_waiting, rule, basis, kept_schedule, waits_for), basis_at
    if same == before:
        return before
    return (until, is_permanent, is_waiting, rule, basis, schedule_id if rule else None, waits_for), basis_at


def decided(decider: Decider, reading: Reading, present: Mapping[str, Kept], schedule_id: str | None) -> Batch:
    """Return what is to be written of objects that were read."""
    batch, decide, marks = Batch(), decider.decide, reading.marks
    new = batch.new
    for thing in reading.things:
        key = thing[0]
        decision = decide(thing, marks.get(key))
        kept = present.get(key)
        if kept is None:
            until, is_permanent, is_waiting, rule, basis, basis_at, waits_for = decision
            reason = until, is_permanent, is_waiting, rule, basis, schedule_id if rule else None, waits_for
            new[reason].append((key, basis_at))
            continue
        before, entry_id, stale = kept
        plan = grown(decision, schedule_id, before)
        if plan != before:
            batch.changed[plan[0]].append((key, plan[1], entry_id, stale))
        elif stale:
            batch.settled.append((key, stale))
    return batch


def write_batch(tx: Session, driver: Driver, batch: Batch, *, by: Actor, at: Instant) -> None:
    """Write plans that are new or different with their log entry; take the marks of those that are as they were.

    Raises: PlannedMeanwhile, where what was read is not there any more; the transaction must end then.
    """
    _settle(driver, batch.settled)
    if not batch.new and not batch.changed:
        return
    detail = {"plans": [*_told(driver, batch.new), *_told(driver, batch.changed)]}
    entry_id = append_entry(tx, NewEntry(EntryType.RETENTION_PLANNED, by, detail=detail), at=at)
    planned_at = driver.texts.of(at)
    try:
        _add(driver, batch.new, planned_at, driver.key(entry_id))
    except IntegrityError as exc:
        raise PlannedMeanwhile from exc
    if _change(driver, batch.changed, planned_at, driver.key(entry_id)) != sum(map(len, batch.changed.values())):
        raise PlannedMeanwhile


def _add(driver: Driver, new: Mapping[Reason, Sequence[tuple[str, str | None]]], at: str, entry: str) -> None:
    if not new:
        return
    if not driver.is_sqlite:
        driver.copy_in(_ADD_POSTGRES, "".join(_lines(new, at, entry)))
        return
    nothing = " " * _MOMENT
    alike: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for (until, *rest), objects in new.items():
        ends = until or nothing
        counted = [f"{key}{ends}{moment}" for key, moment in objects if moment is not None]
        alike[until is not None, True, *rest] += counted
        if len(counted) < len(objects):
            alike[until is not None, False, *rest] += [
                f"{key}{ends}{nothing}" for key, moment in objects if moment is None
            ]
    for (ends, counts, is_permanent, is_waiting, rule, basis, schedule_id, waits_for), cut in alike.items():
        if cut:
            driver.write_named(
                _ADD,
                rows="".join(cut).encode(),
                ends=ends,
                counts=counts,
                permanent=is_permanent,
                waiting=is_waiting,
                rule=rule,
                basis=basis,
                schedule=schedule_id,
                waits_for=waits_for,
                at=at,
                entry=entry,
            )


def _lines(new: Mapping[Reason, Sequence[tuple[str, str | None]]], at: str, entry: str) -> Sequence[str]:
    """Return rows as PostgreSQL's COPY reads them."""
    lines: list[str] = []
    for (until, is_permanent, is_waiting, rule, basis, schedule_id, waits_for), objects in new.items():
        first = f"\t{until or ''}\t{is_permanent}\t{is_waiting}\t{_escaped(rule)}\t{basis or ''}\t"
        last = f"\t{schedule_id or ''}\t{_escaped(waits_for)}\t{at}\t{entry}\tt\n"
        lines += [f"{key}{first}{counted or ''}{last}" for key, counted in objects]
    return lines


def _escaped(word: str | None) -> str:
    """Return a word as COPY reads it; nothing is the empty text."""
    return (word or "").replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _change(
    driver: Driver, changed: Mapping[Reason, Sequence[tuple[str, str | None, str, str]]], at: str, entry: str
) -> int:
    """Write plans that are different; return how many were as they were read."""
    rows = [
        (*reason[:5], counted, *reason[5:], at, entry, True, key, was_entry or None, was_stale or None)
        for reason, objects in changed.items()
        for key, counted, was_entry, was_stale in objects
    ]
    if not rows:
        return 0
    if driver.is_sqlite:
        return driver.write_all(_CHANGE, rows)
    return driver.write(_CHANGE_POSTGRES, *map(_array, zip(*rows, strict=True)))


def _settle(driver: Driver, settled: Sequence[tuple[str, str]]) -> None:
    if not settled:
        return
    if driver.is_sqlite:
        driver.write_all(_SETTLE, settled)
    else:
        driver.write(_SETTLE_POSTGRES, *map(_array, zip(*settled, strict=True)))


def _array(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL reads it."""
    elements = {value: _element(value) for value in set(values)}  # most stand in it many times
    return "{" + ",".join([elements[value] for value in values]) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _told(driver: Driver, found: Mapping[Reason, Sequence[tuple[Any, ...]]]) -> list[dict[str, Any]]:
    """Return plans as the log holds them: those that say the same together, each object with what it counts from.

    `counted_from` is one moment where it is the same for all, else one for each object in their order.
    """
    told = []
    for (until, is_permanent, is_waiting, rule, basis, schedule_id, waits_for), objects in found.items():
        moments = {each[1]: None if each[1] is None else rfc_3339(each[1]) for each in objects}
        told.append(
            {
                "until": None if until is None else rfc_3339(until),
                "permanent": is_permanent,
                "waiting": is_waiting,
                "waits_for": waits_for,
                "rule": rule,
                "basis": basis,
                "schedule": None if schedule_id is None else driver.dashed(schedule_id),
                "counted_from": [moments[each[1]] for each in objects] if len(moments) > 1 else moments[objects[0][1]],
                "objects": list(map(driver.dashed, [each[0] for each in objects])),
            }
        )
    return told

"""What is kept until when, for people: counts and bytes, what falls due, what it costs.

Narrowed to what is seen. What was destroyed costs nothing and falls due no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, exists, func, literal_column, or_, select
from sqlalchemy.orm import Session

from archive.calendar.days import day_start, local_day
from archive.cases.slices import Slice, sliced
from archive.custody.models import PreservedObject
from archive.db.base import Base
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from retention.holding.models import HeldObject, Hold
from retention.planning.models import RetentionPlan

_PAGE: Final = 50
_GROWTH_DAYS: Final = 90
_DAYS_OF_MONTH: Final = 30
_LAST_MONTHS: Final = 24
_IS_THERE: Final = PreservedObject.destroyed_at.is_(None)


class Keeping(StrEnum):
    """How an object is kept, where that is not until a day. What is held is so beside one of the others."""

    PERMANENT = "permanent"
    WAITING = "waiting"
    NO_RULE = "no_rule"
    UNPLANNED = "unplanned"
    DUE = "due"
    HELD = "held"


class Tally(NamedTuple):
    """How much of something there is. Units: bytes of originals."""

    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What is kept, by state; what is kept until a day by its local year."""

    states: Mapping[Keeping, Tally]
    years: Sequence[tuple[int, Tally]]
    total: Tally


@dataclass(frozen=True, slots=True)
class KeptRow:
    """An object with its plan, None where it has none."""

    original: PreservedObject
    plan: RetentionPlan | None


@dataclass(frozen=True, slots=True)
class CostRow:
    """What a unit keeps by one rule. Units: bytes; growth in bytes of a month, as in the last three."""

    unit_id: UUID
    rule: str | None
    is_permanent: bool
    kept: Tally
    growth_bytes: int


def overview(tx: Session, *, at: Instant) -> Overview:
    """Return how much is kept, by state and year."""
    plan = _plan()
    state = case(
        (plan.c.object_id.is_(None), Keeping.UNPLANNED.value),
        (plan.c.is_permanent, Keeping.PERMANENT.value),
        (and_(plan.c.is_waiting, plan.c.waits_for.is_not(None)), Keeping.WAITING.value),
        (plan.c.is_waiting, Keeping.NO_RULE.value),
        (plan.c.retain_until <= at, Keeping.DUE.value),
        else_=_local(tx, plan.c.retain_until, "%Y", "YYYY"),
    )
    states: dict[Keeping, Tally] = {}
    years: list[tuple[int, Tally]] = []
    for name, objects, size_bytes in tx.execute(_counted(state, plan)):
        found = Tally(int(objects), int(size_bytes))
        if name.isdecimal():
            years.append((int(name), found))
        else:
            states[Keeping(name)] = found
    all_of_them = [*states.values(), *(found for _, found in years)]
    states[Keeping.HELD] = Tally(*map(int, tx.execute(_held_count()).one()))
    total = Tally(sum(found.objects for found in all_of_them), sum(found.size_bytes for found in all_of_them))
    return Overview(states, sorted(years), total)


def due_by_month(tx: Session, *, at: Instant) -> tuple[Tally, Sequence[tuple[date, Tally]]]:
    """Return what is due already, and what falls due in each local month of the next two years."""
    plan, today = _plan(), local_day(at)
    first = today.replace(day=1)
    last = _months_later(first, _LAST_MONTHS)
    month = _local(tx, plan.c.retain_until, "%Y-%m", "YYYY-MM")
    bounds = (plan.c.retain_until > at, plan.c.retain_until < day_start(last))
    found = {
        name: Tally(int(objects), int(size_bytes))
        for name, objects, size_bytes in tx.execute(_counted(month, plan).where(_ends(plan), *bounds))
    }
    months = [_months_later(first, number) for number in range(_LAST_MONTHS)]
    overdue = select(func.count(), func.coalesce(func.sum(PreservedObject.size_bytes), 0)).select_from(PreservedObject)
    overdue = overdue.join(plan, plan.c.object_id == PreservedObject.id)
    overdue = overdue.where(_IS_THERE, _ends(plan), plan.c.retain_until <= at)
    by_month = [(day, found.get(f"{day:%Y-%m}", Tally(0, 0))) for day in months]
    return Tally(*map(int, tx.execute(overdue).one())), by_month


def kept_until(
    tx: Session, *, after: Instant | None, until: Instant, cursor: str | None = None, limit: int = _PAGE
) -> Slice[KeptRow]:
    """Return what falls due after a moment (from the beginning where none is given) up to another, the earliest first.

    Raises: InvalidInput for a cursor that is none.
    """
    plan = _plan()
    ends = plan.c.retain_until
    rows = _rows(plan).where(_ends(plan), ends <= until)
    if after is not None:
        rows = rows.where(ends > after)
    if cursor is not None:
        moment, last = _due_cursor(cursor)
        # The first part says nothing that the second does not; it lets SQLite begin in its index.
        rows = rows.where(ends >= moment, or_(ends > moment, plan.c.object_id > last))
    found = _found(tx, rows.order_by(ends, plan.c.object_id), limit)
    return sliced(found, limit, _cursor_of_due)


def kept_as(tx: Session, which: Keeping, *, cursor: str | None = None, limit: int = _PAGE) -> Slice[KeptRow]:
    """Return the objects in a state, the newest first. What is kept until a day is in `kept_until`.

    Raises: InvalidInput for a cursor that is none.
    """
    plan = _plan()
    conditions: Mapping[Keeping, ColumnElement[bool]] = {
        Keeping.PERMANENT: plan.c.is_permanent,
        Keeping.WAITING: and_(plan.c.is_waiting, plan.c.waits_for.is_not(None)),
        Keeping.NO_RULE: and_(plan.c.is_waiting, plan.c.waits_for.is_(None)),
        Keeping.UNPLANNED: plan.c.object_id.is_(None),
        Keeping.HELD: _is_held(),
    }
    if which not in conditions:
        raise InvalidInput("There is no such list")
    rows = _rows(plan).where(conditions[which])
    if cursor is not None:
        rows = rows.where(PreservedObject.id < parse_uuid(cursor))
    found = _found(tx, rows.order_by(PreservedObject.id.desc()), limit)
    return sliced(found, limit, lambda row: str(row.original.id))


def costs(tx: Session, *, at: Instant) -> Sequence[CostRow]:
    """Return what each unit keeps, by the rule that keeps it, the largest first."""
    plan, size = _plan(), PreservedObject.size_bytes
    is_new = PreservedObject.preserved_at > at - timedelta(days=_GROWTH_DAYS)
    is_permanent = func.coalesce(plan.c.is_permanent, literal_column("false"))
    rows = (
        select(
            PreservedObject.unit_id,
            plan.c.rule,
            is_permanent.label("is_permanent"),
            func.count(),
            func.sum(size),
            func.sum(case((is_new, size), else_=0)),
        )
        .select_from(PreservedObject)
        .outerjoin(plan, plan.c.object_id == PreservedObject.id)
        .where(_IS_THERE)
        .group_by(PreservedObject.unit_id, plan.c.rule, is_permanent)
    )
    found = [
        CostRow(
            unit_id,
            rule,
            bool(permanent),
            Tally(int(objects), int(size_bytes)),
            int(grown) * _DAYS_OF_MONTH // _GROWTH_DAYS,
        )
        for unit_id, rule, permanent, objects, size_bytes, grown in tx.execute(rows)
    ]
    return sorted(found, key=lambda row: (-row.kept.size_bytes, str(row.unit_id), row.rule or ""))


def plan_of(tx: Session, object_id: UUID) -> RetentionPlan | None:
    """Return the plan of an object; None where it has none, or is not seen."""
    return tx.get(RetentionPlan, object_id)


def month_bounds(day: date) -> tuple[Instant, Instant]:
    """Return the moments between which a local month lies: after the first, and up to the second."""
    first, instant = day.replace(day=1), timedelta(microseconds=1)
    return day_start(first) - instant, day_start(_months_later(first, 1)) - instant


def year_bounds(year: int) -> tuple[Instant, Instant]:
    """Return the moments between which a local year lies, as `month_bounds`."""
    instant = timedelta(microseconds=1)
    return day_start(date(year, 1, 1)) - instant, day_start(date(year + 1, 1, 1)) - instant


def _plan() -> FromClause:
    """Return the table past the mapper: a plan is seen where its object is, which is asked once."""
    return Base.metadata.tables[RetentionPlan.__tablename__]


def _rows(plan: FromClause) -> Select[Any]:
    rows = select(PreservedObject, plan.c.object_id).outerjoin(plan, plan.c.object_id == PreservedObject.id)
    return rows.where(_IS_THERE)


def _found(tx: Session, rows: Select[Any], limit: int) -> Sequence[KeptRow]:
    originals = [row[0] for row in tx.execute(rows.limit(limit + 1))]
    asked = select(RetentionPlan).where(RetentionPlan.object_id.in_([original.id for original in originals]))
    plans = {plan.object_id: plan for plan in tx.scalars(asked)}
    return [KeptRow(original, plans.get(original.id)) for original in originals]


def _counted(by: ColumnElement[Any], plan: FromClause) -> Select[Any]:
    size = func.coalesce(func.sum(PreservedObject.size_bytes), 0)
    named = by.label("name")
    counted = select(named, func.count(), size).select_from(PreservedObject)
    return counted.outerjoin(plan, plan.c.object_id == PreservedObject.id).where(_IS_THERE).group_by(named)


def _held_count() -> Select[int, int]:
    size = func.coalesce(func.sum(PreservedObject.size_bytes), 0)
    return select(func.count(), size).select_from(PreservedObject).where(_IS_THERE, _is_held())


def _is_held() -> ColumnElement[bool]:
    held, hold = (Base.metadata.tables[table.__tablename__] for table in (HeldObject, Hold))
    placed = exists().where(hold.c.id == held.c.hold_id, hold.c.released_at.is_(None))
    return PreservedObject.id.in_(select(held.c.object_id).where(placed))


def _ends(plan: FromClause) -> ColumnElement[bool]:
    """Return the condition that a plan has an end, which nothing that is not known yet can move."""
    return and_(~plan.c.is_permanent, ~plan.c.is_waiting)


def _local(tx: Session, at: ColumnElement[Any], sqlite: str, postgres: str) -> ColumnElement[str]:
    """Return the local year or month of a moment as text."""
    if tx.get_bind().dialect.name == "sqlite":
        return func.strftime(sqlite, at, "+8 hours")
    return func.to_char(func.timezone(literal_column("INTERVAL '8 hours'"), at), postgres)


def _months_later(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _cursor_of_due(row: KeptRow) -> str:
    until = None if row.plan is None else row.plan.retain_until
    return f"{'' if until is None else format_instant(until)}~{row.original.id}"


def _due_cursor(cursor: str) -> tuple[Instant, UUID]:
    moment, _, last = cursor.partition("~")
    return parse_instant(moment), parse_uuid(last)

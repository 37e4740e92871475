"""Versions of the retention schedule as they are shown: how each stands on a day, and what differs between two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from archive.cases.slices import Slice, before, cursor_of, sliced
from archive.kernel.ids import ScheduleId
from retention.schedules.algebra import Rule
from retention.schedules.content import decode_rules, told_rule
from retention.schedules.models import RetentionSchedule
from retention.schedules.register import ScheduleNotFound, rules_in_force, seen_of
from retention.schedules.terms import ScheduleState

_LISTING: Final = "schedules"
_PAGE: Final = 50
_COLUMNS: Final = (
    RetentionSchedule.id,
    RetentionSchedule.title,
    RetentionSchedule.state,
    RetentionSchedule.valid_from,
    RetentionSchedule.saved_by,
    RetentionSchedule.saved_at,
    RetentionSchedule.put_in_force_by,
    RetentionSchedule.put_in_force_at,
    RetentionSchedule.withdrawn_by,
    RetentionSchedule.withdrawn_at,
    RetentionSchedule.withdrawal_reason,
)


class Standing(StrEnum):
    """How a version stands on a day, as people say it."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    IN_FORCE = "in_force"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ScheduleVersion:
    """A version without its rules."""

    id: ScheduleId
    title: str
    standing: Standing
    valid_from: date | None
    saved_by: UUID
    saved_at: datetime
    put_in_force_by: UUID | None
    put_in_force_at: datetime | None
    withdrawn_by: UUID | None
    withdrawn_at: datetime | None
    withdrawal_reason: str | None

    @property
    def people(self) -> frozenset[UUID]:
        """Everybody who did something with it."""
        done = (self.saved_by, self.put_in_force_by, self.withdrawn_by)
        return frozenset(each for each in done if each is not None)


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A version with its rules. `seen` names it as it is shown (`retention.schedules.register.seen_of`)."""

    version: ScheduleVersion
    rules: tuple[Rule, ...]
    seen: str


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What became of a rule from one schedule to another. `fields` are the names that differ where both have it."""

    code: str
    before: Rule | None
    after: Rule | None
    fields: tuple[str, ...] = ()


def open_versions(tx: Session, *, on: date) -> Sequence[ScheduleVersion]:
    """Return what is at work: the version that holds, those whose day will come, and drafts, newest first."""
    held = rules_in_force(tx, on).schedule_id
    is_open = or_(
        RetentionSchedule.state == ScheduleState.DRAFT.value,
        RetentionSchedule.id == held,
        (RetentionSchedule.state == ScheduleState.IN_FORCE.value) & (RetentionSchedule.valid_from > on),
    )
    order = list(Standing)
    rows = [_version(row, held, on) for row in tx.execute(_newest().where(is_open)).mappings()]
    return sorted(rows, key=lambda each: -order.index(each.standing))


def past_versions(tx: Session, *, on: date, cursor: str | None = None, limit: int = _PAGE) -> Slice[ScheduleVersion]:
    """Return what was replaced or withdrawn, by when it was saved, newest first. Raises: InvalidInput for a cursor."""
    held = rules_in_force(tx, on).schedule_id
    was_held = (RetentionSchedule.state == ScheduleState.IN_FORCE.value) & (RetentionSchedule.valid_from <= on)
    if held is not None:
        was_held &= RetentionSchedule.id != held
    query = _newest().where(or_(RetentionSchedule.state == ScheduleState.WITHDRAWN.value, was_held))
    if cursor is not None:
        query = query.where(before(RetentionSchedule.saved_at, RetentionSchedule.id, cursor, _LISTING))
    rows = [_version(row, held, on) for row in tx.execute(query.limit(limit + 1)).mappings()]
    return sliced(rows, limit, lambda row: cursor_of(_LISTING, row.saved_at, row.id))


def schedule_view(tx: Session, schedule_id: ScheduleId, *, on: date) -> ScheduleView:
    """Return one version. Raises: ScheduleNotFound."""
    row = tx.get(RetentionSchedule, schedule_id)
    if row is None:
        raise ScheduleNotFound(schedule_id=schedule_id)
    found = tx.execute(_newest().where(RetentionSchedule.id == schedule_id)).mappings().one()
    version = _version(found, rules_in_force(tx, on).schedule_id, on)
    return ScheduleView(version, decode_rules(row.content), seen_of(row))


def compare_rules(before: Sequence[Rule], after: Sequence[Rule]) -> Sequence[RuleChange]:
    """Return what differs between two schedules, by the codes of their rules. Pure."""
    was, now = {rule.code: rule for rule in before}, {rule.code: rule for rule in after}
    found = []
    for code in sorted(was.keys() | now.keys()):
        one, other = was.get(code), now.get(code)
        if one is None or other is None:
            found.append(RuleChange(code, one, other))
            continue
        told, telling = told_rule(one), told_rule(other)
        if fields := tuple(name for name in told if told[name] != telling[name]):
            found.append(RuleChange(code, one, other, fields))
    return found


def _newest() -> Select[*tuple[Any, ...]]:
    return select(*_COLUMNS).order_by(RetentionSchedule.saved_at.desc(), RetentionSchedule.id.desc())


def _version(row: Mapping[Any, Any], held: UUID | None, on: date) -> ScheduleVersion:
    told = dict(row)
    state, valid_from = told.pop("state"), told["valid_from"]
    standing = Standing(state)
    if state == ScheduleState.IN_FORCE and told["id"] != held:
        standing = Standing.SCHEDULED if valid_from is not None and valid_from > on else Standing.REPLACED
    return ScheduleVersion(standing=standing, **told)

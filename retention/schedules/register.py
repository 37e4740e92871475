"""The register of retention schedules: versions are drafted by one person and put in force by another, from a day on.

What holds or held on a day that has come is never changed: another version takes its place from a day on, so that it
can always be said what was in force on which day, and no one person changes what is. Until a version holds, the shipped
default does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.digests import digest_of
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import ScheduleId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from retention.schedules.algebra import Rule
from retention.schedules.content import decode_rules, encode_rules
from retention.schedules.models import RetentionSchedule
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.terms import ScheduleState

MAX_TITLE_CHARACTERS: Final = 200
MAX_REASON_CHARACTERS: Final = 500


class ScheduleNotFound(NotFound):
    """There is no such version of the retention schedule."""

    code = "retention.schedule_not_found"


class ScheduleFixed(Conflict):
    """This version was put in force or withdrawn, and is not changed any more; write another one."""

    code = "retention.schedule_fixed"


class ScheduleHolds(Conflict):
    """This version holds or held already: it is not taken back, another one takes its place."""

    code = "retention.schedule_holds"


class ScheduleChanged(Conflict):
    """Somebody has saved this version since you opened it: look at what is there first."""

    code = "retention.schedule_changed"


class OwnSchedule(Forbidden):
    """Nobody puts in force what they saved themselves: a second person does."""

    code = "retention.own_schedule"


class ScheduleDayRefused(InvalidInput):
    """A version is put in force from today on or later, and not before a day that one of its rules holds from."""

    code = "retention.schedule_day_refused"


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules that hold on a day, and the version that they stand in: None for the shipped default."""

    schedule_id: UUID | None
    rules: Sequence[Rule]


def save_schedule(
    database: Database,
    title: str,
    rules: Sequence[Rule],
    *,
    schedule_id: ScheduleId | None = None,
    seen: str = "",
    by: Actor,
    at: Instant,
) -> ScheduleId:
    """Write a version down as a draft, or save over one that was opened as `seen` (`seen_of`).

    Idempotent: what is there already is not saved again, and stays with whoever saved it.
    Raises: ScheduleInvalid, ScheduleNotFound, ScheduleFixed, ScheduleChanged, InvalidInput.
    """
    title = clean_text(title, "title", MAX_TITLE_CHARACTERS)
    content = encode_rules(rules)
    decode_rules(content)
    with database.begin() as tx:
        if schedule_id is not None:
            row = _draft(tx, schedule_id)
            if seen_of(row) != seen:
                raise ScheduleChanged(schedule_id=schedule_id)
            if (row.title, row.content) == (title, content):
                return schedule_id
        told = {"title": title, "state": ScheduleState.DRAFT.value, "content": content}
        if schedule_id is None:
            schedule_id = ScheduleId(new_uuid7())
            insert_row(tx, RetentionSchedule, id=schedule_id, **told, saved_by=by.id, saved_at=at)
        else:
            _set(tx, schedule_id, **told, saved_by=by.id, saved_at=at)
        _tell(tx, EntryType.ADMIN_SCHEDULE_SAVED, schedule_id, told, content, by=by, at=at)
        return schedule_id


def put_in_force(
    database: Database, schedule_id: ScheduleId, *, valid_from: date, seen: str, by: Actor, at: Instant
) -> None:
    """Let a draft hold from a day on, as it was `seen` (`seen_of`) by somebody else than who saved it.

    Idempotent: the same person and day once more change nothing. Planning asks each time what is in force, and plans
    all objects anew once that is another schedule (`retention.planning`).
    Raises: ScheduleNotFound, ScheduleFixed, ScheduleChanged, OwnSchedule, ScheduleDayRefused, ScheduleInvalid.
    """
    with database.begin() as tx:
        row = _locked(tx, schedule_id)
        if row.state == ScheduleState.IN_FORCE and (row.put_in_force_by, row.valid_from) == (by.id, valid_from):
            return
        if row.state != ScheduleState.DRAFT:
            raise ScheduleFixed(schedule_id=schedule_id)
        if row.saved_by == by.id:
            raise OwnSchedule(schedule_id=schedule_id)
        if seen_of(row) != seen:
            raise ScheduleChanged(schedule_id=schedule_id)
        earliest = earliest_day(decode_rules(row.content), at=at)
        if valid_from < earliest:
            raise ScheduleDayRefused(earliest=earliest.isoformat())
        told = {
            "state": ScheduleState.IN_FORCE.value,
            "valid_from": valid_from,
            "put_in_force_by": by.id,
            "put_in_force_at": at,
        }
        _set(tx, schedule_id, **told)
        told |= {"title": row.title, "content": row.content}
        _tell(tx, EntryType.ADMIN_SCHEDULE_PUT_IN_FORCE, schedule_id, told, row.content, by=by, at=at)


def withdraw_schedule(database: Database, schedule_id: ScheduleId, *, reason: str, by: Actor, at: Instant) -> None:
    """Give a draft up, or take a version back whose day has not come.

    Raises: ScheduleNotFound, ScheduleFixed, ScheduleHolds, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        row = _locked(tx, schedule_id)
        if row.state == ScheduleState.WITHDRAWN:
            raise ScheduleFixed(schedule_id=schedule_id)
        if row.valid_from is not None and row.valid_from <= local_day(at):
            raise ScheduleHolds(schedule_id=schedule_id)
        told = {
            "state": ScheduleState.WITHDRAWN.value,
            "withdrawn_by": by.id,
            "withdrawn_at": at,
            "withdrawal_reason": reason,
        }
        _set(tx, schedule_id, **told)
        _tell(tx, EntryType.ADMIN_SCHEDULE_WITHDRAWN, schedule_id, told, row.content, by=by, at=at)


def rules_in_force(tx: Session, day: date) -> InForce:
    """Return the rules that hold on a local day: the newest version put in force up to it, else the shipped default."""
    row = tx.execute(
        select(RetentionSchedule.id, RetentionSchedule.content)
        .where(RetentionSchedule.state == ScheduleState.IN_FORCE.value, RetentionSchedule.valid_from <= day)
        .order_by(
            RetentionSchedule.valid_from.desc(),
            RetentionSchedule.put_in_force_at.desc(),
            RetentionSchedule.id.desc(),
        )
        .limit(1)
    ).first()
    if row is None:
        return InForce(None, shipped_schedule(Shipped.DEFAULT).rules)
    return InForce(row.id, decode_rules(row.content))


def earliest_day(rules: Sequence[Rule], *, at: Instant) -> date:
    """Return the first day from which a version with these rules can be put in force."""
    return max([local_day(at), *(rule.since for rule in rules if rule.since is not None)])


def seen_of(row: RetentionSchedule) -> str:
    """Return what names a version as it stands, to say later that it was seen so."""
    return hashlib.sha256(f"{row.title}\n{row.content}".encode()).hexdigest()


def _draft(tx: Session, schedule_id: ScheduleId) -> RetentionSchedule:
    row = _locked(tx, schedule_id)
    if row.state != ScheduleState.DRAFT:
        raise ScheduleFixed(schedule_id=schedule_id)
    return row


def _locked(tx: Session, schedule_id: ScheduleId) -> RetentionSchedule:
    row = tx.scalar(select(RetentionSchedule).where(RetentionSchedule.id == schedule_id).with_for_update())
    if row is None:
        raise ScheduleNotFound(schedule_id=schedule_id)
    return row


def _set(tx: Session, schedule_id: ScheduleId, **values: Any) -> None:
    tx.execute(update(RetentionSchedule).where(RetentionSchedule.id == schedule_id).values(**values))


def _tell(
    tx: Session,
    kind: EntryType,
    schedule_id: ScheduleId,
    told: dict[str, Any],
    content: str,
    *,
    by: Actor,
    at: Instant,
) -> None:
    """Write the entry. The digests of the rules stand in it for good; the rules themselves are no personal data."""
    detail = {name: _plain(value) for name, value in told.items()}
    target = Target("schedule", schedule_id)
    append_entry(tx, NewEntry(kind, by, target, digests=digest_of(content.encode()), detail=detail), at=at)


def _plain(value: Any) -> Any:
    if isinstance(value, Instant):
        return format_instant(value)
    return str(value) if isinstance(value, date | UUID) else value

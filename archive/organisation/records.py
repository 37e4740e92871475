"""Training (培训) and examinations (考试) of officers: added, corrected by a new row, withdrawn with a reason.

What was written down is never changed. None of it keeps an officer from acting; that is the certificate's alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import extract, func, or_, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import OfficerId, OfficerRecordId, new_uuid7
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor, EntryType, Target
from archive.organisation.models import OfficerRecord
from archive.organisation.officers import MAX_CERTIFICATE_CHARACTERS, MAX_REASON_CHARACTERS, locked_officer
from archive.organisation.staff_events import tell_of_person

MAX_SUBJECT_CHARACTERS: Final = 200
MOST_HOURS_TENTHS: Final = 10_000
MOST_SCORE_TENTHS: Final = 10_000


class RecordKind(StrEnum):
    """What it was: 培训 or 考试."""

    TRAINING = "training"
    EXAMINATION = "examination"


class RecordResult(StrEnum):
    """How it ended: 合格 or 不合格."""

    PASSED = "passed"
    FAILED = "failed"


class OfficerRecordNotFound(NotFound):
    """There is no such record of this officer."""

    code = "organisation.record_not_found"


class RecordWithdrawn(Conflict):
    """The record was withdrawn already."""

    code = "organisation.record_withdrawn"


class RecordThere(Conflict):
    """The officer has this very record already."""

    code = "organisation.record_there"


class RecordInFuture(InvalidInput):
    """It has not been held yet: the day is after today."""

    code = "organisation.record_in_future"


class TrainingNeedsHours(InvalidInput):
    """A training has its hours; an examination has a result."""

    code = "organisation.record_incomplete"


class NumberUnreadable(InvalidInput):
    """This is no number with at most one digit after the point, or it is too large."""

    code = "organisation.number_unreadable"


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What is written down of a training or an examination. Units: tenths of an hour, tenths of a point."""

    kind: RecordKind
    subject: str
    held_on: date
    hours_tenths: int | None = None
    score_tenths: int | None = None
    result: RecordResult | None = None
    organiser: str = ""
    certificate_number: str = ""
    valid_until: date | None = None


def add_record(
    database: Database,
    officer_id: OfficerId,
    facts: RecordFacts,
    *,
    replaces: OfficerRecordId | None = None,
    reason: str = "",
    by: Actor,
    at: Instant,
) -> OfficerRecordId:
    """Write a training or an examination down; one that it replaces is withdrawn with the reason of the correction.

    Raises: OfficerNotFound, RecordThere, RecordInFuture, TrainingNeedsHours, OfficerRecordNotFound, RecordWithdrawn,
        InvalidInput.
    """
    with database.begin() as tx:
        locked_officer(tx, officer_id)
        if replaces is not None:
            _withdraw(tx, officer_id, replaces, reason, by=by, at=at)
        return write_record(tx, officer_id, facts, replaces=replaces, by=by, at=at)


def write_record(
    tx: Session,
    officer_id: OfficerId,
    facts: RecordFacts,
    *,
    replaces: OfficerRecordId | None = None,
    by: Actor,
    at: Instant,
) -> OfficerRecordId:
    """Do what `add_record` does in the caller's transaction, which has locked the officer. Raises: the same."""
    values = values_of(facts, at=at)
    if same_record(tx, officer_id, values) is not None:
        raise RecordThere
    record_id = OfficerRecordId(new_uuid7())
    insert_row(
        tx,
        OfficerRecord,
        id=record_id,
        officer_id=officer_id,
        replaces_id=replaces,
        recorded_at=at,
        recorded_by=by.id,
        withdrawn_at=None,
        withdrawal_reason=None,
        **values,
    )
    detail = {"officer": officer_id, "replaces": replaces, **values}
    target = Target("officer_record", record_id)
    tell_of_person(tx, officer_id, EntryType.ADMIN_OFFICER_RECORD_ADDED, target, detail, by=by, at=at)
    return record_id


def withdraw_record(
    database: Database, officer_id: OfficerId, record_id: OfficerRecordId, *, reason: str, by: Actor, at: Instant
) -> None:
    """Withdraw a record; it stays, with the reason. Raises: OfficerNotFound, OfficerRecordNotFound, RecordWithdrawn."""
    with database.begin() as tx:
        locked_officer(tx, officer_id)
        _withdraw(tx, officer_id, record_id, reason, by=by, at=at)


def records_of(tx: Session, officer_id: UUID) -> Sequence[OfficerRecord]:
    """Return the records of an officer, the newest first, those that were withdrawn too."""
    return tx.scalars(
        select(OfficerRecord)
        .where(OfficerRecord.officer_id == officer_id)
        .order_by(OfficerRecord.held_on.desc(), OfficerRecord.id.desc())
    ).all()


def hours_trained(tx: Session, officer_ids: Sequence[UUID], *, year: int) -> Mapping[UUID, int]:
    """Return the tenths of hours of training of officers in a calendar year, without what was failed or withdrawn."""
    rows = tx.execute(
        select(OfficerRecord.officer_id, func.sum(OfficerRecord.hours_tenths))
        .where(
            OfficerRecord.officer_id.in_(officer_ids),
            OfficerRecord.kind == RecordKind.TRAINING.value,
            extract("year", OfficerRecord.held_on) == year,
            OfficerRecord.withdrawn_at.is_(None),
            or_(OfficerRecord.result.is_(None), OfficerRecord.result == RecordResult.PASSED.value),
        )
        .group_by(OfficerRecord.officer_id)
    )
    return {officer_id: int(tenths or 0) for officer_id, tenths in rows}


def same_record(tx: Session, officer_id: UUID, values: Mapping[str, Any]) -> UUID | None:
    """Return the record of an officer that says just this and stands, if there is one."""
    query = select(OfficerRecord.id).where(OfficerRecord.officer_id == officer_id, OfficerRecord.withdrawn_at.is_(None))
    for name, value in values.items():
        query = query.where(getattr(OfficerRecord, name).is_not_distinct_from(value))
    return tx.scalar(query.limit(1))


def parse_tenths(text: str, *, most: int) -> int | None:
    """Return a number with at most one digit after the point in tenths, None for nothing. Raises: NumberUnreadable."""
    given = text.strip()
    if not given:
        return None
    whole, _, part = given.partition(".")
    if not (whole + part).isascii() or not whole.isdigit() or len(whole) > 6 or (part and not part.isdigit()):
        raise NumberUnreadable
    if len(part.rstrip("0")) > 1:
        raise NumberUnreadable
    tenths = int(whole) * 10 + int(part[:1] or "0")
    if tenths > most:
        raise NumberUnreadable
    return tenths


def tenths_text(tenths: int | None) -> str:
    """Return tenths as people write them: 7.5, 8. Pure."""
    if tenths is None:
        return ""
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"


def _withdraw(
    tx: Session, officer_id: OfficerId, record_id: OfficerRecordId, reason: str, *, by: Actor, at: Instant
) -> None:
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    row = tx.scalar(
        select(OfficerRecord)
        .where(OfficerRecord.id == record_id, OfficerRecord.officer_id == officer_id)
        .with_for_update(key_share=True)
    )
    if row is None:
        raise OfficerRecordNotFound(record_id=record_id)
    if row.withdrawn_at is not None:
        raise RecordWithdrawn(record_id=record_id)
    values = {"withdrawn_at": at, "withdrawal_reason": reason}
    tx.execute(update(OfficerRecord).where(OfficerRecord.id == record_id).values(**values))
    detail = {"officer": officer_id, "withdrawn_at": at, "reason": reason, "subject": row.subject}
    target = Target("officer_record", record_id)
    tell_of_person(tx, officer_id, EntryType.ADMIN_OFFICER_RECORD_WITHDRAWN, target, detail, by=by, at=at)


def values_of(facts: RecordFacts, *, at: Instant) -> dict[str, Any]:
    """Return what would be written down, in one form. Raises: RecordInFuture, TrainingNeedsHours, InvalidInput."""
    if facts.held_on > at.astimezone(BUREAU_ZONE).date():
        raise RecordInFuture
    is_training = facts.kind is RecordKind.TRAINING
    if (is_training and not facts.hours_tenths) or not (is_training or facts.result is not None):
        raise TrainingNeedsHours
    if facts.valid_until is not None and facts.valid_until < facts.held_on:
        raise InvalidInput("It ends before it was held")
    organiser, number = facts.organiser, facts.certificate_number
    return {
        **asdict(facts),
        "kind": facts.kind.value,
        "result": None if facts.result is None else facts.result.value,
        "subject": clean_text(facts.subject, "subject", MAX_SUBJECT_CHARACTERS),
        "organiser": clean_text(organiser, "organiser", MAX_SUBJECT_CHARACTERS) if organiser.strip() else "",
        "certificate_number": clean_text(number, "number", MAX_CERTIFICATE_CHARACTERS) if number.strip() else "",
    }

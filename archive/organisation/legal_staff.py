"""Legal reviewers, government lawyers and legal advisers of agencies, with their qualification."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import LegalStaffId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor, EntryType, Target
from archive.organisation.listings import unit_names
from archive.organisation.models import Agency, LegalStaff, Officer, Unit
from archive.organisation.officers import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS
from archive.organisation.staff_events import tell_of_person
from archive.organisation.units import unit_named

MAX_NUMBER_CHARACTERS: Final = 64
HasAccount = Callable[[Session, UUID], bool]
"""Whether there is this account; the domain of accounts stands above this one."""


class LegalKind(StrEnum):
    """What somebody is to the agency: 法制审核人员, 公职律师, 法律顾问."""

    REVIEWER = "reviewer"
    GOVERNMENT_LAWYER = "government_lawyer"
    LEGAL_ADVISER = "legal_adviser"


class LegalStaffNotFound(NotFound):
    """There is nobody of the legal staff under this number."""

    code = "organisation.legal_staff_not_found"


class LegalNumberTaken(Conflict):
    """Somebody else of the legal staff has this number."""

    code = "organisation.legal_number_taken"


class AccountTaken(Conflict):
    """This account is somebody else's of the legal staff."""

    code = "organisation.account_taken"


class LegalStaffEnded(Conflict):
    """This has ended already."""

    code = "organisation.legal_staff_ended"


class QualificationHalf(InvalidInput):
    """A qualification has a number and a day, or neither."""

    code = "organisation.qualification_half"


@dataclass(frozen=True, slots=True)
class LegalFacts:
    """What is written down of somebody of the legal staff."""

    number: str
    name: str
    kind: LegalKind
    agency: str
    since: date
    unit: str = ""
    qualification_number: str | None = None
    qualified_on: date | None = None
    licence_number: str | None = None
    until: date | None = None
    account_id: UUID | None = None


def record_legal_staff(
    database: Database,
    facts: LegalFacts,
    *,
    staff_id: LegalStaffId | None = None,
    has_account: HasAccount,
    by: Actor,
    at: Instant,
) -> LegalStaffId:
    """Write somebody down, or change what is written; the number finds who is known already.

    What is the same already writes nothing.
    Raises: LegalStaffNotFound, LegalNumberTaken, AccountTaken, QualificationHalf, InvalidInput.
    """
    with unique_or(LegalNumberTaken), database.begin() as tx:
        if staff_id is None:
            staff_id = legal_staff_by_number(tx, facts.number)
        if staff_id is None:
            return write_legal_staff(tx, facts, has_account=has_account, by=by, at=at)
        change_legal_staff(tx, staff_id, facts, has_account=has_account, by=by, at=at)
    return staff_id


def write_legal_staff(
    tx: Session, facts: LegalFacts, *, has_account: HasAccount, by: Actor, at: Instant
) -> LegalStaffId:
    """Write somebody new down in the caller's transaction, inside `unique_or(LegalNumberTaken)`. Raises: the same."""
    values = _values(tx, facts, None, has_account)
    staff_id = LegalStaffId(new_uuid7())
    insert_row(tx, LegalStaff, id=staff_id, recorded_at=at, end_reason=None, **values)
    _tell(tx, staff_id, values, by=by, at=at)
    return staff_id


def change_legal_staff(
    tx: Session, staff_id: LegalStaffId, facts: LegalFacts, *, has_account: HasAccount, by: Actor, at: Instant
) -> bool:
    """Change what is written of somebody, in the caller's transaction; return whether anything is different now.

    Raises: LegalStaffNotFound, LegalNumberTaken, AccountTaken, QualificationHalf, InvalidInput.
    """
    row = _locked(tx, staff_id)
    values = _values(tx, facts, staff_id, has_account)
    values["end_reason"] = row.end_reason if values["until"] == row.until else None
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if not changed:
        return False
    was = {name: getattr(row, name) for name in changed}
    tx.execute(update(LegalStaff).where(LegalStaff.id == staff_id).values(**changed))
    _tell(tx, staff_id, {**values, "was": was}, by=by, at=at)
    return True


def end_legal_staff(
    database: Database, staff_id: LegalStaffId, *, until: date, reason: str, by: Actor, at: Instant
) -> None:
    """Say that somebody is no longer of the legal staff after a day. Raises: LegalStaffNotFound, LegalStaffEnded."""
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        row = _locked(tx, staff_id)
        if row.until is not None and row.until <= until:
            raise LegalStaffEnded(staff_id=staff_id)
        if until < row.since:
            raise InvalidInput("It ends before it begins")
        was = {"until": row.until}
        values = {"until": until, "end_reason": reason}
        tx.execute(update(LegalStaff).where(LegalStaff.id == staff_id).values(**values))
        _tell(tx, staff_id, {**values, "was": was}, by=by, at=at)


def legal_staff_by_number(tx: Session, number: str) -> LegalStaffId | None:
    """Return who of the legal staff has this number, if there is anybody. Raises: InvalidInput."""
    wanted = clean_text(number, "number", MAX_NUMBER_CHARACTERS)
    found = tx.scalar(select(LegalStaff.id).where(LegalStaff.number == wanted))
    return None if found is None else LegalStaffId(found)


def legal_staff_of_account(tx: Session, account_id: UUID) -> LegalStaff | None:
    """Return who of the legal staff signs in with this account."""
    return tx.scalar(select(LegalStaff).where(LegalStaff.account_id == account_id))


def is_qualified(row: LegalStaff, on: date) -> bool:
    """Return whether somebody has the legal professional qualification and is in office on a day. Pure."""
    in_office = row.since <= on and (row.until is None or on <= row.until)
    return in_office and row.qualification_number is not None


@dataclass(frozen=True, slots=True)
class ReviewerShare:
    """How many of an agency's people review decisions and are qualified, beside how many enforce."""

    agency: Agency
    officers: int
    reviewers: int


def reviewer_shares(tx: Session, *, on: date) -> Sequence[ReviewerShare]:
    """Return the officers of each agency whose certificate is valid on a day, and its qualified reviewers."""
    acting = and_(
        Officer.suspended_at.is_(None),
        or_(Officer.valid_from.is_(None), Officer.valid_from <= on),
        or_(Officer.valid_until.is_(None), Officer.valid_until >= on),
    )
    reviewing = and_(
        LegalStaff.kind == LegalKind.REVIEWER.value,
        LegalStaff.qualification_number.is_not(None),
        LegalStaff.since <= on,
        or_(LegalStaff.until.is_(None), LegalStaff.until >= on),
    )
    officers = _count_by_agency(tx, Officer, acting)
    reviewers = _count_by_agency(tx, LegalStaff, reviewing)
    agencies = tx.scalars(select(Agency).where(Agency.closed_at.is_(None)).order_by(Agency.code)).all()
    return [ReviewerShare(found, officers.get(found.id, 0), reviewers.get(found.id, 0)) for found in agencies]


def _count_by_agency(tx: Session, people: type[Officer | LegalStaff], which: ColumnElement[bool]) -> Mapping[UUID, int]:
    query = (
        select(Unit.agency_id, func.count())
        .join(people, people.unit_id == Unit.id)
        .where(which)
        .group_by(Unit.agency_id)
    )
    return dict(tx.execute(query).all())


def _locked(tx: Session, staff_id: LegalStaffId) -> LegalStaff:
    row = tx.scalar(select(LegalStaff).where(LegalStaff.id == staff_id).with_for_update())
    if row is None:
        raise LegalStaffNotFound(staff_id=staff_id)
    return row


def _values(tx: Session, facts: LegalFacts, staff_id: LegalStaffId | None, has_account: HasAccount) -> dict[str, Any]:
    if (facts.qualification_number is None) is not (facts.qualified_on is None):
        raise QualificationHalf
    if facts.until is not None and facts.until < facts.since:
        raise InvalidInput("It ends before it begins")
    agency = clean_text(facts.agency, "agency", MAX_NAME_CHARACTERS)
    unit = clean_text(facts.unit, "unit", MAX_NAME_CHARACTERS) if facts.unit.strip() else ""
    values = {
        **asdict(facts),
        "number": clean_text(facts.number, "number", MAX_NUMBER_CHARACTERS),
        "name": clean_text(facts.name, "name", MAX_NAME_CHARACTERS),
        "kind": facts.kind.value,
        "agency": agency,
        "unit": unit,
        "unit_id": unit_named(tx, agency, unit),
    }
    for name in ("qualification_number", "licence_number"):
        if values[name] is not None:
            values[name] = clean_text(values[name], "number", MAX_NUMBER_CHARACTERS)
    _require_free(tx, LegalStaff.number == values["number"], staff_id, LegalNumberTaken)
    if facts.account_id is not None:
        if not has_account(tx, facts.account_id):
            raise InvalidInput("There is no such account")
        _require_free(tx, LegalStaff.account_id == facts.account_id, staff_id, AccountTaken)
    return values


def _require_free(tx: Session, same: ColumnElement[bool], staff_id: LegalStaffId | None, cause: type[Conflict]) -> None:
    other = tx.scalar(select(LegalStaff.id).where(same))
    if other is not None and other != staff_id:
        raise cause


def _tell(tx: Session, staff_id: LegalStaffId, values: Mapping[str, Any], *, by: Actor, at: Instant) -> None:
    target = Target("legal_staff", staff_id)
    tell_of_person(tx, staff_id, EntryType.ADMIN_LEGAL_STAFF_RECORDED, target, values, by=by, at=at)


@dataclass(frozen=True, slots=True)
class LegalRow:
    """Somebody of the legal staff, with the name of the unit that was found."""

    person: LegalStaff
    unit_name: str | None


def legal_rows(tx: Session, *, words: str = "") -> Sequence[LegalRow]:
    """Return the legal staff by number; with words those that hold them."""
    query = select(LegalStaff).order_by(LegalStaff.number)
    for word in words.replace("\0", " ").split():
        query = query.where(
            LegalStaff.name.contains(word, autoescape=True) | LegalStaff.number.contains(word, autoescape=True)
        )
    found = tx.scalars(query).all()
    names = unit_names(tx, {row.unit_id for row in found if row.unit_id is not None})
    return [LegalRow(row, None if row.unit_id is None else names.get(row.unit_id)) for row in found]

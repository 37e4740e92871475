"""Officers: writing them down, each by the number of the certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.database import Database, unique_or
from archive.jobs.queue import PROMPT, add_job
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import OfficerId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor, EntryType, Target
from archive.organisation.indexing import index_officer
from archive.organisation.models import Officer
from archive.organisation.staff_events import tell_of_person
from archive.organisation.units import REACH_JOB, unit_named

MAX_CERTIFICATE_CHARACTERS: Final = 64
MAX_NAME_CHARACTERS: Final = 200
MAX_CATEGORY_CHARACTERS: Final = 100
MAX_CATEGORIES: Final = 50
MAX_REASON_CHARACTERS: Final = 500


class OfficerNotFound(NotFound):
    """There is no such officer, or it is not yours to see."""

    code = "access.officer_not_found"


class AlreadySuspended(Conflict):
    """The certificate is suspended already."""

    code = "organisation.already_suspended"


class NotSuspended(Conflict):
    """The certificate is not suspended."""

    code = "organisation.not_suspended"


class CertificateTaken(Conflict):
    """Another officer has this certificate number."""

    code = "access.certificate_taken"


@dataclass(frozen=True, slots=True)
class OfficerFacts:
    """What is written down of an officer. The categories are those of the certificate, in the bureau's words."""

    certificate_number: str
    name: str
    agency: str
    unit: str = ""
    categories: Sequence[str] = ()
    valid_from: date | None = None
    valid_until: date | None = None
    area: str | None = None


def record_officer(
    database: Database, facts: OfficerFacts, *, officer_id: OfficerId | None = None, by: Actor, at: Instant
) -> OfficerId:
    """Write an officer down, or change what is written of one; the certificate number finds who is known already.

    What is the same already writes nothing.
    Raises: OfficerNotFound, CertificateTaken when the number is another officer's, InvalidInput.
    """
    with unique_or(CertificateTaken), database.begin() as tx:
        if officer_id is None:
            officer_id = officer_by_certificate(tx, facts.certificate_number)
        if officer_id is None:
            return write_officer(tx, facts, by=by, at=at)
        change_officer(tx, officer_id, facts, by=by, at=at)
    return officer_id


def write_officer(tx: Session, facts: OfficerFacts, *, by: Actor, at: Instant) -> OfficerId:
    """Write a new officer down in the caller's transaction, which goes inside `unique_or(CertificateTaken)`.

    Raises: CertificateTaken, InvalidInput.
    """
    values = _values(tx, facts)
    _require_free(tx, values["certificate_number"], None)
    officer_id = OfficerId(new_uuid7())
    tx.add(Officer(id=officer_id, recorded_at=at, **values))
    tx.flush()
    _tell(tx, officer_id, values, by=by, at=at)
    _refresh_reach(tx, officer_id, [values["certificate_number"]], at=at)
    index_officer(tx, officer_id)
    return officer_id


def change_officer(tx: Session, officer_id: OfficerId, facts: OfficerFacts, *, by: Actor, at: Instant) -> bool:
    """Change what is written of an officer, in the caller's transaction; return whether anything is different now.

    Raises: OfficerNotFound, CertificateTaken, InvalidInput.
    """
    values = _values(tx, facts)
    row = locked_officer(tx, officer_id)
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if not changed:
        return False
    if "certificate_number" in changed:
        _require_free(tx, values["certificate_number"], officer_id)
    was = {name: getattr(row, name) for name in changed}
    tx.execute(update(Officer).where(Officer.id == officer_id).values(**changed))
    _tell(tx, officer_id, {**values, "was": was}, by=by, at=at)
    if "certificate_number" in changed:
        _refresh_reach(tx, officer_id, [was["certificate_number"], values["certificate_number"]], at=at)
    index_officer(tx, officer_id)
    return True


def suspend_officer(database: Database, officer_id: OfficerId, *, reason: str, by: Actor, at: Instant) -> None:
    """Suspend a certificate: from now on its holder does not act. Raises: OfficerNotFound, AlreadySuspended."""
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    _suspend(database, officer_id, reason, by=by, at=at)


def reinstate_officer(database: Database, officer_id: OfficerId, *, by: Actor, at: Instant) -> None:
    """End a suspension. Raises: OfficerNotFound, NotSuspended."""
    _suspend(database, officer_id, None, by=by, at=at)


def may_act(officer: Officer, on: date) -> bool:
    """Return whether an officer's certificate is valid on a day and not suspended."""
    return (
        officer.suspended_at is None
        and (officer.valid_from is None or officer.valid_from <= on)
        and (officer.valid_until is None or on <= officer.valid_until)
    )


def locked_officer(tx: Session, officer_id: OfficerId) -> Officer:
    """Return an officer, locked to the end of the transaction. Raises: OfficerNotFound."""
    row = tx.scalar(select(Officer).where(Officer.id == officer_id).with_for_update())
    if row is None:
        raise OfficerNotFound(officer_id=officer_id)
    return row


def _suspend(database: Database, officer_id: OfficerId, reason: str | None, *, by: Actor, at: Instant) -> None:
    with database.begin() as tx:
        row = locked_officer(tx, officer_id)
        if (row.suspended_at is None) is (reason is None):
            raise NotSuspended if reason is None else AlreadySuspended
        values = {"suspended_at": None if reason is None else at, "suspension_reason": reason}
        tx.execute(update(Officer).where(Officer.id == officer_id).values(**values))
        _tell(tx, officer_id, values, by=by, at=at)


def officer_by_certificate(tx: Session, certificate_number: str) -> OfficerId | None:
    """Return the officer with this certificate number, if there is one. Raises: InvalidInput."""
    number = clean_text(certificate_number, "certificate number", MAX_CERTIFICATE_CHARACTERS)
    found = tx.scalar(select(Officer.id).where(Officer.certificate_number == number))
    return None if found is None else OfficerId(found)


def _refresh_reach(tx: Session, officer_id: OfficerId, numbers: Sequence[str], *, at: Instant) -> None:
    """Have those items found again that were worn under these numbers: whoever wore the camera sees them."""
    key = f"reach:{officer_id}:{new_uuid7()}"
    add_job(tx, REACH_JOB, {"officer_numbers": list(numbers)}, at=at, queue=PROMPT, key=key)


def _require_free(tx: Session, number: str, officer_id: OfficerId | None) -> None:
    other = officer_by_certificate(tx, number)
    if other is not None and other != officer_id:
        raise CertificateTaken(officer_id=other)


def _values(tx: Session, facts: OfficerFacts) -> dict[str, Any]:
    if len(facts.categories) > MAX_CATEGORIES:
        raise InvalidInput(f"An officer has at most {MAX_CATEGORIES} categories")
    if facts.valid_from is not None and facts.valid_until is not None and facts.valid_until < facts.valid_from:
        raise InvalidInput("The certificate ends before it begins")
    agency = clean_text(facts.agency, "agency", MAX_NAME_CHARACTERS)
    unit = clean_text(facts.unit, "unit", MAX_NAME_CHARACTERS) if facts.unit else ""
    return {
        "certificate_number": clean_text(facts.certificate_number, "certificate number", MAX_CERTIFICATE_CHARACTERS),
        "name": clean_text(facts.name, "name", MAX_NAME_CHARACTERS),
        "agency": agency,
        "unit": unit,
        "unit_id": unit_named(tx, agency, unit),
        "categories": [clean_text(category, "category", MAX_CATEGORY_CHARACTERS) for category in facts.categories],
        "valid_from": facts.valid_from,
        "valid_until": facts.valid_until,
        "area": clean_text(facts.area, "area", MAX_NAME_CHARACTERS) if facts.area else None,
    }


def _tell(tx: Session, officer_id: OfficerId, values: Mapping[str, Any], *, by: Actor, at: Instant) -> None:
    target = Target("officer", officer_id)
    tell_of_person(tx, officer_id, EntryType.ADMIN_OFFICER_RECORDED, target, values, by=by, at=at)

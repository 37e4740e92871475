"""Handing a complaint to another unit of its agency, whose people handle it from then on."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.complaints.handlers import complaint_to_handle, nearest_handlers
from archive.complaints.models import Complaint
from archive.complaints.reaching import reach_complaints
from archive.complaints.steps import StateDoesNotFollow, clean_words, write_step
from archive.complaints.terms import State, StepKind
from archive.db.database import Database
from archive.db.sight import unbound
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ComplaintId
from archive.kernel.instants import Instant
from archive.notify.notices import NoticeKind, notify
from archive.organisation.models import Unit
from archive.organisation.units import open_unit


class ComplaintOfAnotherAgency(InvalidInput):
    """The unit is of another agency: what goes there is handed over on paper, and registered there anew."""

    code = "complaints.another_agency"


def move_complaint(
    database: Database, complaint_id: ComplaintId, unit_id: UUID, *, text: str, by: Caller, at: Instant
) -> bool:
    """Give a complaint to another unit, with words of why; nobody is responsible then, and the unit's people are told.

    Returns whether anything is different now.
    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, StateDoesNotFollow for a closed one, UnitNotFound,
        ComplaintOfAnotherAgency, InvalidInput.
    """
    require(by.roles, Capability.MOVE)
    text = clean_words(text)
    with database.begin() as tx:
        row = complaint_to_handle(tx, complaint_id, by=by)
        was, number = row.unit_id, row.number
        if row.state == State.CLOSED:
            raise StateDoesNotFollow(was=row.state)
        unit = open_unit(tx, unit_id)
        if was == unit_id:
            return False
        if unit.agency_id != tx.get_one(Unit, was).agency_id:
            raise ComplaintOfAnotherAgency
        tx.execute(update(Complaint).where(Complaint.id == complaint_id).values(unit_id=unit_id, responsible_id=None))
        detail = {"unit": str(unit_id), "responsible": None, "was_unit": str(was)}
        write_step(tx, complaint_id, StepKind.NOTE.value, text, detail, by=by, at=at)
        reach_complaints(tx, [complaint_id])
        _tell(tx, complaint_id, number, by=by, at=at)
    return True


def _tell(tx: Session, complaint_id: ComplaintId, number: str, *, by: Caller, at: Instant) -> None:
    with unbound(tx):
        row = tx.scalars(
            select(Complaint).where(Complaint.id == complaint_id).execution_options(populate_existing=True)
        ).one()
        readers = [reader for reader in nearest_handlers(tx, row, at=at) if reader != by.account_id]
    link = f"/complaints/{complaint_id}"
    notify(tx, readers, NoticeKind.COMPLAINT_REGISTERED, params={"number": number}, link=link, at=at)

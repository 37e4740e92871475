"""What a complaint is about: cases, officers, footage and text records; and what an open one stops meanwhile."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, union_all, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.models import Account
from archive.cases.filing import require_case
from archive.cases.models import CaseLink
from archive.complaints.handlers import complaint_to_handle
from archive.complaints.models import Complaint, ComplaintCase, ComplaintObject, ComplaintOfficer
from archive.complaints.terms import State
from archive.custody.events import preserved_object
from archive.db.base import Base, insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import unbound
from archive.kernel.errors import Conflict, NotFound
from archive.kernel.ids import CaseId, ComplaintId, ObjectId, OfficerId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.organisation.models import Officer
from archive.organisation.officers import OfficerNotFound


class AlreadyAbout(Conflict):
    """The complaint is about this already."""

    code = "complaints.already_about"


class NotAbout(NotFound):
    """The complaint is not about this."""

    code = "complaints.not_about"


@dataclass(frozen=True, slots=True)
class Links:
    """What a complaint is about."""

    cases: Sequence[CaseId] = ()
    officers: Sequence[OfficerId] = ()
    objects: Sequence[ObjectId] = ()

    def __iter__(self) -> Iterator[tuple[type[Base], str, UUID]]:
        """Yield table, name and id of each."""
        yield from ((ComplaintCase, "case", case_id) for case_id in dict.fromkeys(self.cases))
        yield from ((ComplaintOfficer, "officer", officer_id) for officer_id in dict.fromkeys(self.officers))
        yield from ((ComplaintObject, "object", object_id) for object_id in dict.fromkeys(self.objects))


def link_complaint(
    database: Database, complaint_id: ComplaintId, links: Links, *, reason: str, by: Caller, at: Instant
) -> None:
    """Note what a complaint is about. An officer who is responsible for it is so no more.

    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, AlreadyAbout, CaseNotFound, OfficerNotFound, ObjectNotFound.
    """
    reason = clean_text(reason, "reason", 500)
    with unique_or(AlreadyAbout), database.begin() as tx:
        complaint_to_handle(tx, complaint_id, by=by)
        for table, name, other_id in links:
            if tx.scalar(select(_id_column(table, name)).where(*_this(table, name, complaint_id, other_id))):
                raise AlreadyAbout
        write_links(tx, complaint_id, links, by=by, at=at, reason=reason)


def write_links(
    tx: Session, complaint_id: ComplaintId, links: Links, *, by: Caller, at: Instant, reason: str = ""
) -> None:
    """Do what `link_complaint` does in the caller's transaction, for a complaint that is locked or new."""
    for table, name, other_id in links:
        _require(tx, name, other_id)
        insert_row(tx, table, complaint_id=complaint_id, **{f"{name}_id": other_id})
        detail: dict[str, Any] = {name: str(other_id)}
        if reason:
            detail["reason"] = reason
        if name == "officer" and _dismiss(tx, complaint_id, other_id):
            detail["responsible"] = None
        entry = NewEntry(EntryType.COMPLAINT_LINKED, by.actor, Target("complaint", complaint_id), detail=detail)
        append_entry(tx, entry, at=at)


def unlink_complaint(
    database: Database, complaint_id: ComplaintId, links: Links, *, reason: str, by: Caller, at: Instant
) -> None:
    """Take back that a complaint is about something; the trace of it stays.

    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, NotAbout, InvalidInput.
    """
    reason = clean_text(reason, "reason", 500)
    with database.begin() as tx:
        complaint_to_handle(tx, complaint_id, by=by)
        for table, name, other_id in links:
            # The deletion is the lock: of two at once, one takes the row.
            column = _id_column(table, name)
            gone = tx.execute(delete(table).where(*_this(table, name, complaint_id, other_id)).returning(column))
            if gone.scalar_one_or_none() is None:
                raise NotAbout
            detail = {name: str(other_id), "reason": reason}
            entry = NewEntry(EntryType.COMPLAINT_UNLINKED, by.actor, Target("complaint", complaint_id), detail=detail)
            append_entry(tx, entry, at=at)


def open_complaints_of(tx: Session, object_ids: Collection[ObjectId]) -> Mapping[ObjectId, Sequence[ComplaintId]]:
    """Return the complaints that are not closed, by each of these objects that one is about, or about a case of it.

    Whoever asks: also what the transaction does not see.
    """
    straight = select(ComplaintObject.object_id, ComplaintObject.complaint_id).where(
        ComplaintObject.object_id.in_(object_ids)
    )
    by_case = (
        select(CaseLink.object_id, ComplaintCase.complaint_id)
        .join(ComplaintCase, ComplaintCase.case_id == CaseLink.case_id)
        .where(CaseLink.object_id.in_(object_ids))
    )
    about = union_all(straight, by_case).subquery()
    query = (
        select(about.c.object_id, about.c.complaint_id)
        .join(Complaint, Complaint.id == about.c.complaint_id)
        .where(Complaint.state != State.CLOSED.value)
        .distinct()
        .order_by(about.c.object_id, about.c.complaint_id)
    )
    found: dict[ObjectId, list[ComplaintId]] = defaultdict(list)
    with unbound(tx):
        for object_id, complaint_id in tx.execute(query):
            found[ObjectId(object_id)].append(ComplaintId(complaint_id))
    return dict(found)


def stops_disposition(tx: Session, object_ids: Collection[ObjectId]) -> frozenset[ObjectId]:
    """Return those of the objects that may not be disposed of, because a complaint about them is open."""
    return frozenset(open_complaints_of(tx, object_ids))


def _require(tx: Session, name: str, other_id: UUID) -> None:
    if name == "case":
        require_case(tx, CaseId(other_id))
    elif name == "object":
        preserved_object(tx, ObjectId(other_id))
    elif tx.get(Officer, other_id) is None:
        raise OfficerNotFound(officer_id=other_id)


def _dismiss(tx: Session, complaint_id: ComplaintId, officer_id: UUID) -> bool:
    """Take the responsibility from an officer whom the complaint is about; return whether there was any to take."""
    account = select(Account.id).where(Account.officer_id == officer_id).scalar_subquery()
    gone = tx.execute(
        update(Complaint)
        .where(Complaint.id == complaint_id, Complaint.responsible_id == account)
        .values(responsible_id=None)
        .returning(Complaint.id)
    ).scalar_one_or_none()
    return gone is not None


def _id_column(table: type[Base], name: str) -> Any:
    return getattr(table, f"{name}_id")


def _this(table: Any, name: str, complaint_id: ComplaintId, other_id: UUID) -> tuple[Any, Any]:
    return table.complaint_id == complaint_id, _id_column(table, name) == other_id

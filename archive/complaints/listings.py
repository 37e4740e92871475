"""Lists of complaints and reports, and one of them with all that belongs to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.cases.models import Case
from archive.cases.slices import Slice, before, cursor_of, newest_seen, sliced
from archive.complaints.handlers import ComplaintNotFound, named_in
from archive.complaints.models import (
    Complaint,
    ComplaintCase,
    ComplaintObject,
    ComplaintOfficer,
    ComplaintStep,
)
from archive.complaints.reaching import PETITION
from archive.complaints.rules import ComplaintRules
from archive.complaints.terms import State
from archive.custody.accesses import record_access
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.db.sight import Reach, sight_of
from archive.kernel.ids import CaseId, ComplaintId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType, NewEntry
from archive.organisation.models import Officer, Unit

MOST_ROWS: Final = 100_000
_PAGE: Final = 500


class Which(StrEnum):
    """What a list shows: all that is not closed, what is overdue or due soon, or one state."""

    OPEN = "open"
    OVERDUE = "overdue"
    DUE = "due"
    REGISTERED = "registered"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    INVESTIGATED = "investigated"
    ANSWERED = "answered"
    CLOSED = "closed"
    ALL = "all"


class Urgency(StrEnum):
    """How a deadline stands."""

    NONE = "none"
    LATER = "later"
    DUE = "due"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class ComplaintRow:
    """A complaint in a list, its unit, and how its deadline stands. `is_named`: it is about whoever looks."""

    complaint: Complaint
    unit: str
    urgency: Urgency
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class ComplaintView:
    """A complaint with its steps and what it is about, as far as that is seen. For whom it is about: neither."""

    row: ComplaintRow
    steps: Sequence[ComplaintStep]
    cases: Sequence[Case]
    officers: Sequence[Officer]
    objects: Sequence[PreservedObject]

    @property
    def complaint(self) -> Complaint:
        """The complaint itself."""
        return self.row.complaint


def complaints(
    tx: Session,
    rules: ComplaintRules,
    *,
    which: Which = Which.OPEN,
    by: Caller,
    at: Instant,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[ComplaintRow]:
    """Return complaints, newest first. Raises: InvalidInput for another list's cursor."""
    condition, listing = _condition(which, rules, at=at), f"complaints-{which.value}"

    def rows_of(ids: Sequence[UUID]) -> Sequence[ComplaintRow]:
        query = select(Complaint, Unit.name).join(Unit, Unit.id == Complaint.unit_id).where(Complaint.id.in_(ids))
        rows = {row[0].id: row for row in tx.execute(query)}
        named = named_in(tx, ids, by.account_id)
        return [_row(*rows[found], rules, at=at, is_named=found in named) for found in ids if found in rows]

    if sight_of(tx) is not None:

        def narrowed(seen: Select[Any]) -> Select[Any]:
            return seen.join(Complaint, Complaint.id == Reach.ref_id).where(condition)

        return newest_seen(
            tx, PETITION, rows_of, listing=listing, cursor=cursor, limit=limit, narrowed=narrowed
        )  # fmt: skip
    query = select(Complaint.id, Complaint.registered_at).where(condition)
    if cursor is not None:
        query = query.where(before(Complaint.registered_at, Complaint.id, cursor, listing))
    query = query.order_by(Complaint.registered_at.desc(), Complaint.id.desc()).limit(limit + 1)
    found = sliced(tx.execute(query).all(), limit, lambda row: cursor_of(listing, row.registered_at, row.id))
    return Slice(rows_of([row.id for row in found.rows]), found.next_cursor)


def complaint_view(
    tx: Session, rules: ComplaintRules, complaint_id: ComplaintId, *, by: Caller, at: Instant
) -> ComplaintView:
    """Return one complaint. Raises: ComplaintNotFound."""
    found = tx.execute(
        select(Complaint, Unit.name).join(Unit, Unit.id == Complaint.unit_id).where(Complaint.id == complaint_id)
    ).one_or_none()
    if found is None:
        raise ComplaintNotFound(complaint_id=complaint_id)
    is_named = bool(named_in(tx, [complaint_id], by.account_id))
    row = _row(*found, rules, at=at, is_named=is_named)
    if is_named:
        return ComplaintView(row, (), (), (), ())
    steps = select(ComplaintStep).where(ComplaintStep.complaint_id == complaint_id)
    return ComplaintView(
        row,
        tx.scalars(steps.order_by(ComplaintStep.at, ComplaintStep.id)).all(),
        tx.scalars(
            select(Case)
            .join(ComplaintCase, ComplaintCase.case_id == Case.id)
            .where(ComplaintCase.complaint_id == complaint_id)
            .order_by(Case.number)
        ).all(),
        tx.scalars(
            select(Officer)
            .join(ComplaintOfficer, ComplaintOfficer.officer_id == Officer.id)
            .where(ComplaintOfficer.complaint_id == complaint_id)
            .order_by(Officer.name, Officer.certificate_number)
        ).all(),
        tx.scalars(
            select(PreservedObject)
            .join(ComplaintObject, ComplaintObject.object_id == PreservedObject.id)
            .where(ComplaintObject.complaint_id == complaint_id)
            .order_by(PreservedObject.preserved_at, PreservedObject.id)
        ).all(),
    )


def complaints_of_case(tx: Session, case_id: CaseId) -> Sequence[Complaint]:
    """Return the complaints about a case, newest first."""
    return _about(tx, ComplaintCase, ComplaintCase.case_id == case_id)


def complaints_of_object(tx: Session, object_id: ObjectId) -> Sequence[Complaint]:
    """Return the complaints about an item or a text record itself, newest first."""
    return _about(tx, ComplaintObject, ComplaintObject.object_id == object_id)


def export_complaints(
    database: Database, rules: ComplaintRules, *, which: Which, by: Caller, at: Instant
) -> Iterator[ComplaintRow]:
    """Return a list row by row, to be taken away.

    Guarantees: on return the log entry is committed that says who took what list away.
    Raises: Forbidden.
    """
    require(by.roles, Capability.HANDLE_COMPLAINTS)
    with database.begin() as tx:
        detail = {"list": "complaints", "which": which.value, "form": "csv"}
        record_access(tx, NewEntry(EntryType.ACCESS_LIST_EXPORTED, by.actor, detail=detail), at=at)
    return _rows(database, rules, which=which, by=by, at=at)


def _rows(
    database: Database, rules: ComplaintRules, *, which: Which, by: Caller, at: Instant
) -> Iterator[ComplaintRow]:
    """Yield rows page by page: who is slow to take them holds no transaction open."""
    cursor: str | None = None
    for _ in range(MOST_ROWS // _PAGE):
        with database.read() as tx:
            page = complaints(tx, rules, which=which, by=by, at=at, cursor=cursor, limit=_PAGE)
        yield from page.rows
        cursor = page.next_cursor
        if cursor is None:
            return


def _about(tx: Session, table: Any, condition: ColumnElement[bool]) -> Sequence[Complaint]:
    query = select(Complaint).join(table, table.complaint_id == Complaint.id).where(condition)
    return tx.scalars(query.order_by(Complaint.registered_at.desc(), Complaint.id.desc())).all()


def _row(complaint: Complaint, unit: str, rules: ComplaintRules, *, at: Instant, is_named: bool) -> ComplaintRow:
    due_at = complaint.due_at
    if due_at is None:
        urgency = Urgency.NONE
    elif due_at < at:
        urgency = Urgency.OVERDUE
    else:
        urgency = Urgency.DUE if due_at <= at + rules.warning else Urgency.LATER
    return ComplaintRow(complaint, unit, urgency, is_named)


def _condition(which: Which, rules: ComplaintRules, *, at: Instant) -> ColumnElement[bool]:
    match which:
        case Which.ALL:
            return Complaint.id.is_not(None)
        case Which.OPEN:
            return Complaint.state != State.CLOSED.value
        case Which.OVERDUE:
            return Complaint.due_at < at
        case Which.DUE:
            return and_(Complaint.due_at >= at, Complaint.due_at <= at + rules.warning)
        case _:
            return Complaint.state == which.value

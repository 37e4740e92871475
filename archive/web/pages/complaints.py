"""Complaints and reports: the list, registering one, and taking the list away."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases.filing import case_by_number, require_case
from archive.cases.slices import Slice
from archive.complaints.complainants import MAX_CONTACT_CHARACTERS, MAX_NAME_CHARACTERS, Complainant
from archive.complaints.handlers import ComplaintNotFound, NamedInComplaint
from archive.complaints.linking import Links
from archive.complaints.listings import (
    ComplaintRow,
    Which,
    complaint_view,
    complaints,
    complaints_of_case,
    complaints_of_object,
    export_complaints,
)
from archive.complaints.models import Complaint
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.steps import MAX_WORDS_CHARACTERS
from archive.complaints.terms import Channel, ComplaintKind
from archive.custody.events import preserved_object
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import CaseId, ComplaintId, ObjectId, OfficerId, parse_uuid
from archive.kernel.instants import Instant
from archive.organisation.models import Unit
from archive.organisation.officers import officer_by_certificate
from archive.organisation.units import below
from archive.web.dependencies import ServicesDep
from archive.web.i18n import Catalogue
from archive.web.limits import Cost, by_account
from archive.web.pages.exports import csv_file
from archive.web.pages.formats import local_day, local_second
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import ComplaintHandler
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services

router = APIRouter(prefix="/complaints", include_in_schema=False)

_COLUMNS: Final = (
    "number", "kind", "channel", "received", "unit", "state", "accept_by", "answer_by", "urgency", "responsible",
)  # fmt: skip


@router.get("")
def complaints_page(
    request: Request,
    caller: ComplaintHandler,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=20)] = Which.OPEN.value,
    case: Annotated[str, Query(max_length=36)] = "",
    object: Annotated[str, Query(max_length=36)] = "",  # noqa: A002 - the word in the address
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List complaints: by how far they are, or those about one case or one object."""
    if case or object:
        return _about(request, caller, services, case=case, object_id=object)
    return _list(request, caller, services, which=_which(which), cursor=cursor)


@router.post("")
def complaint_posted(request: Request, form: FormDep, caller: ComplaintHandler, services: ServicesDep) -> Response:
    """Register a complaint or a report."""
    form.panel = "complaint"
    kind, channel = form.choice("kind", ComplaintKind), form.choice("channel", Channel)
    received_at = form.moment("received_at")
    says = form.lines("says", most=MAX_WORDS_CHARACTERS)
    complainant = _complainant(form)
    with services.database.read() as tx:
        unit_id = _unit(tx, form, caller)
        links = _links(tx, form)
    at = services.clock.now()
    if received_at is not None and received_at > at:
        form.refuse("received_at", "complaints.in_future")
    if form.is_good and received_at is not None:
        given = NewComplaint(kind, channel, received_at, says, unit_id, complainant, links)
        try:
            complaint_id = register_complaint(
                services.database, services.identifiers, services.complaints.rules, given, by=caller, at=at
            )
        except NamedInComplaint:
            form.refuse("certificate", "error.complaints.named")
        else:
            return go_to(_registered(services, complaint_id, caller, at=at))
    return _list(request, caller, services, form=form, status=422)


@router.post("/lists", dependencies=[by_account(Cost.HEAVY)])
def list_posted(request: Request, form: FormDep, caller: ComplaintHandler, services: ServicesDep) -> Response:
    """Send the list as CSV, after the log entry that says so."""
    at, texts = services.clock.now(), reader_texts(request)
    rows = export_complaints(
        services.database, services.complaints.rules, which=_which(form.value("which")), by=caller, at=at
    )
    return StreamingResponse(
        _csv(services, rows, texts),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="complaints-{at:%Y%m%d-%H%M%S}.csv"',
            "Cache-Control": "no-store",
        },
    )


def _which(text: str) -> Which:
    return Which(text) if text in set(Which) else Which.OPEN


def _complainant(form: Form) -> Complainant | None:
    name = form.text("name", most=MAX_NAME_CHARACTERS) if form.value("name").strip() else ""
    contact = form.text("contact", most=MAX_CONTACT_CHARACTERS) if form.value("contact").strip() else ""
    return Complainant(name, contact) if name or contact else None


def _unit(tx: Session, form: Form, caller: Caller) -> UUID:
    """Return the unit that a form names among those that the caller may give a complaint to."""
    offered = {str(unit.id): unit.id for unit in _units(tx, caller)}
    found = offered.get(form.value("unit_id"))
    if found is None:
        form.refuse("unit_id", "form.choose")
    return found or caller.unit_id


def _links(tx: Session, form: Form) -> Links:
    """Return what a form says a complaint is about, by the numbers that people know."""
    cases: list[CaseId] = []
    officers: list[OfficerId] = []
    if number := form.value("case_number").strip():
        case = case_by_number(tx, number)
        if case is None:
            form.refuse("case_number", "form.no_such_case")
        else:
            cases.append(CaseId(case.id))
    if form.value("certificate").strip():
        certificate = form.text("certificate", most=64)
        officer_id = officer_by_certificate(tx, certificate) if "certificate" not in form.faults else None
        if officer_id is None:
            form.refuse("certificate", "complaints.no_such_officer")
        else:
            officers.append(officer_id)
    return Links(cases, officers)


def _units(tx: Session, caller: Caller) -> Sequence[Unit]:
    """Return the units that a caller may give a complaint to: the own one and those below it."""
    ids = below(tx, caller.unit_id)
    return tx.scalars(select(Unit).where(Unit.id.in_(ids), Unit.closed_at.is_(None)).order_by(Unit.code)).all()


def _registered(services: Services, complaint_id: ComplaintId, caller: Caller, *, at: Instant) -> str:
    """Return where to go on: to the complaint, or to the list for who may not see it."""
    try:
        with services.database.read() as tx:
            complaint_view(tx, services.complaints.rules, complaint_id, by=caller, at=at)
    except ComplaintNotFound:
        return "/complaints?done=complaint_registered_unseen"
    return f"/complaints/{complaint_id}?done=complaint_registered"


def _about(request: Request, caller: Caller, services: Services, *, case: str, object_id: str) -> Response:
    """Show the complaints about one case or one object, and offer to register one about it."""
    at, number, found = services.clock.now(), "", []
    with services.database.read() as tx:
        try:
            if case:
                row = require_case(tx, CaseId(parse_uuid(case)))
                title, number, back = f"{row.number} {row.title}", row.number, f"/cases/{row.id}"
                found = list(complaints_of_case(tx, CaseId(row.id)))
            else:
                original = preserved_object(tx, ObjectId(parse_uuid(object_id)))
                folder = "items" if original.kind == "item" else "records"
                title, back = original.name, f"/{folder}/{original.id}"
                found = list(complaints_of_object(tx, ObjectId(original.id)))
        except InvalidInput as exc:
            raise NotFound from exc
        rules = services.complaints.rules
        rows = [complaint_view(tx, rules, ComplaintId(row.id), by=caller, at=at).row for row in found]
    return _list(
        request, caller, services, found=Slice(rows, None), about={"title": title, "back": back, "number": number}
    )


def _list(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    which: Which = Which.OPEN,
    cursor: str | None = None,
    found: Slice[ComplaintRow] | None = None,
    about: dict[str, str] | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts, at = reader_texts(request), services.clock.now()
    with services.database.read() as tx:
        if found is None:
            found = complaints(tx, services.complaints.rules, which=which, by=caller, at=at, cursor=cursor)
        context: dict[str, Any] = {
            "found": found,
            "names": _names(tx, [row.complaint for row in found.rows], texts),
            "units": _units(tx, caller),
        }
    is_more = is_fragment(request) and request.method == "GET" and cursor is not None
    return render(
        request,
        "_complaint_rows.html" if is_more else "complaints.html",
        caller=caller,
        status=status,
        form=form,
        which=which.value,
        listing=which.value,
        filters=[choice.value for choice in Which],
        about=about,
        kinds=list(ComplaintKind),
        channels=list(Channel),
        now=at,
        most=MAX_WORDS_CHARACTERS,
        here=_address(request) if request.method == "GET" else "/complaints",
        **context,
    )


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _names(tx: Session, rows: Iterable[Complaint], texts: Catalogue) -> dict[UUID, str]:
    ids = {row.responsible_id for row in rows if row.responsible_id is not None}
    return dict(actor_names(tx, ids, texts=texts))


def _csv(services: Services, rows: Iterable[ComplaintRow], texts: Catalogue) -> Iterator[bytes]:
    headings = [texts.text(f"complaint_column.{name}") for name in _COLUMNS]
    return csv_file(headings, rows, lambda block: _cells(services, block, texts))


def _cells(services: Services, block: Sequence[ComplaintRow], texts: Catalogue) -> Iterator[Sequence[str]]:
    with services.database.read() as tx:
        names = _names(tx, [row.complaint for row in block], texts)
    for row in block:
        complaint = row.complaint
        yield (
            complaint.number,
            texts.term("complaint_kind", complaint.kind),
            texts.term("channel", complaint.channel),
            local_second(complaint.received_at),
            row.unit,
            texts.term("complaint_state", complaint.state),
            local_day(complaint.accept_by),
            local_day(complaint.answer_by),
            texts.term("urgency", row.urgency.value),
            "" if complaint.responsible_id is None else names[complaint.responsible_id],
        )

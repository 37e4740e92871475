"""One complaint: its facts and steps, what it is about, and the forms that go on with it."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.listings import unit_choices_beside
from archive.cases.filing import case_by_number
from archive.complaints.complainants import Complainant, masked_complainant, show_complainant
from archive.complaints.handlers import NoHandler, possible_handlers
from archive.complaints.linking import AlreadyAbout, Links, link_complaint, unlink_complaint
from archive.complaints.listings import complaint_view
from archive.complaints.models import Complaint
from archive.complaints.moving import ComplaintOfAnotherAgency, move_complaint
from archive.complaints.steps import (
    MAX_WORDS_CHARACTERS,
    StateDoesNotFollow,
    add_note,
    assign_complaint,
    take_step,
)
from archive.complaints.terms import FOLLOWING, ComplaintKind, State, StepKind
from archive.custody.events import ObjectNotFound, preserved_object
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AccountId, CaseId, ComplaintId, ObjectId, OfficerId, parse_uuid
from archive.organisation.officers import officer_by_certificate
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import ComplaintHandler, ComplaintIdPath, HiddenComplaintHandler, Mover
from archive.web.pages.people import actor_names
from archive.web.pages.purposes import usual_purposes
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.web.pages.units import chosen_unit
from archive.wiring import Services

router = APIRouter(prefix="/complaints/{complaint_id}", include_in_schema=False)

_MOST_REASON: Final = 500
_ABOUT: Final = ("case", "officer", "object")


@router.get("")
def complaint_page(
    request: Request, complaint_id: ComplaintIdPath, caller: HiddenComplaintHandler, services: ServicesDep
) -> Response:
    """Show a complaint."""
    return _show(request, complaint_id, caller, services)


@router.post("/steps")
def step_posted(
    request: Request, complaint_id: ComplaintIdPath, form: FormDep, caller: ComplaintHandler, services: ServicesDep
) -> Response:
    """Go on to the next state, or write a note."""
    form.panel = "step"
    chosen, text = form.value("step"), form.lines("text", most=MAX_WORDS_CHARACTERS)
    if chosen not in {*State, StepKind.NOTE}:
        form.refuse("step", "form.choose")
    if form.is_good:
        at = services.clock.now()
        try:
            if chosen == StepKind.NOTE:
                add_note(services.database, complaint_id, text=text, by=caller, at=at)
            else:
                take_step(services.database, complaint_id, State(chosen), text=text, by=caller, at=at)
        except StateDoesNotFollow:
            form.refuse("step", "error.complaints.state_does_not_follow")
        else:
            return _done(complaint_id, "complaint_step_taken")
    return _show(request, complaint_id, caller, services, form=form, status=422)


@router.post("/responsible")
def responsible_posted(
    request: Request, complaint_id: ComplaintIdPath, form: FormDep, caller: ComplaintHandler, services: ServicesDep
) -> Response:
    """Make somebody responsible."""
    form.panel = "responsible"
    account_id = _id_in(form, "account_id")
    if form.is_good and account_id is not None:
        try:
            assign_complaint(
                services.database, complaint_id, AccountId(account_id), by=caller, at=services.clock.now()
            )  # fmt: skip
        except (NoHandler, StateDoesNotFollow):
            form.refuse("account_id", "error.complaints.no_handler")
        else:
            return _done(complaint_id, "complaint_assigned")
    return _show(request, complaint_id, caller, services, form=form, status=422)


@router.post("/unit")
def unit_posted(
    request: Request, complaint_id: ComplaintIdPath, form: FormDep, caller: Mover, services: ServicesDep
) -> Response:
    """Hand the complaint to another unit; whoever does not see it any more is led to the complaints."""
    form.panel = "move"
    unit_id = chosen_unit(form, services)
    text = form.lines("text", most=MAX_WORDS_CHARACTERS)
    if form.is_good and unit_id is not None:
        try:
            move_complaint(services.database, complaint_id, unit_id, text=text, by=caller, at=services.clock.now())
        except ComplaintOfAnotherAgency:
            form.refuse("unit", "error.complaints.another_agency")
        except StateDoesNotFollow:
            form.refuse("unit", "error.complaints.state_does_not_follow")
        else:
            with services.database.read() as tx:
                is_seen = tx.scalar(select(Complaint.id).where(Complaint.id == complaint_id)) is not None
            return _done(complaint_id, "complaint_moved") if is_seen else go_to("/complaints?done=complaint_moved")
    return _show(request, complaint_id, caller, services, form=form, status=422)


@router.post("/links")
def link_posted(
    request: Request, complaint_id: ComplaintIdPath, form: FormDep, caller: ComplaintHandler, services: ServicesDep
) -> Response:
    """Note what the complaint is about."""
    form.panel = "link"
    links = _named(form, services)
    reason = form.text("reason", most=_MOST_REASON)
    if form.is_good:
        try:
            link_complaint(
                services.database, complaint_id, links, reason=reason, by=caller, at=services.clock.now()
            )  # fmt: skip
        except AlreadyAbout:
            form.refuse("number", "error.complaints.already_about")
        else:
            return _done(complaint_id, "complaint_linked")
    return _show(request, complaint_id, caller, services, form=form, status=422)


@router.post("/removals")
def removal_posted(
    request: Request, complaint_id: ComplaintIdPath, form: FormDep, caller: ComplaintHandler, services: ServicesDep
) -> Response:
    """Take back that the complaint is about something."""
    form.panel = "unlink"
    what, _, text = form.value("link").partition("-")
    reason = form.text("reason", most=_MOST_REASON)
    try:
        links = _links_of(what, text)
    except InvalidInput:
        form.refuse("link", "form.choose")
        links = Links()
    if form.is_good:
        unlink_complaint(
            services.database, complaint_id, links, reason=reason, by=caller, at=services.clock.now()
        )  # fmt: skip
        return _done(complaint_id, "complaint_unlinked")
    return _show(request, complaint_id, caller, services, form=form, status=422)


@router.post("/sight")
def sight_posted(
    request: Request, complaint_id: ComplaintIdPath, form: FormDep, caller: ComplaintHandler, services: ServicesDep
) -> Response:
    """Show who complained, for a purpose, once; the log says so."""
    form.panel = "sight"
    purpose = form.text("purpose", most=_MOST_REASON)
    if not form.is_good:
        return _show(request, complaint_id, caller, services, form=form, status=422)
    at = services.clock.now()
    shown = show_complainant(
        services.database, services.identifiers, complaint_id, purpose=purpose, by=caller, at=at
    )  # fmt: skip
    return _show(request, complaint_id, caller, services, shown=shown)


def _done(complaint_id: ComplaintId, what: str) -> Response:
    return go_to(f"/complaints/{complaint_id}?done={what}")


def _id_in(form: Form, name: str) -> Any:
    try:
        return parse_uuid(form.value(name))
    except InvalidInput:
        form.refuse(name, "form.choose")
        return None


def _links_of(what: str, text: str) -> Links:
    """Return one thing that a complaint is about. Raises: InvalidInput."""
    found = parse_uuid(text)
    match what:
        case "case":
            return Links(cases=[CaseId(found)])
        case "officer":
            return Links(officers=[OfficerId(found)])
        case "object":
            return Links(objects=[ObjectId(found)])
        case _:
            raise InvalidInput


def _named(form: Form, services: Services) -> Links:
    """Return what a form names: a case number, a certificate number, or the address of an item's or record's page."""
    what, text = form.value("what"), form.text("number", most=300)
    if what not in _ABOUT:
        form.refuse("what", "form.choose")
    if not form.is_good:
        return Links()
    with services.database.read() as tx:
        if what == "case":
            case = case_by_number(tx, text)
            if case is not None:
                return Links(cases=[CaseId(case.id)])
            form.refuse("number", "form.no_such_case")
        elif what == "officer":
            officer_id = officer_by_certificate(tx, text) if len(text) <= 64 else None
            if officer_id is not None:
                return Links(officers=[officer_id])
            form.refuse("number", "complaints.no_such_officer")
        else:
            try:
                original = preserved_object(tx, ObjectId(parse_uuid(text.rstrip("/").rpartition("/")[2])))
            except (InvalidInput, ObjectNotFound):
                form.refuse("number", "complaints.no_such_object")
            else:
                return Links(objects=[ObjectId(original.id)])
    return Links()


def _basis(services: Services, row: Complaint) -> str:
    """Return the legal basis of the deadlines, where the rules in force are those that they were set by."""
    rules = services.complaints.rules
    if rules.since != row.rules_from or row.kind not in set(ComplaintKind):
        return "–"
    return rules.limits[ComplaintKind(row.kind)].basis


def _show(
    request: Request,
    complaint_id: ComplaintId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    shown: Complainant | None = None,
    status: int = 200,
) -> Response:
    texts, at = reader_texts(request), services.clock.now()
    with services.database.read() as tx:
        view = complaint_view(tx, services.complaints.rules, complaint_id, by=caller, at=at)
        row = view.complaint
        ids = {row.registered_by, *(step.by_id for step in view.steps)}
        if row.responsible_id is not None:
            ids.add(row.responsible_id)
        context: dict[str, Any] = {
            "names": actor_names(tx, ids, texts=texts),
            "handlers": [] if view.row.is_named else possible_handlers(tx, row, at=at),
            "units": unit_choices_beside(tx, row.unit_id),
            "complainant": None if view.row.is_named else masked_complainant(services.identifiers, row),
        }
    following = FOLLOWING.get(State(row.state), ()) if row.state in set(State) else ()
    return render(
        request,
        "complaint.html",
        caller=caller,
        status=status,
        form=form,
        view=view,
        complaint=row,
        shown=shown,
        steps_offered=[*(state.value for state in following), StepKind.NOTE.value],
        basis=_basis(services, row),
        purposes=usual_purposes(texts),
        most=MAX_WORDS_CHARACTERS,
        here=f"/complaints/{complaint_id}",
        **context,
    )

"""Retrievals: asking for what needs an approval, deciding, emergencies, and letting a grant go on."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.custody.events import preserved_object
from archive.custody.models import PreservedObject
from archive.kernel.ids import ObjectId
from archive.retrieval.decisions import case_numbers
from archive.retrieval.grants import NobodyToTell, grant_in_emergency, renew
from archive.retrieval.listings import approvals_in_force, own_requests, requests_to_decide
from archive.retrieval.requests import (
    MAX_REASON_CHARACTERS,
    Asked,
    NobodyApproves,
    RequestDecided,
    RequestWaiting,
    ask,
    decide,
    end,
    withdraw,
)
from archive.retrieval.rules import GrantKind
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Approver, GlassBreaker, GrantIdPath, ObjectIdPath, RequestIdPath, Viewer
from archive.web.pages.items import show_item, show_record
from archive.web.pages.people import actor_names
from archive.web.pages.purposes import given_purpose, grant_context
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

_HERE: Final = "/retrievals"


@router.get(_HERE)
def retrievals_page(
    request: Request, caller: Viewer, services: ServicesDep, which: Annotated[str, Query(max_length=20)] = "mine"
) -> Response:
    """Show one's own requests, or those that one decides."""
    is_deciding = which == "deciding" and caller.may(Capability.APPROVE_RETRIEVAL)
    return _page(request, caller, services, is_deciding=is_deciding)


@router.post("/objects/{object_id}/requests")
def request_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Ask for the sight, a copy or a print of an object."""
    kind = form.choice("kind", GrantKind)
    form.panel = f"ask-{kind.value}"
    rules = services.retrievals.rules
    with services.database.read() as tx:
        row = preserved_object(tx, object_id)
        purpose = given_purpose(form, case_numbers(tx, object_id))
    days = _days(form, rules.longest_days)
    if form.is_good:
        asked = Asked(kind, purpose, days)
        try:
            ask(services.database, object_id, asked, by=caller, rules=rules, at=services.clock.now())
        except NobodyApproves:
            form.refuse("purpose", "error.retrieval.nobody_approves")
        except RequestWaiting:
            form.refuse("purpose", "error.retrieval.request_waiting")
        else:
            return go_to(f"{_page_of(row)}?done=retrieval_asked")
    return _again(request, row, caller, services, form)


@router.post("/objects/{object_id}/emergency")
def emergency_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: GlassBreaker, services: ServicesDep
) -> Response:
    """Show what needs an approval without one, and tell people of it."""
    form.panel = "emergency"
    rules = services.retrievals.rules
    with services.database.read() as tx:
        row = preserved_object(tx, object_id)
        purpose = given_purpose(form, case_numbers(tx, object_id))
    if form.is_good:
        try:
            grant_id = grant_in_emergency(
                services.database, object_id, purpose=purpose, by=caller, rules=rules, at=services.clock.now()
            )
        except NobodyToTell:
            form.refuse("purpose", "error.retrieval.nobody_to_tell")
        else:
            is_item = row.kind == "item"
            return go_to(f"/items/{object_id}?grant={grant_id}" if is_item else f"/content/{grant_id}/document")
    return _again(request, row, caller, services, form)


@router.post("/retrievals/{request_id}/decision")
def decision_posted(
    request: Request, request_id: RequestIdPath, form: FormDep, caller: Approver, services: ServicesDep
) -> Response:
    """Approve a request, or refuse it with a reason."""
    form.panel = f"decide-{request_id}"
    is_approved = form.value("decision") == "approve"
    if form.value("decision") not in {"approve", "refuse"}:
        form.refuse("reason", "form.choose")
    given = form.value("reason").strip()
    reason = form.text("reason", most=MAX_REASON_CHARACTERS) if given or not is_approved else ""
    if form.is_good:
        try:
            decide(
                services.database, request_id, is_approved=is_approved, reason=reason, by=caller,
                at=services.clock.now(),
            )  # fmt: skip
        except RequestDecided:
            form.refuse("reason", "error.retrieval.request_decided")
        else:
            return go_to(f"{_HERE}?which=deciding&done=retrieval_decided")
    return _page(request, caller, services, is_deciding=True, form=form, status=422)


@router.post("/retrievals/{request_id}/withdrawal")
def withdrawal_posted(request_id: RequestIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Take back an own request."""
    withdraw(services.database, request_id, by=caller, at=services.clock.now())
    return go_to(f"{_HERE}?done=retrieval_withdrawn")


@router.post("/retrievals/{request_id}/end")
def end_posted(
    request: Request, request_id: RequestIdPath, form: FormDep, caller: Approver, services: ServicesDep
) -> Response:
    """End what was approved before its time."""
    form.panel = f"end-{request_id}"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if not form.is_good:
        return _page(request, caller, services, is_deciding=True, form=form, status=422)
    end(services.database, request_id, reason=reason, by=caller, at=services.clock.now())
    return go_to(f"{_HERE}?which=deciding&done=retrieval_ended")


@router.post("/content/{grant_id}/renewal")
def renewal_posted(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Let a grant go on that ends soon."""
    grants = renew(services.database, grant_id, by=caller, rules=services.retrievals.rules, at=services.clock.now())
    grant = next(found for found in grants if found.id == grant_id)
    if not is_fragment(request):
        return go_to(f"/items/{grant.object_id}?grant={grant_id}")
    return render(request, "_granted.html", caller=caller, grant=grant, **grant_context(services))


def _days(form: Form, longest: int) -> int:
    text = form.value("days").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= longest):
        form.refuse("days", "retrieval.days_between", most=longest)
        return 1
    return int(text)


def _page_of(row: PreservedObject) -> str:
    return f"/{row.kind}s/{row.id}"


def _again(request: Request, row: PreservedObject, caller: Caller, services: Services, form: Form) -> Response:
    show = show_item if row.kind == "item" else show_record
    return show(request, ObjectId(row.id), caller, services, form=form, status=422)


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    is_deciding: bool,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    now = services.clock.now()
    with services.database.read() as tx:
        rows = requests_to_decide(tx, by=caller, at=now) if is_deciding else own_requests(tx, caller.account_id)
        in_force = approvals_in_force(tx, by=caller, at=now) if is_deciding else []
        people = {row.request.account_id for row in [*rows, *in_force]}
        people |= {row.request.decided_by for row in [*rows, *in_force] if row.request.decided_by is not None}
        names = actor_names(tx, people, texts=reader_texts(request))
    context: dict[str, Any] = {"rows": rows, "in_force": in_force, "names": names, "now": now, "form": form}
    return render(
        request, "retrievals.html", caller=caller, status=status, section="retrievals",
        which="deciding" if is_deciding else "mine", **context,
    )  # fmt: skip

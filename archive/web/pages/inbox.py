"""The inbox: items that are filed nowhere, where they may belong, and the form that files many at once."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.access.callers import Caller
from archive.access.policy import Capability, may
from archive.cases import listings
from archive.cases.bulk import MOST_AT_ONCE, link_objects
from archive.cases.filing import MAX_NUMBER_CHARACTERS, AlreadyLinked, case_by_number
from archive.cases.suggestions import suggestions
from archive.custody.events import ObjectNotFound
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, ObjectId, parse_uuid
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, read_fields
from archive.web.pages.guards import Filer, ListReader, chosen_act
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services

router = APIRouter(prefix="/unlinked", include_in_schema=False)

Cursor = Annotated[str | None, Query(max_length=200)]
Words = Annotated[str, Query(max_length=200)]
Number = Annotated[str, Query(max_length=MAX_NUMBER_CHARACTERS * 2)]
_PANEL: Final = "inbox"
_MOST_ACTS: Final = 200


@router.get("")
def unlinked_page(
    request: Request, caller: ListReader, services: ServicesDep, q: Words = "", cursor: Cursor = None
) -> Response:
    """List items that are filed under no case."""
    return _page(request, caller, services, words=q, cursor=cursor)


@router.get("/acts")
def acts_part(
    request: Request, caller: Filer, services: ServicesDep, number: Number = "", act_id: Cursor = None
) -> Response:
    """Offer the acts of the case whose number is being written."""
    return render(request, "_inbox_case.html", caller=caller, chosen_act=act_id, **_chosen_case(services, number))


@router.post("/links")
async def links_posted(request: Request, caller: Filer, services: ServicesDep) -> Response:
    """File the chosen items under a case."""
    values, chosen = await read_fields(request, many="object_id", most=MOST_AT_ONCE)
    return await run_in_threadpool(_link, request, caller, services, Form(values, panel=_PANEL), chosen)


def _link(request: Request, caller: Caller, services: Services, form: Form, chosen: list[str]) -> Response:
    number = form.text("number", most=MAX_NUMBER_CHARACTERS)
    reason = form.text("reason", most=500)
    object_ids = _object_ids(form, chosen)
    with services.database.read() as tx:
        case = case_by_number(tx, number) if number else None
    if number and case is None:
        form.refuse("number", "form.no_such_case")
    if form.is_good and case is not None:
        try:
            link_objects(
                services.database,
                CaseId(case.id),
                object_ids,
                act_id=chosen_act(form.value("act_id")),
                reason=reason,
                by=caller.actor,
                at=services.clock.now(),
            )
        except (AlreadyLinked, ObjectNotFound):
            form.refuse("object_id", "inbox.changed")
        except InvalidInput:
            form.refuse("act_id", "form.choose")
        else:
            return go_to("/unlinked?done=linked")
    return _page(request, caller, services, form=form, chosen=chosen, status=422)


def _object_ids(form: Form, chosen: list[str]) -> list[ObjectId]:
    try:
        found = [ObjectId(parse_uuid(text)) for text in chosen]
    except InvalidInput:
        found = []
    if not found:
        form.refuse("object_id", "inbox.choose")
    elif len(found) > MOST_AT_ONCE:
        form.refuse("object_id", "inbox.too_many", most=MOST_AT_ONCE)
    return found


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    words: str = "",
    cursor: str | None = None,
    form: Form | None = None,
    chosen: list[str] | None = None,
    status: int = 200,
) -> Response:
    is_filer = may(caller.roles, Capability.FILE_CASES)
    with services.database.read() as tx:
        found = listings.unlinked_items(tx, cursor=cursor, words=words)
        suggested = suggestions(tx, [row.item for row in found.rows]) if is_filer else {}
    context: dict[str, Any] = {"found": found, "words": words, "suggested": suggested, "chosen": chosen or []}
    template = "inbox.html"
    if is_fragment(request) and request.method == "GET":
        template = "_inbox_results.html" if cursor is None else "_inbox_rows.html"
    else:
        number = form.value("number") if form is not None else ""
        context |= _chosen_case(services, number) | {"chosen_act": form.value("act_id") if form is not None else None}
    return render(request, template, caller=caller, status=status, form=form, **context)


def _chosen_case(services: Services, number: str) -> dict[str, Any]:
    """Return the case that a number names, with its acts; where it names none, cases whose number or title it is in."""
    number = number.strip()
    with services.database.read() as tx:
        case = case_by_number(tx, number) if number else None
        acts = listings.case_view(tx, CaseId(case.id)).acts[:_MOST_ACTS] if case is not None else []
        nearby = [] if case is not None else [row.case for row in listings.cases(tx, words=number, limit=8).rows]
    return {"case": case, "acts": acts, "nearby": nearby}

"""The first page and its neighbour: cases and all items. Opening a case."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from archive.access.callers import Caller
from archive.access.policy import Capability, may
from archive.cases import listings
from archive.cases.filing import MAX_NUMBER_CHARACTERS, CaseNumberTaken, open_case
from archive.cases.identifiers import IdentifierKind
from archive.cases.slices import Slice
from archive.cases.subjects import IdentifierTaken, IdentifierUnfit, SubjectNotFound
from archive.cases.terms import Category, SubjectKind
from archive.web.dependencies import CallerDep, ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Filer, ListReader
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.web.pages.subject_forms import given_subject, offered_subjects
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

Cursor = Annotated[str | None, Query(max_length=200)]
Words = Annotated[str, Query(max_length=200)]


@router.get("/")
def first_page(
    request: Request, caller: CallerDep, services: ServicesDep, q: Words = "", cursor: Cursor = None
) -> Response:
    """List cases; the administrator, who sees none, goes to the house's own page."""
    if not may(caller.roles, Capability.READ_CATALOGUE):
        return go_to("/admin")
    return _cases(request, caller, services, words=q, cursor=cursor)


@router.get("/items")
def items_page(
    request: Request, caller: ListReader, services: ServicesDep, q: Words = "", cursor: Cursor = None
) -> Response:
    """List all items."""
    with services.database.read() as tx:
        found = listings.items(tx, cursor=cursor, words=q)
    return _items(request, caller, found, words=q, cursor=cursor)


@router.post("/cases")
def case_posted(request: Request, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """Open a case."""
    form.panel = "case"
    number = form.text("number", most=MAX_NUMBER_CHARACTERS)
    title = form.text("title", most=300)
    category = form.choice("category", Category)
    subject = given_subject(form, services)
    if form.is_good and subject is not None:
        try:
            case_id = open_case(
                services.database,
                services.identifiers,
                number=number,
                title=title,
                category=category,
                subject=subject,
                by=caller.actor,
                at=services.clock.now(),
            )
        except CaseNumberTaken:
            form.refuse("number", "error.cases.number_taken")
        except IdentifierTaken:
            form.refuse("identifier", "error.cases.identifier_taken")
        except IdentifierUnfit:
            form.refuse("identifier_kind", "error.cases.identifier_unfit")
        except SubjectNotFound:
            form.refuse("subject_id", "form.choose")
        else:
            return go_to(f"/cases/{case_id}?done=case_opened")
    return _cases(request, caller, services, form=form, status=422)


def _cases(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    words: str = "",
    cursor: str | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as tx:
        found = listings.cases(tx, cursor=cursor, words=words)
        choices = offered_subjects(tx, services, form)
    return render(
        request,
        _part(request, cursor, page="cases.html", results="_case_results.html", rows="_case_rows.html"),
        caller=caller,
        status=status,
        found=found,
        words=words,
        form=form,
        categories=list(Category),
        subject_kinds=list(SubjectKind),
        identifier_kinds=list(IdentifierKind),
        choices=choices,
    )


def _items(
    request: Request,
    caller: Caller,
    found: Slice[listings.ItemRow],
    *,
    words: str,
    cursor: str | None,
) -> Response:
    return render(
        request,
        _part(request, cursor, page="items.html", results="_item_results.html", rows="_item_rows.html"),
        caller=caller,
        found=found,
        words=words,
    )


def _part(request: Request, cursor: str | None, *, page: str, results: str, rows: str) -> str:
    """Return the template: further rows for "more", the results for a search, else the page."""
    if not is_fragment(request) or request.method != "GET":
        return page
    return results if cursor is None else rows

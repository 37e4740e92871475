"""Searching everything: one page, its results as they are typed, and taking them away as a list."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases.identifiers import LAST, IdentifierInvalid, IdentifierKind, parse_identifier
from archive.cases.models import Case
from archive.cases.subject_listings import SubjectRow, subjects
from archive.cases.terms import Category
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.retrieval.lists import export_list
from archive.search.documents import Kind
from archive.search.queries import Found, Hit, Shown, search
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.asked import Asked, asked_in_address, depth_of
from archive.web.pages.exports import ListForm, csv_lines, json_lines
from archive.web.pages.forms import FormDep
from archive.web.pages.guards import Exporter, ListReader
from archive.web.pages.rendering import is_fragment, reader_texts, render
from archive.wiring import Services
from ingest.listings import dock_choices

router = APIRouter(prefix="/search", include_in_schema=False)

STATES: Final = ("pending", "playable", "damaged", "unplayable")
_MOST_SHOWN: Final = 4
_MOST_UNMARKED: Final = 2
_MOST_SUBJECTS: Final = 5
_MEDIA_TYPES: Final = {ListForm.CSV: "text/csv; charset=utf-8", ListForm.JSON_LINES: "application/jsonl; charset=utf-8"}

AskedDep = Annotated[Asked, Depends(asked_in_address)]
Cursor = Annotated[str | None, Query(max_length=200)]


@router.get("", dependencies=[by_account(Cost.SEARCHES)])
def search_page(
    request: Request, caller: ListReader, services: ServicesDep, asked: AskedDep, cursor: Cursor = None
) -> Response:
    """Show what is found."""
    with services.database.read() as tx:
        found = Found([], None) if asked.is_nothing else _found(tx, caller, asked, cursor)
        known = _known_by_number(tx, services, asked) if cursor is None else []
        within = _within(tx, asked)
        docks = [] if is_fragment(request) else [(str(dock_id), name) for dock_id, name in dock_choices(tx)]
    template = "search.html"
    if is_fragment(request):
        template = "_search_results.html" if cursor is None else "_search_rows.html"
    return render(
        request,
        template,
        caller=caller,
        asked=asked,
        found=found,
        known=known,
        within=within,
        docks=docks,
        fields_of=fields_of,
        address_of=address_of,
        kinds=[kind.value for kind in Kind],
        categories=[category.value for category in Category],
        states=STATES,
    )


@router.post("/lists", dependencies=[by_account(Cost.HEAVY)])
def list_posted(request: Request, form: FormDep, caller: Exporter, services: ServicesDep) -> Response:
    """Send what is found as a list, after the log entry that says so. Raises: InvalidInput for no question."""
    asked = Asked.from_form(form.values)
    if asked.is_nothing:
        raise InvalidInput("A list needs something to look for")
    wanted = ListForm.JSON_LINES if form.value("as") == ListForm.JSON_LINES.value else ListForm.CSV
    at = services.clock.now()
    with services.database.read() as tx:
        filters = asked.filters(tx)
    rows = export_list(
        services.database,
        asked.q,
        filters=filters,
        depth=depth_of(caller.roles),
        told={name: value for name, value in asked.given().items() if name != "q"},
        form=wanted.value,
        by=caller,
        at=at,
    )
    lines = csv_lines(rows, reader_texts(request)) if wanted is ListForm.CSV else json_lines(rows)
    return StreamingResponse(
        lines,
        media_type=_MEDIA_TYPES[wanted],
        headers={
            "Content-Disposition": f'attachment; filename="liuhen-{at:%Y%m%d-%H%M%S}.{wanted.value}"',
            "Cache-Control": "no-store",
        },
    )


def fields_of(hit: Hit) -> Sequence[Shown]:
    """Return what a hit shows below its title: where words were found, and a little more."""
    marked = [shown for shown in hit.shown[1:] if shown.is_marked]
    others = [shown for shown in hit.shown[1:] if not shown.is_marked and shown.name != "tag"]
    return [*marked, *others[: max(0, _MOST_UNMARKED - len(marked))]][:_MOST_SHOWN]


def address_of(hit: Hit) -> str:
    """Return where a hit leads: its page, or for an officer what names the officer."""
    if hit.kind is Kind.OFFICER:
        return Asked(officer=next((shown.text for shown in hit.shown if shown.name == "officer"), "")).address()
    folder = {Kind.CASE: "cases", Kind.SUBJECT: "subjects", Kind.RECORD: "records"}.get(hit.kind, "items")
    return f"/{folder}/{hit.ref_id}"


def _found(tx: Session, caller: Caller, asked: Asked, cursor: str | None) -> Found:
    return search(tx, asked.q, filters=asked.filters(tx), depth=depth_of(caller.roles), cursor=cursor)


def _within(tx: Session, asked: Asked) -> Case | None:
    """Return the case that the search is confined to, if it is, and to one that there is."""
    try:
        return tx.get(Case, parse_uuid(asked.case)) if asked.case else None
    except InvalidInput:
        return None


def _known_by_number(tx: Session, services: Services, asked: Asked) -> Sequence[SubjectRow]:
    """Return whom the words name by a number: numbers stand in no index, but a blind one."""
    is_last_of_subject = asked.kind == Kind.SUBJECT.value and len(asked.q.strip()) == LAST
    if not is_last_of_subject and not _is_number(asked.q, today=services.clock.now().date()):
        return []
    return subjects(tx, services.identifiers, number=asked.q, limit=_MOST_SUBJECTS).rows


def _is_number(text: str, *, today: date) -> bool:
    for kind in (IdentifierKind.RESIDENT_ID, IdentifierKind.CREDIT_CODE):
        try:
            parse_identifier(kind, text, today=today)
        except IdentifierInvalid:
            continue
        return True
    return False

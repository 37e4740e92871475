"""The trace: who looked at what and why; the own one for everybody, that of its things for agency and auditor."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.retrieval.trace import TraceFilter, TraceRow, Which, export_trace, trace
from archive.retrieval.unusual import MAX_WORDS_CHARACTERS, UnusualChecked, check_access
from archive.web.dependencies import CallerDep, ServicesDep
from archive.web.i18n import Catalogue
from archive.web.pages.exports import csv_file
from archive.web.pages.formats import local_second
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import EntryIdPath, TraceReader
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services

router = APIRouter(prefix="/trace", include_in_schema=False)

_ALL: Final = TraceFilter()
COLUMNS: Final = ("at", "who", "what", "thing", "purpose", "reference", "unusual", "found", "entry")


@router.get("")
def trace_page(
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=20)] = Which.MINE.value,
    who: Annotated[str, Query(max_length=36)] = "",
    of: Annotated[str, Query(max_length=36)] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show accesses, newest first."""
    return _page(request, caller, services, which=_which(which), only=_filter(who, of), cursor=cursor)


@router.post("/lists")
def trace_list_posted(request: Request, form: FormDep, caller: CallerDep, services: ServicesDep) -> Response:
    """Send a trace as CSV, after the log entry that says so."""
    at, texts = services.clock.now(), reader_texts(request)
    which = _which(form.value("which"))
    rows = export_trace(services.database, which, by=caller, at=at)
    return StreamingResponse(
        _csv(services, rows, texts),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="trace-{which.value}-{at:%Y%m%d-%H%M%S}.csv"',
            "Cache-Control": "no-store",
        },
    )


@router.post("/{entry_id}/check")
def check_posted(
    request: Request, entry_id: EntryIdPath, form: FormDep, caller: TraceReader, services: ServicesDep
) -> Response:
    """Say what was found of an unusual access."""
    form.panel = f"check-{entry_id}"
    words = form.text("words", most=MAX_WORDS_CHARACTERS)
    if form.is_good:
        try:
            check_access(services.database, entry_id, words=words, by=caller, at=services.clock.now())
        except UnusualChecked:
            form.refuse("words", "error.retrieval.unusual_checked")
        else:
            return go_to("/trace?which=unusual&done=unusual_checked")
    return _page(request, caller, services, which=Which.UNUSUAL, form=form, status=422)


def _which(text: str) -> Which:
    return Which(text) if text in set(Which) else Which.MINE


def _filter(who: str, of: str) -> TraceFilter:
    try:
        return TraceFilter(parse_uuid(who) if who else None, parse_uuid(of) if of else None)
    except InvalidInput:
        return TraceFilter()


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    which: Which,
    only: TraceFilter = _ALL,
    cursor: str | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts = reader_texts(request)
    with services.database.read() as tx:
        found = trace(tx, which, by=caller, only=only, cursor=cursor)
        names = actor_names(tx, _people(found.rows), texts=texts)
    context: dict[str, Any] = {"found": found, "names": names, "which": which.value, "only": only, "form": form}
    return render(
        request,
        "_trace_rows.html" if is_fragment(request) and cursor is not None else "trace.html",
        caller=caller,
        status=status,
        section="retrievals",
        tabs=[tab.value for tab in Which if tab is Which.MINE or caller.may(Capability.READ_TRACE)],
        **context,
    )


def _people(rows: Sequence[TraceRow]) -> set[Any]:
    checkers = {found.checked_by for row in rows for found in row.unusual if found.checked_by is not None}
    return {row.record.actor_id for row in rows} | checkers


def _csv(services: Services, rows: Iterable[TraceRow], texts: Catalogue) -> Iterator[bytes]:
    headings = [texts.text(f"trace_column.{name}") for name in COLUMNS]
    return csv_file(headings, rows, lambda block: _cells(services, block, texts))


def _cells(services: Services, rows: Sequence[TraceRow], texts: Catalogue) -> Iterator[Sequence[str]]:
    with services.database.read() as tx:
        names = actor_names(tx, _people(rows), texts=texts)
    for row in rows:
        told = {
            "at": local_second(row.record.at),
            "who": names[row.record.actor_id],
            "what": texts.term("event", row.record.type),
            "thing": row.seen.title if row.seen is not None else "",
            "purpose": str(row.detail.get("purpose", "")),
            "reference": str(row.detail.get("reference", "")),
            "unusual": "; ".join(texts.term("unusual", found.rule) for found in row.unusual),
            "found": next((found.words for found in row.unusual if found.words), ""),
            "entry": str(row.record.entry_id),
        }
        yield [told[name] for name in COLUMNS]

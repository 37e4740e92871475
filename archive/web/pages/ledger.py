"""The ledger: case files by period, unit and how far they are; and as CSV."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.organisation.models import Unit
from archive.organisation.units import below
from archive.volumes.listings import Bounds, LedgerRow, WhichFiles, export_ledger, ledger
from archive.web.dependencies import ServicesDep
from archive.web.i18n import Catalogue
from archive.web.limits import Cost, by_account
from archive.web.pages.exports import csv_file
from archive.web.pages.formats import local_day
from archive.web.pages.forms import FormDep
from archive.web.pages.guards import Exporter, ListReader
from archive.web.pages.rendering import is_fragment, reader_texts, render

router = APIRouter(prefix="/ledger", include_in_schema=False)

COLUMNS: Final = (
    "case_number", "title", "subject", "unit", "opened", "closed", "state", "file_by", "file_numbers", "filed",
    "papers", "pages", "waiting",
)  # fmt: skip
"""The columns of the file, as they are called in the texts."""


@router.get("")
def ledger_page(
    request: Request,
    caller: ListReader,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=20)] = WhichFiles.ALL.value,
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    unit: Annotated[str, Query(max_length=36)] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List case files."""
    chosen = _chosen(which, since, until, unit)
    at, rules = services.clock.now(), services.case_files.rules
    with services.database.read() as tx:
        units = _units(tx, caller)
        found = ledger(tx, rules, _bounds(chosen, units), at=at, cursor=cursor)
    is_more = is_fragment(request) and cursor is not None
    return render(
        request,
        "_ledger_rows.html" if is_more else "ledger.html",
        caller=caller,
        found=found,
        units=units,
        chosen=chosen,
        filters=[each.value for each in WhichFiles],
        query=urlencode({name: value for name, value in chosen.items() if value and name != "which"}),
        address=f"/ledger?{urlencode({name: value for name, value in chosen.items() if value})}",
        within=rules.within_days,
        here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    )


@router.post("/lists", dependencies=[by_account(Cost.HEAVY)])
def list_posted(request: Request, form: FormDep, caller: Exporter, services: ServicesDep) -> Response:
    """Send the ledger as CSV, after the log entry that says so."""
    at, texts = services.clock.now(), reader_texts(request)
    chosen = _chosen(*(form.value(name)[:36] for name in ("which", "since", "until", "unit")))
    with services.database.read() as tx:
        bounds = _bounds(chosen, _units(tx, caller))
    rows = export_ledger(services.database, services.case_files.rules, bounds, by=caller.actor, at=at)
    headings = [texts.text(f"ledger_column.{name}") for name in COLUMNS]
    return StreamingResponse(
        csv_file(headings, rows, lambda block: _cells(block, texts)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="ledger-{at:%Y%m%d-%H%M%S}.csv"',
            "Cache-Control": "no-store",
        },
    )


def _chosen(which: str, since: str, until: str, unit: str) -> dict[str, str]:
    """Return what was chosen, without what means nothing."""
    return {
        "which": which if which in set(WhichFiles) else WhichFiles.ALL.value,
        "since": "" if _day(since) is None else since,
        "until": "" if _day(until) is None else until,
        "unit": unit,
    }


def _bounds(chosen: dict[str, str], units: Sequence[Unit]) -> Bounds:
    since, until = _day(chosen["since"]), _day(chosen["until"])
    offered: dict[str, UUID] = {str(each.id): each.id for each in units}
    try:
        unit = offered.get(str(parse_uuid(chosen["unit"]))) if chosen["unit"] else None
    except InvalidInput:
        unit = None
    if unit is None:
        chosen["unit"] = ""
    return Bounds(
        None if since is None else _begins(since),
        None if until is None else _begins(until + timedelta(days=1)),
        () if unit is None else (unit,),
        WhichFiles(chosen["which"]),
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1900 <= day.year < 9999 else None


def _begins(day: date) -> Instant:
    return datetime.combine(day, time(), BUREAU_ZONE)


def _units(tx: Session, caller: Caller) -> Sequence[Unit]:
    """Return the units that a ledger can be narrowed to: the caller's own and those below it."""
    return tx.scalars(select(Unit).where(Unit.id.in_(below(tx, caller.unit_id))).order_by(Unit.code)).all()


def _cells(block: Sequence[LedgerRow], texts: Catalogue) -> Iterator[Sequence[str]]:
    for row in block:
        yield (
            row.case.number,
            row.case.title,
            row.subject,
            row.unit,
            local_day(row.case.opened_at),
            "" if row.case.closed_at is None else local_day(row.case.closed_at),
            texts.term("ledger_state", row.state.value),
            "" if row.file_by is None else row.file_by.isoformat(),
            texts.text("common.comma").join(volume.file_number or "" for volume in row.volumes),
            texts.text("common.comma").join(_filed(volume.closed_at) for volume in row.volumes),
            str(sum(volume.lines or 0 for volume in row.volumes)),
            str(sum(volume.pages or 0 for volume in row.volumes)),
            str(row.waiting),
        )


def _filed(at: Any) -> str:
    return "" if at is None else local_day(at)

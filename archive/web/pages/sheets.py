"""Sheets of officers, units, training and legal staff, for the administrator: given out, tried, taken in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.listings import account_called, usernames
from archive.custody.accesses import record_access
from archive.kernel.errors import InvalidInput
from archive.ledger.entries import EntryType, NewEntry
from archive.organisation.importing import (
    OFFICER_COLUMNS,
    OFFICER_NEEDED,
    UNIT_COLUMNS,
    UNIT_NEEDED,
    import_officers,
    import_units,
    officer_rows,
    unit_sheet_rows,
)
from archive.organisation.legal_sheets import LEGAL_COLUMNS, LEGAL_NEEDED, import_legal_staff, legal_sheet_rows
from archive.organisation.record_sheets import RECORD_COLUMNS, RECORD_NEEDED, import_records, record_rows
from archive.organisation.sheets import (
    MOST_BYTES,
    Columns,
    ColumnsMissing,
    ColumnTwice,
    SheetUnreadable,
    csv_sheet,
    read_sheet,
    xlsx_sheet,
)
from archive.organisation.taking_in import Outcome, RowResult
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.forms import Form, read_file
from archive.web.pages.guards import Administrator
from archive.web.pages.rendering import render
from archive.wiring import Services

router = APIRouter(prefix="/admin/officers/sheets", include_in_schema=False)

_HERE: Final = "/admin/officers/sheets"
_MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A kind of sheet: its columns, those that are needed, how it is taken in, and its rows."""

    columns: Columns
    needed: Sequence[str]
    take_in: Callable[..., Sequence[RowResult]]
    rows: Callable[[Session], Sequence[Mapping[str, str]]]


def _account_named(tx: Session, username: str) -> UUID | None:
    found = account_called(tx, username)
    return None if found is None else found.id


SHEETS: Final[Mapping[str, _Sheet]] = {
    "officers": _Sheet(OFFICER_COLUMNS, OFFICER_NEEDED, import_officers, officer_rows),
    "units": _Sheet(UNIT_COLUMNS, UNIT_NEEDED, import_units, unit_sheet_rows),
    "records": _Sheet(RECORD_COLUMNS, RECORD_NEEDED, import_records, record_rows),
    "legal_staff": _Sheet(
        LEGAL_COLUMNS,
        LEGAL_NEEDED,
        partial(import_legal_staff, account_named=_account_named),
        partial(legal_sheet_rows, usernames=usernames),
    ),
}


@router.get("")
def sheets_page(request: Request, caller: Administrator, what: str = "") -> Response:
    """Show what can be given out and taken in."""
    return _page(request, caller, Form({"what": what}, panel="sheet"))


@router.get("/{what}.{ending}", dependencies=[by_account(Cost.HEAVY)])
def sheet_file(what: str, ending: str, caller: Administrator, services: ServicesDep) -> Response:
    """Give a sheet out, which goes on record first."""
    if what not in SHEETS or ending not in _MEDIA_TYPES:
        raise InvalidInput(f"There are sheets of {', '.join(SHEETS)}, as csv and xlsx")
    sheet = SHEETS[what]
    with services.database.begin() as tx:
        entry = NewEntry(EntryType.ACCESS_LIST_EXPORTED, caller.actor, detail={"list": what, "form": ending})
        record_access(tx, entry, at=services.clock.now())
        rows = sheet.rows(tx)
    made = csv_sheet(sheet.columns, rows) if ending == "csv" else xlsx_sheet(sheet.columns, rows)
    headers = {"Content-Disposition": disposition("attachment", f"liuhen-{what}.{ending}"), "Cache-Control": "no-store"}
    return Response(made, media_type=_MEDIA_TYPES[ending], headers=headers)


@router.post("", dependencies=[by_account(Cost.HEAVY)])
async def sheet_posted(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Try a sheet, or take it in: everything or nothing."""
    form, data = await read_file(request, panel="sheet", most=MOST_BYTES)
    return await run_in_threadpool(_take_in, request, caller, services, form, data)


def _take_in(request: Request, caller: Caller, services: Services, form: Form, data: bytes) -> Response:
    sheet, is_dry = SHEETS.get(form.value("what")), form.value("mode") != "import"
    results: Sequence[RowResult] = ()
    if sheet is None:
        form.refuse("what", "form.choose")
    elif not data:
        form.refuse("file", "sheets.choose_file")
    else:
        try:
            rows = read_sheet(data, sheet.columns, needed=sheet.needed)
            results = sheet.take_in(services.database, rows, is_dry=is_dry, by=caller.actor, at=services.clock.now())
        except SheetUnreadable:
            form.refuse("file", "error.organisation.sheet_unreadable")
        except ColumnsMissing as error:
            form.refuse("file", "officers.columns_missing", columns=error.facts["columns"])
        except ColumnTwice as error:
            form.refuse("file", "sheets.column_twice", columns=error.facts["columns"])
    counts = {outcome.value: sum(1 for found in results if found.outcome is outcome) for outcome in Outcome}
    is_good = form.is_good and not (counts["bad"] and not is_dry)
    return _page(request, caller, form, status=200 if is_good else 422, results=results, counts=counts, is_dry=is_dry)


def _page(request: Request, caller: Caller, form: Form, *, status: int = 200, **outcome: Any) -> Response:
    return render(
        request,
        "sheets.html",
        caller=caller,
        status=status,
        form=form,
        kinds={name: [headings[0] for headings in sheet.columns.values()] for name, sheet in SHEETS.items()},
        needed={name: [sheet.columns[one][0] for one in sheet.needed] for name, sheet in SHEETS.items()},
        most_mib=MOST_BYTES // 1024 // 1024,
        here=_HERE,
        **{"results": None, **outcome},
    )

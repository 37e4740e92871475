"""Officers and units, for the administrator: the list, one officer, and sheets that are taken in and given out."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.access.callers import Caller
from archive.custody.accesses import record_access
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import BUREAU_ZONE
from archive.ledger.entries import EntryType, NewEntry
from archive.organisation.importing import (
    OFFICER_COLUMNS,
    OFFICER_NEEDED,
    UNIT_COLUMNS,
    UNIT_NEEDED,
    Outcome,
    RowResult,
    import_officers,
    import_units,
    officer_rows,
    split_categories,
    unit_sheet_rows,
)
from archive.organisation.listings import officers
from archive.organisation.officers import (
    MAX_CERTIFICATE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_REASON_CHARACTERS,
    AlreadySuspended,
    CertificateTaken,
    NotSuspended,
    OfficerFacts,
    may_act,
    record_officer,
    reinstate_officer,
    suspend_officer,
)
from archive.organisation.sheets import (
    MOST_BYTES,
    ColumnsMissing,
    SheetUnreadable,
    csv_sheet,
    parse_day,
    read_sheet,
    xlsx_sheet,
)
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.forms import Form, FormDep, declared_bytes
from archive.web.pages.guards import Administrator, OfficerIdPath
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services

router = APIRouter(prefix="/admin/officers", include_in_schema=False)

_HERE: Final = "/admin/officers"
_MOST_TEXT: Final = 500
_PAGE: Final = 100
_MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_SHEETS: Final[dict[str, Any]] = {
    "officers": (OFFICER_COLUMNS, OFFICER_NEEDED, import_officers, officer_rows),
    "units": (UNIT_COLUMNS, UNIT_NEEDED, import_units, unit_sheet_rows),
}


@router.get("")
def officers_page(
    request: Request,
    caller: Administrator,
    services: ServicesDep,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """List officers by certificate number."""
    return _page(request, caller, services, words=q, after=after)


@router.post("")
def officer_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Write an officer down, or change what is written of one: the certificate number decides."""
    form.panel = "officer"
    facts = _facts(form)
    if form.is_good and facts is not None:
        try:
            record_officer(services.database, facts, by=caller.actor, at=services.clock.now())
        except CertificateTaken:
            form.refuse("certificate_number", "error.access.certificate_taken")
        except InvalidInput:
            form.refuse("valid_until", "officers.ends_before")
        else:
            return go_to(f"{_HERE}?done=officer_recorded")
    return _page(request, caller, services, form=form, status=422)


@router.post("/{officer_id}/suspension")
def suspension_posted(
    request: Request, officer_id: OfficerIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Suspend a certificate."""
    form.panel = f"suspend-{officer_id}"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if not form.is_good:
        return _page(request, caller, services, form=form, status=422)
    try:
        suspend_officer(services.database, officer_id, reason=reason, by=caller.actor, at=services.clock.now())
    except AlreadySuspended:
        form.refuse("reason", "error.organisation.already_suspended")
        return _page(request, caller, services, form=form, status=409)
    return go_to(f"{_HERE}?done=officer_suspended")


@router.post("/{officer_id}/reinstatement")
def reinstatement_posted(
    request: Request, officer_id: OfficerIdPath, caller: Administrator, services: ServicesDep
) -> Response:
    """End a suspension."""
    try:
        reinstate_officer(services.database, officer_id, by=caller.actor, at=services.clock.now())
    except NotSuspended:
        form = Form({}, panel=f"suspend-{officer_id}")
        form.refuse("reason", "error.organisation.not_suspended")
        return _page(request, caller, services, form=form, status=409)
    return go_to(f"{_HERE}?done=officer_reinstated")


@router.get("/sheets/{what}.{ending}", dependencies=[by_account(Cost.HEAVY)])
def sheet_file(what: str, ending: str, caller: Administrator, services: ServicesDep) -> Response:
    """Give officers or units out as a sheet, which goes on record first."""
    if what not in _SHEETS or ending not in _MEDIA_TYPES:
        raise InvalidInput("There are sheets of officers and of units, as csv and xlsx")
    columns, _, _, rows_of = _SHEETS[what]
    with services.database.begin() as tx:
        entry = NewEntry(EntryType.ACCESS_LIST_EXPORTED, caller.actor, detail={"list": what, "form": ending})
        record_access(tx, entry, at=services.clock.now())
        rows = rows_of(tx)
    made = csv_sheet(columns, rows) if ending == "csv" else xlsx_sheet(columns, rows)
    headers = {"Content-Disposition": disposition("attachment", f"liuhen-{what}.{ending}"), "Cache-Control": "no-store"}
    return Response(made, media_type=_MEDIA_TYPES[ending], headers=headers)


@router.post("/sheets", dependencies=[by_account(Cost.HEAVY)])
async def sheet_posted(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Try a sheet, or take it in: everything or nothing."""
    declared_bytes(request, most=MOST_BYTES + 64 * 1024)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidInput("A form with a file is sent as multipart/form-data")
    async with request.form(max_files=1, max_fields=4, max_part_size=MOST_BYTES) as fields:
        values = {name: value for name, value in fields.multi_items() if isinstance(value, str)}
        file = fields.get("file")
        data = b"" if file is None or isinstance(file, str) else await file.read(MOST_BYTES + 1)
    return await run_in_threadpool(_take_in, request, caller, services, values, data)


def _take_in(request: Request, caller: Caller, services: Services, values: dict[str, str], data: bytes) -> Response:
    form = Form(values, panel="sheet")
    what, is_dry = form.value("what"), form.value("mode") != "import"
    results: list[RowResult] = []
    if what not in _SHEETS:
        form.refuse("what", "form.choose")
    elif not data:
        form.refuse("file", "form.choose_file")
    else:
        columns, needed, take_in, _ = _SHEETS[what]
        try:
            rows = read_sheet(data, columns, needed=needed)
            results = list(
                take_in(services.database, rows, is_dry=is_dry, by=caller.actor, at=services.clock.now())
            )  # fmt: skip
        except SheetUnreadable:
            form.refuse("file", "error.organisation.sheet_unreadable")
        except ColumnsMissing as error:
            form.refuse("file", "officers.columns_missing", columns=error.facts["columns"])
    counts = {outcome.value: sum(1 for found in results if found.outcome is outcome) for outcome in Outcome}
    is_taken = bool(results) and not is_dry and not counts["bad"]
    return _page(
        request,
        caller,
        services,
        form=form,
        status=200 if form.is_good and not (counts["bad"] and not is_dry) else 422,
        results=results,
        counts=counts,
        is_taken=is_taken,
    )


def _facts(form: Form) -> OfficerFacts | None:
    days: dict[str, date | None] = {}
    for name in ("valid_from", "valid_until"):
        try:
            days[name] = parse_day(form.value(name))
        except InvalidInput:
            form.refuse(name, "officers.no_day")
    number = form.text("certificate_number", most=MAX_CERTIFICATE_CHARACTERS)
    name = form.text("name", most=MAX_NAME_CHARACTERS)
    agency = form.text("agency", most=MAX_NAME_CHARACTERS)
    if not form.is_good:
        return None
    return OfficerFacts(
        certificate_number=number,
        name=name,
        agency=agency,
        unit=form.value("unit").strip()[:MAX_NAME_CHARACTERS],
        categories=split_categories(form.value("categories")[:_MOST_TEXT]),
        area=form.value("area").strip()[:MAX_NAME_CHARACTERS] or None,
        **days,
    )


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    words: str = "",
    after: str = "",
    form: Form | None = None,
    status: int = 200,
    results: list[RowResult] | None = None,
    counts: dict[str, int] | None = None,
    is_taken: bool = False,
) -> Response:
    with services.database.read() as tx:
        found = officers(tx, words=words, after=after, limit=_PAGE + 1)
    today = services.clock.now().astimezone(BUREAU_ZONE).date()
    shown = found[:_PAGE]
    return render(
        request,
        "_officer_rows.html" if is_fragment(request) and request.method == "GET" else "officers.html",
        caller=caller,
        status=status,
        form=form,
        words=words,
        officers=shown,
        after=shown[-1].officer.certificate_number if len(found) > _PAGE else None,
        valid={row.officer.id: may_act(row.officer, today) for row in shown},
        results=results,
        counts=counts,
        is_taken=is_taken,
        most_mib=MOST_BYTES // 1024 // 1024,
        here=_HERE,
    )

"""The case file of a case: its volumes, what stops closing them, what was put elsewhere, what is closed."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.cases.closing import CaseClosedAlready, ClosingDayImpossible, close_case
from archive.cases.filing import require_case
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.ids import CaseId, ObjectId, VolumeId, parse_uuid
from archive.volumes.arranging import sections_of
from archive.volumes.checking import ask_for_check, is_being_checked
from archive.volumes.closing import MAX_INSPECTOR_CHARACTERS, MAX_REMARKS_CHARACTERS, Closing
from archive.volumes.extending import extended
from archive.volumes.listings import checks_of, is_late, lines_of, take_sheet, waiting_state
from archive.volumes.moving import (
    MAX_REASON_CHARACTERS,
    NoPlaceThere,
    NothingToOpen,
    PaperNotThere,
    VolumeBeingClosed,
    move_paper,
    open_volume,
)
from archive.volumes.rules import VolumeKind
from archive.volumes.sheets import SHEETS, pages_words
from archive.volumes.standing import VolumeNotFound, case_file, closed_volume
from archive.volumes.terms import Move
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import CaseIdPath, Filer, Reader, Verifier, VolumeIdPath
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services

router = APIRouter(prefix="/cases/{case_id}/file", include_in_schema=False)

_TYPES: Final[Mapping[str, str]] = {
    **{f"{name}.pdf": "application/pdf" for name in SHEETS},
    "index.json": "application/json",
    "index.p7s": "application/pkcs7-signature",
    "index.seal.p7s": "application/pkcs7-signature",
}
"""What of a closed volume can be fetched: what its catalogue says, and who signed for it."""


@router.get("")
def case_file_page(request: Request, case_id: CaseIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show the case file of a case."""
    return _show(request, case_id, caller, services)


@router.post("/case")
def case_closed(request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """Write down on which day the case was closed."""
    form.panel = "case"
    on = form.day("on", required=True)
    if form.is_good and on is not None:
        try:
            close_case(services.database, case_id, on=on, by=caller.actor, at=services.clock.now())
        except ClosingDayImpossible:
            form.refuse("on", "error.cases.closing_day_impossible")
        except CaseClosedAlready:
            form.refuse("on", "error.cases.closed_already")
        else:
            return _done(case_id, "case_closed")
    return _show(request, case_id, caller, services, form=form, status=422)


@router.post("/places")
def paper_moved(request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """Put a paper elsewhere."""
    kind = form.choice("kind", VolumeKind)
    form.panel = f"move-{kind.value}"
    object_id = _object_in(form)
    move, reason = form.choice("move", Move), form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good and object_id is not None:
        try:
            move_paper(
                services.database,
                services.case_files.rules,
                case_id,
                object_id,
                move,
                reason=reason,
                by=caller.actor,
                at=services.clock.now(),
            )
        except PaperNotThere:
            form.refuse("object_id", "error.volumes.paper_not_there")
        except (NoPlaceThere, VolumeBeingClosed) as exc:
            form.refuse("move", f"error.{exc.code}")
        else:
            return _done(case_id, "paper_moved")
    return _show(request, case_id, caller, services, form=form, status=422)


@router.post("/openings")
def volume_opened(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Open the next volume for what came after the last one was closed."""
    kind = form.choice("kind", VolumeKind)
    form.panel = f"open-{kind.value}"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        try:
            open_volume(
                services.database,
                services.case_files.rules,
                case_id,
                kind,
                reason=reason,
                by=caller.actor,
                at=services.clock.now(),
            )
        except NothingToOpen:
            form.refuse("reason", "error.volumes.nothing_to_open")
        else:
            return _done(case_id, "volume_opened")
    return _show(request, case_id, caller, services, form=form, status=422)


@router.post("/volumes", dependencies=[by_account(Cost.HEAVY)])
def volume_closed(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Close a volume for good."""
    kind = form.choice("kind", VolumeKind)
    form.panel = f"close-{kind.value}"
    inspector = form.text("inspector", most=MAX_INSPECTOR_CHARACTERS)
    remarks = form.lines("remarks", most=MAX_REMARKS_CHARACTERS) if form.value("remarks").strip() else ""
    if form.is_good:
        with services.database.read() as tx:  # what closes volumes sees every paper; whoever asks sees the case
            require_case(tx, case_id)
        try:
            services.case_files.closer.close_volume(case_id, kind, Closing(inspector, remarks), by=caller.actor)
        except LiuhenError as exc:
            if not reader_texts(request).has(f"error.{exc.code}"):
                raise
            form.refuse("inspector", f"error.{exc.code}")
        else:
            return _done(case_id, "volume_closed")
    return _show(request, case_id, caller, services, form=form, status=422)


@router.get("/volumes/{volume_id}/{name}")
def volume_file(
    case_id: CaseIdPath, volume_id: VolumeIdPath, name: str, caller: Reader, services: ServicesDep
) -> Response:
    """Return a sheet, the index or a signature of a closed volume, byte for byte; or the report of a check."""
    with services.database.read() as tx:
        row = closed_volume(tx, volume_id)
        reports = {f"check-{check.number}.pdf": check.path for check in checks_of(tx, [volume_id]).get(volume_id, ())}
    path = reports.get(name) or (f"original/{name}" if name in _TYPES else None)
    if row.case_id != case_id or path is None or row.object_id is None:
        raise VolumeNotFound(volume_id=volume_id)
    take_sheet(services.database, case_id, volume_id, name, by=caller.actor, at=services.clock.now())
    with services.objects.open_file(ObjectId(row.object_id), path) as source:
        content = source.read()
    headers = {
        "Content-Disposition": disposition("attachment", f"{row.file_number}-{row.kind}-{name}"),
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=_TYPES.get(name, "application/pdf"), headers=headers)


@router.post("/volumes/{volume_id}/checks", dependencies=[by_account(Cost.HEAVY)])
def check_asked(case_id: CaseIdPath, volume_id: VolumeIdPath, caller: Verifier, services: ServicesDep) -> Response:
    """Have a closed volume checked in its four natures."""
    with services.database.read() as tx:
        if closed_volume(tx, volume_id).case_id != case_id:
            raise VolumeNotFound(volume_id=volume_id)
    ask_for_check(services.database, volume_id, by=caller.actor, at=services.clock.now())
    return _done(case_id, "check_asked")


def _done(case_id: CaseId, what: str) -> Response:
    return go_to(f"/cases/{case_id}/file?done={what}")


def _object_in(form: Form) -> ObjectId | None:
    try:
        return ObjectId(parse_uuid(form.value("object_id")))
    except InvalidInput:
        form.refuse("object_id", "form.choose")
        return None


def _show(
    request: Request,
    case_id: CaseId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    at, rules = services.clock.now(), services.case_files.rules
    with services.database.read() as tx:
        file = case_file(tx, rules, case_id, guards=services.case_files.closer.guards, at=at)
        ids = [VolumeId(row.id) for row in file.closed]
        people = {row.closed_by for row in file.closed if row.closed_by is not None}
        context: dict[str, Any] = {
            "names": actor_names(tx, people, texts=reader_texts(request)),
            "checks": checks_of(tx, ids),
            "busy": {volume_id for volume_id in ids if is_being_checked(tx, volume_id)},
            "extensions": {volume_id: extended(tx, volume_id) for volume_id in ids},
            "lines": {volume_id: lines_of(tx, volume_id) for volume_id in ids},
        }
    return render(
        request,
        "case_file.html",
        caller=caller,
        status=status,
        form=form,
        file=file,
        words={kind.value: rules.words[kind] for kind in VolumeKind},
        state=None if file.file_by is None else waiting_state(file.file_by, at),
        is_late=is_late,
        sections_of=sections_of,
        pages_words=pages_words,
        sheets=SHEETS,
        moves=list(Move),
        today=at,
        most_reason=MAX_REASON_CHARACTERS,
        most_remarks=MAX_REMARKS_CHARACTERS,
        most_inspector=MAX_INSPECTOR_CHARACTERS,
        here=f"/cases/{case_id}/file",
        **context,
    )

"""An evidence item and a text record: all that is known, seeing and copying under a grant."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.classes import RestrictedClass, classes_in
from archive.cases.filing import MAX_NUMBER_CHARACTERS, AlreadyLinked, case_by_number, link_object
from archive.cases.listings import cases_of
from archive.custody.events import ObjectNotFound, preserved_object
from archive.custody.models import PreservedObject
from archive.documents.listings import text_record
from archive.evidence.items import evidence_item
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, GrantId, ObjectId
from archive.retrieval.decisions import admission_to, case_numbers
from archive.retrieval.grants import Purpose, active_grant, grant_access
from archive.retrieval.rules import Decision, GrantKind
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.axis import recording_context
from archive.web.pages.content import disposition
from archive.web.pages.contents import contents_of, shown_contents
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Filer, ObjectIdPath, Reader, UploadIdPath, Verifier, Viewer, grant_id_in_path
from archive.web.pages.keeping import keeping_of_object
from archive.web.pages.people import actor_names
from archive.web.pages.progress import preparation
from archive.web.pages.purposes import given_purpose, retrieval_context
from archive.web.pages.record_history import history_context
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.web.pages.retention import retention_of
from archive.web.pages.strip import device_facts, strip_of
from archive.web.pages.tombstones import if_destroyed
from archive.web.pages.trail import object_trail
from archive.web.pages.versions import versions_of
from archive.wiring import Services
from ingest.listings import receptions
from ingest.media.allowed import Kind
from ingest.media.facts import Probe
from ingest.receipts import receipt

router = APIRouter(include_in_schema=False)

_USUAL_RATE: Final = Fraction(25)


@router.get("/items/{object_id}")
def item_page(
    request: Request,
    object_id: ObjectIdPath,
    caller: Reader,
    services: ServicesDep,
    grant: Annotated[str | None, Query(max_length=36)] = None,
) -> Response:
    """Show an item, and what a grant that was just given shows."""
    if (gone := if_destroyed(services, object_id)) is not None:
        return gone
    grant_id = None if grant is None else grant_id_in_path(grant)
    return show_item(request, object_id, caller, services, grant_id=grant_id)


@router.get("/items/{object_id}/stage")
def stage_part(request: Request, object_id: ObjectIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show how far an item is; with the answer that it is ready, the facts beside it are renewed too."""
    with services.database.read() as tx:
        context = _item_context(request, tx, services, object_id, caller)
    is_over = context["preparation"] is None
    headers = {"HX-Trigger": "trail-changed"} if is_over else None
    return render(request, "_stage_update.html", caller=caller, headers=headers, **context)


@router.post("/items/{object_id}/play")
def play_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Grant the sight of an item for a purpose, and show the player."""
    form.panel = "play"
    with services.database.read() as tx:
        _require_playable(tx, object_id)
    grant_id = _granted(form, object_id, GrantKind.VIEW, caller, services)
    if grant_id is None:
        return show_item(request, object_id, caller, services, form=form, status=422, part="_stage.html")
    return show_item(request, object_id, caller, services, grant_id=grant_id, part="_stage.html")


@router.post("/items/{object_id}/export", dependencies=[by_account(Cost.HEAVY)])
def item_export_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Grant a copy of the original for a purpose, and send it."""
    form.panel = "export"
    with services.database.read() as tx:
        evidence_item(tx, object_id)
    grant_id = _granted(form, object_id, GrantKind.EXPORT, caller, services)
    if grant_id is None:
        return show_item(request, object_id, caller, services, form=form, status=422)
    return go_to(f"/content/{grant_id}/original")


@router.post("/items/{object_id}/links")
def item_link_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """File an item under the case with a number."""
    form.panel = "link"
    number = form.text("number", most=MAX_NUMBER_CHARACTERS)
    reason = form.text("reason", most=500)
    if form.is_good:
        with services.database.read() as tx:
            evidence_item(tx, object_id)
            case = case_by_number(tx, number)
        if case is None:
            form.refuse("number", "form.no_such_case")
        else:
            try:
                link_object(
                    services.database,
                    CaseId(case.id),
                    object_id,
                    act_id=None,
                    reason=reason,
                    by=caller.actor,
                    at=services.clock.now(),
                )
            except AlreadyLinked:
                form.refuse("number", "error.cases.already_linked")
            else:
                return go_to(f"/items/{object_id}?done=linked")
    return show_item(request, object_id, caller, services, form=form, status=422)


@router.get("/items/{object_id}/receipts/{upload_id}")
def receipt_file(object_id: ObjectIdPath, upload_id: UploadIdPath, caller: Verifier, services: ServicesDep) -> Response:
    """Return the receipt that a dock was given for this item."""
    del caller
    with services.database.read() as tx:
        found = next((row for row in receptions(tx, object_id) if row.upload.id == upload_id), None)
    sent = None if found is None else found.upload
    signed = (
        None if sent is None else receipt(services.intake, upload_id, dock_id=sent.dock_id, sender_id=sent.sender_id)
    )
    if signed is None:
        raise ObjectNotFound
    headers = {
        "Content-Disposition": disposition("attachment", f"liuhen-{upload_id}.receipt.json"),
        "Cache-Control": "no-store",
    }
    return Response(signed, media_type="application/json", headers=headers)


@router.get("/records/{object_id}")
def record_page(request: Request, object_id: ObjectIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show a text record."""
    if (gone := if_destroyed(services, object_id)) is not None:
        return gone
    return show_record(request, object_id, caller, services)


@router.post("/records/{object_id}/open")
def record_open_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Grant the sight of a text record for a purpose, and show it."""
    form.panel = "open"
    with services.database.read() as tx:
        text_record(tx, object_id)
    grant_id = _granted(form, object_id, GrantKind.VIEW, caller, services)
    if grant_id is None:
        return show_record(request, object_id, caller, services, form=form, status=422)
    return go_to(f"/content/{grant_id}/document")


@router.post("/records/{object_id}/export", dependencies=[by_account(Cost.HEAVY)])
def record_export_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Grant a copy of a text record for a purpose, and send it."""
    return _copied(request, object_id, form, caller, services, kind=GrantKind.EXPORT, part="original")


@router.post("/records/{object_id}/print")
def record_print_posted(
    request: Request, object_id: ObjectIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Grant a print of a text record for a purpose, and show what is printed."""
    return _copied(request, object_id, form, caller, services, kind=GrantKind.PRINT, part="print")


def _copied(
    request: Request, object_id: ObjectId, form: Form, caller: Caller, services: Services, *, kind: GrantKind, part: str
) -> Response:
    form.panel = kind.value
    with services.database.read() as tx:
        text_record(tx, object_id)
    grant_id = _granted(form, object_id, kind, caller, services)
    if grant_id is None:
        return show_record(request, object_id, caller, services, form=form, status=422)
    return go_to(f"/content/{grant_id}/{part}")


def _granted(form: Form, object_id: ObjectId, kind: GrantKind, caller: Caller, services: Services) -> GrantId | None:
    rules, at = services.retrievals.rules, services.clock.now()
    with services.database.read() as tx:
        row = preserved_object(tx, object_id)
        is_asked = admission_to(tx, row, kind, by=caller, rules=rules, at=at).decision is Decision.AT_ONCE
        purpose = given_purpose(form, case_numbers(tx, object_id)) if is_asked else Purpose("", "")
    if not form.is_good:
        return None
    return grant_access(services.database, object_id, kind=kind, purpose=purpose, by=caller, rules=rules, at=at)


def _require_playable(tx: Session, object_id: ObjectId) -> None:
    state = evidence_item(tx, object_id).item.play_state
    if state == "pending" and preparation(tx, object_id).is_watchable:
        return
    if state not in {"playable", "damaged"}:
        raise ObjectNotFound


def show_item(
    request: Request,
    object_id: ObjectId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    grant_id: GrantId | None = None,
    status: int = 200,
    part: str | None = None,
) -> Response:
    """Show an item with its form's faults, or with what a grant shows."""
    with services.database.read() as tx:
        context = _item_context(request, tx, services, object_id, caller)
        grant = None if grant_id is None else active_grant(tx, grant_id, by=caller, at=services.clock.now())
        if grant is not None and context["view"].item.kind in {Kind.DOCUMENT, Kind.ARCHIVE}:
            context["shown"] = shown_contents(tx, context["view"])
        elif grant is not None:
            context["strip"] = strip_of(tx, context["view"])
            context["versions"] = versions_of(tx, context["view"], services.workshop.proxies)
    as_part = part is not None and is_fragment(request)
    return render(
        request,
        part if as_part and part is not None else "item.html",
        caller=caller,
        status=status,
        headers={"HX-Trigger": "trail-changed"} if as_part and grant is not None else None,
        form=form,
        **{**context, "grant": grant, "here": f"/items/{object_id}"},
    )


def _item_context(
    request: Request, tx: Session, services: Services, object_id: ObjectId, caller: Caller
) -> dict[str, Any]:
    texts = reader_texts(request)
    view = evidence_item(tx, object_id)
    cases, probe = cases_of(tx, object_id), _probe(view.item.probe)
    facts, place = device_facts(tx, object_id)
    return {
        "view": view,
        "original": view.original,
        **_classes(view.original),
        "cases": cases,
        "section": "cases" if cases else "unlinked",
        "store_lock": services.worm.standing(tx),
        "retention": retention_of(tx, object_id, caller, services),
        "trail": object_trail(tx, object_id, texts=texts),
        **keeping_of_object(tx, object_id),
        "receptions": receptions(tx, object_id),
        **recording_context(tx, object_id),
        "preparation": preparation(tx, object_id) if view.item.play_state == "pending" else None,
        "probe": probe,
        "frame_rate": _frame_rate(probe),
        "contents": contents_of(tx, object_id),
        "device_facts": facts,
        "place": place,
        "strip": None,
        "shown": None,
        **retrieval_context(tx, view.original, (GrantKind.VIEW, GrantKind.EXPORT), caller, services, texts=texts),
        "printed_at": services.clock.now(),
        "grant": None,
        "versions": None,
    }


def show_record(
    request: Request,
    object_id: ObjectId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    """Show a text record with its form's faults."""
    texts = reader_texts(request)
    with services.database.read() as tx:
        view = text_record(tx, object_id)
        context: Mapping[str, Any] = {
            "view": view,
            "original": view.original,
            **_classes(view.original),
            "cases": cases_of(tx, object_id),
            "store_lock": services.worm.standing(tx),
            "retention": retention_of(tx, object_id, caller, services),
            "trail": object_trail(tx, object_id, texts=texts),
            **keeping_of_object(tx, object_id),
            "filed_by": actor_names(tx, [view.record.filed_by], texts=texts)[view.record.filed_by],
            **retrieval_context(tx, view.original, tuple(GrantKind), caller, services, texts=texts),
            **history_context(tx, object_id, texts=texts),
            "printed_at": services.clock.now(),
            "here": f"/records/{object_id}",
        }
    return render(request, "record.html", caller=caller, status=status, form=form, **context)


def _classes(original: PreservedObject) -> dict[str, Any]:
    return {"classes": classes_in(original.classes), "restricted_classes": list(RestrictedClass)}


def _probe(value: dict[str, Any] | None) -> Probe | None:
    try:
        return None if value is None else Probe.from_json(value)
    except InvalidInput:  # written by another version: the page does without
        return None


def _frame_rate(probe: Probe | None) -> float:
    rate = probe.video.rate if probe is not None and probe.video is not None else Fraction(0)
    return float(rate if rate > 0 else _USUAL_RATE)

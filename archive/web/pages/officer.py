"""One officer, for the administrator: certificate, portrait, training and examinations, account, history."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.access.callers import Caller
from archive.access.listings import account_of_officer
from archive.db.database import unique_or
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import OfficerId, OfficerRecordId, parse_uuid
from archive.kernel.instants import BUREAU_ZONE
from archive.organisation.listings import unit_names
from archive.organisation.models import Officer
from archive.organisation.officers import (
    MAX_CERTIFICATE_CHARACTERS,
    MAX_REASON_CHARACTERS,
    AlreadySuspended,
    CertificateTaken,
    NotSuspended,
    OfficerNotFound,
    change_officer,
    may_act,
    reinstate_officer,
    suspend_officer,
)
from archive.organisation.photos import photo_digest, photo_of, remove_photo, set_photo
from archive.organisation.records import (
    MAX_SUBJECT_CHARACTERS,
    MOST_HOURS_TENTHS,
    MOST_SCORE_TENTHS,
    NumberUnreadable,
    RecordFacts,
    RecordInFuture,
    RecordKind,
    RecordResult,
    RecordThere,
    RecordWithdrawn,
    TrainingNeedsHours,
    add_record,
    hours_trained,
    parse_tenths,
    records_of,
    tenths_text,
    withdraw_record,
)
from archive.organisation.staff_events import history_of
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep, read_file
from archive.web.pages.guards import Administrator, OfficerIdPath, OfficerRecordIdPath
from archive.web.pages.officers import given_officer
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services
from ingest.media.errors import MediaError
from ingest.media.portraits import MOST_BYTES, PortraitUnusable, make_portrait

router = APIRouter(prefix="/admin/officers/{officer_id}", include_in_schema=False)

_LIST: Final = "/admin/officers"


def _known(officer_id: OfficerIdPath, services: ServicesDep) -> OfficerId:
    """Return the officer of the address. Raises: OfficerNotFound."""
    with services.database.read() as tx:
        if tx.get(Officer, officer_id) is None:
            raise OfficerNotFound(officer_id=officer_id)
    return officer_id


Known = Annotated[OfficerId, Depends(_known)]


@router.get("")
def officer_page(request: Request, caller: Administrator, officer_id: Known, services: ServicesDep) -> Response:
    """Show an officer."""
    return _show(request, officer_id, caller, services)


@router.post("/changes")
def changes_posted(
    request: Request, caller: Administrator, officer_id: Known, form: FormDep, services: ServicesDep
) -> Response:
    """Change what is written of the officer."""
    form.panel = "officer"
    facts = given_officer(form)
    if form.is_good and facts is not None:
        try:
            with unique_or(CertificateTaken), services.database.begin() as tx:
                change_officer(tx, officer_id, facts, by=caller.actor, at=services.clock.now())
        except CertificateTaken:
            form.refuse("certificate_number", "error.access.certificate_taken")
        except InvalidInput:
            form.refuse("valid_until", "officers.ends_before")
        else:
            return go_to(f"{_LIST}/{officer_id}?done=officer_recorded")
    return _show(request, officer_id, caller, services, form=form, status=422)


@router.post("/suspension")
def suspension_posted(
    request: Request, caller: Administrator, officer_id: Known, form: FormDep, services: ServicesDep
) -> Response:
    """Suspend the certificate."""
    form.panel = "suspend"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        try:
            suspend_officer(services.database, officer_id, reason=reason, by=caller.actor, at=services.clock.now())
        except AlreadySuspended:
            form.refuse("reason", "error.organisation.already_suspended")
        else:
            return go_to(f"{_LIST}/{officer_id}?done=officer_suspended")
    return _show(request, officer_id, caller, services, form=form, status=422)


@router.post("/reinstatement")
def reinstatement_posted(request: Request, caller: Administrator, officer_id: Known, services: ServicesDep) -> Response:
    """End the suspension."""
    try:
        reinstate_officer(services.database, officer_id, by=caller.actor, at=services.clock.now())
    except NotSuspended:
        form = Form({}, panel="suspend")
        form.refuse("reason", "error.organisation.not_suspended")
        return _show(request, officer_id, caller, services, form=form, status=409)
    return go_to(f"{_LIST}/{officer_id}?done=officer_reinstated")


@router.get("/photo")
def photo_file(caller: Administrator, officer_id: Known, services: ServicesDep) -> Response:
    """Give the portrait out. Raises: PhotoNotFound."""
    del caller
    with services.database.read() as tx:
        jpeg = photo_of(tx, services.identifiers, officer_id)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.post("/photo")
async def photo_posted(request: Request, caller: Administrator, officer_id: Known, services: ServicesDep) -> Response:
    """Make a portrait of a picture, and keep it in place of the one before."""
    form, data = await read_file(request, panel="photo", most=MOST_BYTES)
    return await run_in_threadpool(_keep_photo, request, caller, officer_id, services, form, data)


@router.post("/photo/removal")
def photo_removed(caller: Administrator, officer_id: Known, services: ServicesDep) -> Response:
    """Remove the portrait. Raises: PhotoNotFound."""
    remove_photo(services.database, officer_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_LIST}/{officer_id}?done=photo_removed")


@router.post("/records")
def record_posted(
    request: Request, caller: Administrator, officer_id: Known, form: FormDep, services: ServicesDep
) -> Response:
    """Write a training or an examination down, in place of another one where the form names it."""
    replaces = _replaced(form)
    form.panel = "record" if replaces is None else f"record-{replaces}"
    facts = _given_record(form)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS) if replaces is not None else ""
    if form.is_good and facts is not None:
        try:
            add_record(
                services.database,
                officer_id,
                facts,
                replaces=replaces,
                reason=reason,
                by=caller.actor,
                at=services.clock.now(),
            )
        except TrainingNeedsHours:
            form.refuse("hours" if facts.kind is RecordKind.TRAINING else "result", "form.required")
        except RecordInFuture:
            form.refuse("held_on", "error.organisation.record_in_future")
        except (RecordThere, RecordWithdrawn) as error:
            form.refuse("subject", f"error.{error.code}")
        except InvalidInput:
            form.refuse("valid_until", "training.ends_before")
        else:
            return go_to(f"{_LIST}/{officer_id}?done=record_added#records")
    return _show(request, officer_id, caller, services, form=form, status=422)


@router.post("/records/{training_id}/withdrawal")
def record_withdrawn(
    request: Request,
    caller: Administrator,
    officer_id: Known,
    training_id: OfficerRecordIdPath,
    form: FormDep,
    services: ServicesDep,
) -> Response:
    """Withdraw a training or an examination."""
    form.panel = f"withdraw-{training_id}"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        try:
            withdraw_record(
                services.database, officer_id, training_id, reason=reason, by=caller.actor, at=services.clock.now()
            )
        except RecordWithdrawn:
            form.refuse("reason", "error.organisation.record_withdrawn")
        else:
            return go_to(f"{_LIST}/{officer_id}?done=record_withdrawn#records")
    return _show(request, officer_id, caller, services, form=form, status=422)


def _keep_photo(
    request: Request, caller: Caller, officer_id: OfficerId, services: Services, form: Form, data: bytes
) -> Response:
    status = 422
    try:
        jpeg = make_portrait(data, toolbox=services.workshop.toolbox(), work=services.workshop.work)
        set_photo(services.database, services.identifiers, officer_id, jpeg, by=caller.actor, at=services.clock.now())
        return go_to(f"{_LIST}/{officer_id}?done=photo_set")
    except PortraitUnusable:
        form.refuse("file", "error.ingest.portrait_unusable")
    except MediaError:
        form.refuse("file", "photo.not_now")
        status = 503
    return _show(request, officer_id, caller, services, form=form, status=status)


def _replaced(form: Form) -> OfficerRecordId | None:
    text = form.value("replaces")
    try:
        return OfficerRecordId(parse_uuid(text)) if text else None
    except InvalidInput as exc:
        raise NotFound from exc


def _given_record(form: Form) -> RecordFacts | None:
    kind = form.choice("kind", RecordKind)
    subject = form.text("subject", most=MAX_SUBJECT_CHARACTERS)
    held_on = form.day("held_on", required=True)
    result = form.choice("result", RecordResult) if form.value("result") else None
    hours, score = _tenths(form, "hours", MOST_HOURS_TENTHS), _tenths(form, "score", MOST_SCORE_TENTHS)
    organiser = form.short("organiser", most=MAX_SUBJECT_CHARACTERS)
    number = form.short("number", most=MAX_CERTIFICATE_CHARACTERS)
    valid_until = form.day("valid_until")
    if not form.is_good or held_on is None:
        return None
    return RecordFacts(kind, subject, held_on, hours, score, result, organiser, number, valid_until)


def _tenths(form: Form, name: str, most: int) -> int | None:
    try:
        return parse_tenths(form.value(name), most=most)
    except NumberUnreadable:
        form.refuse(name, "error.organisation.number_unreadable")
        return None


def _show(
    request: Request,
    officer_id: OfficerId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts, today = reader_texts(request), services.clock.now().astimezone(BUREAU_ZONE).date()
    with services.database.read() as tx:
        officer = tx.get_one(Officer, officer_id)
        records, history = records_of(tx, officer_id), history_of(tx, officer_id)
        context: dict[str, Any] = {
            "unit_name": None if officer.unit_id is None else unit_names(tx, [officer.unit_id]).get(officer.unit_id),
            "photo": photo_digest(tx, officer_id),
            "account": account_of_officer(tx, officer_id),
            "names": actor_names(tx, {line.event.actor_id for line in history}, texts=texts),
            "hours": hours_trained(tx, [officer_id], year=today.year).get(officer_id, 0),
        }
    return render(
        request,
        "officer.html",
        caller=caller,
        status=status,
        form=form,
        officer=officer,
        is_valid=may_act(officer, today),
        is_over=_is_over(officer, today),
        records=records,
        replaced={row.replaces_id for row in records if row.replaces_id is not None},
        history=history,
        rule=services.rules.training,
        today=today,
        year=today.year,
        kinds=list(RecordKind),
        results=list(RecordResult),
        tenths=tenths_text,
        most_mib=MOST_BYTES // 1024 // 1024,
        here=f"{_LIST}/{officer_id}",
        **context,
    )


def _is_over(officer: Officer, today: date) -> bool:
    return officer.valid_until is not None and officer.valid_until < today

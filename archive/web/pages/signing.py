"""Signing a set text record: officers with their keys, parties by hand or refusing, the agency with its seal."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.access.callers import Caller
from archive.cases import listings
from archive.cases.listings import CaseView
from archive.cases.sealing import SealMissing, seal_record
from archive.documents.desk import read_pdf
from archive.documents.drafts import DraftEnded, DraftState, draft, values_of
from archive.documents.looks import copy_draft, look_at_draft
from archive.documents.models import DraftPdf
from archive.documents.signatures import SignedMeanwhile, Signing, StepNotDue, signing_of
from archive.documents.signers import (
    NotYourCertificate,
    OfficerNotNamed,
    RefusalNotForeseen,
    SameSigner,
    sign_as_officer,
    sign_by_hand,
)
from archive.documents.steps import SignedBy, Step
from archive.documents.template import Template
from archive.documents.template_fields import PersonField, SubjectField
from archive.documents.template_texts import template_of
from archive.kernel.errors import NotFound
from archive.kernel.ids import CaseId, DraftId
from archive.trust.certificates import CertificateEnded, CertificateNotFound
from archive.web.dependencies import ServicesDep
from archive.web.i18n import Language
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.filing import file_complete
from archive.web.pages.forms import Form, FormDep, read_fields, read_file
from archive.web.pages.guards import DraftIdPath, HiddenSealer, HiddenViewer, HiddenWriter
from archive.web.pages.people import actor_names
from archive.web.pages.record_pictures import Pictures, draw_page
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services, key_parts
from signing import document_keys, pkcs12
from signing.hand_signatures import MOST_TEXT_CHARS, HandSignature, HandSignatureRefused, Point, Refusal

router = APIRouter(prefix="/drafts/{draft_id}", include_in_schema=False)

_MOST_STROKES_BYTES: Final = 4 * 1024 * 1024
_MOST_NAME: Final = 100
_PICTURES: Final = Pictures()
_OF_FILE: Final = (
    pkcs12.Pkcs12Damaged,
    pkcs12.Pkcs12TooCostly,
    pkcs12.Pkcs12HasNoKey,
    pkcs12.Pkcs12HasNoCertificate,
    document_keys.KeyNotOfCertificate,
    document_keys.KeyKindRefused,
    document_keys.CertificateExpired,
    document_keys.CertificateNotYetValid,
    document_keys.CertificateNotForDocuments,
    document_keys.CertificateUnreadable,
    CertificateNotFound,
    CertificateEnded,
    NotYourCertificate,
    OfficerNotNamed,
    SameSigner,
)
"""What is wrong with the file that an officer chose."""
_PASSED: Final = (StepNotDue, SignedMeanwhile, DraftEnded)
"""What happens when somebody else was quicker."""


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step as the page shows it: what it waits for, or who has made it and when."""

    step: Step
    state: str
    pdf: DraftPdf | None
    party: str


@router.post("/signatures/{place}", dependencies=[by_account(Cost.HEAVY)])
async def signature_posted(
    request: Request, draft_id: DraftIdPath, place: str, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Sign as the officer that the caller is, with the key in the file that is posted and not kept."""
    form, file = await read_file(request, panel=f"sign-{place}", most=pkcs12.MOST_PKCS12_BYTES)
    return await run_in_threadpool(_sign, request, draft_id, place, form, file, caller, services)


def _sign(
    request: Request, draft_id: DraftId, place: str, form: Form, file: bytes, caller: Caller, services: Services
) -> Response:
    _require_seen(services, draft_id)
    if not file:
        form.refuse("file", "form.choose_file")
    if caller.officer_id is None:
        form.refuse("file", "signing.no_officer")
    if not form.is_good or caller.officer_id is None:
        return show_signing(request, draft_id, caller, services, form=form, status=422)
    completes = False
    try:
        key = pkcs12.open_pkcs12(file, passphrase=form.value("passphrase"), at=services.clock.now())
        completes = sign_as_officer(
            services.seals.room, draft_id, place, key, officer_id=caller.officer_id, by=caller.actor
        )
    except pkcs12.Pkcs12WrongPassphrase as exc:
        form.refuse("passphrase", f"error.{exc.code}")
    except _OF_FILE as exc:
        form.refuse("file", f"error.{exc.code}")
    except _PASSED as exc:
        form.refuse("place", f"error.{exc.code}")
    return _after(request, draft_id, form, caller, services, completes=completes)


@router.post("/hands/{place}")
async def hand_posted(
    request: Request, draft_id: DraftIdPath, place: str, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Seal in what a party has written by hand, after reading every page."""
    values, _ = await read_fields(request, most_bytes=_MOST_STROKES_BYTES)
    form = Form(values, panel=f"hand-{place}")
    return await run_in_threadpool(_hand, request, draft_id, place, form, caller, services)


def _hand(request: Request, draft_id: DraftId, place: str, form: Form, caller: Caller, services: Services) -> Response:
    _require_seen(services, draft_id)
    party = form.text("party", most=_MOST_NAME)
    if form.value("has_read") != "yes":
        form.refuse("has_read", "signing.must_read")
    if not form.value("strokes"):
        form.refuse("strokes", "signing.must_write")
    if not form.is_good:
        return show_signing(request, draft_id, caller, services, form=form, status=422)
    with services.database.read() as tx:
        pages = draft(tx, draft_id).pages
    written = functools.partial(_strokes, party, form.value("strokes"))
    return _by_hand(request, draft_id, place, form, caller, services, written, pages_read=pages)


@router.post("/refusals/{place}")
async def refusal_posted(
    request: Request, draft_id: DraftIdPath, place: str, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Seal in that a party refused to sign: why, who saw it, and which recording shows it."""
    values, _ = await read_fields(request)
    form = Form(values, panel=f"refuse-{place}")
    return await run_in_threadpool(_refuse, request, draft_id, place, form, caller, services)


def _refuse(
    request: Request, draft_id: DraftId, place: str, form: Form, caller: Caller, services: Services
) -> Response:
    _require_seen(services, draft_id)
    party, witness = form.text("party", most=_MOST_NAME), form.text("witness", most=_MOST_NAME)
    reason, recording = form.text("reason", most=MOST_TEXT_CHARS), form.value("recording")
    with services.database.read() as tx:
        known = _recordings(listings.case_view(tx, CaseId(draft(tx, draft_id).case_id)))
    if recording and recording not in known:
        form.refuse("recording", "form.choose")
    if not form.is_good:
        return show_signing(request, draft_id, caller, services, form=form, status=422)
    refusal = Refusal(party, reason, witness, recording)
    return _by_hand(request, draft_id, place, form, caller, services, lambda: refusal)


def _by_hand(
    request: Request,
    draft_id: DraftId,
    place: str,
    form: Form,
    caller: Caller,
    services: Services,
    written: Callable[[], HandSignature | Refusal],
    *,
    pages_read: int | None = None,
) -> Response:
    completes = False
    try:
        completes = sign_by_hand(
            services.seals.room, draft_id, place, written(), by=caller.actor, pages_read=pages_read
        )
    except HandSignatureRefused as exc:
        form.refuse("strokes", f"error.{exc.code}")
    except (*_PASSED, RefusalNotForeseen) as exc:
        form.refuse("place", f"error.{exc.code}")
    return _after(request, draft_id, form, caller, services, completes=completes)


@router.post("/seals/{place}")
def seal_posted(
    request: Request, draft_id: DraftIdPath, place: str, form: FormDep, caller: HiddenSealer, services: ServicesDep
) -> Response:
    """Seal the record as it was shown, with the seal of the agency whose case it is."""
    form.panel = f"seal-{place}"
    _require_seen(services, draft_id)
    completes = False
    try:
        completes = seal_record(services.seals, draft_id, place, sha256=form.value("sha256"), by=caller.actor)
    except (*_PASSED, SealMissing, CertificateEnded, key_parts.KeyPlaceUnknown) as exc:
        form.refuse("place", f"error.{exc.code}")
    return _after(request, draft_id, form, caller, services, completes=completes)


@router.get("/pages/{number}")
def page_picture(draft_id: DraftIdPath, number: str, caller: HiddenViewer, services: ServicesDep) -> Response:
    """Show a page of the record with the signatures that it has."""
    look_at_draft(services.database, draft_id, by=caller.actor, at=services.clock.now())
    with services.database.read() as tx:
        standing = signing_of(tx, draft_id)
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= (standing.draft.pages or 0):
        raise NotFound
    last, desk = standing.pdfs[-1], services.records.desk
    drawn = _PICTURES.of(
        (last.sha256, number),
        lambda: [draw_page(read_pdf(desk.store, last), int(number), toolbox=services.workshop.toolbox())],
    )
    return Response(drawn[0], media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.get("/record.pdf")
def newest_pdf(draft_id: DraftIdPath, caller: HiddenWriter, services: ServicesDep) -> Response:
    """Hand out the record as it is now, to be printed for a party or checked elsewhere before it is filed."""
    with services.database.read() as tx:
        standing = signing_of(tx, draft_id)
    if not standing.pdfs or standing.draft.state != DraftState.SET.value:
        raise NotFound
    copy_draft(services.database, draft_id, by=caller.actor, at=services.clock.now())
    pdf = read_pdf(services.records.desk.store, standing.pdfs[-1])
    headers = {
        "Content-Disposition": disposition("attachment", f"{standing.draft.title[:_MOST_NAME]}.pdf"),
        "Cache-Control": "no-store",
    }
    return Response(pdf, media_type="application/pdf", headers=headers)


def _require_seen(services: Services, draft_id: DraftId) -> None:
    """Refuse what the caller does not see: the room where people sign sees everything. Raises: DraftNotFound."""
    with services.database.read() as tx:
        draft(tx, draft_id)


def _after(
    request: Request, draft_id: DraftId, form: Form, caller: Caller, services: Services, *, completes: bool
) -> Response:
    """Go on to the filed record after the last signature, else to what comes next."""
    if not form.is_good:
        return show_signing(request, draft_id, caller, services, form=form, status=422)
    if completes:
        if file_complete(services, draft_id):
            return go_to(f"/records/{draft_id}?done=record_signed_and_filed")
        return go_to(f"/drafts/{draft_id}?done=record_complete")
    return go_to(f"/drafts/{draft_id}?done=record_signed")


def _strokes(party: str, text: str) -> HandSignature:
    """Return a signature as the page sends it: strokes of [x µm, y µm, ms, pressure]. Raises: HandSignatureRefused."""
    try:
        told = json.loads(text)
        strokes = [[Point(*(_whole(each) for each in point)) for point in stroke] for stroke in told]
    except (ValueError, TypeError, RecursionError) as exc:
        raise HandSignatureRefused from exc
    return HandSignature(party, strokes)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a whole number")
    return value


def _recordings(view: CaseView) -> Mapping[str, str]:
    """Return the footage of a case by its id, as a refusal names it."""
    return {str(row.item.object_id): row.original.name for row in view.items if row.item.kind in {"footage", "audio"}}


def show_signing(
    request: Request,
    draft_id: DraftId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    """Return the page where a set record is signed."""
    look_at_draft(services.database, draft_id, by=caller.actor, at=services.clock.now())
    texts = reader_texts(request)
    with services.database.read() as tx:
        standing = signing_of(tx, draft_id)
        if standing.draft.state == DraftState.FILED.value:
            return go_to(f"/records/{draft_id}")
        view = listings.case_view(tx, CaseId(standing.draft.case_id))
        template = template_of(tx, standing.draft)
        names = actor_names(tx, [row.by_id for row in standing.pdfs], texts=texts)
        lines = _lines(standing, template)
    is_chinese = texts.language is Language.CHINESE
    return render(
        request,
        "signing.html",
        caller=caller,
        status=status,
        form=form,
        row=standing.draft,
        form_template=template,
        view=view,
        lines=lines,
        names=names,
        newest=standing.pdfs[-1] if standing.pdfs else None,
        awaits_time=standing.awaits_time,
        is_complete=standing.is_complete,
        labels={each.role: each.label.zh if is_chinese else each.label.en for each in template.signatures},
        recordings=_recordings(view),
        is_officer=caller.officer_id is not None,
        is_chinese=is_chinese,
        here=f"/drafts/{draft_id}",
    )


def _lines(standing: Signing, template: Template) -> list[StepLine]:
    due = {step.place for step in standing.due}
    lines = []
    for step in standing.steps:
        pdf = standing.done.get(step.place)
        state = "done" if pdf is not None else "due" if step.place in due else "later"
        lines.append(StepLine(step, state, pdf, _party(step, standing, template)))
    return lines


def _party(step: Step, standing: Signing, template: Template) -> str:
    """Return who is to sign by hand, as the record names this person."""
    if step.by is not SignedBy.HAND:
        return ""
    values = values_of(standing.draft)
    people = [
        field.name for kind in (PersonField, SubjectField) for field in template.fields if isinstance(field, kind)
    ]
    named = [step.role] if step.role in people else people if step.role == "party" else []
    for name in named:
        told = values.get(name)
        if isinstance(told, Mapping) and told.get("name"):
            return str(told["name"])
    told = values.get(step.role)
    return told if isinstance(told, str) else ""

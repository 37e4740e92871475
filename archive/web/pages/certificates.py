"""Certificates and seals, for the administrator: the register, issuing, registering, what waits for a second person."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select

from archive.access.callers import Caller
from archive.cases.sealing import SEAL_LINE
from archive.documents.faces import SONG
from archive.documents.holders import holders, holders_like, open_agencies
from archive.documents.issuing import (
    decide,
    issue_seal,
    issue_to_officer,
    register_of_officer,
    register_token_seal,
)
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import AgencyId, CertificateId, OfficerId, parse_uuid
from archive.organisation.models import Agency
from archive.organisation.officers import MAX_CERTIFICATE_CHARACTERS, officer_by_certificate
from archive.organisation.units import AgencyNotFound
from archive.trust.listings import KeyState, Wanted, certificates, certificates_by_id, state_of
from archive.trust.requests import KeyRequestNotFound, waiting_key_requests
from archive.trust.terms import KeyPurpose
from archive.web.dependencies import ServicesDep
from archive.web.pages.certificate_forms import (
    MOST_CERTIFICATE_BYTES,
    MOST_LABEL_CHARACTERS,
    MOST_REASON_CHARACTERS,
    after,
    key_file,
    new_passphrase,
    passphrase_of,
    refuse_error,
    refuse_file,
)
from archive.web.pages.forms import Form, FormDep, read_file
from archive.web.pages.guards import Administrator, AgencyIdPath, KeyRequestIdPath
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services
from signing.certificate_facts import facts_of
from signing.seal_pictures import seal_svg
from signing.seals import SealNameRefused, round_seal
from signing.typefaces import Typeface, TypefaceRefused

router = APIRouter(prefix="/certificates", include_in_schema=False)

_HERE: Final = "/certificates"
_PAGE: Final = 100
_SONG: Final = Typeface(SONG)


class SealPictureMissing(NotFound):
    """The name of this agency cannot be drawn as a round seal."""

    code = "trust.seal_picture_missing"


@router.get("")
def certificates_page(
    request: Request,
    caller: Administrator,
    services: ServicesDep,
    purpose: Annotated[str, Query(max_length=20)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    before: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """List certificates by what they sign, where they stand and who holds them; and what waits for a second person."""
    chosen = Form({"purpose": purpose, "state": state, "q": q, "before": before}, panel="filter")
    return _list(request, caller, services, chosen=chosen)


@router.post("/officers")
def issue_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Issue a certificate to an officer: the answer is the file with key and certificate, which is kept nowhere."""
    form.panel = "officer"
    officer_id, passphrase = _officer(form, services), passphrase_of(form)
    if form.is_good and officer_id is not None:
        number = form.value("certificate_number").strip()
        try:
            issued = issue_to_officer(
                services.issuer, officer_id, passphrase=passphrase, by=caller.actor, at=services.clock.now()
            )
        except (InvalidInput, Conflict, NotFound) as error:
            refuse_error(form, error, "certificate_number")
        else:
            return key_file(issued, number)
    return _list(request, caller, services, form=form, status=422)


@router.post("/outside")
async def outside_posted(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Register a certificate that an outside authority issued to an officer."""
    form, data = await read_file(request, panel="outside", most=MOST_CERTIFICATE_BYTES)
    return await run_in_threadpool(_register_outside, request, caller, services, form, data)


@router.post("/seals")
def seal_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Make the seal of an agency, whose key lies in the archive."""
    form.panel = "seal"
    agency_id = _agency(form)
    if agency_id is not None:
        try:
            done = issue_seal(services.issuer, agency_id, by=caller.actor, at=services.clock.now())
        except (InvalidInput, Conflict, NotFound) as error:
            refuse_error(form, error, "agency")
        else:
            return after(services, done)
    return _list(request, caller, services, form=form, status=422)


@router.post("/token-seals")
async def token_seal_posted(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Register the seal of an agency whose key lies in the token."""
    form, data = await read_file(request, panel="token", most=MOST_CERTIFICATE_BYTES)
    return await run_in_threadpool(_register_token, request, caller, services, form, data)


@router.get("/seals/{agency_id}/picture")
def seal_picture(agency_id: AgencyIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """Give out the picture of an agency's seal, as it stands on documents.

    Raises: AgencyNotFound, SealPictureMissing.
    """
    del caller
    with services.database.read() as tx:
        name = tx.scalar(select(Agency.name).where(Agency.id == agency_id))
    if name is None:
        raise AgencyNotFound(agency_id=agency_id)
    try:
        drawn = seal_svg(round_seal(_SONG, name=name, line=SEAL_LINE))
    except (SealNameRefused, TypefaceRefused) as exc:
        raise SealPictureMissing(agency_id=agency_id) from exc
    return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.post("/requests/{key_request_id}/decision")
def decision_posted(
    request: Request, key_request_id: KeyRequestIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Agree to what another administrator asked for, which does it, or refuse it with a reason."""
    form.panel = f"decide-{key_request_id}"
    is_approved = form.value("decision") == "approve"
    if form.value("decision") not in {"approve", "refuse"}:
        form.refuse("reason", "form.choose")
    given = form.value("reason").strip()
    words = form.text("reason", most=MOST_REASON_CHARACTERS) if given or not is_approved else ""
    if form.is_good:
        at = services.clock.now()
        try:
            decide(services.issuer, key_request_id, is_approved=is_approved, words=words, by=caller.actor, at=at)
        except KeyRequestNotFound:
            raise
        except (InvalidInput, Conflict, NotFound, Forbidden) as error:
            refuse_error(form, error, "reason")
        else:
            return go_to(f"{_HERE}?done={'certificate_agreed' if is_approved else 'certificate_refused'}")
    return _list(request, caller, services, form=form, status=422)


def _register_outside(request: Request, caller: Caller, services: Services, form: Form, data: bytes) -> Response:
    officer_id = _officer(form, services)
    refuse_file(form, data)
    if form.is_good and officer_id is not None:
        try:
            done = register_of_officer(
                services.issuer, officer_id, data, by=caller.actor, at=services.clock.now()
            )  # fmt: skip
        except LiuhenError as error:
            refuse_error(form, error, "file")
        else:
            return after(services, done)
    return _list(request, caller, services, form=form, status=422)


def _register_token(request: Request, caller: Caller, services: Services, form: Form, data: bytes) -> Response:
    agency_id, label = _agency(form), form.text("label", most=MOST_LABEL_CHARACTERS)
    refuse_file(form, data, required=False)
    if services.issuer.tokens is None:
        form.refuse("", "error.trust.token_not_set")
    if form.is_good and agency_id is not None:
        try:
            done = register_token_seal(
                services.issuer, agency_id, label=label, file=data or None, by=caller.actor, at=services.clock.now()
            )
        except LiuhenError as error:
            refuse_error(form, error, "label")
        else:
            return after(services, done)
    return _list(request, caller, services, form=form, status=422)


def _officer(form: Form, services: Services) -> OfficerId | None:
    number = form.text("certificate_number", most=MAX_CERTIFICATE_CHARACTERS)
    if "certificate_number" in form.faults:
        return None
    with services.database.read() as tx:
        found = officer_by_certificate(tx, number)
    if found is None:
        form.refuse("certificate_number", "accounts.no_such_officer")
    return found


def _agency(form: Form) -> AgencyId | None:
    try:
        return AgencyId(parse_uuid(form.value("agency")))
    except InvalidInput:
        form.refuse("agency", "form.choose")
        return None


def _wanted(chosen: Form, held_by: list[UUID] | None) -> Wanted:
    purpose, state = chosen.value("purpose"), chosen.value("state")
    return Wanted(
        KeyPurpose(purpose) if purpose in set(KeyPurpose) else None,
        KeyState(state) if state in set(KeyState) else None,
        held_by,
    )


def _before(chosen: Form) -> CertificateId | None:
    try:
        return CertificateId(parse_uuid(chosen.value("before")))
    except InvalidInput:
        return None


def _list(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    chosen: Form | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    at, chosen = services.clock.now(), chosen or Form({})
    words = chosen.value("q").strip()
    with services.database.read() as tx:
        held_by = list(holders_like(tx, words)) if words and "\0" not in words else None
        found = certificates(tx, _wanted(chosen, held_by), at=at, limit=_PAGE + 1, before=_before(chosen))
        waiting = waiting_key_requests(tx)
        named = {row.holder_id for row in found if row.holder_id is not None}
        named |= {row.holder_id for row in waiting if row.holder_id is not None}
        about = certificates_by_id(tx, {row.certificate_id for row in waiting if row.certificate_id is not None})
        named |= {row.holder_id for row in about.values() if row.holder_id is not None}
        context: dict[str, Any] = {
            "holders": holders(tx, named),
            "about": about,
            "agencies": open_agencies(tx),
            "names": actor_names(tx, {row.asked_by for row in waiting}, texts=reader_texts(request)),
        }
    return render(
        request,
        "_certificate_rows.html" if is_fragment(request) and request.method == "GET" else "certificates.html",
        caller=caller,
        status=status,
        form=form,
        here=_HERE,
        section="admin",
        rows=[(row, state_of(row, at=at)) for row in found[:_PAGE]],
        waiting=[(row, row.certificate and facts_of(row.certificate, services.authority.root)) for row in waiting],
        chosen=chosen,
        words=words,
        purposes=list(KeyPurpose),
        states=list(KeyState),
        passphrase=new_passphrase(),
        has_token=services.issuer.tokens is not None,
        more=found[_PAGE - 1].id if len(found) > _PAGE else None,
        most_kib=MOST_CERTIFICATE_BYTES // 1024,
        **context,
    )

"""One certificate: what it is, what it signed, what came before and after it; replacing and revoking it."""

from typing import Annotated, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.models import Account
from archive.access.policy import Capability
from archive.custody.models import PreservedObject
from archive.documents.holders import agency_of_holder, holders
from archive.documents.issuing import issue_seal, issue_to_officer, register_of_officer, register_token_seal, revoke
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import CertificateId, OfficerId
from archive.kernel.instants import Instant
from archive.ports.revocations import RevocationReason
from archive.trust.certificates import CertificateNotFound, uses_of
from archive.trust.events import key_history
from archive.trust.listings import KeyState, requests_about, rotation_of, state_of
from archive.trust.models import KeyCertificate
from archive.trust.terms import KeyPurpose, KeyRequestState
from archive.web.dependencies import CallerDep, ServicesDep
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
from archive.web.pages.content import disposition
from archive.web.pages.formats import local_input, parse_local
from archive.web.pages.forms import Form, FormDep, read_file
from archive.web.pages.guards import Administrator, CertificateIdPath
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import reader_texts, render
from archive.wiring import Services
from signing.certificate_facts import facts_of

router = APIRouter(prefix="/certificates/{certificate_id}", include_in_schema=False)

_MOST_USES: Final = 500


def _row(services: Services, certificate_id: CertificateId) -> KeyCertificate:
    with services.database.read() as tx:
        row = tx.get(KeyCertificate, certificate_id)
    if row is None:
        raise CertificateNotFound(certificate_id=certificate_id)
    return row


def _seen(certificate_id: CertificateIdPath, caller: CallerDep, services: ServicesDep) -> KeyCertificate:
    """Return a certificate that administrators see, and its holder. Raises: CertificateNotFound."""
    row = _row(services, certificate_id)
    if not caller.may(Capability.ADMINISTER):
        with services.database.read() as tx:
            own = tx.scalar(select(Account.officer_id).where(Account.id == caller.account_id))
        if own is None or own != row.holder_id:
            raise CertificateNotFound(certificate_id=certificate_id)
    return row


def _known(certificate_id: CertificateIdPath, caller: Administrator, services: ServicesDep) -> KeyCertificate:
    """Return a certificate, for administrators. Raises: Forbidden, CertificateNotFound."""
    del caller
    return _row(services, certificate_id)


Seen = Annotated[KeyCertificate, Depends(_seen)]
Known = Annotated[KeyCertificate, Depends(_known)]


@router.get("")
def certificate_page(
    request: Request,
    row: Seen,
    caller: CallerDep,
    services: ServicesDep,
    since: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """Show a certificate; with `since` what a revocation since then would affect."""
    return _show(request, row, caller, services, since=since)


@router.get("/certificate.pem")
def certificate_file(row: Seen, caller: CallerDep) -> Response:
    """Give the certificate out, in PEM."""
    del caller
    headers = {"Content-Disposition": disposition("attachment", f"{row.serial}.pem"), "Cache-Control": "no-store"}
    return Response(pem_of(row.certificate), media_type="application/x-pem-file", headers=headers)


@router.post("/revocation")
def revocation_posted(
    request: Request, row: Known, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Revoke the certificate since a moment, or ask for it where the rules want a second person."""
    form.panel = "revoke"
    reason = form.choice("revocation_reason", RevocationReason)
    words = form.text("reason", most=MOST_REASON_CHARACTERS)
    since = form.moment("since")
    if form.is_good and since is not None:
        at = services.clock.now()
        if not row.not_before <= since <= at:
            form.refuse("since", "certificates.since_between")
        else:
            try:
                done = revoke(
                    services.issuer,
                    CertificateId(row.id),
                    reason=reason,
                    words=words,
                    since=since,
                    by=caller.actor,
                    at=at,
                )
            except (InvalidInput, Conflict) as error:
                refuse_error(form, error, "reason")
            else:
                return after(services, done)
    return _show(request, row, caller, services, form=form, status=422)


@router.post("/replacement")
def replacement_posted(
    request: Request, row: Known, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Issue another certificate in the place of this one: a file of keys for an officer, a new seal for an agency."""
    form.panel = "replace"
    at, of = services.clock.now(), CertificateId(row.id)
    try:
        if row.purpose == KeyPurpose.OFFICER and row.holder_id is not None:
            passphrase = passphrase_of(form)
            if form.is_good:
                officer_id = OfficerId(row.holder_id)
                issued = issue_to_officer(
                    services.issuer, officer_id, passphrase=passphrase, of=of, by=caller.actor, at=at
                )
                return key_file(issued, _name_of(services, row))
        else:
            with services.database.read() as tx:
                agency_id = None if row.holder_id is None else agency_of_holder(tx, row.holder_id)
            if agency_id is None:
                form.refuse("", "certificates.not_replaced_here")
            else:
                return after(services, issue_seal(services.issuer, agency_id, of=of, by=caller.actor, at=at))
    except (InvalidInput, Conflict, NotFound) as error:
        refuse_error(form, error, "")
    return _show(request, row, caller, services, form=form, status=422)


@router.post("/replacement/file")
async def replacement_file_posted(
    request: Request, row: Known, caller: Administrator, services: ServicesDep
) -> Response:
    """Register another certificate in the place of this one: of the token for a seal, of a file for an officer."""
    form, data = await read_file(request, panel="replace-file", most=MOST_CERTIFICATE_BYTES)
    return await run_in_threadpool(_replace_by_file, request, row, caller, services, form, data)


def pem_of(der: bytes) -> bytes:
    """Return a certificate in PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _replace_by_file(
    request: Request, row: KeyCertificate, caller: Caller, services: Services, form: Form, data: bytes
) -> Response:
    at, of = services.clock.now(), CertificateId(row.id)
    is_seal = row.purpose == KeyPurpose.SEAL
    refuse_file(form, data, required=not is_seal)
    label = form.text("label", most=MOST_LABEL_CHARACTERS) if is_seal else ""
    with services.database.read() as tx:
        agency_id = agency_of_holder(tx, row.holder_id) if is_seal and row.holder_id is not None else None
    is_officers = row.purpose == KeyPurpose.OFFICER and row.holder_id is not None
    if agency_id is None and not is_officers:
        form.refuse("", "certificates.not_replaced_here")
    if form.is_good:
        try:
            if agency_id is not None:
                done = register_token_seal(
                    services.issuer, agency_id, label=label, file=data or None, of=of, by=caller.actor, at=at
                )
            else:
                assert row.holder_id is not None  # noqa: S101 - asked above
                done = register_of_officer(
                    services.issuer, OfficerId(row.holder_id), data, of=of, by=caller.actor, at=at
                )
        except LiuhenError as error:
            refuse_error(form, error, "label" if is_seal else "file")
        else:
            return after(services, done)
    return _show(request, row, caller, services, form=form, status=422)


def _name_of(services: Services, row: KeyCertificate) -> str:
    if row.holder_id is None:
        return row.serial
    with services.database.read() as tx:
        found = holders(tx, [row.holder_id])
    return found[row.holder_id].number if row.holder_id in found else row.serial


def _since(text: str, row: KeyCertificate) -> Instant:
    """Return since when uses are shown: what was asked for, else the revocation, else the beginning."""
    try:
        return parse_local(text) if text else row.revoked_at or row.not_before
    except InvalidInput:
        return row.not_before


def _show(
    request: Request,
    row: KeyCertificate,
    caller: Caller,
    services: Services,
    *,
    since: str = "",
    form: Form | None = None,
    status: int = 200,
) -> Response:
    at, moment = services.clock.now(), _since(since, row)
    with services.database.read() as tx:
        requests = requests_about(tx, row)
        history = key_history(tx, [row.id, *(found.id for found in requests)])
        uses = uses_of(tx, CertificateId(row.id), since=moment)
        every = uses if moment <= row.not_before else uses_of(tx, CertificateId(row.id), since=row.not_before)
        signed = [use.ref_id for use in uses[-_MOST_USES:]]
        seen = tx.execute(select(PreservedObject.id, PreservedObject.name).where(PreservedObject.id.in_(signed)))
        context: dict[str, Any] = {
            "records": dict(seen.all()),
            "rotation": [(each, state_of(each, at=at)) for each in rotation_of(tx, row)],
            "holder": None if row.holder_id is None else holders(tx, [row.holder_id]).get(row.holder_id),
            "agency_id": None if row.holder_id is None else agency_of_holder(tx, row.holder_id),
            "names": actor_names(
                tx, {row.registered_by, *(line.event.actor_id for line in history)}, texts=reader_texts(request)
            ),
        }
    state = state_of(row, at=at)
    return render(
        request,
        "certificate.html",
        caller=caller,
        status=status,
        form=form,
        here=f"/certificates/{row.id}",
        section="admin" if caller.may(Capability.ADMINISTER) else "account",
        row=row,
        state=state,
        is_live=state not in {KeyState.REVOKED, KeyState.REPLACED},
        may_revoke=state is not KeyState.REVOKED,
        facts=facts_of(row.certificate, services.authority.root),
        is_waiting=any(found.state == KeyRequestState.WAITING.value for found in requests),
        history=history,
        uses=list(reversed(uses[-_MOST_USES:])),
        use_count=len(uses),
        all_count=len(every),
        since=moment,
        since_text=local_input(moment),
        now_text=local_input(at),
        reasons=list(RevocationReason),
        passphrase=new_passphrase(),
        has_token=services.issuer.tokens is not None,
        most_kib=MOST_CERTIFICATE_BYTES // 1024,
        **context,
    )

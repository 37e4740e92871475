"""The own certificates of an officer: seeing them, getting one, registering one from an outside authority."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.models import Account
from archive.documents.issuing import is_waiting, issue_to_officer, register_of_officer
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import OfficerId
from archive.organisation.models import Officer
from archive.trust.listings import certificates_held, state_of
from archive.web.dependencies import CallerDep, RequestIdDep, ServicesDep
from archive.web.pages.account import is_asked_again
from archive.web.pages.certificate_forms import (
    MOST_CERTIFICATE_BYTES,
    key_file,
    passphrase_of,
    refuse_error,
    refuse_file,
)
from archive.web.pages.forms import Form, FormDep, read_file
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

router = APIRouter(prefix="/account/certificates", include_in_schema=False)

_HERE: Final = "/account/certificates"


def _own(caller: CallerDep, services: ServicesDep) -> Officer:
    """Return which officer the caller is. Raises: NotFound for who is none."""
    with services.database.read() as tx:
        officer = tx.scalar(
            select(Officer).join(Account, Account.officer_id == Officer.id).where(Account.id == caller.account_id)
        )
    if officer is None:
        raise NotFound
    return officer


Own = Annotated[Officer, Depends(_own)]


@router.get("")
def own_certificates_page(request: Request, own: Own, caller: CallerDep, services: ServicesDep) -> Response:
    """Show the own certificates."""
    return _show(request, own.id, caller, services)


@router.post("")
def own_issue_posted(
    request: Request, own: Own, form: FormDep, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Issue a certificate to oneself: the answer is the file with key and certificate, which is kept nowhere."""
    form.panel = "officer"
    passphrase = passphrase_of(form)
    if form.is_good and form.value("again") != passphrase:
        form.refuse("again", "account.not_the_same")
    if form.is_good and is_asked_again(form, caller, services, request_id):
        officer_id, at = OfficerId(own.id), services.clock.now()
        try:
            issued = issue_to_officer(services.issuer, officer_id, passphrase=passphrase, by=caller.actor, at=at)
        except (InvalidInput, Conflict, NotFound) as error:
            refuse_error(form, error, "passphrase")
        else:
            return key_file(issued, own.certificate_number)
    return _show(request, own.id, caller, services, form=form, status=422)


@router.post("/outside")
async def own_outside_posted(
    request: Request, own: Own, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Register an own certificate that an outside authority issued."""
    form, data = await read_file(request, panel="outside", most=MOST_CERTIFICATE_BYTES)
    return await run_in_threadpool(_register, request, OfficerId(own.id), caller, services, form, data, request_id)


def _register(
    request: Request,
    officer_id: OfficerId,
    caller: Caller,
    services: Services,
    form: Form,
    data: bytes,
    request_id: str,
) -> Response:
    refuse_file(form, data)
    if form.is_good and is_asked_again(form, caller, services, request_id):
        try:
            done = register_of_officer(services.issuer, officer_id, data, by=caller.actor, at=services.clock.now())
        except LiuhenError as error:
            refuse_error(form, error, "file")
        else:
            with services.database.read() as tx:
                waits = is_waiting(tx, done)
            return go_to(f"{_HERE}?done=certificate_asked" if waits else f"{_HERE}?done=certificate_done")
    return _show(request, officer_id, caller, services, form=form, status=422)


def _show(
    request: Request,
    officer_id: UUID,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    at = services.clock.now()
    with services.database.read() as tx:
        rows = [(row, state_of(row, at=at)) for row in certificates_held(tx, officer_id)]
    return render(
        request,
        "own_certificates.html",
        caller=caller,
        status=status,
        form=form,
        here=_HERE,
        rows=rows,
        most_kib=MOST_CERTIFICATE_BYTES // 1024,
    )

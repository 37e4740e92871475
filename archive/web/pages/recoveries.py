"""Letting somebody in again: two administrators, and then the person with a code."""

from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.attempts import TooManyAttempts
from archive.access.passwords import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, PasswordUnfit
from archive.access.recoveries import (
    MAX_REASON_CHARACTERS,
    RecoveryNeedsTwo,
    RecoveryNotFound,
    RecoveryOpen,
    RecoveryRefused,
    begin_recovery,
    confirm_recovery,
    recover_account,
    withdraw_recovery,
)
from archive.web.dependencies import OriginDep, RequestIdDep, ServicesDep
from archive.web.limits import BY_NETWORK
from archive.web.pages.accounts import shown_account
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import AccountIdPath, Administrator, RecoveryIdPath
from archive.web.pages.rendering import go_to, render

router = APIRouter(include_in_schema=False)

_OF_ACCOUNT: Final = "/admin/accounts/{account_id}/recoveries"
_MOST_CODE_CHARACTERS: Final = 64


@router.post(_OF_ACCOUNT)
def recovery_posted(
    request: Request, account_id: AccountIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Begin to let somebody in again; another administrator confirms."""
    form.panel = "recovery"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        try:
            begin_recovery(services.database, account_id, reason=reason, by=caller, at=services.clock.now())
        except (RecoveryOpen, RecoveryNeedsTwo) as error:
            form.refuse("", f"error.{error.code}")
        else:
            return go_to(f"/admin/accounts/{account_id}?done=recovery_begun")
    return shown_account(request, caller, services, account_id, form=form, status=422)


@router.post(_OF_ACCOUNT + "/{recovery_id}/confirmation")
def confirmation_posted(
    request: Request,
    account_id: AccountIdPath,
    recovery_id: RecoveryIdPath,
    caller: Administrator,
    services: ServicesDep,
) -> Response:
    """Confirm what another administrator has begun, and show the code for the person, once."""
    try:
        code = confirm_recovery(services.sign_ins, recovery_id, by=caller, at=services.clock.now())
    except (RecoveryNeedsTwo, RecoveryNotFound) as error:
        form = Form({}, panel="recovery")
        form.refuse("", f"error.{error.code}")
        return shown_account(request, caller, services, account_id, form=form, status=409)
    return shown_account(request, caller, services, account_id, code=code)


@router.post(_OF_ACCOUNT + "/{recovery_id}/withdrawal")
def withdrawal_posted(
    account_id: AccountIdPath, recovery_id: RecoveryIdPath, caller: Administrator, services: ServicesDep
) -> Response:
    """Take a recovery back. Raises: RecoveryNotFound, RecoveryNeedsTwo."""
    withdraw_recovery(services.database, recovery_id, by=caller, at=services.clock.now())
    return go_to(f"/admin/accounts/{account_id}?done=recovery_withdrawn")


@router.get("/recovery")
def recovery_page(request: Request) -> Response:
    """Ask for the code of two administrators and for a new password."""
    return _page(request)


@router.post("/recovery", dependencies=[BY_NETWORK])
def recovered_posted(
    request: Request, form: FormDep, services: ServicesDep, origin: OriginDep, request_id: RequestIdDep
) -> Response:
    """Set the new password; then one signs in with it."""
    form.panel = "recover"
    username = form.text("username", most=64)
    code = form.text("code", most=_MOST_CODE_CHARACTERS)
    new = form.value("new")
    if not new:
        form.refuse("new", "form.required")
    elif len(new) > MAX_PASSWORD_CHARACTERS:
        form.refuse("new", "form.too_long", most=MAX_PASSWORD_CHARACTERS)
    elif form.value("again") != new:
        form.refuse("again", "account.not_the_same")
    if not form.is_good:
        return _page(request, form=form, status=422)
    try:
        recover_account(
            services.sign_ins,
            username=username,
            code=code,
            password=new,
            at=services.clock.now(),
            origin=origin,
            request=request_id,
        )
    except PasswordUnfit as error:
        form.refuse("new", f"password_unfit.{error.facts['reason']}")
        return _page(request, form=form, status=422)
    except RecoveryRefused:
        form.refuse("", "error.access.recovery_refused")
        return _page(request, form=form, status=401)
    except TooManyAttempts as error:
        wait_s = int(error.facts["retry_after_s"])
        form.refuse("", "sign_in.too_many_codes", seconds=wait_s)
        return _page(request, form=form, status=429, headers={"Retry-After": str(wait_s)})
    return go_to("/sign-in?done=recovered")


def _page(
    request: Request, *, form: Form | None = None, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return render(
        request,
        "recovery.html",
        caller=None,
        status=status,
        headers=headers,
        form=form,
        here="/recovery",
        fewest=MIN_PASSWORD_CHARACTERS,
    )

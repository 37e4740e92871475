"""The own account: its sessions, its password, its second factor."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import segno
from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from sqlalchemy import select

from archive.access.attempts import TooManyAttempts
from archive.access.callers import Caller
from archive.access.models import Account
from archive.access.passkeys import passkeys_of
from archive.access.passwords import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, PasswordUnfit
from archive.access.second_factors import (
    CodeRefused,
    EnrolmentStale,
    SecondFactorSet,
    TotpOffer,
    address_of,
    offer_totp,
    offered_secret,
    remove_totp,
    renew_recovery_codes,
    second_factor_of,
    set_totp,
)
from archive.access.sessions import (
    SignInRefused,
    change_password,
    end_session,
    end_sessions,
    require_password,
    sessions_of,
)
from archive.web.dependencies import (
    CallerDep,
    RequestIdDep,
    ServicesDep,
    give_browser,
    give_session,
    session_cookie,
)
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import SessionIdPath
from archive.web.pages.relying import ShownOffer, relying_party
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

router = APIRouter(prefix="/account", include_in_schema=False)

_HERE: Final = "/account"
_MOST_CODE_CHARACTERS: Final = 32
_MOST_SEALED_CHARACTERS: Final = 400


@dataclass(frozen=True, slots=True)
class _Setup:
    """An offer as the page shows it."""

    offer: TotpOffer
    picture: Markup


@router.get("")
def account_page(request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Show the own sessions, and what signing in takes."""
    return own_account(request, caller, services)


@router.post("/sessions/{session_id}/removal")
def session_removal_posted(session_id: SessionIdPath, caller: CallerDep, services: ServicesDep) -> Response:
    """End one of the own sessions."""
    end_session(services.database, caller.account_id, session_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_HERE}?done=session_ended")


@router.post("/sessions/removals")
def sessions_removal_posted(caller: CallerDep, services: ServicesDep) -> Response:
    """End all of the own sessions but this one."""
    at = services.clock.now()
    end_sessions(services.database, caller.account_id, but=caller.session_id, by=caller.actor, at=at)
    return go_to(f"{_HERE}?done=sessions_ended")


@router.post("/password")
def password_posted(
    request: Request, form: FormDep, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Change the own password, which ends the other sessions."""
    form.panel = "password"
    present, new = _required(form, "present"), _required(form, "new")
    if form.is_good and form.value("again") != new:
        form.refuse("again", "account.not_the_same")
    if not form.is_good:
        return own_account(request, caller, services, form=form, status=422)
    at = services.clock.now()
    token = request.cookies[session_cookie(request)]
    try:
        fresh = change_password(services.sign_ins, token=token, present=present, new=new, at=at, request=request_id)
    except PasswordUnfit as error:
        form.refuse("new", f"password_unfit.{error.facts['reason']}")
    except SignInRefused:
        form.refuse("present", "account.password_wrong")
    except TooManyAttempts as error:
        form.refuse("present", "sign_in.too_many", seconds=int(error.facts["retry_after_s"]))
    else:
        response = go_to(f"{_HERE}?done=password_changed")
        give_session(request, response, fresh)
        give_browser(request, response, services, fresh, at)
        return response
    return own_account(request, caller, services, form=form, status=422)


@router.post("/second-factor/offers")
def offer_posted(
    request: Request, form: FormDep, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Ask for the password, and show what an authenticator app takes in; nothing is kept yet."""
    form.panel = "offer"
    if not is_asked_again(form, caller, services, request_id):
        return own_account(request, caller, services, form=form, status=422)
    offer = offer_totp(
        services.sign_ins,
        caller.account_id,
        username=caller.username,
        organisation=services.settings.organisation,
    )
    return own_account(request, caller, services, setup=_shown(offer))


@router.post("/second-factor")
def second_factor_posted(request: Request, form: FormDep, caller: CallerDep, services: ServicesDep) -> Response:
    """Take the authenticator whose first code came back, and show the recovery codes, once."""
    form.panel = "totp"
    sealed = form.text("sealed", most=_MOST_SEALED_CHARACTERS)
    code = form.text("code", most=_MOST_CODE_CHARACTERS)
    if "sealed" in form.faults:
        return own_account(request, caller, services, form=form, status=422)
    try:
        if form.is_good:
            codes = set_totp(
                services.sign_ins,
                caller.account_id,
                sealed=sealed,
                code=code,
                by=caller.actor,
                at=services.clock.now(),
            )
            return own_account(request, caller, services, codes=codes)
    except CodeRefused:
        form.refuse("code", "sign_in.code_refused")
    except SecondFactorSet:
        return go_to(_HERE)
    except EnrolmentStale:
        form.refuse("", "error.access.enrolment_stale")
        return own_account(request, caller, services, form=form, status=422)
    return own_account(request, caller, services, form=form, setup=_again(services, caller, sealed), status=422)


@router.post("/second-factor/removal")
def second_factor_removal_posted(
    request: Request, form: FormDep, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Sign in by password alone from now on."""
    form.panel = "factor-removal"
    if not is_asked_again(form, caller, services, request_id):
        return own_account(request, caller, services, form=form, status=422)
    remove_totp(services.sign_ins, caller.account_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_HERE}?done=factor_removed")


@router.post("/second-factor/codes")
def codes_posted(
    request: Request, form: FormDep, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Make new recovery codes and show them, once."""
    form.panel = "codes"
    if not is_asked_again(form, caller, services, request_id):
        return own_account(request, caller, services, form=form, status=422)
    codes = renew_recovery_codes(services.sign_ins, caller.account_id, by=caller.actor, at=services.clock.now())
    return own_account(request, caller, services, codes=codes)


def _required(form: Form, name: str) -> str:
    value = form.value(name)
    if not value:
        form.refuse(name, "form.required")
    elif len(value) > MAX_PASSWORD_CHARACTERS:
        form.refuse(name, "form.too_long", most=MAX_PASSWORD_CHARACTERS)
    return value


def is_asked_again(form: Form, caller: Caller, services: Services, request_id: str) -> bool:
    """Return whether the password in the form is the caller's; else the form says what is wrong."""
    password = _required(form, "password")
    if not form.is_good or caller.session_id is None:
        return False
    with services.database.read() as tx:
        account = tx.scalars(select(Account).where(Account.id == caller.account_id)).one()
    at = services.clock.now()
    try:
        require_password(services.sign_ins, account, caller.session_id, password, at=at, request=request_id)
    except SignInRefused:
        form.refuse("password", "account.password_wrong")
    except TooManyAttempts as error:
        form.refuse("password", "sign_in.too_many", seconds=int(error.facts["retry_after_s"]))
    return form.is_good


def _shown(offer: TotpOffer) -> _Setup:
    drawn = io.BytesIO()
    segno.make(offer.address, error="m").save(
        drawn, kind="svg", scale=4, border=4, xmldecl=False, svgns=True, dark="#000", light="#fff", omitsize=True
    )
    # Drawn by the library from an address that it encodes as squares; nothing that anybody wrote stands in it.
    return _Setup(offer, Markup(drawn.getvalue().decode()))  # noqa: S704


def _again(services: Services, caller: Caller, sealed: str) -> _Setup:
    secret = offered_secret(services.sign_ins, caller.account_id, sealed)
    organisation = services.settings.organisation
    address = address_of(secret, username=caller.username, organisation=organisation)
    return _shown(TotpOffer(secret, address, sealed))


def own_account(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    setup: _Setup | None = None,
    codes: Sequence[str] = (),
    passkey: ShownOffer | None = None,
    status: int = 200,
) -> Response:
    """Return the page of the caller's account, with what was made or refused just now."""
    sign_ins, at = services.sign_ins, services.clock.now()
    with services.database.read() as tx:
        sessions = sessions_of(tx, caller.account_id, this=caller.session_id, at=at, idle=sign_ins.idle)
        factor = second_factor_of(tx, caller.account_id)
        passkeys = passkeys_of(tx, caller.account_id)
        is_officer = tx.scalar(select(Account.officer_id).where(Account.id == caller.account_id)) is not None
    return render(
        request,
        "account.html",
        caller=caller,
        status=status,
        form=form,
        here=_HERE,
        sessions=sessions,
        factor=factor,
        setup=setup,
        codes=codes,
        passkeys=passkeys,
        passkey=passkey,
        has_passkeys=relying_party(request, services) is not None,
        is_due=factor.set_at is None and not passkeys and sign_ins.wants_second_factor(caller.roles),
        idle_min=services.settings.session_idle_min,
        fewest=MIN_PASSWORD_CHARACTERS,
        has_terms=sign_ins.terms is not None,
        is_officer=is_officer,
    )

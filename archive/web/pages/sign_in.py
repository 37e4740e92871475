"""Signing in and out, and the language of the pages."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.attempts import TooManyAttempts
from archive.access.callers import Caller
from archive.access.oidc import OidcUnreachable
from archive.access.passkeys import PasskeyRefused, sign_in_with_passkey
from archive.access.passwords import MAX_PASSWORD_CHARACTERS
from archive.access.second_factors import CodeRefused, confirm_code
from archive.access.sessions import SignInRefused, awaits_second_factor, sign_in, sign_out
from archive.web.dependencies import (
    CallerDep,
    OptionalCallerDep,
    OriginDep,
    RequestIdDep,
    ServicesDep,
    give_browser,
    give_session,
    session_cookie,
)
from archive.web.i18n import Language
from archive.web.limits import BY_NETWORK
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import safe_next, sign_in_address
from archive.web.pages.relying import public_origin, relying_party, sign_in_offer
from archive.web.pages.rendering import LANGUAGE_COOKIE, go_to, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

_LANGUAGE_LIFETIME: Final = timedelta(days=365)
_MOST_CODE_CHARACTERS: Final = 32


@router.get("/sign-in")
def sign_in_page(
    request: Request,
    caller: OptionalCallerDep,
    services: ServicesDep,
    next: str = "/",  # noqa: A002 - its name in the address
) -> Response:
    """Show the form; who is signed in already goes on."""
    if caller is not None:
        return go_to(safe_next(next))
    return _page(request, services, next_address=safe_next(next))


@router.post("/sign-in", dependencies=[BY_NETWORK])
def sign_in_posted(
    request: Request, form: FormDep, services: ServicesDep, origin: OriginDep, request_id: RequestIdDep
) -> Response:
    """Check the password and open a session, or go on to the second factor."""
    form.panel = "sign-in"
    next_address = safe_next(form.value("next"))
    username = form.text("username", most=64)
    password = form.value("password")
    if not password:
        form.refuse("password", "form.required")
    elif len(password) > MAX_PASSWORD_CHARACTERS:
        form.refuse("password", "form.too_long", most=MAX_PASSWORD_CHARACTERS)
    if not form.is_good:
        return _page(request, services, next_address=next_address, form=form, status=422)
    at = services.clock.now()
    try:
        token = sign_in(
            services.sign_ins, username=username, password=password, at=at, origin=origin, request=request_id
        )
    except SignInRefused:
        form.refuse("", "sign_in.refused")
        return _page(request, services, next_address=next_address, form=form, status=401)
    except TooManyAttempts as error:
        return _slowed(request, services, form, error, next_address)
    before = request.cookies.get(session_cookie(request))
    if before is not None:  # whoever had this browser before is out
        sign_out(services.database, token=before, at=at)
    awaits_code = _awaits_code(services, token)
    response = go_to(_code_address(next_address) if awaits_code else next_address)
    give_session(request, response, token)
    if not awaits_code:
        give_browser(request, response, services, token, at)
    return response


@router.get("/sign-in/code")
def code_page(request: Request, services: ServicesDep, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """Ask for the second factor where a password was right just now."""
    if not _awaits_code(services, request.cookies.get(session_cookie(request))):
        return go_to(sign_in_address(next))
    return _code_page(request, services, next_address=safe_next(next))


@router.post("/sign-in/code", dependencies=[BY_NETWORK])
def code_posted(
    request: Request, form: FormDep, services: ServicesDep, origin: OriginDep, request_id: RequestIdDep
) -> Response:
    """Check the code and open the session under a new token."""
    form.panel = "code"
    next_address = safe_next(form.value("next"))
    token = request.cookies.get(session_cookie(request))
    if token is None or not _awaits_code(services, token):
        return go_to(sign_in_address(next_address))
    code = form.text("code", most=_MOST_CODE_CHARACTERS)
    if not form.is_good:
        return _code_page(request, services, next_address=next_address, form=form, status=422)
    at = services.clock.now()
    try:
        fresh = confirm_code(services.sign_ins, token=token, code=code, at=at, origin=origin, request=request_id)
    except CodeRefused:
        form.refuse("code", "sign_in.code_refused")
        return _code_page(request, services, next_address=next_address, form=form, status=401)
    except TooManyAttempts as error:
        wait_s = int(error.facts["retry_after_s"])
        form.refuse("code", "sign_in.too_many_codes", seconds=wait_s)
        headers = {"Retry-After": str(wait_s)}
        return _code_page(request, services, next_address=next_address, form=form, status=429, headers=headers)
    response = go_to(next_address)
    give_session(request, response, fresh)
    give_browser(request, response, services, fresh, at)
    return response


@router.post("/sign-in/passkey", dependencies=[BY_NETWORK])
def passkey_posted(
    request: Request, form: FormDep, services: ServicesDep, origin: OriginDep, request_id: RequestIdDep
) -> Response:
    """Open a session with a passkey; the password and the code are not asked for."""
    form.panel = "passkey"
    next_address = safe_next(form.value("next"))
    party, at = relying_party(request, services), services.clock.now()
    if party is None:
        form.refuse("", "account.no_passkeys_here")
        return _page(request, services, next_address=next_address, form=form, status=422)
    try:
        token = sign_in_with_passkey(
            services.sign_ins,
            party,
            credential=form.value("credential"),
            challenge=form.value("challenge"),
            at=at,
            origin=origin,
            request=request_id,
        )
    except PasskeyRefused:
        form.refuse("", "error.access.passkey_refused")
        return _page(request, services, next_address=next_address, form=form, status=401)
    before = request.cookies.get(session_cookie(request))
    if before is not None:
        sign_out(services.database, token=before, at=at)
    response = go_to(next_address)
    give_session(request, response, token)
    give_browser(request, response, services, token, at)
    return response


@router.post("/sign-out")
def sign_out_posted(request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Close the session; who came from the sign-in provider is led out of that too."""
    name, at = session_cookie(request), services.clock.now()
    sign_out(services.database, token=request.cookies[name], at=at)
    address = _provider_logout(request, caller, services)
    if address is None:
        response: Response = go_to("/sign-in?done=signed_out")
    else:
        # A page of its own: what a form leads to stays on this host, by the policy of all pages.
        response = render(request, "signed_out.html", caller=None, address=address, here="/sign-in")
    response.delete_cookie(name, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")
    return response


@router.post("/language")
def language_posted(request: Request, form: FormDep) -> Response:
    """Remember the language of the pages, and go back to where it was switched."""
    chosen = form.choice("language", Language)
    response = go_to(safe_next(form.value("next")))
    response.set_cookie(
        LANGUAGE_COOKIE,
        chosen.value,
        max_age=int(_LANGUAGE_LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


def refused_page(request: Request, services: Services, key: str, *, status: int) -> Response:
    """Return the sign-in page with what went wrong elsewhere."""
    form = Form({}, panel="provider")
    form.refuse("", key)
    return _page(request, services, next_address="/", form=form, status=status)


def _provider_logout(request: Request, caller: Caller, services: Services) -> str | None:
    if services.federation is None or not caller.is_from_provider:
        return None
    back = public_origin(request, services) + "/sign-in"
    try:
        return services.federation.provider.logout_address(back=back, at=services.clock.now())
    except OidcUnreachable:  # the own session is closed already
        return None


def _awaits_code(services: Services, token: str | None) -> bool:
    if token is None:
        return False
    with services.database.read() as tx:
        return awaits_second_factor(tx, token=token, at=services.clock.now())


def _code_address(next_address: str) -> str:
    return sign_in_address(next_address).replace("/sign-in", "/sign-in/code", 1)


def _slowed(request: Request, services: Services, form: Form, error: TooManyAttempts, next_address: str) -> Response:
    wait_s = int(error.facts["retry_after_s"])
    form.refuse("", "sign_in.too_many", seconds=wait_s)
    headers = {"Retry-After": str(wait_s)}
    return _page(request, services, next_address=next_address, form=form, status=429, wait_s=wait_s, headers=headers)


def _page(
    request: Request,
    services: Services,
    *,
    next_address: str,
    form: Form | None = None,
    status: int = 200,
    wait_s: int = 0,
    headers: dict[str, str] | None = None,
) -> Response:
    return render(
        request,
        "sign_in.html",
        caller=None,
        status=status,
        headers=headers,
        form=form,
        next_address=next_address,
        passkey=sign_in_offer(request, services),
        wait_s=wait_s,
        has_provider=services.federation is not None,
        here=sign_in_address(next_address),
    )


def _code_page(
    request: Request,
    services: Services,
    *,
    next_address: str,
    form: Form | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    return render(
        request,
        "sign_in_code.html",
        caller=None,
        status=status,
        headers=headers,
        form=form,
        next_address=next_address,
        passkey=sign_in_offer(request, services),
        here=_code_address(next_address),
    )

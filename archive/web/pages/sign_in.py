"""Signing in and out, and the language of the pages."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.accounts import (
    SESSION_LIFETIME,
    SignInRefused,
    TooManyAttempts,
    sign_in,
    sign_out,
)
from archive.web.dependencies import CallerDep, OptionalCallerDep, RequestIdDep, ServicesDep, session_cookie
from archive.web.i18n import Language
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import safe_next, sign_in_address
from archive.web.pages.rendering import LANGUAGE_COOKIE, go_to, render

router = APIRouter(include_in_schema=False)

_LANGUAGE_LIFETIME: Final = timedelta(days=365)
_MOST_PASSWORD_CHARACTERS: Final = 1024


@router.get("/sign-in")
def sign_in_page(request: Request, caller: OptionalCallerDep, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """Show the form; who is signed in already goes on."""
    if caller is not None:
        return go_to(safe_next(next))
    return _page(request, next_address=safe_next(next))


@router.post("/sign-in")
def sign_in_posted(request: Request, form: FormDep, services: ServicesDep, request_id: RequestIdDep) -> Response:
    """Check the password and open a session."""
    form.panel = "sign-in"
    next_address = safe_next(form.value("next"))
    username = form.text("username", most=64)
    password = form.value("password")
    if not password:
        form.refuse("password", "form.required")
    elif len(password) > _MOST_PASSWORD_CHARACTERS:
        form.refuse("password", "form.too_long", most=_MOST_PASSWORD_CHARACTERS)
    if not form.is_good:
        return _page(request, next_address=next_address, form=form, status=422)
    at = services.clock.now()
    try:
        token = sign_in(services.database, username=username, password=password, at=at, request=request_id)
    except SignInRefused:
        form.refuse("", "sign_in.refused")
        return _page(request, next_address=next_address, form=form, status=401)
    except TooManyAttempts as error:
        wait_s = int(error.facts["retry_after_s"])
        form.refuse("", "sign_in.too_many", seconds=wait_s)
        headers = {"Retry-After": str(wait_s)}
        return _page(request, next_address=next_address, form=form, status=429, wait_s=wait_s, headers=headers)
    before = request.cookies.get(session_cookie(request))
    if before is not None:  # whoever had this browser before is out
        sign_out(services.database, token=before, at=at)
    response = go_to(next_address)
    response.set_cookie(
        session_cookie(request),
        token,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


@router.post("/sign-out")
def sign_out_posted(request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Close the session."""
    del caller
    name = session_cookie(request)
    sign_out(services.database, token=request.cookies[name], at=services.clock.now())
    response = go_to("/sign-in?done=signed_out")
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


def _page(
    request: Request,
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
        wait_s=wait_s,
        here=sign_in_address(next_address),
    )

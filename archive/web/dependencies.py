"""What endpoints ask for: the services, and who is calling."""

from dataclasses import replace
from typing import Annotated, Final, Literal

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from archive.access.browsers import KNOWN_FOR, Origin, origin_of
from archive.access.callers import Caller
from archive.access.session_rows import SESSION_LIFETIME
from archive.access.sessions import SEEN_EVERY, marks_of, note_seen, signed_in_caller
from archive.access.sign_ins import SignIns
from archive.db.sight import Sight
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from archive.wiring import Services

_COOKIE: Final = "liuhen_session"
_BROWSER_COOKIE: Final = "liuhen_browser"
_TRIP_COOKIE: Final = "liuhen_trip"
_OPEN_BEFORE_TERMS: Final = ("/terms", "/sign-out")
_OPEN_TO_ENROL: Final = (*_OPEN_BEFORE_TERMS, "/account")
"""Where somebody can go who must set a second factor first."""


class NotSignedIn(LiuhenError):
    """Sign in first."""

    code = "access.not_signed_in"
    exit_code = 77


class TermsDue(LiuhenError):
    """Read and accept the terms of use first."""

    code = "access.terms_due"
    exit_code = 77


class SecondFactorDue(LiuhenError):
    """Your role needs a second factor; set one first."""

    code = "access.second_factor_due"
    exit_code = 77


def whole_services(request: Request) -> Services:
    """Return the services of this application, whose transactions see everything."""
    services: Services = request.app.state.services
    return services


WholeServicesDep = Annotated[Services, Depends(whole_services)]
"""For the doors of machines, and for finding out who is calling; pages have `ServicesDep`."""


def session_cookie(request: HTTPConnection) -> str:
    """Return the name of the session cookie: bound to the host where the connection is secure."""
    return f"__Host-{_COOKIE}" if request.url.scheme == "https" else _COOKIE


def browser_cookie(request: HTTPConnection) -> str:
    """Return the name of the cookie by which accounts know a browser."""
    return f"__Host-{_BROWSER_COOKIE}" if request.url.scheme == "https" else _BROWSER_COOKIE


def trip_cookie(request: HTTPConnection) -> str:
    """Return the name of the cookie with which a browser comes back from the sign-in provider."""
    return f"__Host-{_TRIP_COOKIE}" if request.url.scheme == "https" else _TRIP_COOKIE


def origin(request: HTTPConnection) -> Origin:
    """Return where a request comes from."""
    address = "" if request.client is None else request.client.host
    cookie = request.cookies.get(browser_cookie(request), "")
    return origin_of(address=address, user_agent=request.headers.get("user-agent", "")[:512], cookie=cookie)


OriginDep = Annotated[Origin, Depends(origin)]


def optional_caller(request: Request, services: WholeServicesDep) -> Caller | None:
    """Return who is signed in, if anybody is."""
    return caller_of(request, services.sign_ins, services.clock)


def caller_of(request: HTTPConnection, sign_ins: SignIns, clock: Clock) -> Caller | None:
    """Return who is signed in in the browser that sends this request."""
    token = request.cookies.get(session_cookie(request))
    if token is None:
        return None
    at = clock.now()
    with sign_ins.database.read() as tx:
        caller = signed_in_caller(tx, token=token, at=at, idle=sign_ins.idle)
    if caller is not None and caller.session_id is not None and _is_stale(caller, at):
        note_seen(sign_ins.database, caller.session_id, at=at)
    return caller


def _is_stale(caller: Caller, at: Instant) -> bool:
    return caller.last_seen_at is None or caller.last_seen_at + SEEN_EVERY <= at


def required_caller(
    request: Request, services: WholeServicesDep, caller: Annotated[Caller | None, Depends(optional_caller)]
) -> Caller:
    """Return who is signed in. Raises: NotSignedIn, TermsDue, SecondFactorDue."""
    if caller is None:
        raise NotSignedIn
    require_nothing_due(services.sign_ins, caller, path=request.url.path)
    return caller


def require_nothing_due(sign_ins: SignIns, caller: Caller, *, path: str) -> None:
    """Refuse somebody who must accept the terms or set a second factor first. Raises: TermsDue, SecondFactorDue."""
    terms = sign_ins.terms
    if terms is not None and caller.terms_version != terms.version and not _is_under(path, _OPEN_BEFORE_TERMS):
        raise TermsDue
    is_bare = not caller.has_second_factor and sign_ins.wants_second_factor(caller.roles)
    if is_bare and not _is_under(path, _OPEN_TO_ENROL):
        raise SecondFactorDue


def _is_under(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(place + "/") for place in places)


def give_session(request: HTTPConnection, response: Response, token: str) -> None:
    """Put a session's cookie into an answer."""
    _set(request, response, session_cookie(request), token, int(SESSION_LIFETIME.total_seconds()), "lax")


def give_browser(request: HTTPConnection, response: Response, services: Services, token: str, at: Instant) -> None:
    """Put the cookie into an answer by which the account of an open session knows this browser from now on."""
    marks = marks_of(services.sign_ins, token=token, marks=origin(request).marks, at=at)
    _set(request, response, browser_cookie(request), marks, int(KNOWN_FOR.total_seconds()), "strict")


def give_trip(request: HTTPConnection, response: Response, value: str, *, lifetime_s: int) -> None:
    """Put the cookie of the way to the sign-in provider into an answer; it comes back from another site, hence Lax."""
    _set(request, response, trip_cookie(request), value, lifetime_s, "lax")


def _set(
    request: HTTPConnection,
    response: Response,
    name: str,
    value: str,
    lifetime_s: int,
    same_site: Literal["lax", "strict"],
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=lifetime_s,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite=same_site,
    )


def services_as_seen(
    services: WholeServicesDep, caller: Annotated[Caller | None, Depends(optional_caller)]
) -> Services:
    """Return the services as the caller sees them: a transaction finds what the caller has reach of, nothing else."""
    sight = Sight(frozenset(), 0, services.clock.now()) if caller is None else caller.sight
    return replace(services, database=services.database.seen_by(sight))


ServicesDep = Annotated[Services, Depends(services_as_seen)]
CallerDep = Annotated[Caller, Depends(required_caller)]
OptionalCallerDep = Annotated[Caller | None, Depends(optional_caller)]


def request_id(request: Request) -> str:
    """Return this request's id."""
    found: str = request.state.request_id
    return found


RequestIdDep = Annotated[str, Depends(request_id)]

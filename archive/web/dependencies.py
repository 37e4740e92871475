"""What endpoints ask for: the services, and who is calling."""

from dataclasses import replace
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from archive.access.accounts import signed_in_caller
from archive.access.callers import Caller
from archive.db.database import Database
from archive.db.sight import Sight
from archive.kernel.errors import LiuhenError
from archive.ports.clock import Clock
from archive.wiring import Services

_COOKIE: Final = "liuhen_session"


class NotSignedIn(LiuhenError):
    """Sign in first."""

    code = "access.not_signed_in"
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


def optional_caller(request: Request, services: WholeServicesDep) -> Caller | None:
    """Return who is signed in, if anybody is."""
    return caller_of(request, services.database, services.clock)


def caller_of(request: HTTPConnection, database: Database, clock: Clock) -> Caller | None:
    """Return who is signed in in the browser that sends this request."""
    token = request.cookies.get(session_cookie(request))
    if token is None:
        return None
    with database.read() as tx:
        return signed_in_caller(tx, token=token, at=clock.now())


def required_caller(caller: Annotated[Caller | None, Depends(optional_caller)]) -> Caller:
    """Return who is signed in. Raises: NotSignedIn."""
    if caller is None:
        raise NotSignedIn
    return caller


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

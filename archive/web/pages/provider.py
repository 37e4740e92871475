"""Signing in by the bureau's own provider, and out of it again."""

from typing import Final

import structlog
from fastapi import APIRouter, Request, Response

from archive.access.federation import AccountWaits, sign_in_from_provider
from archive.access.oidc import TRIP_LIFETIME, OidcRefused, OidcUnreachable
from archive.access.sessions import sign_out
from archive.kernel.errors import NotFound
from archive.web.dependencies import (
    OriginDep,
    RequestIdDep,
    ServicesDep,
    give_browser,
    give_session,
    give_trip,
    session_cookie,
    trip_cookie,
)
from archive.web.limits import BY_NETWORK
from archive.web.pages.guards import safe_next
from archive.web.pages.relying import public_origin
from archive.web.pages.rendering import go_to
from archive.web.pages.sign_in import refused_page
from archive.wiring import Services
from archive.wiring.people_parts import Federation

router = APIRouter(prefix="/sign-in/provider", include_in_schema=False)

_BACK: Final = "/sign-in/provider/back"
_log = structlog.get_logger("liuhen.web")


@router.get("", dependencies=[BY_NETWORK])
def departure_page(request: Request, services: ServicesDep, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """Send the browser to the provider. Raises: NotFound where there is none."""
    federation = _federation(services)
    at = services.clock.now()
    try:
        leaving = federation.provider.depart(back=_back(request, services), next_address=safe_next(next), at=at)
    except OidcUnreachable as error:
        _log.warning("provider_unreachable", **{name: str(value) for name, value in error.facts.items()})
        return refused_page(request, services, "error.access.oidc_unreachable", status=503)
    response = go_to(leaving.address)
    give_trip(request, response, leaving.cookie, lifetime_s=int(TRIP_LIFETIME.total_seconds()))
    return response


@router.get("/back", dependencies=[BY_NETWORK])
def arrival_page(request: Request, services: ServicesDep, origin: OriginDep, request_id: RequestIdDep) -> Response:
    """Open a session for whoever comes back from the provider. Raises: NotFound where there is none."""
    federation = _federation(services)
    at = services.clock.now()
    try:
        arrival = federation.provider.arrive(
            cookie=request.cookies.get(trip_cookie(request), ""),
            answer=dict(request.query_params),
            back=_back(request, services),
            at=at,
        )
        token = sign_in_from_provider(
            services.sign_ins, federation.rules, arrival.claims, at=at, origin=origin, request=request_id
        )
    except OidcRefused as error:
        _log.warning("provider_refused", reason=error.facts.get("reason", "account"))
        response: Response = refused_page(request, services, "error.access.oidc_refused", status=401)
        give_trip(request, response, "", lifetime_s=0)
        return response
    except AccountWaits:
        response = refused_page(request, services, "error.access.account_waits", status=403)
        give_trip(request, response, "", lifetime_s=0)
        return response
    except OidcUnreachable as error:
        _log.warning("provider_unreachable", **{name: str(value) for name, value in error.facts.items()})
        return refused_page(request, services, "error.access.oidc_unreachable", status=503)
    before = request.cookies.get(session_cookie(request))
    if before is not None:
        sign_out(services.database, token=before, at=at)
    response = go_to(safe_next(arrival.next_address))
    give_trip(request, response, "", lifetime_s=0)
    give_session(request, response, token)
    give_browser(request, response, services, token, at)
    return response


def _federation(services: Services) -> Federation:
    if services.federation is None:
        raise NotFound
    return services.federation


def _back(request: Request, services: Services) -> str:
    return public_origin(request, services) + _BACK

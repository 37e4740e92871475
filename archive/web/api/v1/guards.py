"""Who may call the API: systems with a key, each under its own name and within its scopes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from archive.access.api_keys import KeyRefused, Scope, renew_hash
from archive.access.external_ids import MAX_EXTERNAL_ID_CHARACTERS, ExternalIdInvalid, clean_external_id
from archive.access.integrations import IntegrationCaller, OtherSystem, authenticated_integration, note_use
from archive.cases.systems.push import Pusher, Wish
from archive.web.dependencies import WholeServicesDep, origin
from archive.web.limits import by_network
from archive.wiring import Services

_bearer = HTTPBearer(auto_error=False, description="A key that the administrator made: `Authorization: Bearer lh_...`.")


def presented_integration(
    request: Request,
    presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    services: WholeServicesDep,
) -> IntegrationCaller:
    """Return the system whose key came with the request. Raises: KeyRefused, TooManyRequests."""
    if presented is None:
        raise KeyRefused
    now = services.clock.now()
    try:
        with services.database.read() as tx:
            caller = authenticated_integration(tx, presented.credentials, at=now)
    except KeyRefused:
        by_network(request, origin(request))
        raise
    request.app.state.meter.take(caller.id)
    note_use(services.database, caller.key_prefix, at=now)
    renew_hash(services.database, presented.credentials)
    return caller


def services_as_seen(
    services: WholeServicesDep, caller: Annotated[IntegrationCaller, Depends(presented_integration)]
) -> Services:
    """Return the services as the calling system sees them: what its unit has, and what it pushed itself."""
    return replace(services, database=services.database.seen_by(caller.sight))


ServicesDep = Annotated[Services, Depends(services_as_seen)]


def may(*scopes: Scope) -> Callable[[IntegrationCaller], IntegrationCaller]:
    """Return a dependency that lets only keys with one of these scopes in. Raises: Forbidden."""

    def allowed(caller: Annotated[IntegrationCaller, Depends(presented_integration)]) -> IntegrationCaller:
        caller.require(*scopes)
        return caller

    return allowed


CaseReader = Annotated[IntegrationCaller, Depends(may(Scope.CASES_READ, Scope.CASES_WRITE))]
OfficerReader = Annotated[IntegrationCaller, Depends(may(Scope.CASES_READ, Scope.OFFICERS_WRITE))]
CaseWriter = Annotated[IntegrationCaller, Depends(may(Scope.CASES_WRITE))]
OfficerWriter = Annotated[IntegrationCaller, Depends(may(Scope.OFFICERS_WRITE))]
ItemReader = Annotated[IntegrationCaller, Depends(may(Scope.ITEMS_READ))]
HoldReader = Annotated[IntegrationCaller, Depends(may(Scope.HOLDS_READ, Scope.HOLDS_PLACE, Scope.HOLDS_RELEASE))]
HoldPlacer = Annotated[IntegrationCaller, Depends(may(Scope.HOLDS_PLACE))]
HoldReleaser = Annotated[IntegrationCaller, Depends(may(Scope.HOLDS_RELEASE))]
EventReader = Annotated[IntegrationCaller, Depends(may(Scope.EVENTS_READ))]


def own_system(
    system: Annotated[str, Path(description="The short name of the system that the key belongs to.", examples=["cms"])],
    caller: Annotated[IntegrationCaller, Depends(presented_integration)],
) -> IntegrationCaller:
    """Return the calling system where the address names it. Raises: OtherSystem."""
    if system != caller.name:
        raise OtherSystem
    return caller


OwnSystem = Annotated[IntegrationCaller, Depends(own_system)]


def pusher(caller: OwnSystem, services: ServicesDep) -> Pusher:
    """Return what a push of the calling system needs."""
    return Pusher(services.database, services.identifiers, caller.id, caller.actor, services.clock.now())


PusherDep = Annotated[Pusher, Depends(pusher)]


def external_id_in_path(
    request: Request,
    caller: Annotated[IntegrationCaller, Depends(presented_integration)],
    external_id: Annotated[
        str,
        Path(
            description="The id that the calling system has for it: Unicode, 1 to 200 characters, percent-encoded; "
            "slashes may stand as they are.",
            examples=["CASE/2026/0031"],
            max_length=4 * MAX_EXTERNAL_ID_CHARACTERS,
        ),
    ],
) -> str:
    """Return the external id of the address. Raises: ExternalIdInvalid, also for bytes that are not UTF-8."""
    del caller  # who has no key is told of nothing else
    del external_id  # decoded with replacement characters, so that two addresses could become one id
    raw = request.scope["raw_path"].split(b"/", 6)[6]
    try:
        return clean_external_id(unquote_to_bytes(raw).decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ExternalIdInvalid from exc


ExternalIdPath = Annotated[str, Depends(external_id_in_path)]


def wish(
    *,
    adopt: Annotated[
        bool, Query(description="Take what is on record already under this external id, where a conflict offers it.")
    ] = False,
    if_match: Annotated[
        str | None, Header(description="Change only this version: the `ETag` of an earlier answer, or `*` for any.")
    ] = None,
) -> Wish:
    """Return how a push is meant."""
    version = None if if_match is None else if_match.strip().removeprefix("W/").strip('"')
    return Wish(adopt, version)


WishDep = Annotated[Wish, Depends(wish)]
Cursor = Annotated[str | None, Query(description="The `next` of the answer before.", max_length=200)]
Limit = Annotated[int, Query(ge=1, le=200, description="How many rows at most.")]

"""Enrolling a dock, and what any machine may know of this archive."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from archive.access.api_keys import KeyRefused
from archive.access.browsers import Origin
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId
from archive.kernel.instants import format_instant, parse_instant
from archive.kernel.texts import clean_text
from archive.web.api.document import file_of, refusals
from archive.web.dependencies import OriginDep, WholeServicesDep
from archive.web.limits import BY_NETWORK, Cost, limits_of
from archive.wiring import Services
from ingest.docks import MAX_FIRMWARE_CHARACTERS, authenticated_dock, enrol_dock, rotate_key
from ingest.waiting import MOST_ANNOUNCED, Announced, announce, wished_keys

router = APIRouter(prefix="/api/v1", tags=["docks"])


class EnrolmentRequest(BaseModel):
    """What a dock sends once."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(description="The one-time code.", examples=["7QWK-2M9T-XH4B-VVR3"], max_length=64)]
    public_key: Annotated[str, Field(description="The dock's Ed25519 public key, Base64.", max_length=64)]


class EnrolmentRead(BaseModel):
    """What a dock is given once."""

    dock_id: Annotated[str, Field(description="The dock's id.")]
    api_key: Annotated[str, Field(description="The key for uploads; it cannot be shown again.")]
    trust: Annotated[str, Field(description="The trust file: keys of the log and of receipts, to be pinned.")]


class KeyRequest(BaseModel):
    """What a dock says when it asks for another key."""

    model_config = ConfigDict(extra="forbid")

    firmware: Annotated[
        str | None,
        Field(description="What the station runs.", examples=["liuhen 0.1.0"], max_length=MAX_FIRMWARE_CHARACTERS),
    ] = None


class KeyRead(BaseModel):
    """Another key for a dock."""

    api_key: Annotated[str, Field(description="The key from now on; it cannot be shown again.")]


class TimeRead(BaseModel):
    """The archive's clock."""

    now: Annotated[str, Field(description="RFC 3339, UTC.")]


@router.post(
    "/docks/enrolment",
    status_code=201,
    operation_id="enrol_dock",
    responses=refusals(400, 403, 413, 429),
    dependencies=[BY_NETWORK],
)
def enrol(body: EnrolmentRequest, services: WholeServicesDep) -> EnrolmentRead:
    """Trade a one-time code for an id, a key that can only write, and the keys to pin."""
    try:
        public_key = base64.b64decode(body.public_key, validate=True)
    except ValueError as exc:  # also for a text that is not ASCII
        raise InvalidInput("The public key is not in Base64") from exc
    enrolment = enrol_dock(services.database, code=body.code, public_key=public_key, at=services.clock.now())
    return EnrolmentRead(dock_id=str(enrolment.dock_id), api_key=enrolment.api_key, trust=str(services.trust))


DOCK_KEY = HTTPBearer(
    auto_error=False, scheme_name="DockKey", description="The key of the dock: `Authorization: Bearer lh_...`."
)


@router.post(
    "/docks/key",
    status_code=201,
    operation_id="rotate_dock_key",
    responses=refusals(400, 401, 403, 413, 429),
    dependencies=[BY_NETWORK],
)
def rotate(
    body: KeyRequest,
    response: Response,
    services: WholeServicesDep,
    presented: Annotated[HTTPAuthorizationCredentials | None, Depends(DOCK_KEY)],
) -> KeyRead:
    """Trade a dock's key for another one; the old one goes on for 10 minutes, so that a lost answer can be asked again.

    Whoever holds the old key beyond these minutes holds nothing.
    """
    if presented is None:
        raise KeyRefused
    given = rotate_key(
        services.database, api_key=presented.credentials, firmware=body.firmware, at=services.clock.now()
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return KeyRead(api_key=given.api_key)


class RecordingWaiting(BaseModel):
    """A recording that a dock has and has not sent."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(description="What the dock calls it.", pattern=r"^[A-Za-z0-9]{1,64}$")]
    name: Annotated[str, Field(description="The file's name.", min_length=1, max_length=255)]
    size_bytes: Annotated[int, Field(description="Its size in bytes.", ge=0, le=1 << 50)]
    device_serial: Annotated[str | None, Field(description="The camera's serial number.", max_length=128)] = None
    begins_at: Annotated[str | None, Field(description="RFC 3339.", max_length=40)] = None
    ends_at: Annotated[str | None, Field(description="RFC 3339.", max_length=40)] = None


class WaitingRequest(BaseModel):
    """What a dock has waiting, or a part of it."""

    model_config = ConfigDict(extra="forbid")

    recordings: Annotated[list[RecordingWaiting], Field(max_length=MOST_ANNOUNCED)]
    is_first: Annotated[StrictBool, Field(description="Whether this replaces what was announced before.")] = True


class WishesRead(BaseModel):
    """What a dock is to send first."""

    first: Annotated[list[str], Field(description="Keys of announced recordings, in this order.")]


Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(DOCK_KEY)]


@router.post("/docks/waiting", operation_id="announce_recordings", responses=refusals(400, 401, 403, 413, 429))
def announced(
    request: Request, body: WaitingRequest, services: WholeServicesDep, presented: Presented, origin: OriginDep
) -> WishesRead:
    """Say what waits at a dock; the answer says what it is to send first."""
    dock_id = _station(request, services, presented, origin)
    told = [
        Announced(
            key=one.key,
            name=clean_text(one.name, "name", 255),
            size_bytes=one.size_bytes,
            device_serial=None if one.device_serial is None else clean_text(one.device_serial, "device_serial", 128),
            begins_at=None if one.begins_at is None else parse_instant(one.begins_at),
            ends_at=None if one.ends_at is None else parse_instant(one.ends_at),
        )
        for one in body.recordings
    ]
    first = announce(services.database, dock_id, told, is_first=body.is_first, at=services.clock.now())
    return WishesRead(first=list(first))


@router.get("/docks/waiting", operation_id="read_wishes", responses=refusals(401, 403, 429))
def wishes(request: Request, services: WholeServicesDep, presented: Presented, origin: OriginDep) -> WishesRead:
    """Say what a dock is to send first."""
    dock_id = _station(request, services, presented, origin)
    with services.database.read() as tx:
        return WishesRead(first=list(wished_keys(tx, dock_id)))


def _station(
    request: Request, services: Services, presented: HTTPAuthorizationCredentials | None, origin: Origin
) -> DockId:
    """Return the station that shows its key. Raises: KeyRefused, DockRevoked, TooManyRequests."""
    key = "" if presented is None else presented.credentials
    try:
        with services.database.read() as tx:
            dock, _ = authenticated_dock(tx, key, at=services.clock.now())
    except KeyRefused:
        limits_of(request).take(Cost.STRANGERS, origin.network)
        raise
    limits_of(request).take(Cost.UPLOADS, dock.id)
    return DockId(dock.id)


@router.get("/time", operation_id="read_time")
def time(services: WholeServicesDep) -> TimeRead:
    """Tell the archive's time, so that a dock can measure its own clock."""
    return TimeRead(now=format_instant(services.clock.now()))


@router.get(
    "/ca.pem",
    operation_id="read_authority",
    response_class=Response,
    responses={200: file_of("application/x-pem-file")},
)
def authority(services: WholeServicesDep) -> Response:
    """Return the archive's own root certificate, for whoever knows its SHA-256 from elsewhere."""
    return Response(services.authority.root_pem, media_type="application/x-pem-file")


@router.get("/health", operation_id="read_health", responses=refusals(503))
def health(services: WholeServicesDep) -> dict[str, str]:
    """Say that the server and its database answer."""
    with services.database.read() as tx:
        tx.connection()
    return {"status": "ok"}

"""Enrolling a dock, and what any machine may know of this archive."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from archive.access.api_keys import KeyRefused
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import format_instant
from archive.web.api.document import file_of, refusals
from archive.web.dependencies import WholeServicesDep
from archive.web.limits import BY_NETWORK
from ingest.docks import MAX_FIRMWARE_CHARACTERS, enrol_dock, rotate_key

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

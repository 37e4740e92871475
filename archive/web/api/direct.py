"""The door for recordings that go straight to the bucket: addresses for parts, and the word that all were sent.

The receipt is fetched, and an upload is given up, at the same addresses as for tus (`archive.web.api.uploads`).
"""

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, ConfigDict, Field

from archive.access.api_keys import KeyHolder, KeyRefused, renew_hash
from archive.kernel.digests import Digest
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, UploadId, parse_uuid
from archive.web.api.docks import DOCK_KEY
from archive.web.api.document import refusals
from archive.web.dependencies import WholeServicesDep, origin
from archive.web.limits import Cost, Limits
from ingest.direct import (
    MOST_ADDRESSES,
    DirectState,
    begin_direct,
    complete_direct,
    direct_state,
    part_addresses,
)
from ingest.docks import authenticated_dock
from ingest.models import Dock
from ingest.pressure import Gate

router = APIRouter(prefix="/api/v1/direct-uploads", tags=["docks"])

_Sha256 = Annotated[str, Field(description="SHA-256 of the part, hexadecimal.", pattern=r"^[0-9a-f]{64}$")]


class DirectRequest(BaseModel):
    """What a dock says of a recording before it sends it."""

    model_config = ConfigDict(extra="forbid")

    size_bytes: Annotated[int, Field(description="Size of the recording.", ge=0, lt=1 << 63)]
    manifest: Annotated[str, Field(description="The dock's manifest, Base64.", max_length=32 * 1024)]
    signature: Annotated[str, Field(description="Its Ed25519 signature, Base64.", max_length=88)]
    announced: Annotated[
        str | None, Field(description="The key under which the dock announced the recording.", max_length=64)
    ] = None


class DirectRead(BaseModel):
    """Where an upload stands."""

    id: Annotated[str, Field(description="The upload's id; its receipt is at /api/v1/uploads/{id}/receipt.")]
    state: Annotated[str, Field(description="direct, complete, accepted or quarantined.")]
    part_size_bytes: Annotated[int, Field(description="Size of each part but the last.")]
    parts: Annotated[int, Field(description="How many parts there are.")]
    stored: Annotated[list[int], Field(description="Numbers, from 1, of the parts that the bucket has.")]

    @classmethod
    def of(cls, state: DirectState) -> "DirectRead":
        """Return what is told of a state."""
        return cls(
            id=str(state.id),
            state=state.state,
            part_size_bytes=state.part_size_bytes,
            parts=state.parts,
            stored=list(state.stored),
        )


class PartWish(BaseModel):
    """A part that is to be sent."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(description="From 1.", ge=1, le=10_000)]
    sha256: _Sha256


class PartsRequest(BaseModel):
    """The parts that are to be sent next."""

    model_config = ConfigDict(extra="forbid")

    parts: Annotated[list[PartWish], Field(min_length=1, max_length=MOST_ADDRESSES)]


class PartRead(BaseModel):
    """Where a part is sent with PUT, with exactly these headers, within 15 minutes."""

    number: int
    url: str
    headers: dict[str, str]


class PartsRead(BaseModel):
    """An address for each part."""

    parts: list[PartRead]


class CompletionRequest(BaseModel):
    """The digests of all parts, in their order."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[list[_Sha256], Field(min_length=1, max_length=10_000)]


def _dock(
    request: Request,
    services: WholeServicesDep,
    presented: Annotated[HTTPAuthorizationCredentials | None, Depends(DOCK_KEY)],
) -> tuple[Dock, KeyHolder]:
    """Return the dock whose key was shown. Raises: KeyRefused, DockRevoked, TooManyRequests."""
    key = "" if presented is None else presented.credentials
    limits: Limits = request.app.state.limits
    with services.database.read() as tx:
        try:
            found = authenticated_dock(tx, key, at=services.clock.now())
        except KeyRefused:
            limits.take(Cost.STRANGERS, origin(request).network)
            raise
    renew_hash(services.database, key)
    return found


_DockDep = Annotated[tuple[Dock, KeyHolder], Depends(_dock)]
_REFUSALS = refusals(400, 401, 403, 404, 409, 413, 429, 503)


@router.post("", status_code=201, operation_id="begin_direct_upload", responses=_REFUSALS)
def begin(body: DirectRequest, request: Request, services: WholeServicesDep, known: _DockDep) -> DirectRead:
    """Open an upload whose parts go straight to the bucket."""
    dock, holder = known
    limits: Limits = request.app.state.limits
    limits.take(Cost.UPLOADS, dock.id)
    gate: Gate = request.app.state.gate
    gate.require_queue()
    state = begin_direct(
        services.intake,
        dock_id=dock.id,
        credential=holder.actor.auth or "",
        size_bytes=body.size_bytes,
        manifest=_decoded(body.manifest),
        manifest_signature=_decoded(body.signature),
        announced=body.announced,
    )
    return DirectRead.of(state)


@router.get("/{upload_id}", operation_id="read_direct_upload", responses=_REFUSALS)
def read(upload_id: str, services: WholeServicesDep, known: _DockDep) -> DirectRead:
    """Tell where an upload stands, and which parts the bucket has."""
    return DirectRead.of(direct_state(services.intake, _id(upload_id), dock_id=DockId(known[0].id)))


@router.post("/{upload_id}/parts", operation_id="address_parts", responses=_REFUSALS)
def address(upload_id: str, body: PartsRequest, services: WholeServicesDep, known: _DockDep) -> PartsRead:
    """Tell where to send parts. Each address takes the bytes with that digest and no others."""
    wanted = {wish.number: Digest.from_hex("sha256", wish.sha256) for wish in body.parts}
    found = part_addresses(services.intake, _id(upload_id), wanted, dock_id=DockId(known[0].id))
    parts = [PartRead(number=part.number, url=part.url, headers=dict(part.headers)) for part in found]
    return PartsRead(parts=parts)


@router.post("/{upload_id}/completion", status_code=202, operation_id="complete_direct_upload", responses=_REFUSALS)
def complete(upload_id: str, body: CompletionRequest, services: WholeServicesDep, known: _DockDep) -> DirectRead:
    """Say that every part was sent. The archive reads them anew; the receipt comes when they are what was signed."""
    sha256s = [Digest.from_hex("sha256", text) for text in body.sha256]
    return DirectRead.of(complete_direct(services.intake, _id(upload_id), sha256s, dock_id=DockId(known[0].id)))


def _id(text: str) -> UploadId:
    return UploadId(parse_uuid(text))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidInput("The manifest or its signature is not in Base64") from exc

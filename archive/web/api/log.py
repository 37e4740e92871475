"""The log as others read it: checkpoint and tiles as they lie on the disk, proofs made from the tree.

Checkpoint, hash tiles, anchors and proofs tell nothing but hashes, and are for everybody. Entries take the right to
the log.

Source: C2SP tlog-tiles, tlog-proof; RFC 6962 section 2.1.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from archive.kernel.errors import NotFound
from archive.kernel.findings import Outcome
from archive.ledger.anchors import PUBLIC_NAME
from archive.ledger.note import encode_base64
from archive.ledger.proofs import LeafNotFound, checkpoint_of, consistency, inclusion_at
from archive.ledger.tiles import MalformedTile, Tile
from archive.ledger.tree import MAX_SIZE
from archive.web.api.document import SESSION, file_of, refusals
from archive.web.dependencies import WholeServicesDep
from archive.web.limits import BY_NETWORK
from archive.web.pages.guards import LogHealthReader, LogReader
from archive.wiring import Services

router = APIRouter(tags=["log"])

_FOR_EVER: Final = "max-age=31536000, immutable"
_TEXT: Final = "text/plain; charset=utf-8"
_ANCHOR_TYPES: Final = {
    "tsr": "application/timestamp-reply",
    "jsonl": "application/jsonl",
    "pem": "application/pem-certificate-chain",
}


class TileNotFound(NotFound):
    """The log has no such tile yet, or has it in a wider form."""

    code = "ledger.tile_not_found"


class AnchorNotFound(NotFound):
    """The log has no such anchor."""

    code = "anchor.not_found"


class ConsistencyRead(BaseModel):
    """Two sizes of the log, and the proof that the greater begins with the smaller."""

    old_size: int
    new_size: int
    old_root: Annotated[str, Field(description="Base64.")]
    new_root: Annotated[str, Field(description="Base64.")]
    hashes: Annotated[list[str], Field(description="Base64, in the order of RFC 6962 section 2.1.2.")]


@router.get(
    "/log/checkpoint",
    operation_id="read_checkpoint",
    response_class=Response,
    responses={200: file_of("text/plain"), **refusals(404)},
)
def checkpoint(services: WholeServicesDep) -> Response:
    """Return the newest published checkpoint."""
    published = services.published.checkpoint()
    if published is None:
        raise TileNotFound
    return Response(published, media_type=_TEXT, headers={"Cache-Control": "no-cache"})


@router.get(
    "/log/tile/entries/{number:path}",
    operation_id="read_entries",
    response_class=Response,
    dependencies=[Depends(SESSION)],
    responses={200: file_of("application/octet-stream"), **refusals(401, 403, 404)},
)
def entries(number: str, caller: LogReader, services: WholeServicesDep) -> Response:
    """Return a bundle of entries, byte for byte."""
    del caller
    return _file(services, f"tile/entries/{number}", cache=f"private, {_FOR_EVER}")


@router.get(
    "/log/tile/{level}/{number:path}",
    operation_id="read_tile",
    response_class=Response,
    responses={200: file_of("application/octet-stream"), **refusals(400, 404)},
)
def tile(level: Annotated[int, Path(ge=0, le=63)], number: str, services: WholeServicesDep) -> Response:
    """Return a tile of hashes."""
    return _file(services, f"tile/{level}/{number}", cache=f"public, {_FOR_EVER}")


@router.get(
    "/log/anchors/{name}",
    operation_id="read_anchor",
    response_class=Response,
    responses={200: file_of(*_ANCHOR_TYPES.values(), "text/plain"), **refusals(404)},
)
def anchor(name: str, services: WholeServicesDep) -> Response:
    """Return a timestamped checkpoint, a token (RFC 3161), the chain of all tokens, or issuers of certificates."""
    if PUBLIC_NAME.fullmatch(name) is None:
        raise AnchorNotFound
    try:
        content = (services.anchors.folder / name).read_bytes()
    except OSError as exc:
        raise AnchorNotFound from exc
    suffix = name.rpartition(".")[2]
    kept = "no-cache" if suffix in {"jsonl", "pem"} else f"public, {_FOR_EVER}"
    return Response(content, media_type=_ANCHOR_TYPES.get(suffix, _TEXT), headers={"Cache-Control": kept})


@router.get(
    "/api/v1/log/proof/{index}",
    operation_id="read_proof",
    response_class=Response,
    responses={200: file_of("text/plain"), **refusals(400, 404, 429)},
    dependencies=[BY_NETWORK],
)
def proof(index: Annotated[int, Path(ge=0, le=MAX_SIZE)], services: WholeServicesDep) -> Response:
    """Return the proof that there is an entry at this index, as a tlog-proof."""
    with services.database.read() as tx:
        found = inclusion_at(tx, index)
    if found is None:
        raise LeafNotFound(index=index)
    return Response(str(found), media_type=_TEXT)


@router.get(
    "/api/v1/log/consistency",
    operation_id="read_consistency",
    responses=refusals(400, 404, 429),
    dependencies=[BY_NETWORK],
)
def consistency_between(
    services: WholeServicesDep,
    old: Annotated[int, Query(alias="from", ge=1, le=MAX_SIZE)],
    new: Annotated[int, Query(alias="to", ge=1, le=MAX_SIZE)],
) -> ConsistencyRead:
    """Return the proof that the log was only added to between two of its checkpoints."""
    with services.database.read() as tx:
        before, after = checkpoint_of(tx, old), checkpoint_of(tx, new)
        if before is None or after is None or old > new:
            raise LeafNotFound(old_size=old, new_size=new)
        hashes = consistency(tx, old_size=old, new_size=new)
    return ConsistencyRead(
        old_size=old,
        new_size=new,
        old_root=encode_base64(before.root),
        new_root=encode_base64(after.root),
        hashes=[encode_base64(value) for value in hashes],
    )


class SignatureRead(BaseModel):
    """A signature that the newest checkpoint should carry."""

    key: str
    algorithm: str
    outcome: Outcome


class WitnessRead(BaseModel):
    """How far a witness has cosigned."""

    name: str
    size: Annotated[int | None, Field(description="Entries of the largest checkpoint that it has cosigned.")]
    cosigned_at: str | None
    behind: Annotated[int, Field(description="Entries after that.")]
    outcome: Outcome
    fault: Annotated[str | None, Field(description="The code of its last answer where that was no cosignature.")]
    fault_since: str | None


class AnchorRead(BaseModel):
    """How far timestamps anchor the log."""

    size: int | None
    at: str | None
    behind: int
    fault: str | None


class FindingRead(BaseModel):
    """One thing that a check established."""

    code: str
    outcome: Outcome
    message: str
    where: str


class HealthRead(BaseModel):
    """How the log stands: figures, and what was checked. What was not checked is never `valid`."""

    outcome: Outcome
    origin: str
    size: int
    root: Annotated[str, Field(description="Base64.")]
    issued_at: str | None
    pending: Annotated[int, Field(description="Entries that have no index yet.")]
    oldest_pending_s: int | None
    published_size: int | None
    counted_size: Annotated[int | None, Field(description="Entries under the largest checkpoint with a quorum.")]
    quorum: str | None
    signatures: list[SignatureRead]
    witnesses: list[WitnessRead]
    anchors: AnchorRead | None
    findings: list[FindingRead]


@router.get(
    "/api/v1/log/health", operation_id="read_log_health", dependencies=[Depends(SESSION)], responses=refusals(401, 403)
)
def health(caller: LogHealthReader, services: WholeServicesDep, answer: Response) -> HealthRead:
    """Return how the log stands; a program that watches it decides by `outcome`."""
    del caller
    answer.headers["Cache-Control"] = "no-store"
    return HealthRead.model_validate(services.log_health().as_json())


def _file(services: Services, path: str, *, cache: str) -> Response:
    try:
        asked = Tile.parse(path)
    except MalformedTile as exc:
        raise TileNotFound from exc
    try:
        content = services.published.path_of(asked).read_bytes()
    except OSError as exc:
        raise TileNotFound from exc
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": cache})

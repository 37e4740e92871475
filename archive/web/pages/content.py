"""The bytes behind a grant: what plays, its poster, a document to read, an original to take away.

Every request is checked against its grant: it must be the caller's own, of the right kind, and still last.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Final
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.custody.events import kept_object
from archive.custody.models import PreservedObject
from archive.evidence.items import evidence_item
from archive.evidence.models import Rendition
from archive.kernel.ids import GrantId, ObjectId
from archive.kernel.names import safe_file_name
from archive.retrieval.grants import GrantNotFound, active_grant
from archive.retrieval.models import Grant
from archive.retrieval.rules import GrantKind
from archive.web.dependencies import ServicesDep
from archive.web.pages.contents import entries_after, page_of
from archive.web.pages.guards import GrantIdPath, Viewer
from archive.web.pages.ranges import Range, Unsatisfiable, is_current, is_known, wanted_range
from archive.web.pages.rendering import render
from archive.web.sending import sending_of
from archive.wiring import Services
from ingest.contents import PAGES

router = APIRouter(prefix="/content/{grant_id}", include_in_schema=False)

_BLOCK_BYTES: Final = 1024 * 1024
_METHODS: Final = ["GET", "HEAD"]
# What an original holds is somebody else's: it may be shown by the browser's viewer and do nothing.
_DOCUMENT_CSP: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that can be served in parts. Units: bytes. `etag` changes with the bytes.

    `key` is that of a rendition, where these are all of its bytes: others can send them then.
    """

    size_bytes: int
    etag: str
    media_type: str
    open: Callable[[int, int | None], BinaryIO]
    key: str | None = None


class _BlobResponse(StreamingResponse):
    """Sends an open file in blocks, read in a thread, and closes it whatever happens to the connection."""

    def __init__(self, source: BinaryIO, **rest: Any) -> None:
        super().__init__(_blocks(source), **rest)
        self._source = source

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._source.close()


@router.api_route("/playable", methods=_METHODS)
def playable(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve what plays in a browser."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        view = evidence_item(tx, ObjectId(grant.object_id))
    return serve(request, rendition_blob(services, view.rendition("playable") or view.rendition("view")))


@router.api_route("/poster", methods=_METHODS)
def poster(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the still picture that stands before the first frame."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        view = evidence_item(tx, ObjectId(grant.object_id))
    return serve(request, rendition_blob(services, view.rendition("poster")))


@router.api_route("/sprite", methods=_METHODS)
def sprite(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the sheet of stills that the strip shows."""
    return _of_grant(request, grant_id, caller, services, kind="sprite")


@router.api_route("/peaks", methods=_METHODS)
def peaks(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the peaks of the sound, for the waveform."""
    return _of_grant(request, grant_id, caller, services, kind="peaks")


def _of_grant(request: Request, grant_id: GrantId, caller: Caller, services: Services, *, kind: str) -> Response:
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        view = evidence_item(tx, ObjectId(grant.object_id))
    return serve(request, rendition_blob(services, view.rendition(kind)))


@router.api_route("/pages/{number}", methods=_METHODS)
def page_picture(
    request: Request, grant_id: GrantIdPath, number: str, caller: Viewer, services: ServicesDep
) -> Response:
    """Serve the picture of one page of a document: a stretch of the rendition that holds them all."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        rendition = evidence_item(tx, ObjectId(grant.object_id)).rendition(PAGES)
    page = page_of(rendition, number)
    if rendition is None or page is None:
        raise GrantNotFound
    key, start, size_bytes = rendition.key, page.offset, page.size

    def opened(offset: int, length: int | None) -> BinaryIO:
        part = size_bytes - offset if length is None else length
        return services.renditions.open(key, offset=start + offset, length=part)

    return serve(request, Blob(size_bytes, f'"{rendition.sha256}-{number}"', "image/jpeg", opened))


@router.get("/entries")
def entries_part(
    request: Request,
    grant_id: GrantIdPath,
    caller: Viewer,
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> Response:
    """Show the entries of an archive that follow."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        found = entries_after(tx, ObjectId(grant.object_id), after)
    if found is None:
        raise GrantNotFound
    entries, following = found
    return render(request, "_entry_rows.html", caller=caller, entries=entries, after=following, grant=grant)


@router.api_route("/document", methods=_METHODS)
def document(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve a text record for reading in the browser's own viewer."""
    return _document(request, grant_id, caller, services, GrantKind.VIEW)


def _document(request: Request, grant_id: GrantId, caller: Caller, services: Services, kind: GrantKind) -> Response:
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, kind, caller)
        row = kept_object(tx, ObjectId(grant.object_id))
    if row.kind != "record":
        raise GrantNotFound
    blob = _original(services, row, media_type="application/pdf")
    headers = {"Content-Disposition": disposition("inline", row.name), "Content-Security-Policy": _DOCUMENT_CSP}
    return serve(request, blob, headers=headers)


@router.api_route("/print", methods=_METHODS)
def printed(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve a text record to be printed, which its grant has put in the register of copies."""
    return _document(request, grant_id, caller, services, GrantKind.PRINT)


@router.api_route("/original", methods=_METHODS)
def original(request: Request, grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the preserved original as a download, never for the browser to interpret."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.EXPORT, caller)
        row = kept_object(tx, ObjectId(grant.object_id))
    blob = _original(services, row, media_type="application/octet-stream")
    return serve(request, blob, headers={"Content-Disposition": disposition("attachment", row.name)})


def disposition(kind: str, name: str) -> str:
    """Return a `Content-Disposition` whose name every browser reads. Source: RFC 6266, RFC 8187."""
    safe = safe_file_name(name)
    plain = "".join(char if char.isascii() and (char.isalnum() or char in " .-_()") else "_" for char in safe)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def granted(tx: Session, services: Services, grant_id: GrantId, kind: GrantKind, caller: Caller) -> Grant:
    """Return the caller's own grant of this kind while it lasts. Raises: GrantNotFound."""
    grant = active_grant(tx, grant_id, by=caller, at=services.clock.now())
    if grant.kind != kind.value:
        raise GrantNotFound
    return grant


def rendition_blob(services: Services, rendition: Rendition | None) -> Blob:
    """Return the bytes of a rendition. Raises: GrantNotFound where there is none."""
    if rendition is None:
        raise GrantNotFound
    key = rendition.key
    return Blob(
        rendition.size_bytes,
        f'"{rendition.sha256}"',
        rendition.media_type,
        lambda offset, length: services.renditions.open(key, offset=offset, length=length),
        key,
    )


def _original(services: Services, row: PreservedObject, *, media_type: str) -> Blob:
    object_id, path = ObjectId(row.id), row.content_path
    return Blob(
        row.size_bytes,
        f'"{row.sha256}"',
        media_type,
        lambda offset, length: services.objects.open_file(object_id, path, offset=offset, length=length),
    )


def serve(request: Request, blob: Blob, *, headers: dict[str, str] | None = None) -> Response:
    """Answer with the whole or with the range that is asked for. Source: RFC 9110 sections 13.2.2, 14.2, 15.3.7."""
    common = {
        "Accept-Ranges": "bytes",
        "ETag": blob.etag,
        "Cache-Control": "private, no-store",
        **(headers or {}),
    }
    if is_known(request.headers.get("if-none-match"), etag=blob.etag):
        return Response(status_code=304, headers=common)
    if blob.key is not None:
        led = sending_of(request).elsewhere(request, blob.key, media_type=blob.media_type, headers=common)
        if led is not None:
            return led
    part: Range | None = None
    if request.method == "GET" and is_current(request.headers.get("if-range"), etag=blob.etag):
        try:
            part = wanted_range(request.headers.get("range"), size_bytes=blob.size_bytes)
        except Unsatisfiable:
            return Response(status_code=416, headers={**common, "Content-Range": f"bytes */{blob.size_bytes}"})
    length = blob.size_bytes if part is None else part.length
    common["Content-Length"] = str(length)
    if part is not None:
        common["Content-Range"] = part.content_range
    source = blob.open(0, None) if part is None else blob.open(part.offset, part.length)
    if request.method == "HEAD":
        source.close()
        return Response(headers=common, media_type=blob.media_type)
    return _BlobResponse(source, status_code=200 if part is None else 206, headers=common, media_type=blob.media_type)


async def _blocks(source: BinaryIO) -> AsyncIterator[bytes]:
    while block := await to_thread.run_sync(source.read, _BLOCK_BYTES):
        yield block

"""Streams under a grant: what plays while it is encoded, and versions for slow links.

A segment that is not there yet is waited for, and the encoder is told that somebody waits. Every request is checked
against its grant, as those for whole files are.
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.custody.events import ObjectNotFound
from archive.evidence.items import evidence_item
from archive.evidence.models import Rendition
from archive.kernel.errors import NotFound, Unavailable
from archive.kernel.ids import GrantId, ObjectId
from archive.retrieval.grants import GrantNotFound
from archive.retrieval.rules import GrantKind
from archive.web.dependencies import ServicesDep
from archive.web.pages.content import Blob, granted, rendition_blob, serve
from archive.web.pages.guards import GrantIdPath, ObjectIdPath, Reader, Viewer
from archive.web.pages.progress import preparation
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.web.pages.versions import versions_of
from archive.wiring import Services
from ingest.live import Live, live, live_key, note_view, want_segment
from ingest.media.encoding import RUNGS
from ingest.media.facts import Probe
from ingest.media.live_state import LiveState
from ingest.media.proxy import master_playlist
from ingest.media.segments import INIT, PLAYLIST_TYPE, entries, playlist, segment_name, segment_number
from ingest.proxies import ask_for_proxies, proxies_of

router = APIRouter(include_in_schema=False)

_METHODS: Final = ["GET", "HEAD"]
_LONGEST_WAIT_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.2
_ASK_EVERY: Final = 15
"""After so many looks the encoder is told once more, for somebody else may have told it something else since."""
_SEGMENT_TYPE: Final = "video/mp4"
_HEADERS: Final = {"Cache-Control": "private, no-store"}


class SegmentNotReady(Unavailable):
    """This part of the recording is not encoded yet; ask again."""

    code = "retrieval.segment_not_ready"


class SegmentEmpty(NotFound):
    """Nothing was recorded in this part; the list of segments says so by now."""

    code = "retrieval.segment_empty"


@dataclass(frozen=True, slots=True)
class _Seen:
    """Whose segment is asked for, and whether it is there. Units: bytes."""

    object_id: ObjectId
    size_bytes: int | None
    is_empty: bool


@router.api_route("/content/{grant_id}/live.m3u8", methods=_METHODS)
def live_playlist(grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the list of all segments of an item that is being encoded, also of those that are not there yet."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        object_id = ObjectId(grant.object_id)
        found, view = live(tx, object_id), evidence_item(tx, object_id)
    state = LiveState() if found is None else found.state
    if found is None or state.origin is None:
        raise GrantNotFound
    note_view(services.database, object_id, found, at=services.clock.now())
    count, probe = state.listed, Probe.from_json(view.item.probe)
    made = count if count is not None else _made_in_a_row(services, object_id)
    listed = entries(probe, made, origin=state.origin, empty=state.empty, late=state.late, short=state.short)
    text = playlist(listed, folder="live", is_whole=count is not None)
    return Response(text, media_type=PLAYLIST_TYPE, headers=_HEADERS)


@router.api_route("/content/{grant_id}/live/{name}", methods=_METHODS)
async def live_segment(
    request: Request, grant_id: GrantIdPath, name: str, caller: Viewer, services: ServicesDep
) -> Response:
    """Serve a segment or the head of all; wait for a segment that is not there yet.

    Raises: GrantNotFound, SegmentEmpty, SegmentNotReady.
    """
    number = segment_number(name)
    if number is None and name != INIT:
        raise GrantNotFound
    ends = time.monotonic() + _LONGEST_WAIT_S
    seen = await to_thread.run_sync(partial(_look, services, grant_id, caller, number, turn=0))
    turn = 0
    while seen.size_bytes is None and not seen.is_empty:
        if time.monotonic() > ends or await request.is_disconnected():
            raise SegmentNotReady(retry_after_s=1)
        await anyio.sleep(_LOOK_EVERY_S)
        turn += 1
        seen = await to_thread.run_sync(partial(_look, services, grant_id, caller, number, turn=turn))
    if seen.size_bytes is None:
        raise SegmentEmpty
    key = live_key(seen.object_id, name)
    blob = Blob(
        seen.size_bytes,
        f'"{seen.object_id}-{name}-{seen.size_bytes}"',
        _SEGMENT_TYPE,
        lambda offset, length: services.renditions.open(key, offset=offset, length=length),
        key,
    )
    return await to_thread.run_sync(serve, request, blob)


def _look(services: Services, grant_id: GrantId, caller: Caller, number: int | None, *, turn: int) -> _Seen:
    """Look whether a segment is there; tell the encoder that somebody waits for it. Raises: GrantNotFound."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        object_id = ObjectId(grant.object_id)
        found = live(tx, object_id)
    if found is None or not found.is_watchable:
        raise GrantNotFound
    key = live_key(object_id, INIT if number is None else segment_name(number))
    size_bytes = services.renditions.size_bytes(key) if services.renditions.exists(key) else None
    is_empty = number is not None and found.state.is_empty(number)
    if turn == 0:
        note_view(services.database, object_id, found, at=services.clock.now())
    if size_bytes is None and not is_empty:
        if number is None or found.is_finished or _is_beyond(found, number):
            raise GrantNotFound
        if turn % _ASK_EVERY == 0:
            want_segment(services.database, object_id, number)
    return _Seen(object_id, size_bytes, is_empty)


def _is_beyond(found: Live, number: int) -> bool:
    return found.state.listed is not None and number >= found.state.listed


def _made_in_a_row(services: Services, object_id: ObjectId) -> int:
    count = 0
    while services.renditions.exists(live_key(object_id, segment_name(count))):
        count += 1
    return count


# ---- versions for slow links -----------------------------------------------------------------------------------------


@router.api_route("/content/{grant_id}/master.m3u8", methods=_METHODS)
def versions_playlist(grant_id: GrantIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the list of the versions that there are."""
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        found = proxies_of(evidence_item(tx, ObjectId(grant.object_id)))
    if not found:
        raise GrantNotFound
    text = master_playlist([(f"{version.kind}.m3u8", version.recipe["hls"]) for version in found])
    return Response(text, media_type=PLAYLIST_TYPE, headers=_HEADERS)


@router.api_route("/content/{grant_id}/proxy-{lines}.m3u8", methods=_METHODS)
def version_playlist(grant_id: GrantIdPath, lines: str, caller: Viewer, services: ServicesDep) -> Response:
    """Serve the playlist of one version: which bytes of its file are which seconds."""
    version = _version(services, grant_id, caller, lines)
    offset, length = version.recipe["hls"]["playlist"]
    with services.renditions.open(version.key, offset=offset, length=length) as source:
        text = source.read()
    return Response(text, media_type=PLAYLIST_TYPE, headers=_HEADERS)


@router.api_route("/content/{grant_id}/proxy-{lines}.mp4", methods=_METHODS)
def version_data(
    request: Request, grant_id: GrantIdPath, lines: str, caller: Viewer, services: ServicesDep
) -> Response:
    """Serve the bytes of one version."""
    return serve(request, rendition_blob(services, _version(services, grant_id, caller, lines)))


def _version(services: Services, grant_id: GrantId, caller: Caller, lines: str) -> Rendition:
    with services.database.read() as tx:
        grant = granted(tx, services, grant_id, GrantKind.VIEW, caller)
        found = proxies_of(evidence_item(tx, ObjectId(grant.object_id)))
    version = next((version for version in found if version.kind == f"proxy-{lines}"), None)
    if version is None or lines not in {str(rung.lines) for rung in RUNGS}:
        raise GrantNotFound
    return version


@router.post("/items/{object_id}/versions")
def versions_asked(request: Request, object_id: ObjectIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Have versions of an item for slow links made."""
    with services.database.begin() as tx:
        view = evidence_item(tx, object_id)
        if versions_of(tx, view, services.workshop.proxies).state not in {"may_ask", "failed"}:
            raise ObjectNotFound
        ask_for_proxies(tx, object_id, at=services.clock.now())
    if not is_fragment(request):
        return go_to(f"/items/{object_id}")
    return _versions_part(request, object_id, caller, services)


@router.get("/items/{object_id}/versions")
def versions_part(request: Request, object_id: ObjectIdPath, caller: Viewer, services: ServicesDep) -> Response:
    """Show how far the versions for slow links are."""
    return _versions_part(request, object_id, caller, services)


def _versions_part(request: Request, object_id: ObjectId, caller: Caller, services: Services) -> Response:
    with services.database.read() as tx:
        view = evidence_item(tx, object_id)
        versions = versions_of(tx, view, services.workshop.proxies)
    return render(request, "_versions.html", caller=caller, view=view, versions=versions)


@router.get("/items/{object_id}/progress")
def progress_part(request: Request, object_id: ObjectIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show how far the encode is of an item that can be watched already."""
    with services.database.read() as tx:
        view = evidence_item(tx, object_id)
        found = preparation(tx, object_id) if view.item.play_state == "pending" else None
    headers = {"HX-Trigger": "trail-changed"} if found is None else None
    return render(request, "_live_progress.html", caller=caller, headers=headers, view=view, preparation=found)

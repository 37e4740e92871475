"""A recording of several clips: what follows what, where something is missing, and playing clip after clip."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.cases.listings import cases_of
from archive.evidence.recordings import recording_view
from archive.kernel.errors import NotFound
from archive.kernel.ids import GrantId, ObjectId, RecordingId
from archive.retrieval.grants import GrantKind, active_grant, grant_all
from archive.web.dependencies import ServicesDep
from archive.web.pages.axis import axis_marks
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Reader, RecordingIdPath, Viewer
from archive.web.pages.items import PURPOSES
from archive.web.pages.rendering import is_fragment, reader_texts, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

_MOST_PURPOSE: Final = 500


class NothingToPlay(NotFound):
    """No clip of the recording can be played."""

    code = "evidence.nothing_to_play"


@router.get("/recordings/{recording_id}")
def recording_page(request: Request, recording_id: RecordingIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show a recording with its clips."""
    return _recording(request, recording_id, caller, services)


@router.post("/recordings/{recording_id}/play")
def recording_play_posted(
    request: Request, recording_id: RecordingIdPath, form: FormDep, caller: Viewer, services: ServicesDep
) -> Response:
    """Grant the sight of every clip that can be played for one purpose, and show the player of all of them."""
    form.panel = "play"
    with services.database.read() as tx:
        view = recording_view(tx, recording_id)
    playable = [ObjectId(clip.item.object_id) for clip in view.clips if clip.is_playable]
    if not playable:
        raise NothingToPlay(recording_id=recording_id)
    purpose = form.text("purpose", most=_MOST_PURPOSE)
    if not form.is_good:
        return _recording(request, recording_id, caller, services, form=form, status=422)
    at = services.clock.now()
    grants = grant_all(services.database, playable, kind=GrantKind.VIEW, purpose=purpose, by=caller, at=at)
    return _recording(request, recording_id, caller, services, grants=grants)


def _recording(
    request: Request,
    recording_id: RecordingId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    grants: Mapping[ObjectId, GrantId] | None = None,
    status: int = 200,
) -> Response:
    texts = reader_texts(request)
    with services.database.read() as tx:
        view = recording_view(tx, recording_id)
        first = ObjectId(view.clips[0].item.object_id)
        context: dict[str, Any] = {
            "view": view,
            "cases": cases_of(tx, first),
            "officers": sorted({clip.item.officer_number for clip in view.clips if clip.item.officer_number}),
            "channels": sorted({clip.item.channel for clip in view.clips if clip.item.channel}),
            "grants": grants or {},
            "grant": None,
        }
        if grants:
            one = next(iter(grants.values()))
            context["grant"] = active_grant(tx, one, by=caller, at=services.clock.now())
    is_part = request.method == "POST" and is_fragment(request)
    return render(
        request,
        "_recording_stage.html" if is_part else "recording.html",
        caller=caller,
        status=status,
        form=form,
        section="cases" if context["cases"] else "items",
        purposes=[texts.text(f"purpose.{purpose}") for purpose in PURPOSES],
        here=f"/recordings/{recording_id}",
        marks=axis_marks(view),
        **context,
    )

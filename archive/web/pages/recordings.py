"""A recording of several clips: what follows what, where something is missing, and playing clip after clip."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases.listings import cases_of
from archive.evidence.recordings import RecordingView, recording_view
from archive.kernel.errors import NotFound
from archive.kernel.ids import GrantId, ObjectId, RecordingId
from archive.retrieval.decisions import admission_to, case_numbers
from archive.retrieval.grants import active_grant, grant_all
from archive.retrieval.rules import Decision, GrantKind
from archive.web.dependencies import ServicesDep
from archive.web.pages.axis import axis_marks
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Reader, RecordingIdPath, Viewer
from archive.web.pages.purposes import given_purpose, grant_context, usual_purposes
from archive.web.pages.rendering import is_fragment, reader_texts, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)


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
        purpose = given_purpose(form, case_numbers(tx, playable[0]))
    if not form.is_good:
        return _recording(request, recording_id, caller, services, form=form, status=422)
    grants = grant_all(
        services.database,
        playable,
        kind=GrantKind.VIEW,
        purpose=purpose,
        by=caller,
        rules=services.retrievals.rules,
        at=services.clock.now(),
    )
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
            "numbers": case_numbers(tx, first),
            "all_open": _all_open(tx, view, caller, services),
            **grant_context(services),
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
        purposes=usual_purposes(texts),
        here=f"/recordings/{recording_id}",
        marks=axis_marks(view),
        **context,
    )


def _all_open(tx: Session, view: RecordingView, caller: Caller, services: Services) -> bool:
    """Return whether each clip that can be played is granted at once: one purpose is asked for all of them."""
    rules, now = services.retrievals.rules, services.clock.now()
    return all(
        admission_to(tx, clip.original, GrantKind.VIEW, by=caller, rules=rules, at=now).decision is Decision.AT_ONCE
        for clip in view.clips
        if clip.is_playable
    )

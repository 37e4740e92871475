"""The axis on which the clips of a recording lie, as pages draw it."""

from typing import Any

from sqlalchemy.orm import Session

from archive.evidence.recordings import RecordingView, recording_of
from archive.kernel.ids import ObjectId


def recording_context(tx: Session, object_id: ObjectId) -> dict[str, Any]:
    """Return what the page of an item says of the recording that it is a clip of."""
    view = recording_of(tx, object_id)
    return {"recording": view, "recording_marks": None if view is None else axis_marks(view)}


def axis_marks(view: RecordingView) -> list[dict[str, Any]]:
    """Return where each clip lies on an axis that is 1,000 long, at least wide enough to be seen."""
    scale = 1000 / view.length_ms
    return [
        {
            "x": round(view.offset_ms(clip) * scale, 2),
            "width": round(max((clip.clip.duration_ms or 0) * scale, 2), 2),
            "is_playable": clip.is_playable,
            "object_id": clip.item.object_id,
        }
        for clip in view.clips
    ]

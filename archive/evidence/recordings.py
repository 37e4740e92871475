"""Reading recordings: one recording with its clips, that of an item, those of a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.evidence.models import Clip, EvidenceItem, Recording
from archive.kernel.errors import NotFound
from archive.kernel.ids import ObjectId, RecordingId
from archive.kernel.instants import Instant

TOLD_MS: Final = 1_000
"""Shorter gaps and overlaps are within what the times of files can say."""


class RecordingNotFound(NotFound):
    """There is no such recording, or it has been joined with another."""

    code = "evidence.recording_not_found"


@dataclass(frozen=True, slots=True)
class ClipView:
    """A clip with its item and its original. `missing_before` counts the chapters that its name says are missing."""

    clip: Clip
    item: EvidenceItem
    original: PreservedObject
    missing_before: int = 0

    @property
    def ends_at(self) -> Instant:
        """Where it ends; where it starts when its length is not known."""
        return self.clip.starts_at + timedelta(milliseconds=self.clip.duration_ms or 0)

    @property
    def gap_ms(self) -> int:
        """How long nothing was recorded before it; 0 where that is not known, or too short to tell."""
        gap_ms = self.clip.gap_before_ms or 0
        return gap_ms if gap_ms >= TOLD_MS else 0

    @property
    def overlap_ms(self) -> int:
        """For how long it goes beside the clip before; 0 where that is not known, or too short to tell."""
        gap_ms = self.clip.gap_before_ms or 0
        return -gap_ms if gap_ms <= -TOLD_MS else 0

    @property
    def is_playable(self) -> bool:
        """Whether there is something to play."""
        return self.item.play_state in {"playable", "damaged"}


@dataclass(frozen=True, slots=True)
class RecordingView:
    """A recording with its clips in their order."""

    recording: Recording
    clips: Sequence[ClipView]

    @property
    def gap_count(self) -> int:
        """How many gaps there are that the times or the numbers of the clips show."""
        return sum(1 for view in self.clips if view.gap_ms or view.missing_before)

    @property
    def length_ms(self) -> int:
        """How long it lasted, gaps and all."""
        return max(1, (self.recording.ended_at - self.recording.started_at) // timedelta(milliseconds=1))

    def offset_ms(self, view: ClipView) -> int:
        """Where a clip begins, counted from the start of the recording."""
        return (view.clip.starts_at - self.recording.started_at) // timedelta(milliseconds=1)

    def place_of(self, object_id: UUID) -> int:
        """Return where in `clips` an item stands. Raises: ValueError when it is not one of them."""
        return [view.item.object_id for view in self.clips].index(object_id)


def recording_view(tx: Session, recording_id: RecordingId) -> RecordingView:
    """Return one recording with its clips. Raises: RecordingNotFound."""
    recording = tx.get(Recording, recording_id)
    if recording is None:
        raise RecordingNotFound(recording_id=recording_id)
    rows = tx.execute(
        select(Clip, EvidenceItem, PreservedObject)
        .join(EvidenceItem, EvidenceItem.object_id == Clip.object_id)
        .join(PreservedObject, PreservedObject.id == Clip.object_id)
        .where(Clip.recording_id == recording_id)
        .order_by(Clip.position)
    ).all()
    before: EvidenceItem | None = None
    clips = []
    for clip, item, original in rows:
        clips.append(ClipView(clip, item, original, _missing(before, item)))
        before = item
    return RecordingView(recording, clips)


def recording_of(tx: Session, object_id: ObjectId) -> RecordingView | None:
    """Return the recording that an item is a clip of, with all of its clips; None where it is none."""
    recording_id = tx.scalar(select(Clip.recording_id).where(Clip.object_id == object_id))
    return None if recording_id is None else recording_view(tx, RecordingId(recording_id))


def recordings(
    tx: Session,
    *,
    device_serial: str | None = None,
    ends_after: Instant | None = None,
    starts_before: Instant | None = None,
    limit: int = 100,
) -> Sequence[Recording]:
    """Return recordings, the newest first: of one device, and of a stretch of time that they touch."""
    query = select(Recording).order_by(Recording.started_at.desc(), Recording.id.desc()).limit(limit)
    if device_serial is not None:
        query = query.where(Recording.device_serial == device_serial)
    if ends_after is not None:
        query = query.where(Recording.ended_at >= ends_after)
    if starts_before is not None:
        query = query.where(Recording.started_at <= starts_before)
    return tx.scalars(query).all()


def _missing(before: EvidenceItem | None, item: EvidenceItem) -> int:
    if before is None or item.series is None or item.series != before.series:
        return 0
    return (item.sequence or 0) - (before.sequence or 0) - 1

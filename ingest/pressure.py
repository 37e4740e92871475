"""What keeps uploads outside for a while: a disk or a queue that fills, and what one dock may send.

Nothing is lost by it: who is held back has the recording still, and is told when to come again. What one dock may send
is counted in the database, since several processes take from it; how full the queue is, each process asks now and then.
"""

import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.jobs.listings import due_count
from archive.jobs.queue import INTAKE, PROMPT
from archive.kernel.instants import Instant
from archive.meters import meters
from ingest.context import DockLimits, Intake
from ingest.errors import DiskReserved, DockPace, DockQuota, DockUploads, HeldBack, IntakeFull
from ingest.models import Dock, DockPacing, Upload

DAY: Final = timedelta(hours=24)
ACTIVE: Final = timedelta(minutes=15)
"""An upload that brought nothing for longer is not under way: its dock may have lost it."""
_AHEAD_S: Final = 2.0
_STRETCH_BYTES: Final = 64 << 20
_QUEUE_KEPT_S: Final = 1.0
_FULL_AGAIN_S: Final = 10
_QUEUE_AGAIN_S: Final = 5
_MOST_AGAIN_S: Final = 3600
_LOOK_BYTES: Final = 4 << 20
_BEHIND: Final = 8
"""So many recordings that wait to be taken in, or jobs that somebody waits for, are more than a moment's work."""


class Gate:
    """Whether the archive has room for more, as this process sees it."""

    def __init__(self, intake: Intake) -> None:
        """Prepare to look; nothing is looked at yet."""
        self._intake = intake
        self._guard = threading.Lock()
        self._looked_s = -math.inf
        self._is_full = False

    def require_open(self) -> None:
        """Refuse an upload or chunk that would go into the reserve, or into a queue that is long enough.

        Raises: DiskReserved, IntakeFull.
        """
        self.require_room()
        self.require_queue()

    def require_queue(self) -> None:
        """Refuse what would go into a queue that is long enough. Raises: IntakeFull."""
        with self._guard:
            if time.monotonic() - self._looked_s >= _QUEUE_KEPT_S:
                self._is_full = _is_full(self._intake)
                self._looked_s = time.monotonic()
        if self._is_full:
            raise IntakeFull(retry_after_s=_QUEUE_AGAIN_S)

    def require_room(self) -> None:
        """Raise DiskReserved when the free space is below the reserve."""
        if self._intake.room_bytes(0) < 0:
            raise DiskReserved(retry_after_s=_FULL_AGAIN_S)


def _is_full(intake: Intake) -> bool:
    most_uploads, most_jobs = intake.most_waiting_uploads, intake.most_due_jobs
    with intake.database.read() as tx:
        if most_uploads:
            waiting = select(Upload.id).where(Upload.state == "complete").limit(most_uploads).subquery()
            if (tx.scalar(select(func.count()).select_from(waiting)) or 0) >= most_uploads:
                return True
        return bool(most_jobs) and due_count(tx, PROMPT, at=intake.clock.now(), most=most_jobs) >= most_jobs


def is_behind(database: Database, *, at: Instant) -> bool:
    """Return whether intake has more to do than it gets done at once: for work that can wait for it."""
    with database.read() as tx:
        waiting = select(Upload.id).where(Upload.state == "complete").limit(_BEHIND).subquery()
        if (tx.scalar(select(func.count()).select_from(waiting)) or 0) >= _BEHIND:
            return True
        return any(due_count(tx, queue, at=at, most=_BEHIND) >= _BEHIND for queue in (PROMPT, INTAKE))


def dock_limits(intake: Intake, dock: Dock) -> DockLimits:
    """Return what a dock may send: what its row says, else for a station what the settings say. 0 means any number."""
    usual = intake.dock_limits if dock.kind == "station" else DockLimits()
    return DockLimits(
        bytes_per_day=usual.bytes_per_day if dock.most_bytes_per_day is None else dock.most_bytes_per_day,
        bytes_per_s=usual.bytes_per_s if dock.most_bytes_per_s is None else dock.most_bytes_per_s,
        uploads=usual.uploads if dock.most_uploads is None else dock.most_uploads,
    )


def require_within(tx: Session, intake: Intake, dock_id: UUID, *, size_bytes: int, at: Instant) -> None:
    """Refuse an upload that is more than its dock may begin now; in the transaction that begins it.

    Raises: DockQuota, DockUploads.
    """
    dock = tx.get(Dock, dock_id)
    limits = DockLimits() if dock is None else dock_limits(intake, dock)
    if not limits.bytes_per_day and not limits.uploads:
        return
    tx.execute(select(Dock.id).where(Dock.id == dock_id).with_for_update())  # of two at once, the second counts both
    if limits.uploads:
        fresh = at + intake.upload_lifetime - ACTIVE
        under_way = select(func.count()).where(
            Upload.dock_id == dock_id, Upload.state.in_(("receiving", "direct")), Upload.expires_at > fresh
        )
        if (tx.scalar(under_way) or 0) >= limits.uploads:
            raise DockUploads(retry_after_s=_QUEUE_AGAIN_S, most=limits.uploads)
    if limits.bytes_per_day:
        begun, since = bytes_of_day(tx, dock_id, at=at)
        if begun + size_bytes > limits.bytes_per_day:
            left_s = _MOST_AGAIN_S if since is None else (since + DAY - at).total_seconds()
            again_s = min(max(math.ceil(left_s), 1), _MOST_AGAIN_S)
            raise DockQuota(retry_after_s=again_s, most_bytes=limits.bytes_per_day, begun_bytes=begun)


def bytes_of_day(tx: Session, dock_id: UUID, *, at: Instant) -> tuple[int, Instant | None]:
    """Return how many bytes a dock began to send in the last 24 hours, and when the first of these uploads began.

    Of what ended without an item, only what was really sent counts.
    """
    is_dropped = Upload.state.in_(("terminated", "expired"))
    day = select(func.min(Upload.created_at)).where(Upload.dock_id == dock_id, Upload.created_at > at - DAY)
    sent = tx.scalar(day.with_only_columns(func.sum(Upload.offset_bytes)).where(is_dropped)) or 0
    asked = tx.scalar(day.with_only_columns(func.sum(Upload.size_bytes)).where(~is_dropped)) or 0
    return int(sent) + int(asked), tx.scalar(day)


def note_pace(tx: Session, dock_id: UUID, *, size_bytes: int, per_s: int, at: Instant) -> None:
    """Count bytes of a dock that has a rate, in the transaction that records them."""
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    fresh = insert(DockPacing).values(dock_id=dock_id, ahead_bytes=0, at=at).on_conflict_do_nothing()
    tx.execute(fresh)
    row = tx.scalars(select(DockPacing).where(DockPacing.dock_id == dock_id).with_for_update()).one()
    ahead = _ahead_bytes(row, per_s=per_s, at=at) + size_bytes
    tx.execute(update(DockPacing).where(DockPacing.dock_id == dock_id).values(ahead_bytes=ahead, at=at))


def require_pace(tx: Session, dock_id: UUID, *, per_s: int, at: Instant) -> None:
    """Raise DockPace when a dock has sent more than two seconds' worth ahead of its rate."""
    row = tx.get(DockPacing, dock_id)
    if row is None or not per_s:
        return
    ahead_s = _ahead_bytes(row, per_s=per_s, at=at) / per_s
    if ahead_s > _AHEAD_S:
        raise DockPace(retry_after_s=min(max(math.ceil(ahead_s - _AHEAD_S), 1), _MOST_AGAIN_S), bytes_per_s=per_s)


def _ahead_bytes(row: DockPacing, *, per_s: int, at: Instant) -> int:
    return max(0, row.ahead_bytes - int(max((at - row.at).total_seconds(), 0.0) * per_s))


@dataclass(slots=True)
class Stretch:
    """The body of one request, broken off where the archive or the dock's rate asks for a pause. Units: bytes."""

    gate: Gate
    per_s: int
    require_going_on: Callable[[], None]
    count: int = 0

    async def pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the body. Raises: DiskReserved, DockPace, and what `require_going_on` raises; what came is kept."""
        began_s, looked = time.monotonic(), 0
        async for piece in body:
            self.require_going_on()
            if self.count - looked >= _LOOK_BYTES:
                looked = self.count
                self.gate.require_room()
                self._require_pace(time.monotonic() - began_s)
            self.count += len(piece)
            yield piece

    def _require_pace(self, lasted_s: float) -> None:
        ahead = self.count - lasted_s * self.per_s
        if self.per_s and ahead > max(_STRETCH_BYTES, _AHEAD_S * self.per_s):
            raise DockPace(retry_after_s=math.ceil(ahead / self.per_s), bytes_per_s=self.per_s)


def count_held_back(error: HeldBack) -> None:
    """Count an upload or chunk that was asked to come later."""
    meters().held_back.labels(error.reason).inc()

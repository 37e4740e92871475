"""How long tonight's work will take, and how long the disk will do: figures that were measured, never assumed.

What could not be measured yet is None, and no forecast is made of it.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.db.sight import unbound
from archive.evidence.models import EvidenceItem
from archive.jobs.listings import counts_by_queue
from archive.jobs.models import Job
from archive.jobs.queue import QUEUES
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import Instant
from ingest.models import RoomSample, Upload
from ingest.staging import free_bytes
from ingest.waiting import WaitingSum, waiting_sum

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_SAMPLES_KEPT: Final = timedelta(days=35)
_GROWTH_OVER: Final = timedelta(days=7)
_LEAST_GROWTH: Final = timedelta(hours=2)
_MEASURED: Final = 200


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """A queue: what waits, and what the newest jobs that were done took.

    Units: seconds of one run, on average; seconds of work for an hour of recording, where the jobs were about
    recordings with a length; `at_once` is how many runs go side by side.
    """

    queue: str
    ready: int
    running: int
    at_once: int
    measured: int
    job_s: float | None
    hour_s: float | None

    @property
    def empty_in(self) -> timedelta | None:
        """When it is empty if nothing comes; None when nothing was measured."""
        waiting = self.ready + self.running
        if not waiting:
            return timedelta(0)
        return None if self.job_s is None else timedelta(seconds=waiting * self.job_s / self.at_once)


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """A disk, and what lies on it. Units: bytes; `growth` is how much more is used each day, over `measured_over`."""

    places: Sequence[str]
    free: int
    reserve: int
    growth: int | None
    measured_over: timedelta | None

    @property
    def full_in(self) -> timedelta | None:
        """When the reserve is reached if it goes on so; None when it does not grow, or nothing was measured."""
        if self.free <= self.reserve:
            return timedelta(0)
        if self.growth is None or self.growth <= 0:
            return None
        return timedelta(days=min((self.free - self.reserve) / self.growth, 36_500))


@dataclass(frozen=True, slots=True)
class Capacity:
    """Everything of the page. Units: bytes, bytes in a second over the last hour and the last day."""

    waiting: WaitingSum
    under_way: int
    missing_bytes: int
    untaken: int
    hour_rate: float
    day_rate: float
    queues: Sequence[QueueLoad]
    disks: Sequence[DiskRoom]

    @property
    def coming_bytes(self) -> int:
        """What docks have still to send."""
        return self.waiting.size_bytes + self.missing_bytes

    @property
    def received_in(self) -> timedelta | None:
        """When all of that is here at the rate of the last hour; None when nothing came in it."""
        if not self.coming_bytes:
            return timedelta(0)
        return timedelta(seconds=self.coming_bytes / self.hour_rate) if self.hour_rate else None


def capacity(
    tx: Session, *, places: Mapping[str, Path], reserve_bytes: int, at_once: Mapping[str, int], at: Instant
) -> Capacity:
    """Return how it stands; `at_once` is how many runs of each queue one worker process makes side by side."""
    states = select(Upload.state, func.count(), func.sum(Upload.size_bytes - Upload.offset_bytes))
    rows = tx.execute(states.where(Upload.state.in_(("receiving", "complete"))).group_by(Upload.state)).all()
    uploads = {state: (count, int(missing or 0)) for state, count, missing in rows}
    counts = counts_by_queue(tx)
    under_way, missing = uploads.get("receiving", (0, 0))
    return Capacity(
        waiting=waiting_sum(tx, at=at),
        under_way=under_way,
        missing_bytes=missing,
        untaken=uploads.get("complete", (0, 0))[0],
        hour_rate=_arrived_bytes(tx, since=at - HOUR) / HOUR.total_seconds(),
        day_rate=_arrived_bytes(tx, since=at - DAY) / DAY.total_seconds(),
        queues=[_load(tx, queue, counts, at_once.get(queue, 1)) for queue in QUEUES],
        disks=[_room(tx, names, places[names[0]], reserve_bytes, at) for names in _by_disk(places)],
    )


def sample_room(database: Database, places: Mapping[str, Path], *, at: Instant) -> None:
    """Keep how much room each place has: once an hour, whichever process comes first."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    rows = [{"place": _key(name), "at": hour, "free_bytes": free_bytes(path)} for name, path in places.items()]
    with database.read() as tx:
        known = set(tx.scalars(select(RoomSample.place).where(RoomSample.at == hour)))
    fresh = [row for row in rows if row["place"] not in known]
    if not fresh:
        return
    with database.begin() as tx:
        insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
        tx.execute(insert(RoomSample).values(fresh).on_conflict_do_nothing())
        tx.execute(delete(RoomSample).where(RoomSample.at < at - _SAMPLES_KEPT))


def _arrived_bytes(tx: Session, *, since: Instant) -> int:
    query = select(func.sum(Upload.size_bytes)).where(Upload.finished_at > since, Upload.state == "accepted")
    return int(tx.scalar(query) or 0)


def _load(tx: Session, queue: str, counts: Mapping[tuple[str, str], int], at_once: int) -> QueueLoad:
    newest = (
        select(Job.ran_ms, Job.args)
        .where(Job.queue == queue, Job.state == "done", Job.ran_ms.is_not(None))
        .order_by(Job.not_before.desc())
        .limit(_MEASURED)
    )
    done = [((ran_ms or 0) / 1000, args.get("object_id")) for ran_ms, args in tx.execute(newest)]
    lengths = _lengths(tx, [object_id for _, object_id in done])
    timed = [(ran_s, lengths[object_id]) for ran_s, object_id in done if object_id in lengths]
    recorded_h = sum(length_h for _, length_h in timed)
    return QueueLoad(
        queue=queue,
        ready=counts[queue, "ready"],
        running=counts[queue, "running"],
        at_once=max(at_once, counts[queue, "running"], 1),
        measured=len(done),
        job_s=sum(ran_s for ran_s, _ in done) / len(done) if done else None,
        hour_s=sum(ran_s for ran_s, _ in timed) / recorded_h if recorded_h else None,
    )


def _lengths(tx: Session, object_ids: Sequence[object]) -> Mapping[str, float]:
    """Return the lengths of those that are recordings, in hours, by their ids as jobs have them."""
    ids: dict[UUID, str] = {}
    for given in object_ids:
        if isinstance(given, str):
            try:
                ids[parse_uuid(given)] = given
            except InvalidInput:
                continue
    query = select(EvidenceItem.object_id, EvidenceItem.duration_ms).where(EvidenceItem.object_id.in_(list(ids)))
    with unbound(tx):  # whoever runs the machines sees no recording, and only a sum of lengths is told
        rows = tx.execute(query.where(EvidenceItem.duration_ms > 0)).all()
    return {ids[found]: (ms or 0) / 3_600_000 for found, ms in rows}


def _by_disk(places: Mapping[str, Path]) -> Sequence[Sequence[str]]:
    """Return the names of places, those on one disk together."""
    disks: dict[int, list[str]] = {}
    for name, path in places.items():
        disks.setdefault(path.stat().st_dev, []).append(name)
    return list(disks.values())


def _room(tx: Session, names: Sequence[str], path: Path, reserve_bytes: int, at: Instant) -> DiskRoom:
    free = free_bytes(path)
    first = tx.execute(
        select(RoomSample.at, RoomSample.free_bytes)
        .where(RoomSample.place == _key(names[0]), RoomSample.at > at - _GROWTH_OVER)
        .order_by(RoomSample.at)
        .limit(1)
    ).one_or_none()
    if first is None or at - first.at < _LEAST_GROWTH:
        return DiskRoom(names, free, reserve_bytes, None, None)
    lasted = at - first.at
    return DiskRoom(names, free, reserve_bytes, round((first.free_bytes - free) / (lasted / DAY)), lasted)


def _key(name: str) -> str:
    return f"{name}@{socket.gethostname()}"[:64]

"""Which jobs workers must be told of through a broker, and noting that they were.

`rung_at` is written before the message is sent: a worker may claim the job at once, and would find its row locked
otherwise. What is written and not sent is taken back, or rung again later: so rings may be lost anywhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from archive.db.database import Database
from archive.jobs.models import Job
from archive.jobs.queue import IDLE, LONG, QUEUES
from archive.kernel.ids import JobId
from archive.kernel.instants import Instant

AT_ONCE: Final = 200
"""Most jobs of a queue that are rung and not taken, so that a broker never holds a whole night's work."""
_IDLE_AT_ONCE: Final = 8
"""The same for idle jobs, behind which an urgent one must not wait long."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=1)

_TOLD: Final = select(Job.queue, func.count()).where(Job.rung_at.is_not(None)).group_by(Job.queue)


@dataclass(frozen=True, slots=True)
class Ring:
    """A job that is due, and the queue whose workers are told: those of `LONG` work on `IDLE` too."""

    job_id: JobId
    queue: str


def next_rings(database: Database, *, at: Instant) -> Sequence[Ring]:
    """Return due jobs that nobody was told of, oldest first, and note that they are told now.

    Idle jobs only while no long one is due.
    """
    with database.read() as tx:  # nothing is locked while nothing is to be told
        is_untold = dict(zip(QUEUES, tx.execute(select(*(_untold(queue, at) for queue in QUEUES))).one(), strict=True))
        told = {queue: count for queue, count in tx.execute(_TOLD)}  # noqa: C416 - rows are no pairs for mypy
    rings: list[Ring] = []
    for queue in QUEUES:
        room = (_IDLE_AT_ONCE if queue == IDLE else AT_ONCE) - told.get(queue, 0)
        is_pressed = queue == IDLE and (is_untold[LONG] or LONG in told)
        if is_untold[queue] and room > 0 and not is_pressed:
            rings += _noted(database, _is_due(at) & Job.rung_at.is_(None), [queue], room, at=at)
    return rings


def stale_counts(database: Database, *, at: Instant, after_s: float) -> Mapping[str, int]:
    """Return how many jobs were told longer ago than `after_s` and not taken since, by whose workers were told."""
    with database.read() as tx:
        queues = tx.scalars(
            select(Job.queue).where(Job.rung_at.is_not(None), _is_due(at), _is_stale(at, after_s))
        ).all()
    return Counter(LONG if queue == IDLE else queue for queue in queues)


def rings_again(database: Database, queue: str, count: int, *, at: Instant, after_s: float) -> Sequence[Ring]:
    """Return `count` jobs that workers of this queue were told of too long ago, and note that they are told now."""
    queues = [queue, *([IDLE] if queue == LONG else [])]
    return _noted(database, _is_due(at) & _is_stale(at, after_s), queues, count, at=at)


def take_back(database: Database, rings: Sequence[Ring]) -> None:
    """Note that these were not told after all."""
    with database.begin() as tx:
        tx.execute(update(Job).where(Job.id.in_([ring.job_id for ring in rings])).values(rung_at=None))


def _noted(
    database: Database, wanted: ColumnElement[bool], queues: Sequence[str], count: int, *, at: Instant
) -> Sequence[Ring]:
    with database.begin() as tx:
        rows = tx.execute(
            select(Job.id, Job.queue)
            .where(Job.queue.in_(queues), wanted)
            .order_by(Job.not_before, Job.id)
            .limit(count)
            .with_for_update(skip_locked=True)
        ).all()
        if rows:
            tx.execute(update(Job).where(Job.id.in_([row.id for row in rows])).values(rung_at=at))
    return [Ring(JobId(row.id), LONG if row.queue == IDLE else row.queue) for row in rows]


def _untold(queue: str, at: Instant) -> ColumnElement[bool]:
    return exists().where(Job.queue == queue, Job.rung_at.is_(None), _is_due(at)).label(queue)


def _is_due(at: Instant) -> ColumnElement[bool]:
    return or_(
        and_(Job.state == "ready", Job.not_before <= at),
        and_(Job.state == "running", Job.lease_until < at),
    )


def _is_stale(at: Instant, after_s: float) -> ColumnElement[bool]:
    # A clock that was set back must not keep anything from being told again.
    return or_(Job.rung_at < at - timedelta(seconds=after_s), Job.rung_at > at + _CLOCK_TOLERANCE)

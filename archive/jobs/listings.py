"""What the job table tells people: how far the work on something is, and what was given up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from archive.jobs.models import Job
from archive.jobs.queue import DELIVERY, PROMPT, QUEUES
from archive.kernel.instants import Instant

_SOMEBODY_WAITS: Final = frozenset({PROMPT, DELIVERY})


@dataclass(frozen=True, slots=True)
class QueueStanding:
    """How a queue stands: `due` jobs wait for a worker, the oldest since `oldest`; `running` ones have a lease."""

    due: int = 0
    running: int = 0
    oldest: Instant | None = None

    def oldest_age_s(self, at: Instant) -> float:
        """Return for how many seconds the oldest due job has waited; 0 where none does."""
        return 0.0 if self.oldest is None else max(0.0, (at - self.oldest).total_seconds())


def queue_standings(tx: Session, *, at: Instant) -> Mapping[str, QueueStanding]:
    """Return how every queue stands, also those that are empty. A job whose lease ended is due since then."""
    has_ended = (Job.state == "running") & (Job.lease_until < at)
    due_since = case((Job.state == "running", Job.lease_until), else_=Job.not_before)
    is_due = ((Job.state == "ready") & (Job.not_before <= at)) | has_ended
    rows = tx.execute(
        select(
            Job.queue,
            func.count(case((is_due, 1))),
            func.count(case((~is_due & (Job.state == "running"), 1))),
            func.min(case((is_due, due_since))),
        )
        .where(Job.queue.in_(QUEUES), Job.state.in_(("ready", "running")))
        .group_by(Job.queue)
    )
    return {queue: QueueStanding() for queue in QUEUES} | {
        queue: QueueStanding(due, running, oldest) for queue, due, running, oldest in rows
    }


def stuck_queues(standings: Mapping[str, QueueStanding], *, at: Instant, after_s: float) -> Mapping[str, float]:
    """Return the queues whose oldest due job waits for longer than `after_s`, and for how many seconds.

    Long work waits behind other long work as it should: such a queue is stuck only while nobody works on it.
    """
    waits = {queue: standing.oldest_age_s(at) for queue, standing in standings.items()}
    return {
        queue: age_s
        for queue, age_s in waits.items()
        if age_s > after_s and (queue in _SOMEBODY_WAITS or not standings[queue].running)
    }


def jobs_by_key(tx: Session, keys: Sequence[str]) -> Mapping[str, Job]:
    """Return the jobs with these keys."""
    return {str(job.key): job for job in tx.scalars(select(Job).where(Job.key.in_(keys)))}


def dead_jobs(tx: Session, *, limit: int = 50) -> Sequence[Job]:
    """Return jobs that were given up, newest first."""
    query = select(Job).where(Job.state == "dead").order_by(Job.finished_at.desc(), Job.id.desc()).limit(limit)
    return tx.scalars(query).all()


def unfinished_jobs(tx: Session, *, limit: int = 1000) -> Sequence[Job]:
    """Return jobs that are running, ready and dead, in this order, oldest first."""
    order = case({"running": 0, "ready": 1}, value=Job.state, else_=2)
    query = select(Job).where(Job.state != "done").order_by(order, Job.not_before, Job.id).limit(limit)
    return tx.scalars(query).all()


def unfinished_counts(tx: Session) -> Mapping[str, int]:
    """Return how many jobs are ready, running and dead."""
    rows = tx.execute(select(Job.state, func.count()).where(Job.state != "done").group_by(Job.state))
    return {"ready": 0, "running": 0, "dead": 0, **dict(rows.all())}

"""What the job table tells people: how far the work on something is, and what was given up."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from archive.jobs.models import Job
from archive.jobs.queue import DELIVERY, IDLE, LONG, PACKAGE, PROMPT, PROXY
from archive.kernel.instants import Instant

QUEUES: Final = (PROMPT, LONG, IDLE, PROXY, PACKAGE, DELIVERY)
_WAITING: Final = ("ready", "running", "dead")


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


def counts_by_queue(tx: Session) -> Mapping[tuple[str, str], int]:
    """Return how many jobs of each queue are ready, running and dead."""
    query = (
        select(Job.queue, Job.state, func.count())
        .where(Job.queue.in_(QUEUES), Job.state.in_(_WAITING))
        .group_by(Job.queue, Job.state)
    )
    none = {(queue, state): 0 for queue in QUEUES for state in _WAITING}
    return none | {(queue, state): count for queue, state, count in tx.execute(query)}


def oldest_due_age_s(tx: Session, *, at: Instant) -> Mapping[str, float]:
    """Return for how long the oldest job of each queue that is ready and due has waited, 0 where none does."""
    query = (
        select(Job.queue, func.min(Job.not_before))
        .where(Job.queue.in_(QUEUES), Job.state == "ready", Job.not_before <= at)
        .group_by(Job.queue)
    )
    found = {queue: max(at - since, timedelta(0)).total_seconds() for queue, since in tx.execute(query)}
    return dict.fromkeys(QUEUES, 0.0) | found


def due_count(tx: Session, queue: str, *, at: Instant, most: int) -> int:
    """Return how many jobs of a queue are ready and due, counted up to `most`."""
    due = select(Job.id).where(Job.queue == queue, Job.state == "ready", Job.not_before <= at).limit(most)
    return tx.scalar(select(func.count()).select_from(due.subquery())) or 0


def unfinished_counts(tx: Session) -> Mapping[str, int]:
    """Return how many jobs are ready, running and dead."""
    rows = tx.execute(select(Job.state, func.count()).where(Job.state != "done").group_by(Job.state))
    return {"ready": 0, "running": 0, "dead": 0, **dict(rows.all())}

"""What the job table tells people: how far the work on something is, and what was given up."""

from collections.abc import Mapping, Sequence

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from archive.jobs.models import Job


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

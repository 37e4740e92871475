"""Adding, claiming, keeping, finishing and failing jobs.

A job may run twice (a lease can end while its worker still breathes), so effects are idempotent and `finish_job`
lets only the holder of the lease commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.jobs.models import Job
from archive.kernel.errors import Conflict
from archive.kernel.ids import JobId, new_uuid7
from archive.kernel.instants import Instant

PROMPT: Final = "prompt"
"""Queue of work that somebody waits for: seconds."""
LONG: Final = "long"
"""Queue of work that may take as long as the recording, or longer."""
DEFAULT_ATTEMPTS: Final = 5
_FIRST_RETRY: Final = timedelta(seconds=2)
_LAST_RETRY: Final = timedelta(minutes=10)
_MOST_DOUBLINGS: Final = 16
"""More would pass the delay's limit by far, and in the end what a `timedelta` can hold."""


class LeaseLost(Conflict):
    """The job's lease ended and another worker may have it; this run's result is dropped."""

    code = "jobs.lease_lost"


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker holds until its lease ends."""

    id: JobId
    kind: str
    args: Mapping[str, Any]
    attempt: int
    max_attempts: int
    lease_token: UUID


def add_job(
    tx: Session,
    kind: str,
    args: Mapping[str, Any],
    *,
    at: Instant,
    queue: str = PROMPT,
    key: str | None = None,
    max_attempts: int = DEFAULT_ATTEMPTS,
) -> JobId | None:
    """Add a job in the caller's transaction. With a `key` that exists already nothing is added and None returned."""
    job_id = JobId(new_uuid7())
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = tx.execute(
        insert(Job)
        .values(
            id=job_id,
            kind=kind,
            queue=queue,
            key=key,
            args=dict(args),
            state="ready",
            not_before=at,
            attempt=0,
            max_attempts=max_attempts,
            progress_permille=0,
            created_at=at,
        )
        .on_conflict_do_nothing(index_elements=[Job.key])
        .returning(Job.id)
    ).scalar_one_or_none()
    return None if added is None else job_id


def claim_job(database: Database, *, queues: Sequence[str], at: Instant, lease_s: int) -> ClaimedJob | None:
    """Claim the oldest job that is ready, or whose lease has ended; None when there is none.

    Guarantees: two workers never hold the same lease. A job out of attempts becomes a dead letter instead.
    """
    claimable = and_(
        Job.queue.in_(queues),
        or_(
            and_(Job.state == "ready", Job.not_before <= at),
            and_(Job.state == "running", Job.lease_until < at),
        ),
    )
    with database.read() as tx:  # an idle worker must not take the write lock
        if tx.scalar(select(Job.id).where(claimable).limit(1)) is None:
            return None
    with database.begin() as tx:
        query = select(Job).where(claimable).order_by(Job.not_before, Job.id).limit(1)
        job = tx.scalar(query.with_for_update(skip_locked=True))
        if job is None:
            return None
        if job.attempt >= job.max_attempts:
            job.state, job.finished_at, job.lease_token, job.lease_until = "dead", at, None, None
            job.last_error = job.last_error or "jobs.worker_lost: the worker died at every attempt"
            return None
        job.state = "running"
        job.attempt += 1
        job.lease_token = new_uuid7()
        job.lease_until = at + timedelta(seconds=lease_s)
        return ClaimedJob(JobId(job.id), job.kind, job.args, job.attempt, job.max_attempts, job.lease_token)


def extend_lease(
    database: Database, job: ClaimedJob, *, at: Instant, lease_s: int, progress_permille: int | None = None
) -> None:
    """Keep the lease and report progress. Raises: LeaseLost."""
    values: dict[str, Any] = {"lease_until": at + timedelta(seconds=lease_s)}
    if progress_permille is not None:
        values["progress_permille"] = progress_permille
    with database.begin() as tx:
        _only_holder(tx, job, values)


def finish_job(tx: Session, job: ClaimedJob, *, at: Instant) -> None:
    """Mark the job done in the transaction that writes its result. Raises: LeaseLost, so that nothing is doubled."""
    _only_holder(
        tx,
        job,
        {
            "state": "done",
            "finished_at": at,
            "lease_token": None,
            "lease_until": None,
            "progress_permille": 1000,
            "last_error": None,
        },
    )


def fail_job(database: Database, job: ClaimedJob, *, error: str, retryable: bool, at: Instant) -> None:
    """Give a failed job back with growing delay, or make it a dead letter when retrying cannot help.

    Raises: LeaseLost.
    """
    dead = not retryable or job.attempt >= job.max_attempts
    delay = min(_FIRST_RETRY * 2 ** min(job.attempt - 1, _MOST_DOUBLINGS), _LAST_RETRY)
    with database.begin() as tx:
        _only_holder(
            tx,
            job,
            {
                "state": "dead" if dead else "ready",
                "finished_at": at if dead else None,
                "not_before": at + delay,
                "lease_token": None,
                "lease_until": None,
                "last_error": error[:2000],
            },
        )


def _only_holder(tx: Session, job: ClaimedJob, values: Mapping[str, Any]) -> None:
    changed = tx.execute(
        update(Job).where(Job.id == job.id, Job.lease_token == job.lease_token, Job.state == "running").values(**values)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost(job_id=job.id)

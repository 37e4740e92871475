"""Adding, claiming, keeping, finishing and failing jobs.

A job may run twice (a lease can end while its worker still breathes), so effects are idempotent and `finish_job`
lets only the holder of the lease commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.base import Moment
from archive.db.database import Database
from archive.jobs.models import Job
from archive.kernel.errors import Conflict, StorageFull, Unavailable
from archive.kernel.ids import JobId, new_uuid7
from archive.kernel.instants import Instant
from archive.ports.blobs import StoreUnavailable
from archive.tracing import traceparent

PROMPT: Final = "prompt"
"""Queue of work that somebody waits for: seconds."""
INTAKE: Final = "intake"
"""Queue of recordings that lie in the bucket and wait to be read: a dock waits for the receipt."""
LONG: Final = "long"
"""Queue of work that may take as long as the recording, or longer."""
IDLE: Final = "idle"
"""Queue of long work that nobody waits for: whoever works on `LONG` takes it when nothing else is due."""
PROXY: Final = "proxy"
"""Queue of encodes that take hours and that nobody waits for: one worker of its own, whose programs yield to others."""
PACKAGE: Final = "package"
"""Queue of packages to build, which may be as large as a disk: one worker of its own, so that no encode waits."""
COPY: Final = "copy"
"""Queue of the second copy and its drills, which move as many bytes as the store holds: one worker of its own."""
FIXITY: Final = "fixity"
"""Queue of re-reading everything that is stored, slowly and evenly: one worker of its own, so it always goes on."""
DELIVERY: Final = "delivery"
"""Queue of requests to other systems, which may be slow: nothing else waits behind them."""
QUEUES: Final = (PROMPT, INTAKE, LONG, IDLE, PROXY, PACKAGE, COPY, FIXITY, DELIVERY)
AWAY: Final = frozenset({Unavailable.code, StoreUnavailable.code, StorageFull.code})
"""What a job cannot help: database or store do not answer, a disk is full. However long that lasts, none dies of it."""
DEFAULT_ATTEMPTS: Final = 5
_FIRST_RETRY: Final = timedelta(seconds=2)
_LAST_RETRY: Final = timedelta(minutes=10)
_MOST_DOUBLINGS: Final = 16
"""More would pass the delay's limit by far, and in the end what a `timedelta` can hold."""
_AFRESH: Final[Mapping[str, Any]] = {
    "state": "ready",
    "attempt": 0,
    "lease_token": None,
    "lease_until": None,
    "progress_permille": 0,
    "last_error": None,
    "rung_at": None,
    "finished_at": None,
}
"""A job as if nobody had tried it yet."""


class LeaseLost(Conflict):
    """The job's lease ended and another worker may have it; this run's result is dropped."""

    code = "jobs.lease_lost"


class JobNotDead(Conflict):
    """The job was not given up, or is not there: there is nothing to try again."""

    code = "jobs.not_dead"


# Asked all the time, so they are put together once; each half names the index's columns, among jobs that are long done.
_AT: Final = bindparam("at", type_=Moment)
_OURS: Final = Job.queue.in_(bindparam("queues", expanding=True))
_CLAIMABLE: Final = or_(
    and_(_OURS, Job.state == "ready", Job.not_before <= _AT),
    and_(_OURS, Job.state == "running", Job.lease_until < _AT),
)
_IS_THERE_ONE: Final = select(Job.id).where(_CLAIMABLE).limit(1)
_THIS_ONE: Final = Job.id == bindparam("job_id")
_OLDEST: Final = (
    select(Job)
    .where(_CLAIMABLE)
    .order_by(Job.queue == IDLE, Job.not_before, Job.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_WAITING: Final = select(Job.queue).where(_CLAIMABLE).distinct()


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker holds until its lease ends."""

    id: JobId
    kind: str
    args: Mapping[str, Any]
    attempt: int
    max_attempts: int
    lease_token: UUID
    queue: str
    claimed_at: Instant | None = None
    traceparent: str | None = None


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
            traceparent=traceparent(),
        )
        .on_conflict_do_nothing(index_elements=[Job.key])
        .returning(Job.id)
    ).scalar_one_or_none()
    return None if added is None else job_id


def renew_job(
    tx: Session,
    kind: str,
    args: Mapping[str, Any],
    *,
    at: Instant,
    queue: str = PROMPT,
    key: str,
) -> None:
    """Add a job, or have the one of this key done once more when it has ended. One that is under way goes on.

    In the caller's transaction.
    """
    if add_job(tx, kind, args, at=at, queue=queue, key=key) is None:
        ended = and_(Job.key == key, Job.state.in_(("done", "dead")))
        tx.execute(update(Job).where(ended).values({**_AFRESH, "not_before": at, "queue": queue, "args": dict(args)}))


def revive_job(tx: Session, job_id: JobId, *, at: Instant) -> Job:
    """Give a job that was given up all its attempts again, in the caller's transaction; return it.

    Raises: JobNotDead.
    """
    revived = tx.execute(
        update(Job).where(Job.id == job_id, Job.state == "dead").values({**_AFRESH, "not_before": at}).returning(Job)
    ).scalar_one_or_none()
    if revived is None:
        raise JobNotDead(job_id=job_id)
    return revived


def waiting_queues(database: Database, *, queues: Sequence[str], at: Instant) -> set[str]:
    """Return those of the queues that hold a job which `claim_job` would claim."""
    with database.read() as tx:
        found = set(tx.scalars(_WAITING, {"at": at, "queues": _with_idle(queues)}))
    return {LONG if queue == IDLE else queue for queue in found}


def claim_job(
    database: Database, *, queues: Sequence[str], at: Instant, lease_s: int, job_id: JobId | None = None
) -> ClaimedJob | None:
    """Claim the oldest job that is ready, or whose lease has ended; None when there is none.

    `LONG` stands for `IDLE` too, whose jobs come after all others. With a `job_id` it is that job or none: it may be
    done, taken or not due, however often somebody was told of it.
    Guarantees: two workers never hold the same lease. A job out of attempts becomes a dead letter instead.
    """
    asked: dict[str, Any] = {"at": at, "queues": _with_idle(queues)}
    is_there_one, wanted = _IS_THERE_ONE, _OLDEST
    if job_id is not None:
        asked["job_id"] = job_id
        is_there_one, wanted = _IS_THERE_ONE.where(_THIS_ONE), _OLDEST.where(_THIS_ONE)
    with database.read() as tx:  # an idle worker must not take the write lock
        if tx.scalar(is_there_one, asked) is None:
            return None
    with database.begin() as tx:
        job = tx.scalar(wanted, asked)
        if job is None:
            return None
        job.rung_at = None
        if job.attempt >= job.max_attempts:
            job.state, job.finished_at, job.lease_token, job.lease_until = "dead", at, None, None
            job.last_error = job.last_error or "jobs.worker_lost: the worker died at every attempt"
            return None
        job.state = "running"
        job.attempt += 1
        job.lease_token = new_uuid7()
        job.lease_until = at + timedelta(seconds=lease_s)
        return ClaimedJob(
            JobId(job.id),
            job.kind,
            job.args,
            job.attempt,
            job.max_attempts,
            job.lease_token,
            queue=job.queue,
            claimed_at=at,
            traceparent=job.traceparent,
        )


def _with_idle(queues: Sequence[str]) -> list[str]:
    return [*queues, *([IDLE] if LONG in queues else [])]


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
    ran_ms = None if job.claimed_at is None else max(0, round((at - job.claimed_at) / timedelta(milliseconds=1)))
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
            "ran_ms": ran_ms,
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
                "rung_at": None,
                "lease_token": None,
                "lease_until": None,
                "last_error": error[:2000],
            },
        )


def postpone_job(tx: Session, job: ClaimedJob, *, until: Instant, why: str | None = None) -> None:
    """Give a job back, not to be run before `until`, as if this attempt had not been; in the caller's transaction.

    Raises: LeaseLost.
    """
    _only_holder(tx, job, {**_AFRESH, "attempt": job.attempt - 1, "not_before": until, "last_error": why})


def repeat_job(tx: Session, job: ClaimedJob, *, until: Instant) -> None:
    """Have work that is done for now done again from `until` on, with all its attempts; in the caller's transaction.

    Raises: LeaseLost.
    """
    _only_holder(tx, job, {**_AFRESH, "not_before": until})


def end_job(tx: Session, key: str, *, why: str, at: Instant) -> None:
    """Give up a job that makes no sense any more; whoever has it under way loses the lease."""
    given_up = {"state": "dead", "finished_at": at, "lease_token": None, "lease_until": None, "last_error": why}
    tx.execute(update(Job).where(Job.key == key, Job.state.in_(("ready", "running"))).values(**given_up))


def hasten_job(tx: Session, key: str, *, at: Instant) -> None:
    """Let a job that was put off be due at `at`; one that is under way or has ended stays so."""
    tx.execute(update(Job).where(Job.key == key, Job.state == "ready", Job.not_before > at).values(not_before=at))


def _only_holder(tx: Session, job: ClaimedJob, values: Mapping[str, Any]) -> None:
    changed = tx.execute(
        update(Job).where(Job.id == job.id, Job.lease_token == job.lease_token, Job.state == "running").values(**values)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost(job_id=job.id)

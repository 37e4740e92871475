"""A person has the archive try again what it had given up."""

from collections.abc import Sequence
from contextlib import suppress

from archive.db.database import Database
from archive.jobs.listings import dead_jobs
from archive.jobs.queue import JobNotDead, revive_job
from archive.kernel.ids import JobId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

_AT_ONCE = 1000


def retry_job(database: Database, job_id: JobId, *, by: Actor, at: Instant) -> None:
    """Give a job that was given up all its attempts again, with its log entry. Raises: JobNotDead."""
    with database.begin() as tx:
        job = revive_job(tx, job_id, at=at)
        detail = {"kind": job.kind} | {name: job.args[name] for name in ("object_id",) if name in job.args}
        append_entry(tx, NewEntry(EntryType.ADMIN_JOB_RETRIED, by, Target("job", job_id), detail=detail), at=at)


def retry_all(database: Database, *, by: Actor, at: Instant) -> Sequence[JobId]:
    """Try every job again that was given up; return which."""
    with database.read() as tx:
        found = [JobId(job.id) for job in dead_jobs(tx, limit=_AT_ONCE)]
    retried = []
    for job_id in found:
        with suppress(JobNotDead):  # somebody else was quicker
            retry_job(database, job_id, by=by, at=at)
            retried.append(job_id)
    return retried

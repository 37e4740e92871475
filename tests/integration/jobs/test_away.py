"""What a job cannot help costs it no attempt: store or database do not answer, or a disk is full."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from archive.db.database import Database
from archive.jobs.models import Job
from archive.jobs.queue import DEFAULT_ATTEMPTS, PROMPT, ClaimedJob, add_job, finish_job
from archive.kernel.errors import LiuhenError, StorageFull, Unavailable
from archive.kernel.ids import JobId
from archive.ports.blobs import StoreBroken, StoreUnavailable
from archive.worker.loop import Worker


class _Clock:
    at = datetime(2026, 3, 1, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def _tried(database: Database, error: Callable[[], Exception], *, times: int) -> Job:
    """Have a job fail with this error so many times, then let it be done; return its row."""
    clock, left = _Clock(), [error] * times

    def handler(job: ClaimedJob, _: Callable[[int], None]) -> None:
        if left:
            make = left.pop()
            raise make()
        with database.begin() as tx:
            finish_job(tx, job, at=clock.now())

    with database.begin() as tx:
        job_id = add_job(tx, "probe", {}, at=clock.now())
    assert job_id is not None
    worker = Worker(database, handlers={"probe": handler}, clock=clock, lease_s=15)
    for _ in range(times + 1):
        worker.run_once([PROMPT], JobId(job_id))
        clock.at += timedelta(minutes=10)
    with database.read() as tx:
        return tx.get_one(Job, job_id)


@pytest.mark.parametrize("error", [StoreUnavailable, Unavailable, StorageFull])
def test_a_store_that_is_away_for_long_kills_no_job(database: Database, error: type[LiuhenError]) -> None:
    job = _tried(database, error, times=3 * DEFAULT_ATTEMPTS)
    assert (job.state, job.attempt, job.last_error) == ("done", 1, None)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
def test_a_full_disk_that_nobody_named_kills_no_job(database: Database, number: int) -> None:
    job = _tried(database, lambda: OSError(number, "full"), times=3 * DEFAULT_ATTEMPTS)
    assert (job.state, job.attempt, job.last_error) == ("done", 1, None)


def test_what_waits_for_a_store_says_so(database: Database) -> None:
    clock = _Clock()

    def handler(job: ClaimedJob, report: Callable[[int], None]) -> None:
        raise StoreUnavailable("The store does not answer: EndpointConnectionError")

    with database.begin() as tx:
        job_id = add_job(tx, "probe", {}, at=clock.now())
    Worker(database, handlers={"probe": handler}, clock=clock, lease_s=15).run_once([PROMPT])
    with database.read() as tx:
        job = tx.get_one(Job, job_id)
    assert (job.state, job.attempt) == ("ready", 0)
    assert job.last_error == "store.unavailable: The store does not answer: EndpointConnectionError"
    assert job.not_before > clock.now()


def test_bytes_that_are_others_still_cost_an_attempt(database: Database) -> None:
    assert _tried(database, StoreBroken, times=DEFAULT_ATTEMPTS).state == "dead"

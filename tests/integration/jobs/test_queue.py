"""The job table: who claims what, for how long, and what becomes of what fails."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from archive.db.database import Database
from archive.jobs.listings import dead_jobs, jobs_by_key, unfinished_counts, unfinished_jobs
from archive.jobs.models import Job
from archive.jobs.queue import (
    IDLE,
    LONG,
    PROMPT,
    ClaimedJob,
    JobNotDead,
    LeaseLost,
    add_job,
    claim_job,
    extend_lease,
    fail_job,
    finish_job,
    renew_job,
    repeat_job,
    revive_job,
)
from archive.kernel.ids import JobId, new_uuid7

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE_S = 15


def add(database: Database, kind: str = "probe", *, at: datetime = AT, **fields: object) -> JobId | None:
    with database.begin() as tx:
        return add_job(tx, kind, {"object_id": "x"}, at=at, **fields)  # type: ignore[arg-type]


def claim(database: Database, at: datetime = AT, queue: str = PROMPT) -> ClaimedJob | None:
    return claim_job(database, queues=[queue], at=at, lease_s=LEASE_S)


def claimed(database: Database, at: datetime = AT) -> ClaimedJob:
    job = claim(database, at)
    assert job is not None
    return job


def finish(database: Database, job: ClaimedJob, at: datetime = AT) -> None:
    with database.begin() as tx:
        finish_job(tx, job, at=at)


def row(database: Database, job_id: object) -> Job:
    with database.read() as tx:
        return tx.get_one(Job, job_id)


def test_nothing_to_do_is_none(database: Database) -> None:
    assert claim(database) is None


def test_a_job_belongs_to_the_transaction_that_adds_it(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.begin() as tx:
        add_job(tx, "probe", {}, at=AT)
        1 / 0  # noqa: B018
    assert claim(database) is None


def test_the_oldest_that_is_due_comes_first_and_what_is_not_due_waits(database: Database) -> None:
    third, first, second = (add(database, at=AT + offset * SECOND) for offset in (3, 1, 2))
    assert claim(database) is None
    late = AT + 10 * SECOND
    assert [claimed(database, late).id for _ in range(3)] == [first, second, third]
    assert claim(database, late) is None


def test_a_queue_gets_only_its_own(database: Database) -> None:
    add(database, queue=LONG)
    assert claim(database, queue=PROMPT) is None
    assert claim(database, queue=LONG) is not None


def test_what_was_given_comes_out(database: Database) -> None:
    with database.begin() as tx:
        job_id = add_job(tx, "encode", {"名": "值", "n": [1, None]}, at=AT, max_attempts=3)
    job = claimed(database)
    assert (job.id, job.kind, job.args, job.attempt, job.max_attempts) == (
        job_id, "encode", {"名": "值", "n": [1, None]}, 1, 3,
    )  # fmt: skip


def test_many_workers_at_once_each_get_their_own(database: Database) -> None:
    wanted = {add(database, at=AT) for _ in range(40)}
    got: list[JobId] = []

    def work() -> None:
        while (job := claim(database)) is not None or row_count(database, "ready"):
            if job is not None:
                got.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(Counter(got).values()) == 1
    assert set(got) == wanted


def row_count(database: Database, state: str) -> int:
    with database.read() as tx:
        return len(tx.scalars(select(Job.id).where(Job.state == state)).all())


def test_a_lease_that_ends_lets_another_one_in_and_the_first_one_loses(database: Database) -> None:
    add(database)
    first = claimed(database)
    assert claim(database, AT + LEASE_S * SECOND) is None, "to the last moment it is the first one's"
    later = AT + (LEASE_S + 1) * SECOND
    second = claimed(database, later)
    assert (second.id, second.attempt) == (first.id, 2)
    with pytest.raises(LeaseLost):
        finish(database, first, later)
    with pytest.raises(LeaseLost):
        extend_lease(database, first, at=later, lease_s=LEASE_S)
    with pytest.raises(LeaseLost):
        fail_job(database, first, error="x", retryable=True, at=later)
    assert row(database, first.id).state == "running"
    finish(database, second, later)
    assert row(database, first.id).state == "done"


def test_the_result_of_whoever_lost_the_lease_is_rolled_back(database: Database) -> None:
    add(database)
    first = claimed(database)
    claimed(database, AT + 20 * SECOND)
    with pytest.raises(LeaseLost), database.begin() as tx:
        add_job(tx, "follow_up", {}, at=AT)
        finish_job(tx, first, at=AT)
    with database.read() as tx:
        assert tx.scalars(select(Job.kind)).all() == ["probe"]


def test_a_heartbeat_keeps_the_lease_and_tells_progress(database: Database) -> None:
    add(database)
    job = claimed(database)
    for beat in range(1, 5):
        now = AT + beat * 10 * SECOND
        extend_lease(database, job, at=now, lease_s=LEASE_S, progress_permille=beat * 100)
        assert claim(database, now + 14 * SECOND) is None
    assert row(database, job.id).progress_permille == 400
    extend_lease(database, job, at=AT + 50 * SECOND, lease_s=LEASE_S)
    assert row(database, job.id).progress_permille == 400
    finish(database, job)
    assert row(database, job.id).progress_permille == 1000


def test_a_lease_that_ended_and_that_nobody_took_is_still_good(database: Database) -> None:
    add(database)
    job = claimed(database)
    finish(database, job, AT + 1000 * SECOND)


def test_what_fails_comes_back_later_each_time_and_dies_in_the_end(database: Database) -> None:
    job_id = add(database, max_attempts=4)
    now, waited = AT, []
    for attempt in range(1, 5):
        job = claimed(database, now)
        assert job.attempt == attempt
        fail_job(database, job, error=f"try {attempt}", retryable=True, at=now)
        found = row(database, job_id)
        assert found.last_error == f"try {attempt}"
        assert found.lease_token is None
        waited.append((found.not_before - now).total_seconds())
        now = found.not_before
        if attempt < 4:
            assert claim(database, now - SECOND / 2) is None
    assert waited == [2, 4, 8, 16]
    assert row(database, job_id).state == "dead"
    assert claim(database, now + timedelta(days=1)) is None
    with database.read() as tx:
        assert [dead.id for dead in dead_jobs(tx)] == [job_id]
        assert unfinished_counts(tx) == {"ready": 0, "running": 0, "dead": 1}


@pytest.mark.parametrize("attempts", [12, 60])
def test_the_delay_has_an_end_however_often_it_failed(database: Database, attempts: int) -> None:
    job_id = add(database, max_attempts=attempts + 1)
    with database.begin() as tx:
        tx.get_one(Job, job_id).attempt = attempts - 1
    fail_job(database, claimed(database), error="x", retryable=True, at=AT)
    assert row(database, job_id).not_before - AT == timedelta(minutes=10)


def test_what_cannot_help_is_not_tried_again(database: Database) -> None:
    job_id = add(database)
    fail_job(database, claimed(database), error="x" * 5000, retryable=False, at=AT)
    found = row(database, job_id)
    assert (found.state, found.finished_at, len(found.last_error or "")) == ("dead", AT, 2000)


def test_a_worker_that_dies_at_every_attempt_leaves_a_dead_letter(database: Database) -> None:
    job_id = add(database, max_attempts=3)
    now = AT
    for _ in range(3):
        claimed(database, now)
        now += 20 * SECOND
    assert claim(database, now) is None
    found = row(database, job_id)
    assert (found.state, found.attempt) == ("dead", 3)
    assert "worker_lost" in (found.last_error or "")


def test_a_dead_letter_does_not_stand_before_the_others(database: Database) -> None:
    add(database, max_attempts=1)
    claimed(database)
    good = add(database, at=AT + SECOND)
    now = AT + 20 * SECOND
    assert good in {job.id for job in (claim(database, now), claim(database, now)) if job is not None}


def test_finishing_twice_has_one_effect(database: Database) -> None:
    add(database)
    job = claimed(database)
    finish(database, job)
    with pytest.raises(LeaseLost):
        finish(database, job)
    with pytest.raises(LeaseLost):
        fail_job(database, job, error="x", retryable=True, at=AT)


def test_one_key_is_one_job_also_when_it_is_done(database: Database) -> None:
    first = add(database, key="probe:1")
    assert first is not None
    assert add(database, key="probe:1") is None
    finish(database, claimed(database))
    assert add(database, key="probe:1") is None
    assert add(database, key="probe:2") is not None
    assert add(database) is not None
    assert add(database) is not None
    with database.read() as tx:
        found = jobs_by_key(tx, ["probe:1", "probe:3"])
    assert {key: job.id for key, job in found.items()} == {"probe:1": first}


def test_one_key_from_many_at_once_is_one_job_and_fails_nobody(database: Database) -> None:
    barrier = threading.Barrier(6)
    results: list[object] = []

    def work() -> None:
        barrier.wait()
        try:
            with database.begin() as tx:
                results.append(add_job(tx, "probe", {}, at=AT, key="probe:1"))
                add_job(tx, "own", {"of": str(new_uuid7())}, at=AT)
        except BaseException as error:  # noqa: BLE001 - told by the test
            results.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] * 5 + ["UUID"]
    with database.read() as tx:
        assert Counter(tx.scalars(select(Job.kind)).all()) == {"probe": 1, "own": 6}


def test_idle_work_comes_after_all_other_however_long_it_waits(database: Database) -> None:
    idle = add(database, queue=IDLE)
    later = add(database, at=AT + SECOND, queue=LONG)
    assert claim(database, AT + 2 * SECOND) is None, "only with the long work"
    order = [claim(database, AT + 2 * SECOND, LONG) for _ in range(3)]
    assert [None if job is None else job.id for job in order] == [later, idle, None]


def renew(database: Database, key: str = "k", at: datetime = AT) -> None:
    with database.begin() as tx:
        renew_job(tx, "probe", {"object_id": "y"}, at=at, queue=LONG, key=key)


def test_a_job_that_has_ended_is_done_once_more(database: Database) -> None:
    job_id = add(database, key="k")
    finish(database, claimed(database))
    assert add(database, key="k") is None
    renew(database, at=AT + SECOND)
    again = row(database, job_id)
    assert (again.state, again.attempt, again.finished_at, again.progress_permille) == ("ready", 0, None, 0)
    assert (again.queue, again.not_before, again.args) == (LONG, AT + SECOND, {"object_id": "y"})
    job = claim(database, AT + SECOND, LONG)
    assert job is not None
    fail_job(database, job, error="x", retryable=False, at=AT)
    renew(database)
    assert (row(database, job_id).state, row(database, job_id).last_error) == ("ready", None)
    renew(database, key="new")
    with database.read() as tx:
        assert [job.state for job in unfinished_jobs(tx)] == ["ready", "ready"]


def test_what_comes_again_for_ever_does_not_use_up_its_attempts(database: Database) -> None:
    """A worker may die at it once in a while, for years."""
    job_id, at = add(database, max_attempts=2), AT
    for _ in range(4):
        claimed(database, at)  # and its worker dies
        at += timedelta(seconds=LEASE_S + 1)
        job = claimed(database, at)
        with database.begin() as tx:
            repeat_job(tx, job, until=at + timedelta(days=1))
        at += timedelta(days=1)
    assert (row(database, job_id).state, row(database, job_id).attempt) == ("ready", 0)


def test_a_job_under_way_is_not_disturbed(database: Database) -> None:
    add(database, key="k")
    job = claimed(database)
    renew(database)
    finish(database, job)


def test_what_was_given_up_gets_all_its_attempts_again(database: Database) -> None:
    job_id = add(database)
    assert job_id is not None
    fail_job(database, claimed(database), error="x", retryable=False, at=AT)
    with database.begin() as tx:
        assert revive_job(tx, job_id, at=AT).kind == "probe"
    assert (row(database, job_id).state, row(database, job_id).attempt) == ("ready", 0)
    assert claimed(database).attempt == 1
    for known in (job_id, JobId(new_uuid7())):
        with pytest.raises(JobNotDead), database.begin() as tx:
            revive_job(tx, known, at=AT)


def test_unfinished_work_is_listed_by_how_near_it_is(database: Database) -> None:
    dead, running, ready, done = (add(database, str(number), at=AT + number * SECOND) for number in range(4))
    jobs = [claimed(database, AT + 9 * SECOND) for _ in range(2)]
    fail_job(database, jobs[0], error="x", retryable=False, at=AT)
    with database.read() as tx:
        assert [job.id for job in unfinished_jobs(tx)] == [running, ready, done, dead]
        assert [job.id for job in unfinished_jobs(tx, limit=1)] == [running]

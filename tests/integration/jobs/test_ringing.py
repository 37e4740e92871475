"""Which jobs workers are told of, in which order, and when again; and how queues stand."""

from datetime import UTC, datetime, timedelta

from archive.db.database import Database
from archive.jobs.listings import QueueStanding, queue_standings, stuck_queues
from archive.jobs.queue import (
    DELIVERY,
    IDLE,
    LONG,
    PROMPT,
    QUEUES,
    add_job,
    claim_job,
    fail_job,
    hasten_job,
    postpone_job,
    renew_job,
)
from archive.jobs.ringing import AT_ONCE, Ring, next_rings, rings_again, stale_counts, take_back
from archive.kernel.ids import JobId

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def add(database: Database, count: int = 1, *, queue: str = PROMPT, at: datetime = AT) -> list[JobId]:
    with database.begin() as tx:
        return [job_id for _ in range(count) if (job_id := add_job(tx, "probe", {}, at=at, queue=queue))]


def told(database: Database, at: datetime = AT) -> list[JobId]:
    return [ring.job_id for ring in next_rings(database, at=at)]


def test_each_due_job_is_told_once_and_those_of_later_when_they_are_due(database: Database) -> None:
    now, later = add(database, 2), add(database, at=AT + 5 * SECOND)
    assert told(database) == now
    assert told(database) == []
    assert told(database, AT + 5 * SECOND) == later


def test_what_comes_back_is_told_again(database: Database) -> None:
    (job_id,) = add(database)
    assert told(database) == [job_id]
    job = claim_job(database, queues=[PROMPT], at=AT, lease_s=15, job_id=job_id)
    assert job is not None
    assert told(database, AT + 15 * SECOND) == [], "it is held"
    assert told(database, AT + 16 * SECOND) == [job_id], "its lease has ended"
    job = claim_job(database, queues=[PROMPT], at=AT + 16 * SECOND, lease_s=15, job_id=job_id)
    assert job is not None
    fail_job(database, job, error="x", retryable=True, at=AT + 16 * SECOND)
    assert told(database, AT + 17 * SECOND) == [], "not yet"
    assert told(database, AT + 60 * SECOND) == [job_id]
    job = claim_job(database, queues=[PROMPT], at=AT + 60 * SECOND, lease_s=15, job_id=job_id)
    assert job is not None
    with database.begin() as tx:
        postpone_job(tx, job, until=AT)
    assert told(database, AT + 60 * SECOND) == [job_id]


def test_what_is_renewed_or_hastened_is_told(database: Database) -> None:
    with database.begin() as tx:
        renew_job(tx, "probe", {}, at=AT, key="k")
    (job_id,) = told(database)
    job = claim_job(database, queues=[PROMPT], at=AT, lease_s=15)
    assert job is not None
    with database.begin() as tx:
        postpone_job(tx, job, until=AT + timedelta(days=1))
    assert told(database, AT + SECOND) == []
    with database.begin() as tx:
        hasten_job(tx, "k", at=AT + SECOND)
    assert told(database, AT + SECOND) == [job_id]


def test_a_claim_by_id_takes_that_job_or_none(database: Database) -> None:
    first, second = add(database, 2)
    job = claim_job(database, queues=[PROMPT], at=AT, lease_s=15, job_id=second)
    assert job is not None
    assert (job.id, job.queue) == (second, PROMPT)
    assert claim_job(database, queues=[PROMPT], at=AT, lease_s=15, job_id=second) is None
    assert claim_job(database, queues=[LONG], at=AT, lease_s=15, job_id=first) is None, "another's queue"


def test_no_more_are_told_than_a_broker_should_hold(database: Database) -> None:
    jobs = add(database, AT_ONCE + 3)
    assert told(database) == jobs[:AT_ONCE]
    assert told(database) == []
    assert claim_job(database, queues=[PROMPT], at=AT, lease_s=15, job_id=jobs[0]) is not None
    assert told(database) == [jobs[AT_ONCE]]


def test_idle_jobs_are_told_to_the_workers_of_long_ones_when_none_is_due(database: Database) -> None:
    idle, long = add(database, 20, queue=IDLE), add(database, queue=LONG)
    assert next_rings(database, at=AT) == [Ring(long[0], LONG)]
    assert told(database) == [], "a long one waits"
    assert claim_job(database, queues=[LONG], at=AT, lease_s=15) is not None
    rings = next_rings(database, at=AT)
    assert rings == [Ring(job_id, LONG) for job_id in idle[: len(rings)]]
    assert 0 < len(rings) < len(idle), "a few, so that a long one does not wait behind many"


def test_what_nobody_took_for_long_may_be_told_again(database: Database) -> None:
    long, idle = add(database, queue=LONG), add(database, 2, queue=IDLE)
    assert told(database) == long
    assert claim_job(database, queues=[LONG], at=AT, lease_s=600) is not None
    assert told(database) == idle
    assert stale_counts(database, at=AT + 10 * SECOND, after_s=10) == {}
    later = AT + 11 * SECOND
    assert stale_counts(database, at=later, after_s=10) == {LONG: 2}
    assert rings_again(database, LONG, 1, at=later, after_s=10) == [Ring(idle[0], LONG)]
    assert stale_counts(database, at=later, after_s=10) == {LONG: 1}
    assert stale_counts(database, at=AT - timedelta(hours=1), after_s=10) == {}, "nothing is due before its time"


def test_a_clock_that_went_back_keeps_nothing_from_being_told_again(database: Database) -> None:
    jobs = add(database)
    assert told(database, AT + timedelta(hours=1)) == jobs
    assert stale_counts(database, at=AT + SECOND, after_s=10) == {PROMPT: 1}


def test_what_could_not_be_sent_is_told_with_the_next(database: Database) -> None:
    jobs = add(database, 3)
    take_back(database, next_rings(database, at=AT)[1:])
    assert told(database) == jobs[1:]


def test_how_queues_stand_and_which_are_stuck(database: Database) -> None:
    add(database, 2)
    add(database, queue=DELIVERY, at=AT + timedelta(hours=1))
    add(database, 2, queue=LONG)
    assert claim_job(database, queues=[LONG], at=AT, lease_s=3600) is not None
    at = AT + timedelta(minutes=10)
    with database.read() as tx:
        standings = queue_standings(tx, at=at)
    assert set(standings) == set(QUEUES)
    assert standings[PROMPT] == QueueStanding(due=2, running=0, oldest=AT)
    assert standings[LONG] == QueueStanding(due=1, running=1, oldest=AT)
    assert standings[DELIVERY] == QueueStanding()
    assert stuck_queues(standings, at=at, after_s=300) == {PROMPT: 600}, "long work may wait while long work is done"
    assert stuck_queues(standings, at=at, after_s=600) == {}
    with database.read() as tx:
        ended = queue_standings(tx, at=AT + timedelta(hours=2))
    assert ended[LONG] == QueueStanding(due=2, running=0, oldest=AT), "a lease that ended is nobody's"
    assert set(stuck_queues(ended, at=AT + timedelta(hours=2), after_s=300)) == {PROMPT, LONG, DELIVERY}

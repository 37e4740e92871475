"""The queue against a model of it: any order of adding, claiming, waiting, beating, finishing, failing and dying."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from archive.db.database import Database
from archive.jobs.models import Job
from archive.jobs.queue import ClaimedJob, LeaseLost, add_job, claim_job, extend_lease, fail_job, finish_job

LEASE_S = 10
MOST = 3
_numbers = itertools.count()


@dataclass(slots=True)
class Expected:
    """What a job must be."""

    state: str = "ready"
    not_before: datetime = datetime.min.replace(tzinfo=UTC)
    attempt: int = 0
    holder: ClaimedJob | None = None
    lease_until: datetime = datetime.min.replace(tzinfo=UTC)
    effects: list[ClaimedJob] = field(default_factory=list)


class Queue(RuleBasedStateMachine):
    """Every run has a queue of its own in the one database."""

    database: Database
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.queue = f"q{next(_numbers)}"
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.jobs: dict[object, Expected] = {}

    @rule(delay_s=st.integers(0, 20))
    def add(self, delay_s: int) -> None:
        at = self.now + timedelta(seconds=delay_s)
        with self.database.begin() as tx:
            job_id = add_job(tx, "work", {}, at=at, queue=self.queue, max_attempts=MOST)
        self.jobs[job_id] = Expected(not_before=at)

    @rule(by_s=st.integers(1, 15))
    def wait(self, by_s: int) -> None:
        self.now += timedelta(seconds=by_s)

    @rule(target=claims)
    def claim(self) -> ClaimedJob | None:
        due = [job_id for job_id, job in self.jobs.items() if self.is_due(job)]
        found = claim_job(self.database, queues=[self.queue], at=self.now, lease_s=LEASE_S)
        if found is None:
            exhausted = [job_id for job_id in due if self.jobs[job_id].attempt >= MOST]
            assert len(due) == 0 or exhausted, "there was something to do"
            if due:
                first = min(due, key=lambda job_id: (self.jobs[job_id].not_before, job_id))
                assert first in exhausted
                self.jobs[first].state, self.jobs[first].holder = "dead", None
            return None
        assert found.id == min(due, key=lambda job_id: (self.jobs[job_id].not_before, job_id))
        job = self.jobs[found.id]
        assert job.attempt < MOST
        job.attempt += 1
        assert found.attempt == job.attempt
        job.state, job.holder, job.lease_until = "running", found, self.now + timedelta(seconds=LEASE_S)
        return found

    @rule(claim=claims)
    def beat(self, claim: ClaimedJob | None) -> None:
        if claim is None:
            return
        if self.holds(claim):
            extend_lease(self.database, claim, at=self.now, lease_s=LEASE_S)
            self.jobs[claim.id].lease_until = self.now + timedelta(seconds=LEASE_S)
        else:
            with pytest.raises(LeaseLost):
                extend_lease(self.database, claim, at=self.now, lease_s=LEASE_S)

    @rule(claim=consumes(claims))
    def finish(self, claim: ClaimedJob | None) -> None:
        if claim is None:
            return
        if self.holds(claim):
            with self.database.begin() as tx:
                finish_job(tx, claim, at=self.now)
            job = self.jobs[claim.id]
            job.state, job.holder = "done", None
            job.effects.append(claim)
        else:
            with pytest.raises(LeaseLost), self.database.begin() as tx:
                finish_job(tx, claim, at=self.now)

    @rule(claim=consumes(claims), retryable=st.booleans())
    def fail(self, claim: ClaimedJob | None, retryable: bool) -> None:
        if claim is None:
            return
        if not self.holds(claim):
            with pytest.raises(LeaseLost):
                fail_job(self.database, claim, error="x", retryable=retryable, at=self.now)
            return
        fail_job(self.database, claim, error="x", retryable=retryable, at=self.now)
        job = self.jobs[claim.id]
        is_dead = not retryable or job.attempt >= MOST
        job.state, job.holder = "dead" if is_dead else "ready", None
        job.not_before = self.now + timedelta(seconds=2**job.attempt)

    @invariant()
    def rows_are_as_expected(self) -> None:
        with self.database.read() as tx:
            rows = tx.scalars(select(Job).where(Job.queue == self.queue)).all()
        assert {row.id: (row.state, row.attempt) for row in rows} == {
            job_id: (job.state, job.attempt) for job_id, job in self.jobs.items()
        }
        for row in rows:
            assert (row.lease_token is not None) == (row.state == "running")
            assert (row.finished_at is not None) == (row.state in {"done", "dead"})

    @invariant()
    def nothing_is_done_twice(self) -> None:
        assert all(len(job.effects) <= 1 for job in self.jobs.values())

    def is_due(self, job: Expected) -> bool:
        return (job.state == "ready" and job.not_before <= self.now) or (
            job.state == "running" and job.lease_until < self.now
        )

    def holds(self, claim: ClaimedJob) -> bool:
        holder = self.jobs[claim.id].holder
        return holder is not None and holder.lease_token == claim.lease_token


def test_the_queue_is_as_its_model(database: Database) -> None:
    class OnThisDatabase(Queue):
        pass

    OnThisDatabase.database = database
    run_state_machine_as_test(OnThisDatabase, settings=settings(max_examples=25, stateful_step_count=30))

"""The worker: what becomes of a job that succeeds, fails, crashes, takes long, or loses its lease."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from archive.adapters.local_bell import LocalBell
from archive.jobs.models import Job
from archive.jobs.queue import LONG, PROMPT, ClaimedJob, LeaseLost, add_job, claim_job, finish_job
from archive.kernel.errors import InvalidInput, Unavailable
from archive.worker.loop import Handler, Worker
from tests.support.archive_home import ArchiveHome

PATIENCE_S = 30


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Bench:
    """A worker over one home, with handlers that a test puts in."""

    def __init__(self, home: ArchiveHome) -> None:
        self.home = home
        self.handlers: dict[str, Handler] = {"done": self.done}
        self.seen: list[str] = []

    def worker(self, lease_s: int = 15) -> Worker:
        return Worker(self.home.database, handlers=self.handlers, clock=self.home.clock, lease_s=lease_s)

    def done(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        with self.home.database.begin() as tx:
            finish_job(tx, job, at=self.home.clock.now())
        self.seen.append(job.args["name"])

    def failing(self, error: Exception) -> Handler:
        def handler(job: ClaimedJob, report: Callable[[int], None]) -> None:
            raise error

        return handler

    def add(self, kind: str, queue: str = PROMPT, **fields: Any) -> Any:
        with self.home.database.begin() as tx:
            return add_job(tx, kind, {"name": kind}, at=self.home.clock.now(), queue=queue, **fields)

    def row(self, job_id: Any) -> Job:
        with self.home.database.read() as tx:
            return tx.get_one(Job, job_id)


@pytest.fixture
def bench(home: ArchiveHome) -> Bench:
    return Bench(home)


def test_a_job_is_done_and_then_there_is_none(bench: Bench) -> None:
    job_id = bench.add("done")
    worker = bench.worker()
    assert worker.run_once([PROMPT])
    assert bench.row(job_id).state == "done"
    assert not worker.run_once([PROMPT])
    assert not worker.run_once([LONG])


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (Unavailable("away"), "ready", "service.unavailable: away"),
        (InvalidInput("never good"), "dead", "input.invalid: never good"),
        (ValueError("张三的身份证号"), "ready", "internal.error: ValueError"),
    ],
)
def test_what_fails_is_tried_again_only_where_that_can_help(
    bench: Bench, error: Exception, state: str, told: str
) -> None:
    bench.handlers["failing"] = bench.failing(error)
    job_id = bench.add("failing")
    assert bench.worker().run_once([PROMPT])
    row = bench.row(job_id)
    assert (row.state, row.last_error) == (state, told), "and what crashed does not tell what it had in hand"


def test_a_kind_that_nobody_knows_becomes_a_dead_letter_and_stops_nobody(bench: Bench) -> None:
    strange, good = bench.add("strange", max_attempts=2), bench.add("done")
    worker = bench.worker()
    for _ in range(3):
        worker.run_once([PROMPT])
        bench.home.clock.step(timedelta(minutes=1))
    assert bench.row(strange).state == "dead"
    assert bench.row(good).state == "done"


def test_a_long_job_keeps_its_lease_and_tells_how_far_it_is(bench: Bench) -> None:
    inside, told = threading.Event(), threading.Event()

    def slow(job: ClaimedJob, report: Callable[[int], None]) -> None:
        inside.set()
        report(420)
        wait_for(lambda: bench.row(job.id).progress_permille == 420)
        first = bench.row(job.id).lease_until
        wait_for(lambda: bench.row(job.id).lease_until > first)
        told.set()
        bench.done(job, report)

    bench.handlers["slow"] = slow
    job_id = bench.add("slow")
    thread = threading.Thread(target=bench.worker(lease_s=2).run_once, args=[[PROMPT]])
    thread.start()
    assert inside.wait(PATIENCE_S)
    while thread.is_alive():
        assert claim_job(bench.home.database, queues=[PROMPT], at=bench.home.clock.now(), lease_s=2) is None
        thread.join(0.2)
    assert told.is_set()
    assert bench.row(job_id).state == "done"
    assert bench.row(job_id).attempt == 1


def test_who_loses_the_lease_stops_and_changes_nothing(bench: Bench) -> None:
    ended = []

    def overtaken(job: ClaimedJob, report: Callable[[int], None]) -> None:
        later = bench.home.clock.now() + timedelta(minutes=1)
        assert claim_job(bench.home.database, queues=[PROMPT], at=later, lease_s=600) is not None
        deadline = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < deadline:
                report(1)
                time.sleep(0.01)
        except LeaseLost:
            ended.append("told so")
            raise

    bench.handlers["overtaken"] = overtaken
    job_id = bench.add("overtaken")
    assert bench.worker(lease_s=2).run_once([PROMPT])
    assert ended == ["told so"]
    row = bench.row(job_id)
    assert (row.state, row.attempt, row.last_error) == ("running", 2, None)


def test_a_result_that_comes_after_the_lease_was_lost_is_dropped(bench: Bench) -> None:
    def late(job: ClaimedJob, report: Callable[[int], None]) -> None:
        later = bench.home.clock.now() + timedelta(minutes=1)
        assert claim_job(bench.home.database, queues=[PROMPT], at=later, lease_s=600) is not None
        bench.add("follow-up")
        with bench.home.database.begin() as tx:
            add_job(tx, "result", {}, at=later)
            finish_job(tx, job, at=later)

    bench.handlers["late"] = late
    bench.add("late")
    assert bench.worker().run_once([PROMPT])
    assert bench.home.rows("SELECT kind FROM job ORDER BY kind") == [("follow-up",), ("late",)]


def test_a_heartbeat_that_cannot_reach_the_database_goes_on_later(bench: Bench) -> None:
    def patient(job: ClaimedJob, report: Callable[[int], None]) -> None:
        bench.home.execute("ALTER TABLE job RENAME TO job_away")
        time.sleep(1.3)  # one beat at least meets no table
        bench.home.execute("ALTER TABLE job_away RENAME TO job")
        report(77)
        wait_for(lambda: bench.row(job.id).progress_permille == 77)
        bench.done(job, report)

    bench.handlers["patient"] = patient
    job_id = bench.add("patient")
    assert bench.worker(lease_s=3).run_once([PROMPT])
    assert bench.row(job_id).state == "done"


def test_stopping_finishes_what_is_under_way_and_takes_nothing_more(bench: Bench) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(job: ClaimedJob, report: Callable[[int], None]) -> None:
        inside.set()
        assert go_on.wait(PATIENCE_S)
        bench.done(job, report)

    bench.handlers["slow"] = slow
    first = bench.add("slow")
    worker = bench.worker()
    thread = threading.Thread(
        target=worker.run, args=[{PROMPT: 1, LONG: 1}, LocalBell()], kwargs={"grace_s": PATIENCE_S}
    )
    thread.start()
    assert inside.wait(PATIENCE_S)
    second = bench.add("done")
    worker.stop()
    go_on.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert (bench.row(first).state, bench.row(second).state) == ("done", "ready")


def test_several_threads_do_everything_once(bench: Bench) -> None:
    wanted = [bench.add("done", queue) for queue in (PROMPT, LONG) for _ in range(15)]
    worker = bench.worker()
    thread = threading.Thread(
        target=worker.run, args=[{PROMPT: 3, LONG: 2}, LocalBell()], kwargs={"grace_s": PATIENCE_S}
    )
    thread.start()
    wait_for(lambda: bench.home.count("job", "state <> 'done'") == 0)
    worker.stop()
    thread.join(PATIENCE_S)
    assert len(bench.seen) == len(wanted)
    assert bench.home.count("job", "attempt > 1") == 0


def test_a_worker_outlives_a_database_that_is_away_for_a_while(bench: Bench) -> None:
    worker = bench.worker()
    bench.home.execute("ALTER TABLE job RENAME TO job_away")
    thread = threading.Thread(target=worker.run, args=[{PROMPT: 1}, LocalBell()], kwargs={"grace_s": PATIENCE_S})
    thread.start()
    time.sleep(0.3)
    bench.home.execute("ALTER TABLE job_away RENAME TO job")
    job_id = bench.add("done")
    wait_for(lambda: bench.row(job_id).state == "done")
    worker.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_what_is_not_done_when_the_grace_ends_is_given_back_and_comes_to_nothing(bench: Bench) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(job: ClaimedJob, report: Callable[[int], None]) -> None:
        inside.set()
        assert go_on.wait(PATIENCE_S)
        bench.done(job, report)

    bench.handlers["slow"] = slow
    job_id = bench.add("slow")
    worker = bench.worker()
    thread = threading.Thread(target=worker.run, args=[{PROMPT: 1}, LocalBell()], kwargs={"grace_s": 0.0})
    thread.start()
    assert inside.wait(PATIENCE_S)
    worker.stop()
    thread.join(PATIENCE_S)
    row = bench.row(job_id)
    assert (row.state, row.attempt, row.lease_token) == ("ready", 0, None)
    go_on.set()
    wait_for(lambda: not worker.is_busy)
    assert bench.seen == [], "its result is dropped"
    assert bench.worker().run_once([PROMPT]), "and another has it at once"


def test_a_job_that_this_machine_has_no_room_for_is_given_back_and_says_why(bench: Bench) -> None:
    job_id = bench.add("done", queue=LONG)
    why = "jobs.no_room: 3 MiB are free where it works, 9 MiB are needed"
    full = Worker(
        bench.home.database, handlers=bench.handlers, clock=bench.home.clock, lease_s=15, refuses=lambda _: why
    )
    assert full.run_once([LONG])
    row = bench.row(job_id)
    assert (row.state, row.attempt, row.last_error, bench.seen) == ("ready", 0, why, [])
    assert not bench.worker().run_once([LONG]), "it waits a little"
    bench.home.clock.step(timedelta(minutes=1))
    assert bench.worker().run_once([LONG])
    assert bench.seen == ["done"]

"""Workers behind a real broker, on PostgreSQL: messages that are doubled or lost, and ends of whoever takes part.

What must hold after each: every job is done, and its effect is there once.
"""

import contextlib
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from sqlalchemy import select, text

from archive.adapters.celery_bell import CeleryBell, celery_app
from archive.db.database import Database
from archive.db.process_lock import ProcessLock
from archive.jobs.models import Job
from archive.jobs.queue import PROMPT, add_job
from archive.kernel.clock import SystemClock
from archive.kernel.ids import JobId
from archive.ports.bell import BellAway
from archive.worker.relay import Relay
from tests.faults.job_driver import Orders, make_tables
from tests.support import postgres
from tests.support.redis import Redis

pytestmark = pytest.mark.service
PATIENCE_S = 90
AGAIN_S = 1
KEY = 77
CLOCK = SystemClock()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class House:
    """A database, a broker, workers that come and go, and relays in this process."""

    def __init__(self, database_url: str, server: Any, folder: Path) -> None:
        self.database = Database(database_url)
        self.server = server
        self.folder = folder
        password = server.password_file.read_text("ascii")
        self.orders = Orders(database_url, server.url, f"liuhen-{secrets.token_hex(6)}", password)
        self.bells: list[CeleryBell] = []
        self.bell = self.new_bell()
        self.workers: list[subprocess.Popen[bytes]] = []
        make_tables(self.database)

    def new_bell(self) -> CeleryBell:
        made = CeleryBell(self.orders.broker, celery_app(self.orders.broker, (PROMPT,)))
        self.bells.append(made)
        return made

    def worker(self) -> subprocess.Popen[bytes]:
        with (self.folder / f"worker-{len(self.workers)}.log").open("wb") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.job_driver"], env=self.orders.environment(), stdout=log, stderr=log
            )
        self.workers.append(started)
        return started

    def relay(self, database: Database | None = None) -> Relay:
        database = database or self.database
        lock = ProcessLock(database, self.folder / "relay.lock", key=KEY, what="relay")
        return Relay(database, self.new_bell(), CLOCK, lock=lock, again_s=AGAIN_S, alarm_s=900)

    @contextlib.contextmanager
    def relaying(self) -> Iterator[Relay]:
        relay = self.relay()
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            yield relay
        finally:
            relay.stop()
            thread.join()

    def add(self, count: int = 1, kind: str = "effect") -> list[JobId]:
        with self.database.begin() as tx:
            added = [add_job(tx, kind, {}, at=CLOCK.now()) for _ in range(count)]
        return [job_id for job_id in added if job_id is not None]

    def let_through(self, job_id: JobId) -> None:
        with self.database.begin() as tx:
            tx.execute(text("INSERT INTO let_through VALUES (:id)"), {"id": job_id})

    def row(self, job_id: JobId) -> Job:
        with self.database.read() as tx:
            return tx.get_one(Job, job_id)

    def has_begun(self, job_id: JobId, times: int = 1) -> bool:
        with self.database.read() as tx:
            asked = text("SELECT count(*) FROM begun WHERE job_id = :id")
            return bool(tx.scalar(asked, {"id": job_id}) >= times)

    def are_done(self, jobs: list[JobId]) -> bool:
        with self.database.read() as tx:
            return set(tx.scalars(select(Job.state).where(Job.id.in_(jobs)))) == {"done"}

    def wait_done(self, jobs: list[JobId]) -> None:
        wait_for(lambda: self.are_done(jobs))
        with self.database.read() as tx:
            effects = tx.execute(text("SELECT job_id, count(*) FROM effect GROUP BY job_id")).all()
        counts = {job_id: count for job_id, count in effects if job_id in set(jobs)}
        assert counts == dict.fromkeys(jobs, 1), "one effect for each job"

    def lose_messages(self) -> None:
        """Have the broker forget what it holds."""
        with Connection(self.orders.broker.address()) as connection:
            connection.default_channel.queue_purge(self.orders.broker.queue_name(PROMPT))

    def end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def close(self) -> None:
        self.end_workers()
        for bell in self.bells:
            bell.hang_up()
        self.database.close()


@pytest.fixture(scope="module", params=["redis_server", "rabbit_server"])
def long_house(
    request: pytest.FixtureRequest,
    postgres_server: str,
    postgres_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    url = postgres.create_database(postgres_server, template=postgres_template)
    made = House(url, request.getfixturevalue(request.param), tmp_path_factory.mktemp("house"))
    yield made
    made.close()
    postgres.drop_database(postgres_server, url)


@pytest.fixture
def house(long_house: House) -> Iterator[House]:
    """The same house for all tests of a broker, without any worker."""
    yield long_house
    long_house.end_workers()


def test_messages_that_are_lost_and_messages_that_come_twice(house: House) -> None:
    lost = house.add(20)
    relay = house.relay()
    assert relay.ring_new() == len(lost)
    assert relay.ring_new() == 0, "they were told"
    assert house.bell.unheard(PROMPT) == len(lost)
    assert relay.ring_stale() == 0, "they wait at the broker: nothing is missing"
    house.lose_messages()
    house.worker()
    with house.relaying():
        doubled = house.add(20)
        for _ in range(3):
            for job_id in (*doubled, *lost[:5]):
                house.bell.ring(PROMPT, job_id)
        house.bell.ring(PROMPT)
        house.wait_done([*lost, *doubled])


def test_a_worker_that_dies_in_the_midst_of_a_job(house: House) -> None:
    first = house.worker()
    with house.relaying():
        (job_id,) = house.add(kind="slow")
        wait_for(lambda: house.has_begun(job_id))
        first.send_signal(signal.SIGKILL)
        first.wait()
        house.worker()
        wait_for(lambda: house.has_begun(job_id, 2))
        house.let_through(job_id)
        house.wait_done([job_id])
    assert house.row(job_id).attempt == 2


def test_a_worker_that_is_told_to_end_finishes_its_job_or_gives_it_back(house: House) -> None:
    first = house.worker()
    with house.relaying():
        (quick, long) = (*house.add(kind="slow"), *house.add(kind="slow"))
        wait_for(lambda: house.has_begun(quick) and house.has_begun(long))
        first.send_signal(signal.SIGTERM)
        house.let_through(quick)
        assert first.wait(PATIENCE_S) == 0
        assert house.are_done([quick])
        given_back = house.row(long)
        assert (given_back.state, given_back.attempt, given_back.lease_token) == ("ready", 0, None)
        house.worker()
        wait_for(lambda: house.has_begun(long, 2))
        house.let_through(long)
        house.wait_done([quick, long])


def test_of_two_relays_one_works_and_the_other_takes_over(house: House) -> None:
    second_database = Database(house.orders.database_url)
    relays = [house.relay(), house.relay(second_database)]
    threads = [threading.Thread(target=run_until_lost, args=[relay]) for relay in relays]
    for thread in threads:
        thread.start()
    try:
        jobs = house.add(30)
        wait_for(lambda: house.bell.unheard(PROMPT) == len(jobs))
        with house.database.begin() as tx:
            tx.execute(
                text(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = {KEY}")
            )
        wait_for(lambda: sum(thread.is_alive() for thread in threads) == 1)
        jobs += house.add(30)
        wait_for(lambda: house.bell.unheard(PROMPT) == len(jobs))
        house.worker()
        house.wait_done(jobs)
    finally:
        for relay, thread in zip(relays, threads, strict=True):
            relay.stop()
            thread.join()
        second_database.close()


def run_until_lost(relay: Relay) -> None:
    with contextlib.suppress(Exception):
        relay.run()


def test_a_redis_that_is_killed_and_comes_back_empty(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    """On a Redis of its own; RabbitMQ, which takes longer, is killed in the campaign `jobs`."""
    server = Redis(tmp_path / "redis", durable=False)
    server.start()
    url = postgres.create_database(postgres_server, template=postgres_template)
    house = House(url, server, tmp_path)
    try:
        house.worker()
        with house.relaying():
            (running, *before) = (*house.add(kind="slow"), *house.add(5))
            wait_for(lambda: house.has_begun(running))
            server.kill()
            with pytest.raises(BellAway):
                house.bell.ring(PROMPT)
            meanwhile = house.add(5)
            house.let_through(running)
            house.wait_done([running])
            server.start()
            house.wait_done([running, *before, *meanwhile])
    finally:
        house.close()
        server.destroy()
        postgres.drop_database(postgres_server, url)

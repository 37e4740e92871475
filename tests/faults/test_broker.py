"""Workers behind a real broker, on PostgreSQL: messages that are doubled or lost, and ends of whoever takes part.

What must hold after each: every job is done, and its effect is there once.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from archive.db.database import Database
from archive.jobs.queue import PROMPT
from archive.ports.bell import BellAway
from archive.worker.relay import Relay
from tests.support import postgres
from tests.support.brokered import House, wait_for
from tests.support.job_driver import LOCK_KEY
from tests.support.redis import Redis

PATIENCE_S = 90
pytestmark = pytest.mark.service


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
    long_house.end_processes()


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


def test_what_a_busy_worker_cannot_begin_stays_with_the_broker_for_another(house: House) -> None:
    house.worker()
    with house.relaying(again_s=3600):
        busy = house.add(2, kind="slow")
        wait_for(lambda: all(house.has_begun(job_id) for job_id in busy))
        (job_id,) = house.add()
        wait_for(lambda: house.bell.unheard(PROMPT) == 1)
        house.worker()
        house.wait_done([job_id])
        for each in busy:
            house.let_through(each)
        more = house.add(5)
        house.wait_done([*busy, *more])


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
                text(
                    f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK_KEY}"
                )
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

"""What an operator sets for workers on several machines, what the doctor says of it, and room on a worker's disk."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from archive.cli.workers import chosen
from archive.doctor import examine
from archive.jobs.models import Job
from archive.jobs.queue import LONG, PROMPT, ClaimedJob, add_job, claim_job
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import new_uuid7
from archive.ports.bell import Bell
from archive.settings import Settings, SettingsInvalid, load_settings
from archive.wiring import broker_parts
from archive.worker.loop import Worker
from ingest.room import NO_ROOM, Room
from signing.keyfiles import KeyExposed, KeyMissing
from tests.support.archive_home import ArchiveHome, EnrolledDock, make_home
from tests.support.brokered import wait_for
from tests.support.redis import Redis


def told(home: ArchiveHome, code: str) -> Finding:
    (found,) = [finding for finding in examine(home.services).findings if finding.code == code]
    return found


def with_broker(home: ArchiveHome, url: str, password_file: Path | None = None) -> None:
    home.settings = home.settings.model_copy(update={"broker_url": url, "broker_password_file": password_file})
    home.reopen()


# --- settings -----------------------------------------------------------------------------------------------------


def test_a_password_stands_in_a_file_and_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="broker_password_file") as refused:
        broker_parts.broker_of(Settings(home=tmp_path, broker_url="redis://:geheim@10.0.0.5/0"))
    assert "geheim" not in str(refused.value)
    secret = tmp_path / "broker.password"
    settings = Settings(home=tmp_path, broker_url="amqp://liuhen@10.0.0.5:5672/v", broker_password_file=secret)
    with pytest.raises(KeyMissing):
        broker_parts.broker_of(settings)
    secret.write_text("ge/heim@1\n")
    secret.chmod(0o644)
    with pytest.raises(KeyExposed):
        broker_parts.broker_of(settings)
    secret.chmod(0o600)
    broker = broker_parts.broker_of(settings)
    assert broker.address() == "amqp://liuhen:ge%2Fheim%401@10.0.0.5:5672/v"
    assert "heim" not in broker.url


@pytest.mark.parametrize("url", ["http://10.0.0.5/", "redis:10.0.0.5", "sqs://", "redis://a b/0", "memory://x"])
def test_only_redis_and_rabbitmq_are_brokers(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsInvalid):
        load_settings(home=tmp_path, broker_url=url)


def test_archives_that_share_a_broker_have_queues_of_their_own(tmp_path: Path) -> None:
    one, other = (
        broker_parts.broker_of(Settings(home=tmp_path, broker_url="redis://10.0.0.5/0", origin=origin))
        for origin in ("a.example/log", "b.example/log")
    )
    assert one.queue_name(PROMPT) != other.queue_name(PROMPT)


def test_the_pool_of_connections_is_as_large_as_it_is_set(home: ArchiveHome) -> None:
    home.settings = home.settings.model_copy(update={"database_pool": 3})
    assert home.reopen().database.engine.pool.size() == 3


# --- the doctor ---------------------------------------------------------------------------------------------------


def test_the_doctor_tells_of_queues_that_nobody_works_on(home: ArchiveHome) -> None:
    assert told(home, "doctor.queues").outcome is Outcome.VALID
    with home.database.begin() as tx:
        add_job(tx, "probe", {}, at=home.clock.now())
    assert told(home, "doctor.queues").outcome is Outcome.VALID
    home.clock.step(timedelta(seconds=home.settings.oldest_job_alarm_s + 1))
    found = told(home, "doctor.queues")
    assert found.outcome is Outcome.INDETERMINATE
    assert "too long in prompt" in found.message


def test_the_doctor_tells_of_jobs_that_no_machine_has_room_for(home: ArchiveHome) -> None:
    with home.database.begin() as tx:
        add_job(tx, "probe", {}, at=home.clock.now(), queue=LONG)
    full = Worker(
        home.database, handlers={}, clock=home.clock, lease_s=15, refuses=lambda _: f"{NO_ROOM}: 1 MiB are free"
    )
    assert full.run_once([LONG])
    found = told(home, "doctor.queues")
    assert (found.outcome, found.message) == (Outcome.INDETERMINATE, "1 jobs wait for a machine with room on its disk")


def test_the_doctor_says_that_the_broker_is_away(home: ArchiveHome) -> None:
    assert told(home, "doctor.broker").outcome is Outcome.VALID, "without one nothing is missing"
    with_broker(home, "redis://127.0.0.1:1/0")
    assert told(home, "doctor.broker").outcome is Outcome.INDETERMINATE


@pytest.mark.service
def test_the_doctor_asks_the_broker(home: ArchiveHome, redis_server: Redis) -> None:
    # Queues of its own: the server is shared, and other tests ring too.
    home.settings = home.settings.model_copy(update={"origin": f"doctor-{new_uuid7()}.example/log"})
    with_broker(home, redis_server.url, redis_server.password_file)
    bell: Bell = broker_parts.exchange(home.settings).bell
    bell.ring(PROMPT)
    found = told(home, "doctor.broker")
    assert (found.outcome, found.message) == (Outcome.VALID, "The broker answers; 1 messages wait for workers")


# --- room ---------------------------------------------------------------------------------------------------------


def claimed(home: ArchiveHome, queue: str = LONG, **args: str) -> ClaimedJob:
    with home.database.begin() as tx:
        job_id = add_job(tx, "x", args, at=home.clock.now(), queue=queue)
    job = claim_job(home.database, queues=[queue], at=home.clock.now(), lease_s=60, job_id=job_id)
    assert job is not None
    return job


def test_a_long_job_needs_room_for_twice_its_recording(home: ArchiveHome, dock: EnrolledDock) -> None:
    item = home.deliver(dock, os.urandom(3 << 20))
    workshop = home.services.workshop
    stat = os.statvfs(workshop.work)
    free = stat.f_bavail * stat.f_frsize
    job = claimed(home, object_id=str(item))
    assert Room(workshop, 0).lacks(job) is None
    assert str(Room(workshop, 2 * free).lacks(job)).startswith(NO_ROOM)
    assert Room(workshop, 2 * free).lacks(claimed(home, PROMPT, object_id=str(item))) is None
    assert Room(workshop, 2 * free).lacks(claimed(home)) is None, "it is about no recording"


def test_sweeping_removes_what_nobody_holds_and_leaves_what_somebody_works_in(home: ArchiveHome) -> None:
    workshop, job = home.services.workshop, claimed(home)
    with workshop.workplace(job) as held:
        left = workshop.work / f"job-{job.id}-{new_uuid7()}"
        stranger = workshop.work / f"job-{new_uuid7()}-{new_uuid7()}"
        before = workshop.work / f"job-{job.id}"
        for folder in (left, stranger, before):
            folder.mkdir()
        workshop.sweep()
        assert [path for path in workshop.work.iterdir() if path.name.startswith("job-")] == [held]
        left.mkdir()
        with home.database.begin() as tx:
            tx.get_one(Job, job.id).lease_token = new_uuid7()
        workshop.sweep()
        assert not held.exists(), "another has it"
        assert not left.exists()


# --- the processes ------------------------------------------------------------------------------------------------


def test_a_queue_that_there_is_not_is_refused(home: ArchiveHome) -> None:
    with pytest.raises(InvalidInput, match="no queue quick; there are prompt, long"):
        chosen(home.settings, ["prompt", "quick"])
    assert list(chosen(home.settings, ["long", "proxy"])) == ["long", "proxy"]


@pytest.mark.service
def test_a_relay_and_a_worker_with_a_process_for_each_queue(
    postgres_url: str, redis_server: Redis, tmp_path: Path
) -> None:
    made = make_home(tmp_path, postgres_url)
    environment = {
        **os.environ,
        "LIUHEN_HOME": str(made.path),
        "LIUHEN_DATABASE_URL": postgres_url,
        "LIUHEN_BROKER_URL": redis_server.url,
        "LIUHEN_BROKER_PASSWORD_FILE": str(redis_server.password_file),
    }
    command = [sys.executable, "-m", "archive.cli"]
    relay, worker = (
        subprocess.Popen([*command, *words], env=environment, stderr=subprocess.DEVNULL)
        for words in (["relay"], ["worker", "--queues", "prompt,delivery"])
    )

    def have_been_run() -> set[str]:
        with made.database.read() as tx:
            return set(tx.scalars(select(Job.kind).where(Job.not_before > Job.created_at)))

    try:
        wait_for(lambda: {"forget_events", "watch_deadlines", "watch_retrievals"} <= have_been_run(), within_s=200)
        children = psutil.Process(worker.pid).children()
        assert {child.cmdline()[-1] for child in children} == {"prompt", "delivery"}
        worker.terminate()
        assert worker.wait(60) == 0
        assert not any(child.is_running() for child in children)
        relay.terminate()
        assert relay.wait(60) == 0
    finally:
        relay.kill()
        worker.kill()
        relay.wait()
        worker.wait()
        made.services.close()

"""A database, a broker, and workers and relays that come and go: what tests and the campaign `jobs` look at.

Workers are processes of `tests.support.job_driver`; relays are threads of this process, or such processes too.
"""

import contextlib
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from kombu import Connection
from sqlalchemy import select, text

from archive.adapters.celery_bell import CeleryBell, celery_app
from archive.db.database import Database
from archive.db.process_lock import ProcessLock
from archive.jobs.models import Job
from archive.jobs.queue import PROMPT, add_job
from archive.kernel.clock import SystemClock
from archive.kernel.ids import JobId
from archive.worker.relay import Relay
from tests.support.job_driver import AGAIN_S, LOCK_KEY, Orders, make_tables

CLOCK: Final = SystemClock()
_PATIENCE_S: Final = 240


def wait_for(condition: Callable[[], bool], *, within_s: float = _PATIENCE_S) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class House:
    """A database, a broker, workers that come and go, and relays in this process."""

    def __init__(self, database_url: str, server: Any, folder: Path, *, broker_url: str | None = None) -> None:
        self.database = Database(database_url)
        self.server = server
        self.folder = folder
        password = server.password_file.read_text("ascii")
        self.orders = Orders(database_url, broker_url or server.url, f"liuhen-{secrets.token_hex(6)}", password)
        self.bells: list[CeleryBell] = []
        self.bell = self.new_bell()
        self.processes: list[subprocess.Popen[bytes]] = []
        make_tables(self.database)

    def new_bell(self) -> CeleryBell:
        made = CeleryBell(self.orders.broker, celery_app(self.orders.broker, (PROMPT,)))
        self.bells.append(made)
        return made

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("worker")

    def start(self, role: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{role}-{len(self.processes)}.log").open("wb") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", "tests.support.job_driver", role],
                env=self.orders.environment(),
                stdout=log,
                stderr=log,
            )
        self.processes.append(started)
        return started

    def relay(self, database: Database | None = None, *, again_s: float = AGAIN_S) -> Relay:
        database = database or self.database
        lock = ProcessLock(database, self.folder / "relay.lock", key=LOCK_KEY, what="relay")
        return Relay(database, self.new_bell(), CLOCK, lock=lock, again_s=again_s, alarm_s=900)

    @contextlib.contextmanager
    def relaying(self, *, again_s: float = AGAIN_S) -> Iterator[Relay]:
        relay = self.relay(again_s=again_s)
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            yield relay
        finally:
            relay.stop()
            thread.join()

    def add(self, count: int = 1, kind: str = "effect", **args: int) -> list[JobId]:
        with self.database.begin() as tx:
            added = [add_job(tx, kind, args, at=CLOCK.now(), max_attempts=1000) for _ in range(count)]
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

    def are_done(self, jobs: Sequence[JobId]) -> bool:
        with self.database.read() as tx:
            return set(tx.scalars(select(Job.state).where(Job.id.in_(jobs)))) == {"done"}

    def wait_done(self, jobs: Sequence[JobId]) -> None:
        wait_for(lambda: self.are_done(jobs))
        counts = self.effects()
        assert {job_id: counts.get(job_id, 0) for job_id in jobs} == dict.fromkeys(jobs, 1), "one effect for each job"

    def effects(self) -> dict[JobId, int]:
        """How many effects each job had."""
        with self.database.read() as tx:
            return dict(tx.execute(text("SELECT job_id, count(*) FROM effect GROUP BY job_id")).all())

    def lose_messages(self) -> None:
        """Have the broker forget what it holds."""
        with Connection(self.orders.broker.address()) as connection:
            connection.default_channel.queue_purge(self.orders.broker.queue_name(PROMPT))

    def end_processes(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def close(self) -> None:
        self.end_processes()
        for bell in self.bells:
            bell.hang_up()
        self.database.close()

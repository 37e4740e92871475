"""A Celery worker or a relay in a process of its own, with few imports: the real ones, but for what the jobs do.

Not a test. `python -m tests.support.job_driver worker|relay` works on the queue `prompt`; everything else stands in the
environment (`JOB_DRIVER`, JSON). A job of the kind `effect` writes one row in the transaction that finishes it, after
`ms` milliseconds where its arguments say so. One of the kind `slow` says that it has begun, and does the same when a
row lets it through.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from archive.adapters.celery_bell import Broker, CeleryBell, celery_app
from archive.cli.signals import on_signals
from archive.db.database import Database
from archive.db.process_lock import ProcessLock
from archive.jobs.queue import PROMPT, ClaimedJob, finish_job
from archive.kernel.clock import SystemClock
from archive.worker.listening import listen
from archive.worker.loop import Worker
from archive.worker.relay import Relay

TABLES: Final = (
    "CREATE TABLE effect (job_id uuid NOT NULL, attempt integer NOT NULL, at timestamptz NOT NULL DEFAULT now())",
    "CREATE TABLE begun (job_id uuid NOT NULL, attempt integer NOT NULL)",
    "CREATE TABLE let_through (job_id uuid NOT NULL)",
)
AGAIN_S: Final = 1
LOCK_KEY: Final = 77
_TURN_S: Final = 0.02
_CLOCK: Final = SystemClock()


@dataclass(frozen=True)
class Orders:
    """What a driver is told."""

    database_url: str
    broker_url: str
    prefix: str
    password: str
    concurrency: int = 2
    lease_s: int = 2
    grace_s: float = 1.0

    def environment(self) -> dict[str, str]:
        return {**os.environ, "JOB_DRIVER": json.dumps(asdict(self))}

    @property
    def broker(self) -> Broker:
        return Broker(self.broker_url, self.prefix, self.password)


def make_tables(database: Database) -> None:
    with database.begin() as tx:
        for statement in TABLES:
            tx.execute(text(statement))


def main() -> None:
    """Work until told to end."""
    orders = Orders(**json.loads(os.environ["JOB_DRIVER"]))
    database = Database(orders.database_url)
    app = celery_app(orders.broker, (PROMPT,))
    bell = CeleryBell(orders.broker, app)
    if sys.argv[1] == "relay":
        lock = ProcessLock(database, Path(tempfile.gettempdir()) / "relay.lock", key=LOCK_KEY, what="relay")
        relay = Relay(database, bell, _CLOCK, lock=lock, again_s=AGAIN_S, alarm_s=900)
        on_signals(relay.stop)
        relay.run()
    else:
        jobs = _Jobs(database)
        worker = Worker(
            database, handlers={"effect": jobs.effect, "slow": jobs.slow}, clock=_CLOCK, lease_s=orders.lease_s
        )
        listen(
            worker,
            app,
            bell,
            queue=PROMPT,
            at_broker=orders.broker.queue_name(PROMPT),
            concurrency=orders.concurrency,
            grace_s=orders.grace_s,
            on_stop=on_signals,
        )
    database.close()


class _Jobs:
    """What the jobs do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def effect(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        ends = time.monotonic() + job.args.get("ms", 0) / 1000
        report(500)
        while time.monotonic() < ends:
            report(500)
            time.sleep(_TURN_S)
        with self._database.begin() as tx:
            _insert(tx, "effect", job)
            finish_job(tx, job, at=_CLOCK.now())

    def slow(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        with self._database.begin() as tx:
            _insert(tx, "begun", job)
        while not self._is_let_through(job.id):
            report(1)
            time.sleep(_TURN_S)
        self.effect(job, report)

    def _is_let_through(self, job_id: UUID) -> bool:
        with self._database.read() as tx:
            return tx.scalar(text("SELECT 1 FROM let_through WHERE job_id = :id"), {"id": job_id}) is not None


def _insert(tx: Session, table: str, job: ClaimedJob) -> None:
    values = {"id": job.id, "attempt": job.attempt}
    tx.execute(text(f"INSERT INTO {table} (job_id, attempt) VALUES (:id, :attempt)"), values)


if __name__ == "__main__":
    main()

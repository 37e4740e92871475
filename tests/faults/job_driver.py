"""A Celery worker in a process of its own, with few imports: the real one, but for what its jobs do.

Not a test. `python -m tests.faults.job_driver` works on the queue `prompt`; everything else stands in the environment
(`JOB_DRIVER`, JSON). An `effect` job writes one row in the transaction that finishes it. A `slow` one says that it has
begun, and does the same when a row lets it through.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from archive.adapters.celery_bell import Broker, CeleryBell, celery_app
from archive.cli.signals import on_signals
from archive.db.database import Database
from archive.jobs.queue import PROMPT, ClaimedJob, finish_job
from archive.kernel.clock import SystemClock
from archive.worker.listening import listen
from archive.worker.loop import Worker

TABLES = (
    "CREATE TABLE effect (job_id uuid NOT NULL, attempt integer NOT NULL, at timestamptz NOT NULL DEFAULT now())",
    "CREATE TABLE begun (job_id uuid NOT NULL, attempt integer NOT NULL)",
    "CREATE TABLE let_through (job_id uuid NOT NULL)",
)
_TURN_S = 0.02


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

    def write(job: ClaimedJob, table: str) -> None:
        with database.begin() as tx:
            _insert(tx, table, job)

    def effect(job: ClaimedJob, report: Callable[[int], None]) -> None:
        report(500)
        with database.begin() as tx:
            _insert(tx, "effect", job)
            finish_job(tx, job, at=SystemClock().now())

    def slow(job: ClaimedJob, report: Callable[[int], None]) -> None:
        write(job, "begun")
        while not _is_let_through(database, job.id):
            report(1)
            time.sleep(_TURN_S)
        effect(job, report)

    app = celery_app(orders.broker, (PROMPT,))
    worker = Worker(database, handlers={"effect": effect, "slow": slow}, clock=SystemClock(), lease_s=orders.lease_s)
    listen(
        worker,
        app,
        CeleryBell(orders.broker, app),
        queue=PROMPT,
        at_broker=orders.broker.queue_name(PROMPT),
        concurrency=orders.concurrency,
        grace_s=orders.grace_s,
        on_stop=on_signals,
    )
    database.close()


def _insert(tx: Session, table: str, job: ClaimedJob) -> None:
    tx.execute(
        text(f"INSERT INTO {table} (job_id, attempt) VALUES (:id, :attempt)"), {"id": job.id, "attempt": job.attempt}
    )


def _is_let_through(database: Database, job_id: UUID) -> bool:
    with database.read() as tx:
        return tx.scalar(text("SELECT 1 FROM let_through WHERE job_id = :id"), {"id": job_id}) is not None


if __name__ == "__main__":
    main()

"""The worker: claims jobs, keeps their leases, and gives back what failed.

Who tells it to claim is another's concern: its own look into the database (`run`), or a broker's message
(`archive.worker.listening`).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from archive.db.database import Database
from archive.db.store_guard import StoreElsewhere
from archive.jobs.queue import (
    AWAY,
    ClaimedJob,
    LeaseLost,
    claim_job,
    extend_lease,
    fail_job,
    postpone_job,
    waiting_queues,
)
from archive.kernel.errors import DISK_FULL, LiuhenError, StorageFull
from archive.kernel.ids import JobId
from archive.meters import meters
from archive.ports.bell import NearBell
from archive.ports.clock import Clock
from archive.tracing import job_span

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]
Refusal = Callable[[ClaimedJob], str | None]
"""Says why this machine cannot take a job now, or nothing."""

_LOOK_S: Final = 0.1
_MOST_WORDS: Final = 2000
_ELSEWHERE: Final = timedelta(seconds=15)
"""How long a job waits that this machine has no room for: another may take it then, or this one again."""
_AWAY_PAUSE: Final = timedelta(seconds=5)
_log = structlog.get_logger("liuhen.worker")


class Worker:
    """Runs jobs until it is told to stop; a job under way is finished first."""

    def __init__(
        self,
        database: Database,
        *,
        handlers: Mapping[str, Handler],
        clock: Clock,
        lease_s: int,
        refuses: Refusal = lambda _: None,
    ) -> None:
        """Take the handlers by job kind."""
        self._database = database
        self._handlers = handlers
        self._clock = clock
        self._lease_s = lease_s
        self._refuses = refuses
        self._stopping = threading.Event()
        self._held: dict[UUID, ClaimedJob] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self._held)

    @property
    def is_stopping(self) -> bool:
        """Whether it claims no more jobs."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Claim no more jobs."""
        self._stopping.set()

    def run(self, queues: Mapping[str, int], bell: NearBell, *, grace_s: float) -> None:
        """Work on each queue with this many threads; return when stopped and idle, or `grace_s` after that.

        One look for all of them, ten times a second: an idle worker costs next to nothing. What is still under way
        after the grace is given back.
        """
        threads = [
            threading.Thread(
                target=self._work, args=(queue, bell.heard_as(queue)), name=f"{queue}-{number}", daemon=True
            )
            for queue, count in queues.items()
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(_LOOK_S):
            try:
                waiting = waiting_queues(self._database, queues=list(queues), at=self._clock.now())
            except Exception:  # noqa: BLE001 - a worker outlives a database that is away for a while
                _log.exception("look_failed")
                continue
            for queue in waiting:
                bell.ring(queue)
        for queue in queues:
            bell.ring(queue)
        ends = time.monotonic() + grace_s
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        self.give_back()

    def give_back(self) -> int:
        """Give the jobs under way back, so that others take them at once; return how many. For a process that ends.

        What their handlers do from now on comes to nothing: the lease is not theirs any more.
        """
        given = 0
        for job in list(self._held.values()):
            try:
                with self._database.begin() as tx:
                    postpone_job(tx, job, until=self._clock.now())
            except LeaseLost:
                continue  # it has just ended
            except LiuhenError as error:
                _log.warning("not_given_back", job_id=str(job.id), code=error.code)  # its lease ends by itself
            else:
                given += 1
                _log.info("given_back", job_id=str(job.id), kind=job.kind)
        return given

    def run_once(self, queues: Sequence[str], job_id: JobId | None = None) -> bool:
        """Claim and run one job, the oldest or this one; return whether there was one.

        Once the archive was moved to another store than this process knows it stops: one that is started with the new
        settings goes on, also with what is under way here, whose lease ends.
        """
        if self._stopping.is_set():
            return False
        try:
            return self._run_one(queues, job_id)
        except StoreElsewhere as error:
            _log.error("store_elsewhere", message=error.message)
            self.stop()
            return False

    def _run_one(self, queues: Sequence[str], job_id: JobId | None) -> bool:
        job = claim_job(self._database, queues=queues, at=self._clock.now(), lease_s=self._lease_s, job_id=job_id)
        if job is None:
            return False
        self._held[job.lease_token] = job
        try:
            self._run(job)
        finally:
            del self._held[job.lease_token]
        return True

    def _work(self, queue: str, bell: threading.Event) -> None:
        while True:
            bell.clear()
            if self._stopping.is_set():
                bell.set()  # it may have been meant for another thread of this queue
                return
            try:
                found = self.run_once([queue])
            except Exception:  # noqa: BLE001 - a worker outlives a database that is away for a while
                _log.exception("claim_failed")
                found = False
            if not found:
                bell.wait()

    def _run(self, job: ClaimedJob) -> None:
        lease = _Lease(self._database, job, clock=self._clock, lease_s=self._lease_s)
        with structlog.contextvars.bound_contextvars(job_id=str(job.id), kind=job.kind, attempt=job.attempt):
            self._run_bound(job, lease)

    def _run_bound(self, job: ClaimedJob, lease: "_Lease") -> None:
        try:
            if (why := self._refuses(job)) is not None:
                _log.warning("job_refused", why=why)
                with self._database.begin() as tx:
                    postpone_job(tx, job, until=self._clock.now() + _ELSEWHERE, why=why)
                return
            in_trace = job_span(job.kind, attempt=job.attempt, parent=job.traceparent)
            with meters().job(job.kind) as how, in_trace, lease:
                self._handlers[job.kind](job, lease.report)
                how.append("done")
        except LeaseLost:
            _log.warning("lease_lost")
        except LiuhenError as error:
            if error.code in AWAY:
                self._put_off(job, error)
                return
            _log.warning("job_failed", code=error.code, retryable=error.retryable)
            self._give_back(job, f"{error.code}: {error.message}", retryable=error.retryable)
        except Exception as error:  # noqa: BLE001 - a worker outlives whatever one job met; the job comes back
            if isinstance(error, OSError) and error.errno in DISK_FULL:  # of a file that a look writes
                self._put_off(job, StorageFull())
                return
            _log.exception("job_crashed")
            self._give_back(job, f"internal.error: {type(error).__name__}", retryable=True)
        else:
            _log.info("job_done")

    def _put_off(self, job: ClaimedJob, error: LiuhenError) -> None:
        """Give a job back as if this attempt had not been, with what it waits for."""
        _log.warning("job_put_off", code=error.code)
        try:
            with self._database.begin() as tx:
                until = self._clock.now() + _AWAY_PAUSE
                postpone_job(tx, job, until=until, why=f"{error.code}: {error.message}"[:_MOST_WORDS])
        except LeaseLost:
            _log.warning("lease_lost", job_id=str(job.id))

    def _give_back(self, job: ClaimedJob, error: str, *, retryable: bool) -> None:
        try:
            fail_job(self._database, job, error=error, retryable=retryable, at=self._clock.now())
        except LeaseLost:
            _log.warning("lease_lost", job_id=str(job.id))


class _Lease:
    """Keeps a job's lease from a thread of its own, and tells its progress."""

    def __init__(self, database: Database, job: ClaimedJob, *, clock: Clock, lease_s: int) -> None:
        self._database, self._job, self._clock, self._lease_s = database, job, clock, lease_s
        self._progress: int | None = None
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{job.id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def report(self, permille: int) -> None:
        """Note the progress; it is written with the next heartbeat. Raises: LeaseLost."""
        self._progress = permille
        if self._lost:
            raise LeaseLost(job_id=self._job.id)

    def _keep(self) -> None:
        written = None
        pause = min(self._lease_s / 3, 1.0)
        beats = 0
        while not self._done.wait(pause):
            beats += 1
            # Progress is written each second while it moves, the bare lease only as often as it must be.
            if self._progress == written and beats % max(1, int(self._lease_s / 3 / pause)):
                continue
            written = self._progress
            try:
                extend_lease(
                    self._database, self._job, at=self._clock.now(), lease_s=self._lease_s, progress_permille=written
                )
            except LeaseLost:
                self._lost = True
                return
            except Exception:  # noqa: BLE001 - the next beat may reach the database again; without any, the lease ends
                _log.warning("heartbeat_failed", job_id=str(self._job.id), exc_info=True)

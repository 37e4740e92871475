"""A worker that a broker tells what to do: one Celery worker for one queue, its jobs in threads of this process.

Celery carries ids and nothing else. Claiming, leases, failures are `archive.worker.loop`'s, as without a broker.
Source: docs/adr/0026.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import structlog
from celery import Celery
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.asynchronous import get_event_loop
from structlog.tracebacks import ExceptionDictTransformer

from archive.kernel.ids import JobId
from archive.ports.bell import RUN_JOB, Bell, BellAway
from archive.worker.loop import Worker

_DEAF_S: Final = 30.0
"""After so long with messages waiting and nothing to do, this process does not hear its broker any more."""
_WATCH_S: Final = 5.0
_TEMPORARY: Final = 75
_log = structlog.get_logger("liuhen.worker")


class _QuietConsumer(Consumer):  # type: ignore[misc]
    """Consumes, and has no part in anything else: without delayed delivery and its 28 queues, which nobody needs."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """The steps of a consumer."""

        default_steps = (
            "celery.worker.consumer.connection:Connection",
            "celery.worker.consumer.tasks:Tasks",
            "celery.worker.consumer.consumer:Evloop",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "initial_prefetch_count": 1})
        self.pool.consumer = self
        self.pool.is_paused_at_broker = self.conninfo.transport.driver_type == "amqp"


class _ThreadPool(ThreadPool):  # type: ignore[misc]
    """Threads, and messages only for those that are free.

    A message that waits here behind a long job could be another machine's, and RabbitMQ closes the channel of who keeps
    one for half an hour. So while all threads are busy the consumer is cancelled there; Celery does the like for Redis
    itself (`worker_disable_prefetch`), but would doze on when a job has ended.
    """

    consumer: Any = None
    is_paused_at_broker = False
    _under_way = 0

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        applied = super().on_apply(*args, **kwargs)
        self._under_way += 1
        if self._under_way == self.limit and self.is_paused_at_broker:
            # The acknowledgement, on which the next message would be sent, comes after this.
            self.consumer.task_consumer.cancel()
        applied.f.add_done_callback(self._when_done)
        return applied

    def _when_done(self, _: object) -> None:
        if (hub := get_event_loop()) is not None:
            hub.call_soon(self._one_is_free)

    def _one_is_free(self) -> None:
        self._under_way -= 1
        consumer = self.consumer
        if self._under_way < self.limit and self.is_paused_at_broker and consumer.task_consumer is not None:
            consumer.task_consumer.consume()  # it does nothing where it consumes already


class _Heard:
    """Counts the rings that came, to tell a worker that is idle from one that hears nothing."""

    def __init__(self) -> None:
        self.count = 0


def listen(
    worker: Worker,
    app: Celery,
    bell: Bell,
    *,
    queue: str,
    at_broker: str,
    concurrency: int,
    grace_s: float,
    on_stop: Callable[[Callable[[], None]], None],
) -> None:
    """Run the jobs of one queue as the broker tells of them, until stopped; then those under way to their end.

    What is still under way `grace_s` after that is given back, and the process ends there and then.
    `at_broker` is the queue's name there; `on_stop` is given what ends the work.
    """
    _tell_warnings()
    heard = _Heard()

    @app.task(name=RUN_JOB, ignore_result=True)  # type: ignore[untyped-decorator]
    def run_job(job_id: str | None) -> None:
        heard.count += 1
        _run(worker, queue, job_id)

    controller = app.WorkController(
        queues=[at_broker],
        concurrency=concurrency,
        pool=_ThreadPool,
        consumer_cls=_QuietConsumer,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    ended = threading.Event()

    def stop() -> None:
        state.should_stop = 0  # it finishes what it has begun, and gives the broker back what it has not
        if not ended.wait(grace_s):
            worker.stop()
            worker.give_back()
            # The threads of the pool would be waited for.
            _end_now(0)

    on_stop(stop)
    threading.Thread(target=_watch, args=(worker, bell, queue, heard, ended), name="watch-broker", daemon=True).start()
    _log.info("listening", queue=queue, jobs=concurrency)
    controller.start()
    ended.set()


def _run(worker: Worker, queue: str, job_id: str | None) -> None:
    try:
        wanted = None if job_id is None else JobId(UUID(job_id))
    except (ValueError, AttributeError, TypeError):
        _log.warning("ring_malformed", queue=queue)
        return
    try:
        worker.run_once([queue], wanted)
    except Exception:  # noqa: BLE001 - a worker outlives a database that is away for a while; the relay rings again
        _log.exception("claim_failed")


def _watch(worker: Worker, bell: Bell, queue: str, heard: _Heard, ended: threading.Event) -> None:
    """End a process that is idle while rings wait: a connection can be dead without anybody noticing.

    Also one whose worker has stopped by itself.
    """
    deaf_s, before = 0.0, 0
    while not ended.wait(_WATCH_S):
        if worker.is_stopping:
            state.should_stop = 0  # it has found that it must not go on
        is_silent, before = heard.count == before, heard.count
        try:
            is_deaf = is_silent and not worker.is_busy and bell.unheard(queue) > 0
        except BellAway:
            is_deaf = False  # who cannot be reached cannot be heard
        deaf_s = deaf_s + _WATCH_S if is_deaf else 0.0
        if deaf_s >= _DEAF_S:
            _log.error("broker_not_heard", queue=queue)
            _end_now(_TEMPORARY)


def _end_now(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)


def _tell_warnings() -> None:
    """Have what the libraries warn of stand in our log, in its form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    handler.setLevel(logging.WARNING)
    for name in ("celery", "kombu", "amqp", "redis"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False

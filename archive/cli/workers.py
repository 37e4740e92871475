"""The processes that work on jobs: a worker that looks for itself, or one for each queue and a relay with a broker."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from archive.cli.children import Child, end, watch
from archive.cli.logs import configure_logging
from archive.cli.processes import WATCH_FD, begin_process, on_stop
from archive.db.process_lock import ProcessLock
from archive.jobs.queue import COPY, DELIVERY, INTAKE, LONG, PACKAGE, PROMPT, PROXY
from archive.kernel.errors import InvalidInput
from archive.settings import Settings
from archive.wiring import Services, broker_parts, build_services
from archive.worker.loop import Worker
from ingest.room import Room

ENDING_S: Final = 10.0
"""What a process may take to end, after the grace that jobs have."""
_RELAY_KEY: Final = 0x6C69_7568_7265  # "liuhre"


def run_worker(settings: Settings, queues: Sequence[str] = ()) -> None:
    """Work on jobs until SIGTERM: on all queues, or on these only.

    Raises: InvalidInput for a queue that there is not.
    """
    threads = chosen(settings, queues)
    if settings.broker_url is None:
        _look(settings, threads)
    elif len(threads) == 1:
        _listen(settings, *next(iter(threads.items())))
    else:
        _one_for_each(settings, list(threads))


def run_relay(settings: Settings) -> None:
    """Tell workers through the broker of what is due, until SIGTERM, or stand by while another one does."""
    from archive.worker.relay import Relay

    with _process(settings, "relay") as services:
        lock = ProcessLock(services.database, services.run_folder / "relay.lock", key=_RELAY_KEY, what="relay")
        relay = Relay(
            services.database,
            broker_parts.exchange(settings).bell,
            services.clock,
            lock=lock,
            again_s=settings.ring_again_s,
            alarm_s=settings.oldest_job_alarm_s,
        )
        on_stop(relay.stop)
        relay.run()


def chosen(settings: Settings, queues: Sequence[str]) -> Mapping[str, int]:
    """Return how many jobs at once each queue gets, of those that are named, or of all. Raises: InvalidInput."""
    known = {
        PROMPT: settings.prompt_workers,
        LONG: settings.long_workers,
        PROXY: 1,
        PACKAGE: 1,
        DELIVERY: settings.webhook_workers,
        **({INTAKE: settings.intake_workers} if settings.direct_intake else {}),
        **({COPY: 1} if settings.copy_folder or settings.copy_s3_bucket else {}),
    }
    if unknown := set(queues) - set(known):
        raise InvalidInput(f"There is no queue {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return {queue: count for queue, count in known.items() if not queues or queue in queues}


def _look(settings: Settings, threads: Mapping[str, int]) -> None:
    with _process(settings, "worker") as services:
        worker = _worker(services)
        on_stop(worker.stop)
        _begin(services)
        worker.run(threads, broker_parts.local_bell(), grace_s=settings.worker_grace_s)


def _listen(settings: Settings, queue: str, concurrency: int) -> None:
    from archive.worker.listening import listen

    with _process(settings, f"worker-{queue}") as services:
        exchange = broker_parts.exchange(settings)
        worker = _worker(services)
        _begin(services)
        listen(
            worker,
            exchange.app,
            exchange.bell,
            queue=queue,
            at_broker=exchange.broker.queue_name(queue),
            concurrency=concurrency,
            grace_s=settings.worker_grace_s,
            on_stop=on_stop,
        )


def _one_for_each(settings: Settings, queues: Sequence[str]) -> None:
    """Run a process for each queue: what is taken from one never waits behind another's long job."""
    configure_logging()
    watched, held = os.pipe()
    os.set_inheritable(watched, True)
    base = [sys.executable, "-m", "archive.cli", "worker", "--home", str(settings.home)]
    children = [Child(f"worker {queue}", [*base, "--queues", queue]) for queue in queues]
    environment = {**os.environ, WATCH_FD: str(watched)}
    stopping = threading.Event()
    on_stop(stopping.set)
    while not stopping.is_set():
        for child in children:
            watch(child, environment, (watched,))
        stopping.wait(0.1)
    os.close(held)
    end(children, within_s=settings.worker_grace_s + ENDING_S)


@contextmanager
def _process(settings: Settings, name: str) -> Iterator[Services]:
    """Open the archive for a process of this name, with what it logs, counts and traces."""
    tracing = begin_process(settings, name)
    services = build_services(settings)
    if tracing is not None:
        tracing.watch_database(services.database.engine)
    try:
        yield services
    finally:
        services.close()
        if tracing is not None:
            tracing.end()


def _worker(services: Services) -> Worker:
    room = Room(services.workshop, services.settings.reserve_bytes)
    return Worker(
        services.database,
        handlers=services.handlers,
        clock=services.clock,
        lease_s=services.settings.lease_s,
        refuses=room.lacks,
    )


def _begin(services: Services) -> None:
    """Sweep, and make sure of the jobs that come back by themselves; others may do the same at this moment."""
    services.workshop.sweep()
    services.delivery.begin()
    services.complaints.begin()
    services.retrievals.begin()
    services.renewals.begin()
    services.evidence.begin()
    services.certificate_ends.begin()
    services.worm.begin()
    services.locks.begin()
    services.copies.begin()
    services.drills.begin()

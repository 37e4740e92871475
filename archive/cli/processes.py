"""The processes of an archive: web and sequencer, and what all have in common. `supervisor` starts and watches them."""

import contextlib
import fcntl
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import select
from structlog.tracebacks import ExceptionDictTransformer

from archive.cli.signals import on_signals
from archive.custody.models import PreservationIntent
from archive.kernel.errors import Conflict, LiuhenError, Unavailable
from archive.kernel.ids import ObjectId
from archive.settings import Settings
from archive.wiring import Services, build_services, renew_trust_file
from ingest.uploads import sweep_staging

WATCH_FD = "LIUHEN_WATCH_FD"
_STANDBY_S = 0.5
_HANDOVER_S = 30.0
_log = structlog.get_logger("liuhen.process")


class AlreadyRunning(Conflict):
    """This archive is being served already; stop the other one first."""

    code = "serve.already_running"


@contextlib.contextmanager
def alone(home: Path, name: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Be the only process of this name over this home for the length of the block; the kernel ends it with the process.

    Raises: AlreadyRunning when another one is still there after waiting.
    """
    fd = os.open(home / "run" / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() >= deadline:
                    raise AlreadyRunning(home=str(home)) from exc
                time.sleep(0.1)
        yield
    finally:
        os.close(fd)


def run_web(settings: Settings, *, fd: int) -> None:
    """Serve until SIGTERM, on a socket that outlives this process.

    Two of these over one home would cut each other's uploads off, so the second one waits for the first to end.
    Raises: AlreadyRunning.
    """
    with alone(settings.home, "web", wait_s=_HANDOVER_S):
        _serve(settings, fd=fd)


def _serve(settings: Settings, *, fd: int) -> None:
    import uvicorn

    from archive.web.app import create_app

    configure_logging()
    services = build_services(settings, statement_s=settings.web_statement_s)
    _tidy(services)
    tls = settings.home / "ca" / "tls.pem"
    if settings.tls:
        services.authority.renew_tls_if_due(services.clock.now())
    config = uvicorn.Config(
        create_app(services),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        loop="uvloop",
        http="httptools",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        ssl_certfile=str(tls) if settings.tls else None,
        ssl_keyfile=str(tls) if settings.tls else None,
    )
    server = uvicorn.Server(config)
    end_with_parent(lambda: setattr(server, "should_exit", True))
    server.run(sockets=[socket.socket(fileno=fd)])
    services.close()


def run_sequencer(settings: Settings) -> None:
    """Sequence until SIGTERM. Any doubt ends the process: the next start decides from what is stored."""
    configure_logging()
    services = build_services(settings)
    stopping = threading.Event()
    on_stop(stopping.set)
    if services.sequencer_lock.wait(pause=lambda: not stopping.wait(_STANDBY_S)):
        services.sequencer.recover()
        # Before anything new is signed: has a witness seen another log than this?
        services.cosign_rounds.require_agreement()
        renew_trust_file(services)
        services.tsa.prepare()
        _log.info("sequencing")
        services.cosign_rounds.begin()
        services.anchor_rounds.begin()
        while not stopping.wait(settings.sequencing_interval_ms / 1000):
            services.sequencer_lock.require_held()
            services.cosign_rounds.require_no_disagreement()
            services.anchor_rounds.require_alive()
            try:
                if services.sequencer.sequence():
                    services.cosign_rounds.ring()
                services.sequencer.republish()
            except LiuhenError as error:
                if not error.retryable or isinstance(error, Unavailable):
                    raise
                _log.warning(
                    "sequencing_waits", code=error.code
                )  # the disk is full; the next round begins with what is left to do
        services.cosign_rounds.end()
        services.anchor_rounds.end()
    services.close()


def _tidy(services: Services) -> None:
    """Mend and sweep what crashes left. Uploads finish themselves; only filings that broke off need a look."""
    services.stores.sweep(unfinished=services.intake.upload_lifetime + timedelta(days=1))
    sweep_staging(services.intake)
    services.objects.prepare()
    with services.database.read() as tx:
        begun = [ObjectId(found) for found in tx.scalars(select(PreservationIntent.object_id))]
    services.objects.repair(begun)


def configure_logging() -> None:
    """Log JSON lines to standard error. Never payloads, names of persons, tokens."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the values of local variables: passwords, keys and names stand in them.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM and SIGINT, and when the parent is gone; from a thread of its own."""
    on_signals(stop)
    end_with_parent(stop)


def end_with_parent(stop: Callable[[], None]) -> None:
    """Call `stop` when the supervisor dies, even by kill -9: its end of the pipe closes."""
    given = os.environ.get(WATCH_FD)
    if given is None:
        return

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(int(given), 1)
        stop()

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def address_file(home: Path) -> Path:
    """Return where the running server's address stands."""
    return home / "run" / "address"

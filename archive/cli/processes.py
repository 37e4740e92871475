"""The processes of an archive: web and sequencer, and what all have in common. `supervisor` starts and watches them."""

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import select

from archive.cli.logs import configure_logging
from archive.cli.signals import on_signals
from archive.custody.models import PreservationIntent
from archive.kernel.errors import Conflict, LiuhenError, Unavailable
from archive.kernel.ids import ObjectId
from archive.meters import share
from archive.settings import Settings
from archive.tracing import Tracing
from archive.wiring import Services, build_services
from archive.wiring.log_parts import renew_trust_file
from ingest.uploads import sweep_staging

WATCH_FD = "LIUHEN_WATCH_FD"
_STANDBY_S = 0.5
_log = structlog.get_logger("liuhen.process")


class AlreadyRunning(Conflict):
    """This archive is being served already; stop the other one first."""

    code = "serve.already_running"


@contextlib.contextmanager
def alone(home: Path, name: str) -> Iterator[None]:
    """Be the only process of this name over this home for the length of the block; the kernel ends it with the process.

    Raises: AlreadyRunning.
    """
    fd = os.open(home / "run" / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise AlreadyRunning(home=str(home)) from exc
        yield
    finally:
        os.close(fd)


def run_web(settings: Settings, *, fds: Sequence[int]) -> None:
    """Serve until SIGTERM, on sockets that outlive this process. There may be several of these over one archive."""
    import uvicorn

    from archive.web.app import create_app
    from archive.web.ending import Ending

    tracing = begin_process(settings, "web")
    services = build_services(settings, statement_s=settings.web_statement_s)
    _tidy(services)
    tls = settings.home / "ca" / "tls.pem"
    if settings.tls:
        services.authority.renew_tls_if_due(services.clock.now())
    ending = Ending()
    app = create_app(services, ending)
    if tracing is not None:
        tracing.watch_database(services.database.engine)
        tracing.watch_web(app)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        loop="uvloop",
        http="httptools",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=settings.shutdown_s,
        proxy_headers=False,  # `archive.web.proxies` believes those that are trusted, uvicorn whoever is on this host
        ssl_certfile=str(tls) if settings.tls else None,
        ssl_keyfile=str(tls) if settings.tls else None,
    )

    class InOrder(uvicorn.Server):
        def handle_exit(self, *_: object) -> None:
            """Say that this process is not ready, let a proxy hear it, and end. Called by a signal's handler."""
            ending.begin(lambda: setattr(self, "should_exit", True), after_s=settings.shutdown_delay_s)

    server = InOrder(config)
    end_with_parent(lambda: ending.begin(lambda: setattr(server, "should_exit", True), after_s=0))
    server.run(sockets=[socket.socket(fileno=fd) for fd in fds])
    services.close()
    if tracing is not None:
        tracing.end()


def run_sequencer(settings: Settings) -> None:
    """Sequence until SIGTERM. Any doubt ends the process: the next start decides from what is stored."""
    begin_process(settings)
    services = build_services(settings)
    stopping = threading.Event()
    on_stop(stopping.set)
    if services.sequencer_lock.wait(pause=lambda: not stopping.wait(_STANDBY_S)):
        services.sequencer.recover()
        # Before anything new is signed: has a witness seen another log than this?
        services.cosign_rounds.require_agreement()
        renew_trust_file(services.settings.home, services.trust)
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
    """Mend and sweep what crashes left. Uploads finish themselves; only filings that broke off need a look.

    Others may be at work meanwhile: scratch and staged files are locked by whoever writes them, and an object that is
    being written is found whole and shown already, or further on than what was read of it, and is left alone.
    """
    services.stores.sweep(unfinished=services.intake.upload_lifetime + timedelta(days=1))
    sweep_staging(services.intake)
    services.objects.prepare()
    with services.database.read() as tx:
        begun = [ObjectId(found) for found in tx.scalars(select(PreservationIntent.object_id))]
    services.objects.repair(begun)


def begin_process(settings: Settings, traced_as: str = "") -> Tracing | None:
    """Log, count where others can read it, and send traces, as the settings want. First of all that a process does.

    Raises: StorageFull, TracingMissing.
    """
    configure_logging()
    if settings.metrics_token_file is not None:
        share(meters_folder(settings))
    if settings.otel_endpoint is None or not traced_as:
        return None
    return Tracing(settings.otel_endpoint, process=f"{traced_as}-{os.getpid()}")


def meters_folder(settings: Settings) -> Path:
    """Return where the processes of this host put what they count."""
    return settings.local / "run" / "meters"


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

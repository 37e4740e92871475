"""`liuhen serve`: starts web, worker and sequencer, restarts what dies, ends them together.

The listening socket belongs to the supervisor, so that a web process can die and come back without refusing anybody.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

import structlog

from archive.cli.processes import WATCH_FD, address_file, alone, configure_logging, meters_folder
from archive.cli.signals import on_signals
from archive.kernel.errors import Conflict, InvalidInput
from archive.meters import forget_ended
from archive.settings import Settings

_LOCAL: Final = {"127.0.0.1", "::1", "localhost"}
_CALM_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 30.0
_GRACE_S: Final = 7.0
_log = structlog.get_logger("liuhen.supervisor")


class AddressTaken(Conflict):
    """The address is in use; choose another with --port, or stop what listens there."""

    code = "serve.address_taken"


@dataclass(slots=True)
class _Child:
    """One watched process."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    not_before: float = 0.0


def supervise(settings: Settings) -> int:
    """Run the archive until SIGTERM or SIGINT; return the exit code.

    Raises: InvalidInput for plain HTTP beyond localhost, AddressTaken, AlreadyRunning, HomeMissing, SchemaOutdated;
        WitnessDisagrees when this is an old copy or a fork.
    """
    from archive.wiring import build_services

    if not settings.tls and settings.host not in _LOCAL:
        raise InvalidInput("Plain HTTP is served on localhost only; leave TLS on for other addresses")
    services = build_services(settings)
    try:
        services.cosign_rounds.require_agreement()
    finally:
        services.close()
    with alone(settings.home, "serve"):
        return _supervise(settings)


def _supervise(settings: Settings) -> int:
    configure_logging()
    forget_ended(meters_folder(settings))
    listener = _listen(settings)
    os.set_inheritable(listener.fileno(), True)
    watched, held = os.pipe()
    os.set_inheritable(watched, True)
    host, port = listener.getsockname()[:2]
    address = f"{'https' if settings.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    file = address_file(settings.home)
    file.write_text(address + "\n")
    print(f"Liuhen listens on {address}", flush=True)
    children = _children(settings, listener.fileno())
    # Without it glibc keeps a heap for each thread, and what uploads have used once is never given back.
    environment = {"MALLOC_ARENA_MAX": "2", **os.environ, WATCH_FD: str(watched)}
    stopping = threading.Event()
    on_signals(stopping.set)
    while not stopping.is_set():
        for child in children:
            _watch(child, environment, (listener.fileno(), watched))
        stopping.wait(0.1)
    os.close(held)
    _end(children, within_s=settings.shutdown_delay_s + settings.shutdown_s + _GRACE_S)
    file.unlink(missing_ok=True)
    return 0


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as exc:
        listener.close()
        raise AddressTaken(host=settings.host, port=settings.port) from exc
    listener.listen(512)
    return listener


def _children(settings: Settings, fd: int) -> list[_Child]:
    base = [sys.executable, "-m", "archive.cli"]
    home = ["--home", str(settings.home)]
    tls = "--tls" if settings.tls else "--no-tls"
    return [
        _Child("sequencer", [*base, "sequencer", *home]),
        _Child("web", [*base, "web", *home, "--fd", str(fd), tls]),
        _Child("worker", [*base, "worker", *home]),
    ]


def _watch(child: _Child, environment: dict[str, str], fds: tuple[int, ...]) -> None:
    now = time.monotonic()
    if child.process is not None and child.process.poll() is not None:
        calm = now - child.started_at > _CALM_S
        child.failures = 0 if calm else child.failures + 1
        pause = 0.0 if child.failures <= 1 else min(2.0 ** (child.failures - 2), _LONGEST_PAUSE_S)
        _log.warning("process_ended", name=child.name, exit_code=child.process.returncode, restart_in_s=pause)
        child.process, child.not_before = None, now + pause
    if child.process is None and now >= child.not_before:
        child.started_at = now
        child.process = subprocess.Popen(child.command, env=environment, pass_fds=fds)  # noqa: S603 - our own program


def _end(children: list[_Child], *, within_s: float) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + within_s
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()

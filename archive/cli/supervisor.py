"""`liuhen serve`: starts web, worker, sequencer and relay, restarts what dies, ends them together.

The listening socket belongs to the supervisor, so that a web process can die and come back without refusing anybody.
"""

import os
import socket
import sys
import threading
from typing import Final

from archive.cli.children import Child, end, watch
from archive.cli.processes import WATCH_FD, address_file, alone, configure_logging
from archive.cli.signals import on_signals
from archive.kernel.errors import Conflict, InvalidInput
from archive.settings import Settings

_LOCAL: Final = {"127.0.0.1", "::1", "localhost"}
_ENDING_S: Final = 15.0
"""What processes may take to end, after the grace that jobs have."""


class AddressTaken(Conflict):
    """The address is in use; choose another with --port, or stop what listens there."""

    code = "serve.address_taken"


def supervise(settings: Settings) -> int:
    """Run the archive until SIGTERM or SIGINT; return the exit code.

    Raises: InvalidInput for plain HTTP beyond localhost, AddressTaken, AlreadyRunning, HomeMissing, SchemaOutdated;
        WitnessDisagrees when this is an old copy or a fork; SettingsInvalid, KeyMissing, KeyExposed.
    """
    from archive.wiring import broker_parts, build_services

    if settings.broker_url is not None:
        broker_parts.broker_of(settings)  # a setting that is wrong is told here, not by processes that come and go
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
            watch(child, environment, (listener.fileno(), watched))
        stopping.wait(0.1)
    os.close(held)
    end(children, within_s=settings.worker_grace_s + _ENDING_S)
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


def _children(settings: Settings, fd: int) -> list[Child]:
    base = [sys.executable, "-m", "archive.cli"]
    home = ["--home", str(settings.home)]
    tls = "--tls" if settings.tls else "--no-tls"
    return [
        Child("sequencer", [*base, "sequencer", *home]),
        Child("web", [*base, "web", *home, "--fd", str(fd), tls]),
        Child("worker", [*base, "worker", *home]),
        *([] if settings.broker_url is None else [Child("relay", [*base, "relay", *home])]),
    ]

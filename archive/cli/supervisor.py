"""`liuhen serve`: starts web processes, worker, sequencer and relay, restarts what dies, ends them together.

The listening sockets belong to the supervisor, so that a web process can die and come back without refusing anybody.
"""

import os
import socket
import sys
import threading
from pathlib import Path
from typing import Final

from archive.cli.children import Child, end, watch
from archive.cli.logs import configure_logging
from archive.cli.processes import WATCH_FD, address_file, alone, meters_folder
from archive.cli.signals import on_signals
from archive.kernel.errors import Conflict, InvalidInput
from archive.meters import forget_ended
from archive.settings import Settings

_LOCAL: Final = {"127.0.0.1", "::1", "localhost"}
_ENDING_S: Final = 7.0
"""What processes may take to end, after the graces that requests and jobs have."""
_BACKLOG: Final = 512


class AddressTaken(Conflict):
    """The address is in use; choose another with --port, or stop what listens there."""

    code = "serve.address_taken"


def supervise(settings: Settings, *, only_web: bool = False) -> int:
    """Run the archive until SIGTERM or SIGINT; return the exit code. With `only_web`, its web processes of this host.

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
    if only_web:  # other hosts may serve the same home
        return _supervise(settings, only_web=True)
    with alone(settings.home, "serve"):
        return _supervise(settings, only_web=False)


def _supervise(settings: Settings, *, only_web: bool) -> int:
    configure_logging()
    forget_ended(meters_folder(settings))
    listener = _listen(settings)
    own = [] if settings.web_sockets is None else _own_sockets(settings.web_sockets, settings.web_processes)
    watched, held = os.pipe()
    fds = (listener.fileno(), watched, *(each.fileno() for each in own))
    for fd in fds:
        os.set_inheritable(fd, True)
    host, port = listener.getsockname()[:2]
    address = f"{'https' if settings.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    file = None if only_web else address_file(settings.home)  # the home may be that of several hosts
    if file is not None:
        file.write_text(address + "\n")
    print(f"Liuhen listens on {address}", flush=True)
    children = _web_children(settings, listener, own)
    if not only_web:
        children += _other_children(settings)
    # Without it glibc keeps a heap for each thread, and what uploads have used once is never given back.
    environment = {"MALLOC_ARENA_MAX": "2", **os.environ, WATCH_FD: str(watched)}
    stopping = threading.Event()
    on_signals(stopping.set)
    while not stopping.is_set():
        for child in children:
            watch(child, environment, fds)
        stopping.wait(0.1)
    os.close(held)
    graces = max(settings.shutdown_delay_s + settings.shutdown_s, settings.worker_grace_s)
    end(children, within_s=graces + _ENDING_S)
    if file is not None:
        file.unlink(missing_ok=True)
    for each in own:
        Path(each.getsockname()).unlink(missing_ok=True)
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
    listener.listen(_BACKLOG)
    return listener


def _own_sockets(folder: Path, count: int) -> list[socket.socket]:
    """Return a listening socket for each web process, `web-0.sock` and so on; its group may connect.

    Raises: AddressTaken where somebody listens there.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    made = []
    for number in range(count):
        path = str(folder.absolute() / f"web-{number}.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            try:
                asked.connect(path)
            except OSError:
                Path(path).unlink(missing_ok=True)  # a supervisor that was killed has left it
            else:
                raise AddressTaken(path=path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(path)
        except OSError as exc:
            listener.close()
            raise AddressTaken(path=path) from exc
        Path(path).chmod(0o660)
        listener.listen(_BACKLOG)
        made.append(listener)
    return made


def _command(settings: Settings, name: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "archive.cli", name, "--home", str(settings.home), *more]


def _web_children(settings: Settings, listener: socket.socket, own: list[socket.socket]) -> list[Child]:
    tls, children = "--tls" if settings.tls else "--no-tls", []
    for number in range(settings.web_processes):
        heard = [listener, *own[number : number + 1]]
        fds = [word for each in heard for word in ("--fd", str(each.fileno()))]
        children.append(Child(f"web-{number}", _command(settings, "web", *fds, tls)))
    return children


def _other_children(settings: Settings) -> list[Child]:
    relay = [] if settings.broker_url is None else ["relay"]
    return [Child(name, _command(settings, name)) for name in ("sequencer", "worker", *relay)]

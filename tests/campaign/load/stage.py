"""Everything that takes part, on this machine: PostgreSQL, S3, broker and nginx where there are some, archive, workers.

Shared by `load` and `faults`, which puts ways between them that can be cut.

What this checkout cannot do yet (several web processes, a broker, nginx) is left out, and the report says so.
"""

import contextlib
import importlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from archive.jobs.queue import INTAKE
from archive.settings import Settings
from tests.campaign.load.watching import family
from tests.support import postgres, schema
from tests.support.cut_proxy import CutProxy
from tests.support.server import ROOT, Server, ServerBroken
from tests.support.weed import Weed, free_ports, start_weed

_PLENTY: Final = "1000000"
FETCHED_BYTES: Final = 4 << 30
"""What is fetched from the bucket would fill the disk that the bucket's own server writes to here."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run."""

    web_processes: int
    workers: int
    is_direct: bool
    send_bytes: str | None
    broker: str
    has_ways: bool = False
    """Whether what is between them can be cut."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Further variables of the archive's processes."""


@dataclass(slots=True)
class Stage:
    """All of it, running. `address` is where docks and readers go."""

    server: Server
    weed: Weed
    address: str
    held: contextlib.ExitStack
    """What ends with it."""
    roots: list[int]
    """The processes from which all others of it come: this one, and servers that have gone their own way."""
    parts: list[str] = field(default_factory=list)
    """What runs, in words."""
    cluster: postgres.Cluster | None = None
    broker: Any = None
    store: "Store | None" = None
    database_url: str = ""
    """The database past every way."""
    ways: dict[str, list[CutProxy]] = field(default_factory=dict)
    """Between archive and `database`, `store`, `broker`; between `docks` and everything that they speak to."""

    @property
    def ca_pem(self) -> str:
        """The authority that docks and readers trust."""
        return self.server.ca.read_text("ascii")

    def signal_workers(self, number: signal.Signals) -> None:
        """Stop all workers but those that take in what came straight to the bucket, or have them go on."""
        for root in self.roots:
            for process in family(root):
                words = process.cmdline()
                if "archive.cli" in words and "worker" in words and INTAKE not in words:
                    process.send_signal(number)

    def add_worker(self, log: Path, *queues: str) -> None:
        """Start one more `liuhen worker`, as another host would, for these queues or for all."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "archive.cli", "worker", "--home", str(self.server.home),
                 *(word for queue in queues for word in ("--queues", queue))],
                cwd=ROOT, env=self.server.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self.held.callback(_end, process)


@dataclass(slots=True)
class Store:
    """The S3 server, which comes back where it was."""

    folder: Path
    keys: tuple[str, str] = field(default_factory=lambda: (secrets.token_hex(10), secrets.token_hex(20)))
    ports: list[int] = field(default_factory=lambda: free_ports(9))
    weed: Weed | None = None

    def start(self) -> Weed:
        """Start it, on the data that it had."""
        self.weed = start_weed(self.folder, keys=self.keys, ports=self.ports)
        return self.weed

    def kill(self) -> None:
        """Kill it with -9."""
        if self.weed is not None:
            self.weed.kill()

    def destroy(self) -> None:
        """Kill it and delete its data."""
        if self.weed is not None:
            self.weed.stop()


class _Ways:
    """Puts a way before a port where ways are wanted."""

    def __init__(self, held: contextlib.ExitStack, *, are_wanted: bool) -> None:
        self.all: dict[str, list[CutProxy]] = {}
        self._held, self._are_wanted = held, are_wanted

    def to(self, name: str, port: int) -> int:
        """Return where to connect for a port of the loopback."""
        if not self._are_wanted:
            return port
        way = self._held.enter_context(CutProxy(lambda: port))
        self.all.setdefault(name, []).append(way)
        return way.port


def _through(address: str, way: Callable[[int], int]) -> str:
    """Return an address of the loopback with another port, that of a way there."""
    before, _, after = address.partition("127.0.0.1:")
    port = after[: len(after) - len(after.lstrip("0123456789"))]
    return f"{before}127.0.0.1:{way(int(port))}{after[len(port) :]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    for each in family(process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def can(setting: str) -> bool:
    """Whether this checkout has the setting."""
    return setting in Settings.model_fields


@contextlib.contextmanager
def staged(base: Path, wanted: Wanted) -> Iterator[Stage]:
    """Run everything for a block, in a folder that goes away; one worker, until others are added."""
    with contextlib.ExitStack() as held:
        ways = _Ways(held, are_wanted=wanted.has_ways)
        cluster = postgres.Cluster(postgres.folder_for_server(base / "pg"), durable=True)
        held.callback(cluster.destroy)
        plain_url = postgres.create_database(cluster.start())
        schema.make(plain_url)
        url = _through(plain_url, lambda port: ways.to("database", port))
        store = Store(base / "weed")
        held.callback(store.destroy)
        weed = store.start()
        environment = {f"LIUHEN_{name.upper()}": str(value) for name, value in weed.settings(base / "s3").items()}
        if wanted.has_ways:
            environment["LIUHEN_S3_ENDPOINT"] = _through(weed.endpoint, lambda port: ways.to("store", port))
            environment["LIUHEN_S3_PUBLIC_ENDPOINT"] = _through(weed.endpoint, lambda port: ways.to("docks", port))
        environment |= {
            "LIUHEN_LOCAL_FOLDER": str(base / "archive" / "local"),
            "LIUHEN_PROMPT_WORKERS": "1",
            "LIUHEN_LONG_WORKERS": "1",
            "LIUHEN_FIND_DAMAGE": "never",
            "LIUHEN_LEASE_S": "15",
            "LIUHEN_FETCHED_BYTES": str(FETCHED_BYTES),
            "LIUHEN_DIRECT_INTAKE": str(wanted.is_direct).lower(),
            # A handful of accounts and one address stand for a bureau: limits by account are not what is tried here.
            **{f"LIUHEN_{name}_PER_MINUTE": _PLENTY for name in ("HEAVY", "SEARCHES", "UPLOADS", "STRANGERS")},
        }
        parts = ["PostgreSQL", "S3 (SeaweedFS, locks)"]
        broker = None
        sockets = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="lh-")))
        if can("web_processes"):
            environment |= {"LIUHEN_WEB_PROCESSES": str(wanted.web_processes), "LIUHEN_WEB_SOCKETS": str(sockets)}
            if wanted.send_bytes is not None:
                environment["LIUHEN_SEND_BYTES"] = wanted.send_bytes
        if can("broker_url") and wanted.broker != "none":
            broker = _broker(base, wanted.broker)
            held.callback(broker.destroy)
            broker.start()
            environment |= {
                "LIUHEN_BROKER_URL": _through(broker.url, lambda port: ways.to("broker", port)),
                "LIUHEN_BROKER_PASSWORD_FILE": str(broker.password_file),
            }
            parts.append(f"Celery on {wanted.broker}")
        environment |= wanted.more
        proxy = _nginx_support() if can("web_sockets") else None
        # Behind nginx the web processes speak plain HTTP, on their sockets.
        server = Server(base / "archive", tls=proxy is None, database_url=url, environment=environment)
        held.callback(server.crash)
        try:
            server.start()
        except ServerBroken:
            server.wait_ready()  # a busy machine takes its time
        address = server.address
        if proxy is not None:
            upstreams = [f"unix:{sockets}/web-{number}.sock" for number in range(wanted.web_processes)]
            tls = server.home / "ca" / "tls.pem"
            running = held.enter_context(
                proxy.proxied(base / "nginx", upstreams=upstreams, renditions=base / "none", tls=tls)
            )
            address = _through(running.address, lambda port: ways.to("docks", port))
            parts.append("nginx")
        webs = wanted.web_processes if can("web_processes") else 1
        parts += [f"{webs} web process{'' if webs == 1 else 'es'}", f"{wanted.workers} workers"]
        roots = [os.getpid(), *_daemons(base)]
        yield Stage(
            server, weed, address, held, roots, parts, cluster, broker, store, database_url=plain_url, ways=ways.all
        )
        server.stop()


def _daemons(base: Path) -> Iterator[int]:
    """Yield the processes of this folder that are nobody's children any more: servers of database and broker."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.ppid() == 1 and any(str(base) in told for told in (process.cwd(), *process.cmdline())):
                yield process.pid


def _broker(base: Path, name: str) -> Any:
    kinds = {"redis": ("redis", "Redis"), "rabbitmq": ("rabbitmq", "Rabbit")}
    module, kind = kinds[name]
    made = getattr(importlib.import_module(f"tests.support.{module}"), kind)
    return made(base / module, durable=True) if name == "redis" else made(base / module)


def _nginx_support() -> Any:
    found = importlib.util.find_spec("tests.support.nginx")
    return None if found is None else importlib.import_module("tests.support.nginx")

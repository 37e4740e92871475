"""Everything that takes part, on this machine: PostgreSQL, S3, broker and nginx where there are some, archive, workers.

What this checkout cannot do yet (several web processes, a broker, nginx) is left out, and the report says so.
"""

import contextlib
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from archive.jobs.queue import INTAKE
from archive.settings import Settings
from tests.campaign.load.watching import family
from tests.support import postgres, schema
from tests.support.server import ROOT, Server, ServerBroken
from tests.support.weed import Weed, start_weed

_PLENTY: Final = "1000000"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run."""

    web_processes: int
    workers: int
    is_direct: bool
    send_bytes: str | None
    broker: str


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
        cluster = postgres.Cluster(postgres.folder_for_server(base / "pg"), durable=True)
        held.callback(cluster.destroy)
        url = postgres.create_database(cluster.start())
        schema.make(url)
        weed = start_weed(base / "weed")
        held.callback(weed.stop)
        environment = {f"LIUHEN_{name.upper()}": str(value) for name, value in weed.settings(base / "s3").items()}
        environment |= {
            "LIUHEN_LOCAL_FOLDER": str(base / "local"),
            "LIUHEN_PROMPT_WORKERS": "1",
            "LIUHEN_LONG_WORKERS": "1",
            "LIUHEN_FIND_DAMAGE": "never",
            "LIUHEN_LEASE_S": "15",
            "LIUHEN_DIRECT_INTAKE": str(wanted.is_direct).lower(),
            # A handful of accounts and one address stand for a bureau: limits by account are not what is tried here.
            **{f"LIUHEN_{name}_PER_MINUTE": _PLENTY for name in ("HEAVY", "SEARCHES", "UPLOADS", "STRANGERS")},
        }
        parts = ["PostgreSQL", "S3 (SeaweedFS, locks)"]
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
                "LIUHEN_BROKER_URL": broker.url,
                "LIUHEN_BROKER_PASSWORD_FILE": str(broker.password_file),
            }
            parts.append(f"Celery on {wanted.broker}")
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
            address = running.address
            parts.append("nginx")
        webs = wanted.web_processes if can("web_processes") else 1
        parts += [f"{webs} web process{'' if webs == 1 else 'es'}", f"{wanted.workers} workers"]
        yield Stage(server, weed, address, held, [os.getpid(), *_daemons(base)], parts)
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

"""A server for all of these tests, docks of their own for each, and cards with recordings."""

import hashlib
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from archive.evidence.models import EvidenceItem
from ingest.agent.delivery import Delivery
from ingest.agent.enrolment import enrol
from ingest.agent.push import PushReport, push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from ingest.models import QuarantineItem, Upload
from tests.integration.dock.proxy import Line, bad_line
from tests.support.collector import Collector, collecting
from tests.support.server import Server, serving

MOST_BYTES = 48_000_000
MB = 1_000_000
METRICS_TOKEN = "counts-for-prometheus"
RESERVE_BYTES = 30 * MB
_DISK_BYTES = 120 * MB


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running archive over plain HTTP that takes files of at most 48 MB, and tells its counts."""
    folder = tmp_path_factory.mktemp("server")
    token = folder / "metrics-token"
    token.write_text(METRICS_TOKEN)
    token.chmod(0o600)
    environment = {"LIUHEN_MAX_UPLOAD_BYTES": str(MOST_BYTES), "LIUHEN_METRICS_TOKEN_FILE": str(token)}
    with serving(folder, environment=environment) as running:
        yield running


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What takes the traces of the tight server."""
    with collecting() as made:
        yield made


@pytest.fixture(scope="session")
def tight_server(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Server]:
    """A server on a disk of 120 MB, 30 of which are its reserve; it says for 2 s that it is about to end, and traces."""
    disk = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "liuhen-test", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    environment = {
        "LIUHEN_RESERVE_BYTES": str(RESERVE_BYTES), "LIUHEN_SHUTDOWN_DELAY_S": "2", "LIUHEN_SHUTDOWN_S": "10",
        "LIUHEN_OTEL_ENDPOINT": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "200",
    }  # fmt: skip
    try:
        with serving(disk, environment=environment) as running:
            yield running
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    """A bad line to the server."""
    with bad_line(server.address) as made:
        yield made


@dataclass
class TestDock:
    """An enrolled dock and its state folder."""

    __test__ = False
    state: StateFolder
    server: Server

    def push(self, *paths: Path, wait_s: float = 30, **wished: Any) -> PushReport:
        asked = {name: wished.pop(name) for name in ("jobs", "device_time", "watcher") if name in wished}
        return push(self.state, paths, Wishes(wait_s=wait_s, **wished), **asked)

    def push_one(self, path: Path, **wished: Any) -> Delivery:
        """Push one file and return its delivery."""
        (delivery,) = self.push(path, **wished).deliveries
        return delivery


@pytest.fixture
def enrolled(tmp_path: Path, server: Server) -> Callable[..., TestDock]:
    """`enrolled(address=None)`: a new dock, which knows the archive by that address."""
    made = 0

    def enrolled_dock(address: str | None = None, **options: Any) -> TestDock:
        nonlocal made
        made += 1
        state = StateFolder(tmp_path / f"state-{made}")
        enrol(state, server=address or server.address, code=server.invite(f"Dock {made}"), **options)
        return TestDock(state, server)

    return enrolled_dock


@pytest.fixture
def dock(enrolled: Callable[..., TestDock]) -> TestDock:
    """A dock with a good line."""
    return enrolled()


@pytest.fixture
def far_dock(enrolled: Callable[..., TestDock], line: Line) -> TestDock:
    """A dock behind the bad line."""
    return enrolled(line.address)


def recording(path: Path, size_bytes: int = 100_000) -> Path:
    """Make a file of random bytes, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.randbytes(size_bytes))
    return path


def sha512(path: Path) -> str:
    return hashlib.sha512(path.read_bytes()).hexdigest()


def items_of(server: Server, digest: str) -> list[EvidenceItem]:
    """Return the items that hold these bytes: at most one, or something is wrong."""
    with server.database.read() as tx:
        return list(tx.scalars(select(EvidenceItem).where(EvidenceItem.sha512 == digest)))


def uploads_of(server: Server, dock: TestDock) -> list[Upload]:
    """Return every upload of a dock, in the order of their making."""
    with server.database.read() as tx:
        wanted = Upload.dock_id == dock.state.identity().dock_id
        return list(tx.scalars(select(Upload).where(wanted).order_by(Upload.id)))


def quarantined_of(server: Server, upload: Upload) -> QuarantineItem | None:
    with server.database.read() as tx:
        return tx.get(QuarantineItem, upload.id)

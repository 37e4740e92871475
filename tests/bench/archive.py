"""The archive under measurement: a real `liuhen serve`, a dock that is enrolled there, and waiting until it is idle."""

import base64
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import text

from archive.kernel.clock import SystemClock
from archive.kernel.digests import hash_stream
from archive.ledger.entries import OPERATOR
from archive.ledger.trustfile import TrustFile
from ingest.docks import enrol_dock, invite_dock
from ingest.manifest import build_manifest, sign_manifest
from signing.ed25519 import Ed25519KeyHandle
from tests.bench.tus_client import Measured, upload_at_once
from tests.support.server import Server

_FRESH_BYTES = 4096
_QUIET_S = 600.0
_SETTLE_S = 20.0
_IDLE_PERCENT = 12.0
_IDLE_BYTES = 4 << 20


@dataclass(slots=True)
class BenchArchive:
    """A running archive with one dock. `trust_file` is what an outsider pins."""

    server: Server
    api_key: str
    key: Ed25519KeyHandle
    dock_id: str
    trust_file: Path
    _metadata: dict[Path, str] = field(default_factory=dict)

    @property
    def uploads_url(self) -> str:
        """Where uploads are created."""
        return self.server.address + "/api/v1/uploads"

    @property
    def headers(self) -> Mapping[str, str]:
        """What the dock shows."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def prepare(self, file: Path) -> None:
        """Hash a file and sign its manifest, as a dock does before it sends; not part of what is measured."""
        from archive.kernel.ids import DockId, parse_uuid

        with file.open("rb", buffering=0) as source:
            digests = hash_stream(source)
        manifest = build_manifest(
            dock_id=DockId(parse_uuid(self.dock_id)), name=file.name, digests=digests, times={}, device={}
        )
        parts = {"manifest": manifest, "signature": sign_manifest(manifest, self.key)}
        self._metadata[file] = ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in parts.items())

    def metadata(self, file: Path) -> str:
        """Return the Upload-Metadata of a prepared file."""
        return self._metadata[file]

    def upload(self, files: Sequence[Path]) -> Measured:
        """Upload prepared files at once; on return each is durable, with digests and log entry."""
        return upload_at_once(files, url=self.uploads_url, headers=self.headers, metadata=self.metadata)

    def receipt(self, upload_url: str, *, timeout_s: float = 30.0) -> bytes:
        """Wait for the receipt of an upload."""
        import urllib.request

        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            request = urllib.request.Request(upload_url + "/receipt", headers=dict(self.headers))
            with urllib.request.urlopen(request, timeout=30) as answer:
                if answer.status == 200:
                    return bytes(answer.read())
            time.sleep(0.005)
        raise TimeoutError(upload_url)

    def wait_idle(self) -> None:
        """Wait until no job is open and every entry has its index."""
        until = time.monotonic() + _QUIET_S
        while self._open_work():
            if time.monotonic() > until:
                raise TimeoutError("The archive does not become idle")
            time.sleep(0.1)

    def _open_work(self) -> int:
        with self.server.database.read() as tx:
            return int(
                tx.scalar(
                    text(
                        "SELECT (SELECT count(*) FROM job WHERE state IN ('ready', 'running') AND kind NOT IN ('forget_events', 'watch_deadlines', 'watch_retrievals', 'renew_records', 'watch_certificates'))"
                        " + (SELECT count(*) FROM log_pending)"
                    )
                )
                or 0
            )

    def drop_originals(self) -> None:
        """Delete stored objects and renditions to make room. The archive is of no use afterwards but to measure."""
        for name in ("store", "renditions"):
            for path in (self.server.home / name).iterdir():
                if path.is_dir() and path.name != "extensions":
                    shutil.rmtree(path)


@contextmanager
def bench_archive(folder: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[BenchArchive]:
    """Run an archive in a folder, over plain HTTP on the loopback, until the block ends; then delete the folder.

    It does not decode everything to find damage: that is done when nothing else is to do, and is not waited for.
    """
    server = Server(folder, environment={"LIUHEN_FIND_DAMAGE": "never", **(environment or {})})
    try:
        server.start()
        now = SystemClock().now()
        key = Ed25519KeyHandle.generate(folder / "dock.pem")
        code = invite_dock(server.database, name="bench", by=OPERATOR, at=now)
        enrolment = enrol_dock(server.database, code=code, public_key=key.public_bytes, at=now)
        trust = server.home / "trust.txt"
        TrustFile.parse(trust.read_bytes())
        yield BenchArchive(server, enrolment.api_key, key, str(enrolment.dock_id), trust)
        server.stop()
    finally:
        server.crash()
        shutil.rmtree(folder, ignore_errors=True)


def random_file(path: Path, size_bytes: int) -> Path:
    """Make a file of random bytes, one block of them again and again."""
    block = os.urandom(16 << 20)
    with path.open("wb") as file:
        left = size_bytes
        while left:
            left -= file.write(block[: min(left, len(block))])
    return path


def freshen(path: Path) -> None:
    """Give a file bytes that it never had, so that it is no duplicate."""
    with path.open("r+b", buffering=0) as file:
        file.write(os.urandom(_FRESH_BYTES))


@dataclass(slots=True)
class Starts:
    """How many measurements began, and how many of them on a machine that was busy with something else."""

    count: int = 0
    busy: int = 0


STARTS = Starts()


def settle() -> None:
    """Let nothing of one run be written in the next, and wait a while until the machine is idle."""
    os.sync()
    STARTS.count += 1
    until = time.monotonic() + _SETTLE_S
    while time.monotonic() < until:
        written = _written_bytes()
        busy_percent = psutil.cpu_percent(interval=0.7)
        if busy_percent < _IDLE_PERCENT and _written_bytes() - written < _IDLE_BYTES:
            return
    STARTS.busy += 1


def _written_bytes() -> int:
    counters = psutil.disk_io_counters()
    return 0 if counters is None else int(counters.write_bytes)


class MemoryPeak(threading.Thread):
    """Samples the proportional set size of processes: what they take together, shared pages counted once."""

    def __init__(self, pids: Sequence[int]) -> None:
        """Watch these processes and their children."""
        super().__init__(daemon=True)
        self._pids = pids
        self._done = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        """Sample five times a second."""
        while not self._done.wait(0.2):
            self.peak_bytes = max(self.peak_bytes, sum(pss_bytes(pid) for pid in self._pids))

    def end(self) -> int:
        """Stop, and return the peak."""
        self._done.set()
        self.join()
        return self.peak_bytes


def peak_resident_bytes(pid: int) -> int:
    """Return the most memory that a process has ever held (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)

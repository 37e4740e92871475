"""What the processes of an archive count as they work, for Prometheus: `meters()` from everywhere.

What the database knows is not counted here; it is asked when somebody looks (`archive.web.metrics`). Names end in their
unit, and labels have few values: never an id, a name, or an address.

Counts of one process are in its memory, until `share` puts those of all processes into one folder. Source: Prometheus,
metric and label naming; prometheus_client, multiprocess mode.
"""

import functools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from archive.kernel.errors import DISK_FULL, StorageFull

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_ROOM_BYTES: Final = {"counter": 1 << 20, "histogram": 4 << 20}
_REQUEST_S: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0)
_RECEIPT_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 600.0)
_JOB_S: Final = (0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14_400.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER: Final = "other"


class Meters:
    """Every count and duration. Units: as the names say."""

    def __init__(self) -> None:
        """Start at nothing, in a registry of its own."""
        self.registry = CollectorRegistry()

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(name, told, labels, namespace="liuhen", registry=self.registry)

        def histogram(name: str, told: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, told, labels, namespace="liuhen", registry=self.registry, buckets=buckets)

        self.requests = counter("http_requests_total", "Requests answered.", "method", "route", "status")
        self.request_seconds = histogram(
            "http_request_duration_seconds", "From a request's first line to its answer's end.", ("route",), _REQUEST_S
        )
        self.limited = counter("rate_limited_requests_total", "Requests that came too often, by the limit.", "limit")
        self.held_back = counter(
            "uploads_held_back_total", "Uploads and chunks that were asked to come later, by the reason.", "reason"
        )
        self.intake_bytes = counter("intake_bytes_total", "Bytes of uploads that were made durable.")
        self.uploads = counter("uploads_ended_total", "Uploads that ended, by how.", "outcome")
        self.refused = counter("uploads_refused_total", "Requests of uploads that were refused, by the code.", "code")
        self.receipts = counter("receipts_total", "Receipts that were given.")
        self.receipt_seconds = histogram(
            "receipt_delay_seconds", "From an upload's last durable byte until its receipt is given.", (), _RECEIPT_S
        )
        self.jobs = counter("jobs_ended_total", "Runs of jobs that ended, by how.", "kind", "outcome")
        self.job_seconds = histogram("job_duration_seconds", "How long a run of a job took.", ("kind",), _JOB_S)
        self.programs = counter(
            "program_runs_total", "Runs of media programs in the sandbox, by how.", "program", "how"
        )
        self.program_seconds = counter(
            "program_seconds_total", "How long media programs ran in the sandbox, by the wall clock.", "program"
        )
        self.store_errors = counter("store_errors_total", "What a store answered instead of a blob.", "store", "code")
        self.fixity_bytes = counter("fixity_read_bytes_total", "Bytes that fixity rounds read.")
        self.fixity_checks = counter("fixity_checks_total", "Objects that fixity rounds read, by how.", "outcome")
        self.checkpoints = counter("log_checkpoints_total", "Checkpoints that were signed.")

    def request(self, method: str, route: str | None, status: int, lasted_s: float) -> None:
        """Count a request; `route` is the template of its address, None where there is none."""
        where = route or "unmatched"
        self.requests.labels(method if method in _METHODS else _OTHER, where, str(status)).inc()
        self.request_seconds.labels(where).observe(lasted_s)

    @contextmanager
    def job(self, kind: str) -> Iterator[list[str]]:
        """Count a run of a job; what is put into the list last says how it ended, else it failed."""
        began, how = perf_counter(), ["failed"]
        try:
            yield how
        finally:
            self.jobs.labels(kind, how[-1]).inc()
            self.job_seconds.labels(kind).observe(perf_counter() - began)


@functools.cache
def meters() -> Meters:
    """Return the meters of this process."""
    return Meters()


def share(folder: Path) -> None:
    """Count into files of this folder from now on, so that any process over the folder can tell what all counted.

    To be called before anything is counted. The room is taken at once: a process that counts must not die of a disk
    that is full. Raises: StorageFull.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mine = _name(os.getpid())
    for kind, size_bytes in _ROOM_BYTES.items():
        with (folder / f"{kind}_{mine}.db").open("ab") as file:
            if file.tell() == 0:
                _take_room(file.fileno(), size_bytes)
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        process_identifier=lambda: _name(os.getpid())
    )
    meters.cache_clear()


def _take_room(fd: int, size_bytes: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as exc:
        if exc.errno not in DISK_FULL:
            raise
        os.ftruncate(fd, 0)
        raise StorageFull("There is no room for the counts of /metrics") from exc


def forget_ended(folder: Path) -> None:
    """Remove what the processes of this machine counted that have ended. When none of them counts any more."""
    for path in folder.glob(f"*_{_name(None)}*.db"):
        path.unlink(missing_ok=True)


def counted(registry: CollectorRegistry | None = None) -> bytes:
    """Return what was counted, by all processes where they share a folder, in the text format of Prometheus.

    With what another registry collects, if one is given.
    """
    folder = os.environ.get(_FOLDER)
    if folder is None:
        own = meters().registry
    else:
        own = CollectorRegistry()
        MultiProcessCollector(own, folder)  # type: ignore[no-untyped-call]
    return generate_latest(own) + (b"" if registry is None else generate_latest(registry))


def _name(pid: int | None) -> str:
    """Return what the files of a process are called: machines may share a folder, and containers have the same pids."""
    host = "".join(char if char.isalnum() or char in "-." else "-" for char in socket.gethostname())[:64]
    return f"{host}~{'' if pid is None else pid}"

"""Looking at the machine while it works: memory of each process, processor time of all, lengths of the queues."""

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil
from sqlalchemy import text

from archive.db.database import Database
from tests.bench.archive import pss_bytes

ROLES: Final = ("web", "worker", "sequencer", "relay", "serve")
_QUEUES: Final = text(
    "SELECT queue, count(*) FROM job WHERE state = 'running' OR (state = 'ready' AND not_before <= :now) GROUP BY queue"
)
_WAITING: Final = text("SELECT count(*) FROM log_pending")
_REGULAR: Final = frozenset({"idle", "delivery"})


@dataclass(slots=True)
class Look:
    """What was seen at a moment. Units: seconds of the monotonic clock; bytes."""

    at_s: float
    memory: Mapping[str, int]
    queues: Mapping[str, int]
    not_sequenced: int


@dataclass(slots=True)
class Watch(threading.Thread):
    """Looks every few seconds until it is ended."""

    roots: Sequence[int]
    database: Database
    now: Callable[[], object]
    every_s: float = 2.0
    looks: list[Look] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        threading.Thread.__init__(self, daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Look."""
        while not self._done.wait(self.every_s):
            self.looks.append(self.look())

    def end(self) -> None:
        """Look no more."""
        self._done.set()
        self.join()

    def look(self) -> Look:
        """Look once."""
        with self.database.read() as tx:
            queues = {str(name): int(count) for name, count in tx.execute(_QUEUES, {"now": self.now()}).all()}
            waiting = int(tx.execute(_WAITING).scalar_one())
        return Look(time.monotonic(), memory(self.roots), queues, waiting)

    def is_idle(self) -> bool:
        """Whether nothing is left to do that intake has asked for."""
        now = self.look()
        return not now.not_sequenced and not any(count for name, count in now.queues.items() if name not in _REGULAR)


def family(root: int) -> Iterator[psutil.Process]:
    """Yield a process and everything that it has started and that lives."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        yield process
        yield from process.children(recursive=True)


def memory(roots: Sequence[int]) -> dict[str, int]:
    """Return the proportional set size by process: `web 1`, `web 2`, `worker 1`, `postgres`, `weed` and so on."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    for root in roots:
        for process in family(root):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                words = process.cmdline()
                role = next((each for each in ROLES if "archive.cli" in words and each in words), None)
                name = role or (
                    "media programs"
                    if words[:1] and words[0].rpartition("/")[2] in {"ffmpeg", "ffprobe", "bwrap"}
                    else process.name()
                )
                if role in {"web", "worker"}:
                    counts[name] = counts.get(name, 0) + 1
                    name = f"{name} {counts[name]}"
                found[name] = found.get(name, 0) + pss_bytes(process.pid)
    return found


def spent_s(roots: Sequence[int]) -> float:
    """Return the processor time that these processes and their ended children have taken. Units: seconds of a core."""
    total = 0.0
    for root in roots:
        for process in family(root):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def busy_s() -> float:
    """Return the processor time that the whole machine has taken. Units: seconds of a core."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def own_s() -> float:
    """Return the processor time of this process alone: docks and readers that are threads of it."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


ALL: Final = "all "


def kind_of(process: str) -> str:
    """Return what kind of process one of this name is."""
    return process.split(" ", maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class Growth:
    """How the memory of a process, or of all of a kind, went. Units: bytes; bytes a minute in the second half, where everything is warm."""

    first: float
    last: float
    most: int
    slope_per_min: float

    @property
    def is_flat(self) -> bool:
        """Whether the last quarter is at most a tenth and 16 MiB above the second quarter."""
        return self.last <= self.first * 1.1 + (16 << 20)


def growths(looks: Sequence[Look]) -> dict[str, Growth]:
    """Return the growth of each process that was there at every look of the last three quarters, and of each kind.

    Connections move between processes of one kind, and what was in use in one is then in use in another: a leak is
    what all of a kind have more together.
    """
    warm = looks[len(looks) // 4 :]
    names = set.intersection(*(set(each.memory) for each in warm)) if warm else set()
    series = {name: [each.memory[name] for each in warm] for name in sorted(names)}
    for kind in sorted({kind_of(name) for name in names}):
        series[f"{ALL}{kind}"] = [sum(of) for of in zip(*(series[n] for n in names if kind_of(n) == kind), strict=True)]
    third = max(1, len(warm) // 3)
    found = {}
    for name, values in series.items():
        half = warm[len(warm) // 2 :]
        slope = 0.0
        if len(half) >= 3:
            slope = statistics.linear_regression([each.at_s / 60 for each in half], values[len(warm) // 2 :]).slope
        found[name] = Growth(statistics.median(values[:third]), statistics.median(values[-third:]), max(values), slope)
    return found

"""What the measurements share: results as rows, repeated runs, files with bytes of their own."""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20


@dataclass
class Result:
    """One measured comparison: `ours` and its peers in one unit, and the target that it is held to."""

    name: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    target: str = ""
    held: bool | None = None
    note: str = ""


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(*command: str | Path) -> None:
    """Run a program to its end, quietly."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_random(path: Path, size_bytes: int) -> Path:
    """Write a file of random bytes."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, 16 * MIB):
            file.write(os.urandom(min(16 * MIB, size_bytes - start)))
    return path


def make_unique(path: Path) -> None:
    """Give a file new first bytes: the same recording twice would be one item."""
    with path.open("r+b") as file:
        file.write(os.urandom(4096))


def settle() -> None:
    """Let the disk finish what earlier runs left."""
    os.sync()
    time.sleep(0.5)


def fsync(path: Path) -> None:
    """Make a file durable."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def drop(folder: Path) -> None:
    """Remove a folder."""
    shutil.rmtree(folder, ignore_errors=True)


def peak_mib(pid: int) -> float:
    """Return the highest resident memory of a process so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0

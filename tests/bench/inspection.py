"""The keyframe pass: what share of a recording's length it takes, idle and busy, and how much of the file it reads."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

from ingest.media.inspection import inspect
from ingest.media.probe import probe
from ingest.media.tools import open_toolbox
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support import footage

NAME = "inspection"
RUNS = 5
_MOST_SHARE: Final = 0.5
_MOST_READ: Final = 2.0
_TURN_S: Final = 0.002


def measure(scratch: Path, *, runs: int = RUNS, recording_s: int = 600, busy_runs: int = 1) -> Section:
    """Measure passes over one recording; busy ones fewer times, for they take long."""
    recording = footage.make_recording(scratch / "recording.mp4", seconds=recording_s)
    toolbox, out = open_toolbox(), scratch / "out"
    out.mkdir()
    found = probe(recording, toolbox=toolbox)
    size_bytes = recording.stat().st_size
    idle, busy, read, stills = [], [], [], 0

    def once() -> float:
        nonlocal stills
        with _reading() as counted:
            began = time.perf_counter()
            seen = inspect(recording, toolbox=toolbox, out=out, probe=found)
            took = time.perf_counter() - began
        stills = len(seen.found["sprite"]["at_ms"])
        read.append(counted["bytes"] / size_bytes)
        return took

    for _ in range(runs):
        settle()
        idle.append(once())
    for _ in range(min(runs, busy_runs)):
        with _busy_machine():
            busy.append(once())
    quiet, loaded, share = Samples(tuple(idle)), Samples(tuple(busy)), Samples(tuple(read))
    return Section(
        name=NAME,
        title="Looking through a recording",
        text=(
            f"A recording of {recording_s // 60} minutes, 1080p, H.264 and AAC, {size_bytes / 1e6:.0f} MB, a keyframe "
            f"every two seconds. One pass in the sandbox makes {stills} stills, the peaks of the sound, loudness, and "
            "finds black, frozen and silent stretches and gaps; the time includes laying out the sheet. Busy: a process "
            "on every core counts as fast as it can, and the pass, which runs at low priority, has what is left. Bytes "
            "are those that the kernel gave to ffmpeg (`/proc/PID/io`), its libraries included."
        ),
        rows=(
            Row("Pass over the recording", quiet.shown()),
            target_row("… as a share of its length", f"{quiet.median:.1f} s of {recording_s} s",
                       ratio=quiet.median / recording_s, most=_MOST_SHARE),
            target_row("… on a machine that is busy otherwise", loaded.shown(),
                       ratio=loaded.median / recording_s, most=_MOST_SHARE),
            target_row("Bytes read of the recording", f"{share.median * size_bytes / 1e6:.0f} MB",
                       ratio=share.median, most=_MOST_READ),
        ),
        runs=runs,
        samples={"idle": quiet.values, "busy": loaded.values, "read": share.values},
    )  # fmt: skip


@contextmanager
def _reading() -> Iterator[dict[str, int]]:
    """Count what every ffmpeg under this process has read, until the block ends."""
    seen: dict[int, int] = {}
    counted = {"bytes": 0}
    stopping = threading.Event()

    def watch() -> None:
        this = psutil.Process()
        while not stopping.wait(_TURN_S):
            with suppress(psutil.Error):
                for child in this.children(recursive=True):
                    with suppress(psutil.Error):
                        if child.name() == "ffmpeg":
                            seen[child.pid] = max(seen.get(child.pid, 0), _read_bytes(child))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield counted
    finally:
        stopping.set()
        thread.join()
        counted["bytes"] = sum(seen.values())


def _read_bytes(process: Any) -> int:
    return int(process.io_counters().read_chars)


@contextmanager
def _busy_machine() -> Iterator[None]:
    """Keep every core busy until the block ends."""
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_count, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in busy:
        process.start()
    try:
        time.sleep(1)
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def _count() -> None:
    number = 0
    while True:
        number += 1

"""What one recording costs on this machine: measured with one dock, one recording after the other, in two lengths.

There is one worker, and it stands still while recordings are taken in, so that each cost is its own. A cost for each recording and one for each megabyte (or second) are the line through the two lengths.
"""

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from sqlalchemy import text

from archive.kernel.clock import SystemClock
from archive.simulation.parameters import Costs, Hosts
from ingest.media.sandbox import Limits
from tests.campaign.load.docks import Order, Sent, bring, size_of
from tests.campaign.load.stage import Stage
from tests.campaign.load.watching import Watch, busy_s, own_s, spent_s

MB: Final = 1e6
_REST_S: Final = 15.0
_IDLE_S: Final = 900.0
_PUT_BYTES: Final = 32 << 20
_PLAYABLE: Final = "probe_item"
_LESS_FOR_EACH_LEVEL: Final = 1 / 1.25
"""What Linux gives for each level of niceness, of what it gave before (`sched_prio_to_weight`)."""
_STEPS: Final = ("begun", "first byte", "last byte", "ended")


@dataclass(frozen=True, slots=True)
class Footage:
    """A recording to calibrate with. Units: seconds."""

    path: Path
    recorded_s: float

    @property
    def mb(self) -> float:
        """Size in 10^6 bytes."""
        return size_of(self.path) / MB


@dataclass(slots=True)
class _Spent:
    """Processor time at the steps of one recording: of the docks (this process), and of all."""

    mb: float
    recorded_s: float
    at_s: dict[str, float]
    docks: dict[str, float]
    everybody: dict[str, float]

    def took(self, since: str, until: str) -> float:
        return self.at_s[until] - self.at_s[since]

    def cores(self, since: str, until: str) -> float:
        """Core seconds of the host."""
        return self.everybody[until] - self.everybody[since] - self.dock_cores(since, until)

    def dock_cores(self, since: str, until: str) -> float:
        return self.docks[until] - self.docks[since]


class Line:
    """The line through two means."""

    def __init__(self, samples: Sequence[tuple[float, float]]) -> None:
        """Take pairs of size and cost, of two sizes."""
        small, large = min(size for size, _ in samples), max(size for size, _ in samples)
        at = {end: statistics.median(cost for size, cost in samples if size == end) for end in (small, large)}
        slope = (at[large] - at[small]) / (large - small)
        # Noise may turn a line the wrong way: then all of the cost is by size, or none of it.
        self.slope = max(0.0, min(slope, at[large] / large))
        self.fixed = max(0.0, at[large] - self.slope * large)


def calibrate(
    stage: Stage,
    footage: Sequence[Footage],
    base: Path,
    *,
    runs: int,
    workers: int,
    is_direct: bool,
    with_readers: Callable[[], Any],
) -> tuple[Hosts, Costs, float]:
    """Measure with recordings of two lengths, `runs` of each, for a machine of so many `workers`.

    `with_readers` gives a context in which people read. Returns machine, costs, and the cores that readers took; the docks are on this
    machine.
    """
    base.mkdir()
    cores = float(psutil.cpu_count() or 1)
    rate = _store_mb_per_s(stage)
    stage.signal_workers(signal.SIGSTOP)
    try:
        spent = _brought(stage, footage, base, runs=runs, is_direct=is_direct)
    finally:
        stage.signal_workers(signal.SIGCONT)
    jobs, job_cores = _jobs(stage, footage)
    with with_readers():
        busy_cores, readers_cores = _busy_cores(stage)
    hosts = Hosts(
        cores=cores,
        busy_cores=min(busy_cores, 0.9 * cores),
        docks_on_host=True,
        store_mb_per_s=rate,
        taken_at_once=2 * (workers + 1) if is_direct else 0,
        prompt_workers=workers,
        long_workers=workers,
        background_weight=_LESS_FOR_EACH_LEVEL ** Limits().niceness,
    )
    return hosts, _costs(spent, jobs, job_cores, is_direct=is_direct), readers_cores


def _brought(stage: Stage, footage: Sequence[Footage], base: Path, *, runs: int, is_direct: bool) -> list[_Spent]:
    found: list[_Spent] = []
    lengths = [item for _ in range(runs) for item in footage]
    files = [footage[0], *lengths]  # the first one warms everything up

    def look(step: str, sent: Sent) -> None:
        if step == "begun":
            item = files[len(found)]
            found.append(_Spent(item.mb, item.recorded_s, {}, {}, {}))
        del sent
        found[-1].at_s[step], found[-1].docks[step] = time.monotonic(), own_s()
        found[-1].everybody[step] = spent_s(stage.roots)

    order = Order(
        base / "dock",
        stage.address,
        stage.server.invite("calibration"),
        stage.ca_pem,
        [item.path for item in files],
        0.0,
        0.0,
        is_direct,
    )
    for sent in bring(order, look):
        assert sent.result == "delivered", sent
    return [each for each in found[1:] if set(each.at_s) == set(_STEPS)]


def _jobs(stage: Stage, footage: Sequence[Footage]) -> tuple[list[tuple[str, str, float, float]], float]:
    """Have one worker do all that waits; return queue, kind, recorded seconds and seconds of each job, and the cores."""
    clock = SystemClock()
    began, spent, began_at = time.monotonic(), spent_s(stage.roots), clock.now()
    watch = Watch(stage.roots, stage.server.database, clock.now)
    while not watch.is_idle():
        if time.monotonic() - began > _IDLE_S:
            raise TimeoutError("the workers do not become idle")
        time.sleep(0.2)
    used = spent_s(stage.roots) - spent
    asked = text(
        "SELECT job.queue, job.kind, job.finished_at, job.created_at, preserved_object.size_bytes FROM job "
        "JOIN preserved_object ON CAST(job.args ->> 'object_id' AS uuid) = preserved_object.id "
        "WHERE job.state = 'done' AND job.finished_at > :since ORDER BY job.finished_at"
    )
    with stage.server.database.read() as tx:
        rows = tx.execute(asked, {"since": began_at}).all()
    by_size = {size_of(item.path): item.recorded_s for item in footage}
    free: dict[str, Any] = {}
    found, worked_s = [], 0.0
    for queue, kind, finished_at, created_at, size in rows:
        seconds = (finished_at - max(free.get(queue, began_at), created_at)).total_seconds()
        free[queue] = finished_at
        worked_s += seconds
        found.append((str(queue), str(kind), by_size[int(size)], seconds))
    return found, used / worked_s


def _costs(
    spent: Sequence[_Spent], jobs: Sequence[tuple[str, str, float, float]], job_cores: float, *, is_direct: bool
) -> Costs:
    def line(cost: Callable[[_Spent], float]) -> Line:
        return Line([(each.mb, cost(each)) for each in spent])

    hashed, hashed_cores = (
        line(lambda each: each.took("begun", "first byte")),
        line(lambda each: each.dock_cores("begun", "first byte")),
    )
    begin_cores = line(lambda each: each.cores("begun", "first byte"))
    sent_host = line(lambda each: each.cores("first byte", "last byte"))
    sent_dock = line(lambda each: each.dock_cores("first byte", "last byte"))
    waited, waited_cores = (
        line(lambda each: each.took("last byte", "ended")),
        line(lambda each: each.cores("last byte", "ended") + each.dock_cores("last byte", "ended")),
    )
    # What does not grow with the size is waiting for the next round of the sequencer, and for the dock to ask again.
    by_line = {name: _job_line(jobs, chosen) for name, chosen in _GROUPS.items()}
    return Costs(
        hash_s_per_mb=hashed.slope,
        hash_core_s_per_mb=hashed_cores.slope,
        begin_s=hashed.fixed,
        send_host_core_s_per_mb=sent_host.slope,
        send_dock_core_s_per_mb=sent_dock.slope,
        send_core_s=sent_host.fixed + sent_dock.fixed + begin_cores.fixed + hashed_cores.fixed,
        take_s=waited_cores.fixed,
        take_s_per_mb=waited.slope,
        take_core_s=waited_cores.fixed,
        take_core_s_per_mb=waited_cores.slope,
        store_mb_per_mb=2.0 if is_direct else 1.0,
        receipt_s=max(0.0, waited.fixed - waited_cores.fixed),
        playable_s=by_line["playable"].fixed,
        playable_s_per_recorded_s=by_line["playable"].slope,
        prompt_s=by_line["prompt"].fixed,
        prompt_s_per_recorded_s=by_line["prompt"].slope,
        long_s=by_line["long"].fixed,
        long_s_per_recorded_s=by_line["long"].slope,
        job_cores=job_cores,
        encode_s_per_recorded_s=0.0,
        encode_cores=float(os.cpu_count() or 1),
        wipe_s=0.0,
        wipe_s_per_mb=0.0,
    )


_GROUPS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "playable": lambda _queue, kind: kind == _PLAYABLE,
    "prompt": lambda queue, kind: queue == "prompt" and kind != _PLAYABLE,
    "long": lambda queue, _kind: queue == "long",
}


def _job_line(jobs: Sequence[tuple[str, str, float, float]], chosen: Callable[[str, str], bool]) -> Line:
    """Return what the jobs of a group cost together, for each recording: the sum of the medians of each kind."""
    lengths = sorted({recorded_s for _, _, recorded_s, _ in jobs})
    samples = []
    for length in lengths:
        kinds: dict[str, list[float]] = {}
        for queue, kind, recorded_s, seconds in jobs:
            if recorded_s == length and chosen(queue, kind):
                kinds.setdefault(kind, []).append(seconds)
        samples.append((length, sum(statistics.median(values) for values in kinds.values())))
    return Line(samples)


def _busy_cores(stage: Stage) -> tuple[float, float]:
    """Return how many cores are busy while nothing is taken in, and how many of them because people read."""
    began, busy, spent = time.monotonic(), busy_s(), spent_s(stage.roots)
    threading.Event().wait(_REST_S)
    took_s = time.monotonic() - began
    return (busy_s() - busy) / took_s, (spent_s(stage.roots) - spent) / took_s


def _store_mb_per_s(stage: Stage) -> float:
    """Return what the store takes when four put at once."""
    bucket, client, data = stage.weed.new_bucket(locked=False), stage.weed.client(), os.urandom(_PUT_BYTES)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: client.put_object(Bucket=bucket, Key=str(number), Body=data), range(8)))
    return 8 * _PUT_BYTES / MB / (time.monotonic() - began)

"""`./dev campaign load`: docks, readers and workers at once for some minutes; the simulation says before what comes of it.

First a calibration measures what one recording costs on this machine, and the simulation predicts. Then the docks send,
and what was measured is set beside what was predicted.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archive.jobs.queue import INTAKE
from archive.kernel.clock import SystemClock
from archive.simulation.parameters import Network, Parameters, Shift
from archive.simulation.shift import Outcome, simulate
from tests.campaign.load.calibrating import MB, Footage, calibrate
from tests.campaign.load.docks import Order, Sent, fleet
from tests.campaign.load.readers import Reader, Seen, Viewer
from tests.campaign.load.report import REPORT, render
from tests.campaign.load.stage import FETCHED_BYTES, Stage, Wanted, staged
from tests.campaign.load.watching import Watch, busy_s, spent_s
from tests.support import footage

_QUIET_S: Final = 3600.0
_STATION: Final = Path(__file__).parents[3] / "docs" / "scale" / "station.toml"
_SETTLE_S: Final = 60.0
_RESTING_CORES: Final = 0.3
_HEADROOM: Final = 1.3
_NO_LIMIT_MBIT: Final = 1_000_000.0


class TooSmall(Exception):
    """The disk has no room for what was asked for."""


@dataclass(slots=True)
class Result:
    """What was predicted and what came. Units: seconds since the first dock began."""

    asked: argparse.Namespace
    given: Parameters
    predicted: Outcome
    parts: list[str]
    readers_cores: float
    sent: list[list[Sent]] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    watch: Watch | None = None
    began_s: float = 0.0
    idle_s: float = 0.0
    used_cores: float = 0.0
    other_cores: float = 0.0
    dead_jobs: int = 0
    items: int = 0


def run(base: Path, asked: argparse.Namespace) -> Result:
    """Calibrate, predict, load."""
    lengths = _footage(base, asked)
    recording = lengths[-1]
    count = max(1, round(asked.minutes * 60 * asked.mbit / 8 / recording.mb))
    _require_room(base, asked.docks * count * recording.mb, asked.footage_share)
    wanted = Wanted(asked.web, asked.workers, asked.way == "direct", asked.send_bytes, asked.broker)
    with staged(base / "stage", wanted) as stage:
        seen = Seen()
        if wanted.is_direct:
            stage.add_worker(base / "intake.log", INTAKE)
        hosts, costs, readers_cores = calibrate(
            stage,
            lengths,
            base / "calibration",
            runs=asked.calibration_runs,
            workers=asked.workers,
            is_direct=wanted.is_direct,
            with_readers=lambda: _reading(stage, asked, seen),
        )
        shift = Shift(
            docks=asked.docks,
            cameras_per_dock=1,
            recordings_per_camera=count,
            recorded_s=recording.recorded_s,
            camera_mbit_per_s=recording.mb * 8 / recording.recorded_s,
            arrival_s=recording.mb * 8 / asked.mbit,
            footage_share=asked.footage_share,
            encoded_share=0.0,
        )
        network = Network(dock_mbit_per_s=asked.mbit, shared_mbit_per_s=_NO_LIMIT_MBIT, at_once_per_dock=1)
        given = Parameters(
            shift=shift, network=network, hosts=hosts, costs=costs, requests=Parameters.read(_STATION).requests
        )
        print(given.as_toml(), flush=True)
        result = Result(asked, given, simulate(given), stage.parts, readers_cores)
        if asked.parameters is not None:
            asked.parameters.write_text(given.as_toml(), "utf-8")
        if not asked.calibrate:
            for number in range(1, asked.workers):
                stage.add_worker(base / f"worker-{number}.log")
            _settle(stage)
            _load(stage, base, recording, result)
    return result


def _settle(stage: Stage) -> None:
    """Wait until everything that was just started has come to rest, and a minute at most."""
    until = time.monotonic() + _SETTLE_S
    while time.monotonic() < until:
        spent = spent_s(stage.roots)
        time.sleep(1.0)
        if spent_s(stage.roots) - spent < _RESTING_CORES:
            return


def _load(stage: Stage, base: Path, recording: Footage, result: Result) -> None:
    asked, shift = result.asked, result.given.shift
    data = base / "data.bin"
    shutil.copyfile(recording.path, data)
    with data.open("r+b") as file:
        file.write(b"no recording of any kind")
    clock = SystemClock()
    result.watch = watch = Watch(stage.roots, stage.server.database, clock.now, every_s=asked.look_s)
    with fleet(min(asked.dock_processes, asked.docks)) as bring, _reading(stage, asked, result.seen):
        result.began_s = began_s = time.monotonic() + 5.0
        orders = [
            Order(
                base / "docks" / str(number),
                stage.address,
                stage.server.invite(f"dock {number}"),
                stage.ca_pem,
                [
                    _chosen(recording.path, data, each, shift.footage_share)
                    for each in range(shift.recordings_per_camera)
                ],
                asked.mbit * MB / 8,
                began_s + shift.arrival_s * number / shift.docks,
                asked.way == "direct",
            )
            for number in range(asked.docks)
        ]
        spent, busy = spent_s(stage.roots), busy_s()
        watch.start()
        result.sent = bring(orders)
        took_s = time.monotonic() - began_s
        result.used_cores = (spent_s(stage.roots) - spent) / took_s
        result.other_cores = max(0.0, (busy_s() - busy) / took_s - result.used_cores)
        until = time.monotonic() + _QUIET_S
        while not watch.is_idle() and time.monotonic() < until:
            time.sleep(0.2)
        result.idle_s = time.monotonic() - began_s
    watch.end()
    result.dead_jobs, result.items = _counted(stage)


def _chosen(recording: Path, data: Path, number: int, share: float) -> Path:
    """Return what the recording of this number is: so many of them are recordings, the others data of the same size."""
    return recording if int((number + 1) * share) > int(number * share) else data


def _counted(stage: Stage) -> tuple[int, int]:
    from sqlalchemy import text

    with stage.server.database.read() as tx:
        dead = tx.execute(text("SELECT count(*) FROM job WHERE state = 'dead'")).scalar_one()
        items = tx.execute(text("SELECT count(*) FROM evidence_item")).scalar_one()
    return int(dead), int(items)


@contextlib.contextmanager
def _reading(stage: Stage, asked: argparse.Namespace, seen: Seen) -> Iterator[None]:
    """Have people read and watch for the block."""
    password, ca = stage.server.accounts["supervisor"], str(stage.server.ca)
    people: list[Reader] = [
        kind(stage.address, password, ca, pause_s=asked.pause_s, seed=number, seen=seen)
        for number, kind in enumerate([Reader] * asked.readers + [Viewer] * asked.viewers)
    ]
    for person in people:
        person.start()
    try:
        yield
    finally:
        for person in people:
            person.end()


def _footage(base: Path, asked: argparse.Namespace) -> list[Footage]:
    """Make a recording of the length that is asked for, and one of a quarter of it."""
    seconds = (max(2, asked.recorded_s // 4), asked.recorded_s)
    return [
        Footage(footage.make_recording(base / f"recording-{each}.mp4", seconds=each), float(each)) for each in seconds
    ]


def _require_room(base: Path, mb: float, share: float) -> None:
    """Raises: TooSmall, when originals and renditions would not fit. Nothing that is locked can be deleted meanwhile."""
    needed, free = mb * MB * (1 + share) * _HEADROOM + FETCHED_BYTES, shutil.disk_usage(base).free
    if needed > free:
        raise TooSmall(
            f"It takes {needed / 1e9:.0f} GB and {free / 1e9:.0f} GB are free under {base}: choose another place with "
            "--scratch, fewer --minutes, or a smaller --footage-share (renditions are as large as recordings)"
        )


def main(arguments: Sequence[str]) -> int:
    """Run the campaign; 0 only if nothing failed, memory was flat and the prediction held."""
    parser = argparse.ArgumentParser(prog="./dev campaign load")
    parser.add_argument("--docks", type=int, default=20)
    parser.add_argument("--mbit", type=float, default=25.0, help="link of each dock, Mbit/s")
    parser.add_argument("--minutes", type=float, default=10.0, help="for which a dock has something to send")
    parser.add_argument("--recorded-s", type=int, default=60, help="length of a recording, s (1080p, about 8 Mbit/s)")
    parser.add_argument("--footage-share", type=float, default=1.0, help="share of recordings that are made playable")
    parser.add_argument("--way", choices=("tus", "direct"), default="tus")
    parser.add_argument("--web", type=int, default=4, help="web processes")
    parser.add_argument(
        "--workers", type=int, default=4, help="worker processes, each one prompt and one long job at once"
    )
    parser.add_argument(
        "--broker", choices=("none", "redis", "rabbitmq"), default="redis", help="where workers know one"
    )
    parser.add_argument("--send-bytes", choices=("itself", "redirect"), default=None, help="who sends what is replayed")
    parser.add_argument("--readers", type=int, default=8, help="people who read pages")
    parser.add_argument("--viewers", type=int, default=8, help="people who watch recordings")
    parser.add_argument("--pause-s", type=float, default=2.0, help="how long they look at a page or a range")
    parser.add_argument("--dock-processes", type=int, default=4)
    parser.add_argument("--look-s", type=float, default=2.0, help="pause between looks at memory and queues")
    parser.add_argument("--calibration-runs", type=int, default=5)
    parser.add_argument("--calibrate", action="store_true", help="only calibrate and predict")
    parser.add_argument("--parameters", type=Path, help="write the parameters of the simulation there")
    parser.add_argument("--scratch", type=Path, help="where everything lies meanwhile")
    parser.add_argument("--report", type=Path, nargs="?", const=REPORT, help="write a report, as it is committed")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="liuhen-load-", dir=asked.scratch) as place:
        base = Path(place)
        base.chmod(0o711)
        try:
            result = run(base, asked)
        except TooSmall as exc:
            print(f"load: {exc}", file=sys.stderr)
            return 75
        told, held = render(result, command=f"./dev campaign load {' '.join(arguments)}".strip())
    print(told)
    if asked.report is not None:
        asked.report.write_text(told, "utf-8")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""From a job's start to a playable rendition, beside bare ffmpeg; an encode beside the same arguments; log figures."""

import subprocess
from pathlib import Path

from archive.evidence.items import evidence_item
from archive.kernel.ids import ObjectId
from archive.worker.loop import Worker
from ingest.media.sandbox import OUT, SOURCE
from ingest.media.tools import open_toolbox
from tests.bench.common import Result, drop, median, timed
from tests.support.archive_home import ArchiveHome, SteppedClock
from tests.support.footage import HEVC, make_clip, make_recording

RUNS = 5


def measure(scratch: Path) -> list[Result]:
    """Measure a remux of ten minutes of 1080p, and an encode of HEVC."""
    return [_remux(scratch), _encode(scratch)]


def _remux(scratch: Path) -> Result:
    source = make_recording(scratch / "recording.mp4", seconds=600)
    ours, bare = [], []
    for number in range(RUNS):
        with source.open("r+b") as file:  # another recording each time: a brand of its own in the first box
            file.seek(12)
            file.write(number.to_bytes(4, "big"))
        home = _home(scratch / "home")
        object_id = _delivered(home, source)
        worker = _worker(home)
        ours.append(timed(lambda worker=worker: worker.run_once(("prompt",))))
        with home.services.database.read() as tx:
            assert evidence_item(tx, object_id).rendition("playable") is not None
        home.services.close()
        drop(scratch / "home")
        bare.append(timed(lambda: _ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", scratch / "bare.mp4")))
        (scratch / "bare.mp4").unlink()
    size_mb = source.stat().st_size / 1e6
    source.unlink()
    held = median(ours) <= 1.0 + 1.3 * median(bare)
    return Result(
        f"10 minutes of 1080p H.264 ({size_mb:.0f} MB) playable, from its job's start to the commit",
        "s",
        median(ours),
        {"bare ffmpeg -c copy -movflags +faststart": median(bare)},
        "<= 1 s + 1.3 x bare",
        held,
        f"limit {1.0 + 1.3 * median(bare):.2f} s",
    )


def _encode(scratch: Path) -> Result:
    source = make_clip(scratch / "hevc.mp4", seconds=40, size=(1280, 720), video=HEVC)
    home = _home(scratch / "home")
    object_id = _delivered(home, source)
    _worker(home).run_once(("prompt",))
    _worker(home).run_once(("long",))
    with home.services.database.read() as tx:
        recipe = evidence_item(tx, object_id).renditions[0].recipe
    home.services.close()
    drop(scratch / "home")
    ours, bare = [], []
    for _ in range(3):
        home = _home(scratch / "home")
        _delivered(home, source)
        worker = _worker(home)
        worker.run_once(("prompt",))
        ours.append(timed(lambda worker=worker: worker.run_once(("long",))))
        home.services.close()
        drop(scratch / "home")
        (scratch / "bare").mkdir()
        arguments = [
            argument.replace(SOURCE, str(source)).replace(OUT, str(scratch / "bare"))
            for argument in recipe["arguments"][1:]
        ]
        tool = str(open_toolbox().ffmpeg.path)
        bare.append(
            timed(
                lambda tool=tool, arguments=arguments: subprocess.run(
                    [tool, "-y", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        )
        drop(scratch / "bare")
    source.unlink()
    ratio = median(ours) / median(bare)
    return Result(
        "Encode of 40 s of 720p HEVC, job and commit included (3 runs)",
        "s",
        median(ours),
        {"bare ffmpeg with the same arguments": median(bare)},
        "<= 1.05 x bare",
        ratio <= 1.05,
        f"{ratio:.2f} x",
    )


def _home(folder: Path) -> ArchiveHome:
    from archive.settings import load_settings
    from archive.wiring import create_home

    settings = load_settings(home=folder)
    create_home(settings)
    return ArchiveHome(load_settings(home=folder), SteppedClock())


def _delivered(home: ArchiveHome, source: Path) -> ObjectId:
    return home.deliver(home.dock(), source.read_bytes(), source.name)


def _worker(home: ArchiveHome) -> Worker:
    services = home.services
    return Worker(services.database, handlers=services.media.handlers, clock=services.clock, lease_s=60)


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)

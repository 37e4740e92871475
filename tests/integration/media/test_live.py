"""Encoding in segments: whatever is sought and in which order, every picture is there once, at its time."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from ingest.media.errors import Unplayable
from ingest.media.live import LiveEncode, LiveUnfit, Shelf
from ingest.media.live_state import LiveState
from ingest.media.plan import plan
from ingest.media.probe import probe
from ingest.media.renditions import Rendition, make_playable
from ingest.media.segments import INIT, picture_times, segment_at, segment_name
from ingest.media.tools import Toolbox, open_toolbox
from tests.support import footage, hostile
from tests.support.slow_ffmpeg import slow_ffmpeg

_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_LONG_GOP = (*_X265, "-x265-params", "log-level=error:pools=1:keyint=80:min-keyint=80")
SMALL = {"seconds": 19, "size": (160, 120)}
_UNEVEN = "select='not(eq(mod(n,3),1))*not(between(mod(n,40),20,27))'"
_HOLE = "select='not(between(t,4.3,9.1))'"


def _filtered(path: Path, chosen: str, *arguments: str, seconds: float = 19) -> Path:
    picture = f"testsrc2=size=160x120:rate=25:duration={seconds},{chosen}"
    sound = f"sine=frequency=440:sample_rate=48000:duration={seconds}"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-fps_mode", "vfr")
    footage.ffmpeg(*inputs, *_LONG_GOP, "-c:a", "aac", *arguments, path)
    return path


def _late(path: Path) -> Path:
    """Sound from the start, a picture only after a while."""
    video = footage.make_clip(path.with_name("video.mp4"), **{**SMALL, "seconds": 16}, video=_LONG_GOP, audio=())
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=19")
    mapped = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "pcm_s16le")
    footage.ffmpeg("-itsoffset", "2.7", "-i", video, *sound, *mapped, path)
    return path


SOURCES: dict[str, Callable[[Path], Path]] = {
    "hevc-2997.mp4": lambda path: footage.make_clip(path, **SMALL, fps="30000/1001", video=_LONG_GOP),
    "hevc-7fps.mp4": lambda path: footage.make_clip(path, **SMALL, fps="7", video=_LONG_GOP, audio=()),
    "hevc.ts": lambda path: footage.make_clip(path, **SMALL, video=_LONG_GOP, extra=("-f", "mpegts")),
    "interlaced.mpg": lambda path: footage.make_clip(
        path,
        **SMALL,
        video=("-c:v", "mpeg2video", "-q:v", "5", "-bf", "2", "-flags", "+ilme+ildct", "-top", "1"),
        audio=("-c:a", "mp2"),
    ),
    "b-frames.avi": lambda path: footage.make_clip(
        path, **SMALL, fps="30000/1001", video=("-c:v", "mpeg4", "-q:v", "5", "-bf", "2"), audio=("-c:a", "libmp3lame")
    ),
    "wmv.asf": lambda path: footage.make_clip(
        path, **SMALL, video=("-c:v", "wmv2", "-b:v", "800k"), audio=("-c:a", "wmav2"), extra=("-f", "asf")
    ),
    "uneven.mkv": lambda path: _filtered(path, _UNEVEN),
    "hole.mp4": lambda path: _filtered(path, _HOLE),
    "late.mkv": _late,
    "fast.mp4": lambda path: footage.make_clip(path, **SMALL, fps="100", video=_LONG_GOP),
    "short-sound.mp4": lambda path: footage.make_clip(
        path, **SMALL, video=_LONG_GOP, audio=("-c:a", "aac", "-af", "atrim=end=5")
    ),
}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("live-sources")

    def made(name: str) -> Path:
        path = folder / name
        return path if path.exists() else SOURCES[name](path)

    return made


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Toolbox:
    """Tools that take two seconds for what a test encodes, so that somebody can come in between."""
    folder = slow_ffmpeg(tmp_path_factory.mktemp("slow"), times_real_time=8)
    return open_toolbox(ffmpeg=folder / "ffmpeg", ffprobe=folder / "ffprobe")


@dataclass
class Desk:
    """The job's side: keeps segments in a folder, and wants one after the other as soon as some are there.

    `wishes`: (how many segments have to be there, which one is wanted then).
    """

    folder: Path
    wishes: Sequence[tuple[int, int]] = ()
    stop_after: int | None = None
    order: list[str] = field(default_factory=list)
    noted: list[dict[str, object]] = field(default_factory=list)
    said: list[int] = field(default_factory=list)

    def put(self, name: str, path: Path) -> None:
        target = self.folder / name
        if not target.exists():
            shutil.copyfile(path, target)
            self.order.append(name)
        if self.stop_after is not None and len(self.order) > self.stop_after:
            raise KeyboardInterrupt

    def open(self, name: str) -> BinaryIO:
        return (self.folder / name).open("rb")

    def wanted(self) -> int | None:
        made = len(self.order) - 1
        open_wishes = [
            number
            for at_least, number in self.wishes
            if made >= at_least and not (self.folder / segment_name(number)).exists()
        ]
        return open_wishes[0] if open_wishes else None

    @property
    def shelf(self) -> Shelf:
        return Shelf(
            put=self.put,
            open=self.open,
            wanted=self.wanted,
            note=lambda state: self.noted.append(state.as_json()),
            report=self.said.append,
        )

    @property
    def numbers(self) -> set[int]:
        return {int(path.stem) for path in self.folder.glob("*.m4s")}


def desk(tmp_path: Path, **given: object) -> Desk:
    folder = tmp_path / "shelf"
    folder.mkdir(exist_ok=True)
    return Desk(folder, **given)  # type: ignore[arg-type]


def encoder(path: Path, tmp_path: Path, toolbox: Toolbox, at: Desk, state: LiveState | None = None) -> LiveEncode:
    found = probe(path, toolbox=toolbox)
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    return LiveEncode(
        path,
        toolbox=toolbox,
        out=out,
        probe=found,
        chosen=plan(found),
        shelf=at.shelf,
        state=state or LiveState(),
        done=at.numbers,
    )


def plain(path: Path, tmp_path: Path, toolbox: Toolbox) -> Rendition:
    (tmp_path / "plain").mkdir()
    return make_playable(path, toolbox=toolbox, out=tmp_path / "plain", probe=probe(path, toolbox=toolbox))


def packets(path: Path, stream: str) -> list[str]:
    told = "packet=pts,dts,flags" if stream == "v" else "packet=pts"
    asked = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", told, "-of", "csv=p=0", str(path)]
    return subprocess.run(asked, capture_output=True, check=True, text=True).stdout.splitlines()


def least_likeness(one: Path, other: Path) -> float:
    """Return how like the least like of all pairs of pictures are (PSNR in dB)."""
    even = "settb=1/90000"
    joined = f"[0:v]{even}[a];[1:v]{even}[b];[a][b]psnr=stats_file=-"
    command = [footage.ffmpeg_program(), "-v", "error", "-i", str(one), "-i", str(other), "-lavfi", joined]
    told = subprocess.run([*command, "-f", "null", "-"], capture_output=True, check=True, text=True).stdout
    values = [part.removeprefix("psnr_avg:") for part in told.split() if part.startswith("psnr_avg:")]
    assert values
    return min(float(value) for value in values)


def live_pictures(at: Desk) -> Iterator[int]:
    for number in sorted(at.numbers):
        yield from picture_times(at.folder / segment_name(number))


@pytest.mark.long("encodes for minutes")
@pytest.mark.parametrize("name", sorted(SOURCES))
def test_what_was_sought_here_and_there_is_whole(
    name: str, source: Callable[[str], Path], slow: Toolbox, toolbox: Toolbox, tmp_path: Path
) -> None:
    at = desk(tmp_path, wishes=[(2, 9), (4, 5)] if name == "hole.mp4" else [(2, 7), (4, 4)])
    encode = encoder(source(name), tmp_path, slow, at)
    encode.encode()
    assert encode.state.runs >= 2
    assert at.order[:2] == [INIT, "0.m4s"]
    made, expected = encode.join(), plain(source(name), tmp_path, toolbox)
    assert packets(made.path, "v") == packets(expected.path, "v")
    assert least_likeness(made.path, expected.path) > 30
    assert len(packets(made.path, "a")) == len(packets(expected.path, "a"))
    assert [finding.code for finding in made.findings] == [finding.code for finding in expected.findings]
    # What is played before it is finished has the same pictures, each segment its own and in its two seconds.
    origin = encode.state.origin
    assert origin is not None
    times = list(live_pictures(at))
    assert times == sorted(set(times))
    assert len(times) == len(packets(made.path, "v"))
    for number in at.numbers:
        inside = picture_times(at.folder / segment_name(number))
        assert {segment_at(ticks, origin=origin) for ticks in inside} == {number}
    assert at.numbers | encode.state.empty == set(range(encode.state.end or 0))
    assert at.said == sorted(at.said)


def test_what_is_sought_is_encoded_before_what_lies_between(
    source: Callable[[str], Path], slow: Toolbox, tmp_path: Path
) -> None:
    at = desk(tmp_path, wishes=[(2, 7)])
    encoder(source("hevc-2997.mp4"), tmp_path, slow, at).encode()
    order = [int(name.partition(".")[0]) for name in at.order if name != INIT]
    assert order.index(7) < order.index(4)
    assert sorted(order) == list(range(10))


def test_without_a_wish_one_run_does_it_all(source: Callable[[str], Path], toolbox: Toolbox, tmp_path: Path) -> None:
    at = desk(tmp_path)
    encode = encoder(source("hevc-2997.mp4"), tmp_path, toolbox, at)
    encode.encode()
    made = encode.join()
    assert (encode.state.runs, made.recipe["live"]) == (1, {"segment_s": 2, "segments": 10, "runs": 1})
    assert [int(name.partition(".")[0]) for name in at.order if name != INIT] == list(range(10))
    assert made.findings == ()
    # The recipe makes the same in one run.
    places = {"/in/source": str(source("hevc-2997.mp4")), "/out/playable.mp4": str(tmp_path / "again.mp4")}
    footage.run(*(places.get(part, part) for part in made.recipe["arguments"]))
    assert packets(tmp_path / "again.mp4", "v") == packets(made.path, "v")


@pytest.mark.parametrize("name", ["hevc-2997.mp4", "hevc.ts", "uneven.mkv"])
def test_a_worker_that_died_is_gone_on_from(
    name: str, source: Callable[[str], Path], slow: Toolbox, toolbox: Toolbox, tmp_path: Path
) -> None:
    at = desk(tmp_path, stop_after=4)
    first = encoder(source(name), tmp_path, slow, at)
    with pytest.raises(KeyboardInterrupt):
        first.encode()
    before = {number: (at.folder / segment_name(number)).stat().st_mtime_ns for number in at.numbers}
    assert 2 <= len(before) <= 5
    again = desk(tmp_path)
    second = encoder(source(name), tmp_path, toolbox, again, LiveState.from_json(at.noted[-1]))
    second.encode()
    made, expected = second.join(), plain(source(name), tmp_path, toolbox)
    assert packets(made.path, "v") == packets(expected.path, "v")
    assert least_likeness(made.path, expected.path) > 30
    after = {number: (at.folder / segment_name(number)).stat().st_mtime_ns for number in before}
    assert after == before, "what was there was not made again"


def test_damage_is_told_whoever_ran_into_it(toolbox: Toolbox, slow: Toolbox, tmp_path: Path) -> None:
    mpeg4 = ("-c:v", "mpeg4", "-q:v", "5")
    whole = footage.make_clip(tmp_path / "whole.mp4", **SMALL, video=mpeg4, extra=("-movflags", "+faststart"))
    path = hostile.flipped(whole, tmp_path / "x.mp4", bits=120)
    at = desk(tmp_path, wishes=[(2, 7)])
    encode = encoder(path, tmp_path, slow, at)
    encode.encode()
    made = encode.join()
    assert encode.state.complaints > 0
    assert "media.damaged" in {finding.code for finding in made.findings}
    assert LiveState.from_json(at.noted[-1]) == encode.state


def test_segments_that_do_not_fit_together_are_found_out(
    source: Callable[[str], Path], slow: Toolbox, toolbox: Toolbox, tmp_path: Path
) -> None:
    """A segment on the shelf lacks its last picture, as one of a container that cannot be sought in would."""
    at = desk(tmp_path, wishes=[(2, 7)])
    encode = encoder(source("hevc-2997.mp4"), tmp_path, slow, at)
    encode.encode()
    other = footage.make_clip(tmp_path / "other.mp4", seconds=19, size=(160, 120), fps="25", video=_LONG_GOP)
    strange = desk(tmp_path / "elsewhere") if (tmp_path / "elsewhere").mkdir() is None else at
    theirs = encoder(other, tmp_path / "elsewhere", toolbox, strange)
    theirs.encode()
    for number in (3, 4, 5):
        (at.folder / segment_name(number)).unlink()
    shutil.copyfile(strange.folder / segment_name(5), at.folder / segment_name(5))
    again = encoder(source("hevc-2997.mp4"), tmp_path, toolbox, desk(tmp_path), LiveState(origin=0, count=10))
    with pytest.raises(LiveUnfit):
        again.encode()


def test_what_no_decoder_reads_is_unfit_for_segments(toolbox: Toolbox, tmp_path: Path) -> None:
    whole = footage.make_clip(tmp_path / "whole.mp4", **SMALL, video=_LONG_GOP, audio=())
    path = tmp_path / "x.mp4"
    boxes = hostile.boxes(whole.read_bytes())
    path.write_bytes(b"".join(body[:8] + bytes(len(body) - 8) if name == b"mdat" else body for name, body in boxes))
    with pytest.raises((LiveUnfit, Unplayable)):
        encoder(path, tmp_path, toolbox, desk(tmp_path)).encode()


def test_the_state_goes_to_json_and_back() -> None:
    state = LiveState(
        origin=7,
        count=9,
        end=8,
        empty={1, 2, 3, 6},
        late={4: 9},
        short={0: 8},
        runs=2,
        complaints=4,
        places_ms=[10, 20],
    )
    assert state.as_json()["empty"] == [[1, 4], [6, 7]]
    assert LiveState.from_json(state.as_json()) == state

"""The keyframe pass over real recordings: stills at their times, what is black, still, silent or missing."""

import itertools
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from archive.evidence.timeline import stills
from archive.kernel.canonical import canonical_json
from ingest.media.boxes import tracks
from ingest.media.errors import MediaStopped, Unplayable
from ingest.media.inspection import MOST_STILLS, Inspection, inspect
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.tools import Toolbox
from tests.integration.media.conftest import type_samples
from tests.support import footage, hostile

# The brightness of each picture tells its time: 10 levels a second.
_CLOCK = "color=gray:size={}x{}:rate=25:duration={},format=yuv420p,geq=lum='16+T*10':cb=128:cr=128"
_EVERY_SECOND = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-keyint_min", "25", "-sc_threshold", "0")


def bright_clock(
    path: Path, *, seconds: int = 12, size: tuple[int, int] = (160, 90), video: Any = _EVERY_SECOND
) -> Path:
    footage.ffmpeg("-f", "lavfi", "-i", _CLOCK.format(*size, seconds), *video, path)
    return path


def told_ms(sheet: Image.Image, still: Any) -> float:
    """The time that a still shows, by its brightness."""
    box = (still.x + 8, still.y + 8, still.x + still.width - 8, still.y + still.height - 8)
    part = sheet.convert("L").crop(box)
    levels = list(part.get_flattened_data())
    level = sum(levels) / len(levels)
    return (level * 219 / 255) * 100  # full range back to 16..235, 10 levels a second


def looked(path: Path, out: Path, toolbox: Toolbox, **given: Any) -> Inspection:
    found = probe(path, toolbox=toolbox)
    seen = inspect(path, toolbox=toolbox, out=out, probe=found, **given)
    assert canonical_json(seen.found)
    assert canonical_json(seen.recipe)
    return seen


def near(found: list[list[int]], wanted: list[list[int]], within_ms: int) -> None:
    assert len(found) == len(wanted), found
    for (begin, end), (wanted_begin, wanted_end) in zip(found, wanted, strict=True):
        assert abs(begin - wanted_begin) <= within_ms, found
        assert abs(end - wanted_end) <= within_ms, found


@pytest.mark.parametrize(
    ("name", "video", "depth"),
    [
        ("a.mp4", _EVERY_SECOND, "keyframes"),
        ("a.mkv", (*_EVERY_SECOND, "-bf", "2"), "keyframes"),
        ("one-keyframe.mp4", (*_EVERY_SECOND[:4], "-g", "9999", "-sc_threshold", "0"), "whole"),
        ("a.avi", ("-c:v", "mjpeg", "-q:v", "3"), "keyframes"),
        ("a.mpg", ("-c:v", "mpeg2video", "-q:v", "3", "-g", "12"), "keyframes"),
        ("reordered.avi", (*_EVERY_SECOND, "-bf", "2"), "whole"),
    ],
)
def test_each_still_shows_its_time(
    name: str, video: tuple[str, ...], depth: str, toolbox: Toolbox, tmp_path: Path
) -> None:
    seen = looked(bright_clock(tmp_path / name, video=video), tmp_path, toolbox)
    assert seen.found["depth"] == depth
    assert seen.found["is_whole"]
    assert seen.sheet is not None
    found = stills(seen.found)
    assert 10 <= len(found) <= 13
    assert [still.x for still in found[:3]] == [0, 160, 320]
    times = seen.found["sprite"]["at_ms"]
    assert all(900 <= after - before <= 1600 for before, after in itertools.pairwise(times))
    with Image.open(seen.sheet.path) as sheet:
        assert sheet.size == (1600, 90 * -(-len(found) // 10))
        for still, at_ms in zip(found, times, strict=True):
            assert abs(told_ms(sheet, still) - at_ms) < 350
    assert {path.name for path in tmp_path.iterdir()} == {name, "sprite.jpg"}


def test_stills_are_spread_over_a_long_recording(toolbox: Toolbox, tmp_path: Path) -> None:
    """As over one of an hour and a half: a still is wanted each nine seconds."""
    seen = looked(bright_clock(tmp_path / "a.mp4", seconds=20), tmp_path, toolbox, duration_ms=9000 * MOST_STILLS)
    assert seen.found["sprite"]["at_ms"] == [0, 9000, 18_000]


def test_places_of_every_kind(toolbox: Toolbox, tmp_path: Path) -> None:
    picture = "testsrc2=size=160x120:rate=10:duration=40"
    dark = "drawbox=color=black:t=fill:enable='between(t,8,12.95)'"
    sound = "sine=frequency=440:sample_rate=16000:duration=40,volume=0:enable='between(t,20,27)'"
    footage.ffmpeg(
        *("-f", "lavfi", "-i", f"{picture},{dark}", "-f", "lavfi", "-i", sound),
        *("-vf", "loop=loop=100:size=1:start=200", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10"),
        *("-c:a", "aac", "-t", "40", tmp_path / "a.mp4"),
    )
    found = looked(tmp_path / "a.mp4", tmp_path, toolbox).found
    near(found["black"], [[8000, 13_000]], 1000)
    near(found["freeze"], [[20_000, 30_000]], 1000)
    near(found["silence"], [[20_000, 27_000]], 200)
    assert (found["gaps"], found["sound_gaps"], found["jumps"]) == ([], [], [])
    assert found["spans"]["video"][1] - 40_000 < 500
    assert set(found["loudness"]) == {"integrated_clufs", "range_clu", "true_peak_cdb"}
    assert -4000 < found["loudness"]["integrated_clufs"] < -1000


def test_sound_alone_has_peaks_and_no_stills(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    for name in ("voice.m4a", "voice.mp3", "voice.wav"):
        seen = looked(sample(name), tmp_path, toolbox)
        assert seen.sheet is None
        assert seen.found["sprite"] is None
        assert seen.peaks is not None
        assert seen.found["has_peaks"]
        data = seen.peaks.read_bytes()
        stretch, length = struct.unpack_from("<iI", data, 12)
        duration_ms = probe(sample(name), toolbox=toolbox).duration_ms or 0
        assert abs(stretch * length / 8 - duration_ms) < 150
        assert max(data[24:]) > 20


def test_a_silent_film_has_no_peaks(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    seen = looked(sample("silent.mp4"), tmp_path, toolbox)
    assert (seen.peaks, seen.found["has_peaks"], seen.found["loudness"]) == (None, False, None)
    assert "audio" not in seen.found["spans"]


def test_peaks_stand_at_their_time(toolbox: Toolbox, tmp_path: Path) -> None:
    """A click at 3 s, in sound that begins 1 s after the picture."""
    click = "aevalsrc='if(between(t,2,2.05),0.9,0)':s=16000:d=5"
    footage.ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x120:rate=10:duration=6",
            "-itsoffset",
            "1",
            "-f",
            "lavfi",
            "-i",
            click,
        ),
        *("-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac"),
        tmp_path / "a.mp4",
    )
    seen = looked(tmp_path / "a.mp4", tmp_path, toolbox)
    assert seen.peaks is not None
    data = seen.peaks.read_bytes()
    stretch = struct.unpack_from("<i", data, 12)[0]
    values = struct.unpack(f"{len(data) - 24}b", data[24:])
    loud = [number // 2 * stretch / 8 for number, value in enumerate(values) if abs(value) > 60]
    assert loud
    assert all(2900 < at_ms < 3150 for at_ms in loud)


def test_a_hole_is_a_gap_at_the_same_place_as_in_the_rendition(
    toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    path = hostile.with_hole(sample("h264-aac.ts"), tmp_path / "x.ts")
    found = looked(path, tmp_path, toolbox).found
    made = make_playable(path, toolbox=toolbox, out=tmp_path, probe=probe(path, toolbox=toolbox))
    (gap,) = tracks(made.path)[0].gaps
    near(found["gaps"], [[gap.from_ms, gap.to_ms]], 100)
    assert found["freeze"] == []


@pytest.mark.parametrize(("offset_s", "expected"), [(64, [[4000, 60_000]]), (0, [[4000, -4000]])])
def test_a_clock_that_jumps_inside_a_file(
    offset_s: int, expected: list[list[int]], toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    again = tmp_path / "again.ts"
    footage.ffmpeg("-i", sample("h264-aac.ts"), "-c", "copy", "-output_ts_offset", str(offset_s), "-f", "mpegts", again)
    path = tmp_path / "both.ts"
    path.write_bytes(sample("h264-aac.ts").read_bytes() + again.read_bytes())
    found = looked(path, tmp_path, toolbox).found
    near(found["jumps"], expected, 150)
    assert found["gaps"] == []


def test_a_turned_recording_has_upright_stills(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    seen = looked(hostile.rotated(sample("silent.mp4"), tmp_path / "x.mp4"), tmp_path, toolbox)
    assert (seen.found["sprite"]["width"], seen.found["sprite"]["height"]) == (90, 120)


@pytest.mark.parametrize("name", ["hevc-aac.mp4", "vp9-opus.webm", "h264-alaw.mov", "two-sounds.mp4", "wmv.avi"])
def test_what_cameras_and_phones_write(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    said: list[int] = []
    seen = looked(sample(name), tmp_path, toolbox, on_progress=said.append)
    assert seen.sheet is not None
    assert seen.peaks is not None
    assert seen.found["is_whole"]
    assert said == sorted(set(said))


@pytest.mark.parametrize(
    "harm",
    [hostile.truncated, hostile.flipped, hostile.many_tracks, hostile.endless],
    ids=lambda harm: harm.__name__,
)
def test_broken_files_end_with_what_could_be_read(
    harm: Callable[[Path, Path], Path], toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    path = harm(sample("h264-aac.mp4"), tmp_path / "x.mp4")
    try:
        seen = looked(path, tmp_path, toolbox)
    except Unplayable as caught:
        assert caught.facts["reason"]
    else:
        assert len(stills(seen.found)) <= MOST_STILLS


def test_a_pass_can_be_stopped(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    with pytest.raises(MediaStopped):
        looked(sample("mpeg4-1440p.mp4"), tmp_path, toolbox, should_stop=lambda: True)


def test_the_recipe_makes_the_sheet_again(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    seen = looked(sample("h264-aac.mp4"), tmp_path, toolbox)
    assert seen.sheet is not None
    before = seen.sheet.path.read_bytes()
    places = {"/in/source": str(sample("h264-aac.mp4")), "/out/stills.yuv": str(tmp_path / "again.yuv")}
    for arguments in seen.recipe["arguments"]:
        command = [places.get(word, word) for word in arguments]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        places = {"/in/source": str(tmp_path / "again.yuv"), "/out/sprite.jpg": str(tmp_path / "again.jpg")}
    assert (tmp_path / "again.jpg").read_bytes() == before

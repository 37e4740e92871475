"""Where a recording was made, and by what: read by the real exiftool, in the sandbox."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archive.kernel.canonical import canonical_json
from archive.kernel.findings import Outcome
from ingest.media import tools
from ingest.media.errors import MediaStopped
from ingest.media.tools import Toolbox, check_tools, find_optional
from ingest.media.track import read_track
from tests.integration.media.conftest import type_samples
from tests.support import places

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")

LAT, LON, ALT = 250389000, 1027183000, 189100
UTC_MS = 1772415000000


def test_a_photo_says_where_it_was_taken_and_by_what(toolbox: Toolbox, tmp_path: Path) -> None:
    found = read_track(places.photo(tmp_path / "a.jpg"), toolbox=toolbox)
    assert (found["outcome"], found["reason"]) == ("valid", "")
    assert found["points"] == [[None, LAT, LON, ALT, 5144, UTC_MS]]
    assert found["device"] == {
        "make": {"value": "Test Make", "tag": "IFD0:Make"},
        "model": {"value": "Model 1", "tag": "IFD0:Model"},
        "serial": {"value": "SN-0815", "tag": "ExifIFD:SerialNumber"},
        "firmware": {"value": "2.1.0", "tag": "IFD0:Software"},
    }
    assert canonical_json(found)


def test_south_and_west_are_negative(toolbox: Toolbox, tmp_path: Path) -> None:
    found = read_track(places.photo(tmp_path / "a.jpg", south_west=True), toolbox=toolbox)
    assert found["points"][0][1:3] == [-LAT, -LON]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (places.phone, [[None, LAT, LON, ALT, None, None]]),
        (places.drone, [[1000 * second, LAT + 10_000 * second, LON, ALT, None, None] for second in range(3)]),
        (places.body_camera, [[1000 * second, LAT, LON, None, 2572, UTC_MS + 1000 * second] for second in range(3)]),
        (places.dash_camera, [[None, LAT, LON, None, 10_289, UTC_MS + 1000 * second] for second in range(5)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_track_of_each_kind(
    make: Callable[[Path], Path], expected: list[list[int | None]], toolbox: Toolbox, tmp_path: Path
) -> None:
    found = read_track(make(tmp_path / "a.mp4"), toolbox=toolbox)
    assert found["outcome"] == "valid"
    assert len(found["points"]) == len(expected) == found["seen"]
    for point, wanted in zip(found["points"], expected, strict=True):
        # Some devices write degrees as single-precision numbers: right to some metres.
        assert [point[0], *point[3:4], point[5]] == [wanted[0], *wanted[3:4], wanted[5]]
        assert all(abs(a - b) < 300 for a, b in zip(point[1:3], wanted[1:3], strict=True))
        assert point[4] == wanted[4] or abs(point[4] - wanted[4]) <= 1


def test_a_phone_is_told_by_its_keys(toolbox: Toolbox, tmp_path: Path) -> None:
    device = read_track(places.phone(tmp_path / "a.mp4"), toolbox=toolbox)["device"]
    assert {what: said["tag"] for what, said in device.items()} == {
        "make": "Keys:Make",
        "model": "Keys:Model",
        "firmware": "Keys:Software",
    }


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac.ts", "mpeg4-mp3.avi", "voice.wav", "photo.png"])
def test_what_says_nothing_of_its_place(name: str, toolbox: Toolbox, sample: type_samples) -> None:
    found = read_track(sample(name), toolbox=toolbox)
    assert (found["outcome"], found["points"], found["seen"]) == ("valid", [], 0)
    assert "serial" not in found["device"]


def test_what_is_no_recording_at_all(toolbox: Toolbox, tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"\0" * 100_000, b"just text", bytes(range(256)) * 500)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert read_track(path, toolbox=toolbox)["points"] == []


def test_a_track_can_be_stopped(toolbox: Toolbox, tmp_path: Path) -> None:
    path = tmp_path / "large.ts"
    with path.open("wb") as file:
        file.truncate(4 << 30)
        for at in range(0, 4 << 20, 188):
            file.seek(at)
            file.write(b"\x47\x00\x11\x10")
    with pytest.raises(MediaStopped):
        read_track(path, toolbox=toolbox, should_stop=lambda: True)


def test_without_exiftool_nothing_is_known_and_that_is_said(
    toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_track(places.photo(tmp_path / "a.jpg"), toolbox=replace(toolbox, exiftool=None))
    assert (found["outcome"], found["reason"]) == ("indeterminate", "media.tool_missing")
    assert (found["points"], found["device"]) == ([], {})
    monkeypatch.setattr(tools, "_SYSTEM_PATH", str(tmp_path))
    assert find_optional("exiftool") is None
    told = [finding for finding in check_tools() if finding.where == "exiftool"]
    assert [(finding.code, finding.outcome) for finding in told] == [("media.tool_missing", Outcome.INDETERMINATE)]


def test_doctor_names_the_version() -> None:
    (told,) = (finding for finding in check_tools() if finding.where == "exiftool")
    assert told.outcome is Outcome.VALID
    assert "exiftool 1" in told.message

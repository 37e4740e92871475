"""Positions as exiftool tells them, devices with their tags, bookmarks of a sidecar, jumps of a clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.canonical import canonical_json
from ingest.media.bookmarks import bookmarks
from ingest.media.jumps import Jumps
from ingest.media.track import MOST_POINTS, Points, device_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["bookmarks", "markers", "seconds", "at_ms", "label", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


def points(*lines: str) -> Points:
    made = Points()
    for line in lines:
        made.take(line)
    return made


def test_a_position_with_everything() -> None:
    made = points("P|1.5|25.0389|-102.7183|1891.25|36||2026:03:02 01:30:00.5Z")
    assert made.kept == [[1500, 250389000, -1027183000, 189125, 10000, 1772415000500]]


@pytest.mark.parametrize(("unit", "expected"), [("K", 278), ("M", 447), ("N", 514), ("", 278), ("?", 278)])
def test_speeds_in_every_unit(unit: str, expected: int) -> None:
    assert points(f"P||25|102||1|{unit}|").kept[0][4] == expected


def test_positions_of_one_sample_share_its_time() -> None:
    made = points("P|2|1|1||||", "P||1|2||||", "P|3|1|3||||")
    assert [point[0] for point in made.kept] == [2000, 2000, 3000]


@pytest.mark.parametrize(
    "line",
    ["", "P|||||||", "P|1|0|0||||", "P|1|91|0||||", "P|1|1|181||||", "P|1|nan|1||||", "P|1|x|1||||", "X|1|1|1||||",
     "P|1|1|1", "P|1|1|1|||||||"],
)  # fmt: skip
def test_what_is_no_position(line: str) -> None:
    assert points(line).kept == []


def test_a_long_way_is_thinned_evenly() -> None:
    count = 3 * MOST_POINTS
    made = points(*(f"P|{number}|10|{1 + number / 1e6}||||" for number in range(count)))
    assert made.seen == count
    assert MOST_POINTS // 2 <= len(made.kept) <= MOST_POINTS
    steps = {after[0] - before[0] for before, after in zip(made.kept, made.kept[1:], strict=False)}  # type: ignore[operator]
    assert steps == {1000 * made.every}


@given(st.lists(st.text(alphabet="P|0123456789.-:eEZ nai", max_size=60)))
def test_any_line_gives_whole_numbers_or_nothing(lines: list[str]) -> None:
    assert canonical_json(points(*lines).kept)


def test_a_device_with_the_tags_that_say_so() -> None:
    tags = {
        "SourceFile": "/in/source",
        "IFD0:Make": "Test\x00Make",
        "Keys:Model": "M1",
        "ExifIFD:SerialNumber": 123456,
        "MakerNotes:InternalSerialNumber": "other",
        "IFD0:Software": "",
        "GoPro:FirmwareVersion": {"not": "text"},
    }
    assert device_of(tags) == {
        "make": {"value": "TestMake", "tag": "IFD0:Make"},
        "model": {"value": "M1", "tag": "Keys:Model"},
        "serial": {"value": "123456", "tag": "ExifIFD:SerialNumber"},
    }


def test_bookmarks_in_the_forms_that_cameras_write() -> None:
    sidecar = {
        "bookmarks": [
            {"seconds": 61, "label": "门前"},
            {"at_ms": 2500, "name": "a"},
            {"time": "0:01:02", "comment": "b"},
            "12.5",
            7,
            {"offset": "x", "label": "nowhere"},
            {"label": "nowhere"},
            None,
            -1,
        ],
        "trigger": {"Markers": [{"offset_s": "3", "type": "evidence"}]},
        "other": [1, 2, 3],
    }
    assert [(mark["at_ms"], mark["label"], mark["source"]) for mark in bookmarks(sidecar)] == [
        (2500, "a", "sidecar.bookmarks[1]"),
        (3000, "evidence", "sidecar.trigger.Markers[0]"),
        (7000, "", "sidecar.bookmarks[4]"),
        (12_500, "", "sidecar.bookmarks[3]"),
        (61_000, "门前", "sidecar.bookmarks[0]"),
        (62_000, "b", "sidecar.bookmarks[2]"),
    ]


@given(JSON)
def test_any_sidecar_gives_bookmarks_or_nothing(sidecar: Any) -> None:
    for mark in bookmarks(sidecar):
        assert mark["at_ms"] >= 0
        assert canonical_json(mark)


def jumps(*seconds: float) -> list[list[int]]:
    seen = Jumps()
    for at in seconds:
        seen.take(f"{at:.6f},")
    return seen.found


def test_a_clock_that_jumps_and_one_that_begins_again() -> None:
    even = [10 + number * 0.04 for number in range(100)]
    assert jumps(*even) == []
    assert jumps(*even, *(at + 64 for at in even)) == [[4000, 60_000]]
    assert jumps(*even, *even) == [[4000, -4000]]
    assert jumps(*even, *(at + 9 for at in even)) == [], "a gap that is left as it is"


@given(st.lists(st.text(alphabet="0123456789.-,naif ", max_size=20)))
def test_no_time_breaks_the_search_for_jumps(lines: list[str]) -> None:
    seen = Jumps()
    for line in lines:
        seen.take(line)
    assert canonical_json(seen.found)

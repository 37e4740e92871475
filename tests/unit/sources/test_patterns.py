"""What names say: real-looking names of each kind, names that only look like them, and files of users' own."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.evidence.terms import SourceKind
from ingest.sources.patterns import NamePatterns, PatternsInvalid, shipped_patterns

NOON = "2024-01-01T12:00:00+08:00"


def said(name: str, folder: str = "", patterns: NamePatterns | None = None) -> dict[str, Any] | None:
    """What is read from a name, without what it does not say."""
    claims = (patterns or shipped_patterns()).read(name, folder=folder)
    if claims is None:
        return None
    fields = ("pattern", "source", "serial", "officer", "channel", "series", "sequence", "trigger", "recorded")
    found = {name: value for name in fields if (value := getattr(claims, name)) is not None}
    return found if claims.is_exact else {**found, "is_exact": False}


BODY = {"source": "body_worn", "recorded": NOON}
NAMES: dict[str, dict[str, Any]] = {
    # Body-worn cameras.
    "DSJ-KEDX8A1_012345_20240101120000_0001.MP4": BODY
    | {"pattern": "dsj", "serial": "DSJ-KEDX8A1", "officer": "012345", "series": "20240101120000", "sequence": 1},
    "DSJ-V8-00042_K01234_20240101_120000_12.mp4": BODY
    | {"pattern": "dsj", "serial": "DSJ-V8-00042", "officer": "K01234", "series": "20240101_120000", "sequence": 12},
    "dsj4g0001_000000_20240101120000_0002.avi": BODY
    | {"pattern": "dsj", "serial": "dsj4g0001", "series": "20240101120000", "sequence": 2},
    "DSJ-X3_20240101120000.wav": BODY | {"pattern": "dsj-without-officer", "serial": "DSJ-X3"},
    "DSJ-X3_20240101120000_003.jpg": BODY
    | {"pattern": "dsj-without-officer", "serial": "DSJ-X3", "series": "20240101120000", "sequence": 3},
    "E12345678_110101_20240101120000_0001.mp4": BODY
    | {"pattern": "hikvision-body", "serial": "E12345678", "officer": "110101", "series": "20240101120000", "sequence": 1},
    "DS-MCW405_E12345678_110101_20240101120000_20240101120500.mp4": BODY
    | {"pattern": "hikvision-body", "serial": "E12345678", "officer": "110101"},
    "6G0123CPAG00456_012345_20240101_120000_0007.mp4": BODY
    | {"pattern": "dahua-body", "serial": "6G0123CPAG00456", "officer": "012345", "series": "20240101_120000", "sequence": 7},
    "VM780_1234567_012345_20240101120000_1.mp4": BODY
    | {"pattern": "hytera-body", "serial": "1234567", "officer": "012345", "series": "20240101120000", "sequence": 1},
    "A100001_100001_20240101120000_0010.MP4": BODY
    | {"pattern": "device-officer-time", "serial": "A100001", "officer": "100001", "series": "20240101120000", "sequence": 10},
    "KM-0017_K012345_20240101_120000_0010.MP4": BODY
    | {"pattern": "device-officer-time", "serial": "KM-0017", "officer": "K012345", "series": "20240101_120000", "sequence": 10},
    "BWC0117_20240101_120000.mp4": BODY | {"pattern": "bwc", "serial": "BWC0117"},
    "BWC-0117_20240101120000_02.mp4": BODY
    | {"pattern": "bwc", "serial": "BWC-0117", "series": "20240101120000", "sequence": 2},
    "VB400_123456_20240101120000_0001.mp4": BODY
    | {"pattern": "motorola-vb", "serial": "VB400_123456", "series": "20240101120000", "sequence": 1},
    "VB-300-12345-2024-01-01-120000-0001.mp4": BODY
    | {"pattern": "motorola-vb", "serial": "VB-300-12345", "series": "2024-01-01-120000", "sequence": 1},
    "WFC1-012345@20240101120000.mp4": BODY | {"pattern": "watchguard-body", "serial": "WFC1-012345"},
    "V300-0123456@20240101120000-1.mkv": BODY
    | {"pattern": "watchguard-body", "serial": "V300-0123456", "series": "20240101120000", "sequence": 1},
    "4RE02-004567@20240101120000-0.avi": {
        "pattern": "watchguard-car", "source": "vehicle", "serial": "4RE02-004567", "channel": "camera 0", "recorded": NOON,
    },
    "AXON Body 2 Video 2024-01-01 1200.mp4": BODY
    | {"pattern": "axon", "series": "2024-01-01 1200", "sequence": 1, "is_exact": False},
    "Axon_Body_3_Video_2024-01-01_1200_X60A12345-2.mp4": BODY
    | {"pattern": "axon", "serial": "X60A12345", "series": "2024-01-01 1200", "sequence": 2, "is_exact": False},
    "Axon_Fleet_3_Front_Video_2024-01-01_1200.mp4": {
        "pattern": "axon-fleet", "source": "vehicle", "channel": "Front", "recorded": NOON, "series": "2024-01-01 1200",
        "sequence": 1, "is_exact": False,
    },
    # Action cameras.
    "GH010123.MP4": {"pattern": "gopro", "source": "other", "series": "0123", "sequence": 1},
    "GX020123.MP4": {"pattern": "gopro", "source": "other", "series": "0123", "sequence": 2},
    "GS010135.360": {"pattern": "gopro", "source": "other", "series": "0135", "sequence": 1},
    "GL010123.LRV": {"pattern": "gopro-low", "source": "other", "channel": "low", "series": "0123", "sequence": 1},
    "GOPR1234.MP4": {"pattern": "gopro-old-first", "source": "other", "series": "1234", "sequence": 0},
    "GP021234.MP4": {"pattern": "gopro-old", "source": "other", "series": "1234", "sequence": 2},
    "VID_20240101_120000_00_001.insv": {
        "pattern": "insta360", "source": "other", "channel": "lens 00", "sequence": 1, "recorded": NOON,
    },
    # Drones.
    "DJI_20240101120000_0001_D.MP4": {
        "pattern": "dji", "source": "drone", "channel": "camera D", "sequence": 1, "recorded": NOON,
    },
    "DJI_20240101120000_0042_T_Waypoint3.JPG": {
        "pattern": "dji", "source": "drone", "channel": "camera T", "sequence": 42, "recorded": NOON,
    },
    "DJI_0001.MP4": {"pattern": "dji-old", "source": "drone", "sequence": 1},
    "MAX_0007.MOV": {"pattern": "autel", "source": "drone", "sequence": 7},
    # Phones.
    "VID_20240101_120000.mp4": {"pattern": "android", "source": "phone", "recorded": NOON},
    "VID20240101120000.mp4": {"pattern": "android", "source": "phone", "recorded": NOON},
    "IMG_20240101_120000_1.jpg": {"pattern": "android", "source": "phone", "recorded": NOON},
    "IMG_20240101_120000123.jpg": {
        "pattern": "android-milliseconds", "source": "phone", "recorded": "2024-01-01T12:00:00.123000+08:00",
    },
    "PXL_20240101_040000123.mp4": {
        "pattern": "pixel", "source": "phone", "recorded": "2024-01-01T04:00:00.123000+00:00",
    },
    "PXL_20240101_040000123.TS.mp4": {
        "pattern": "pixel", "source": "phone", "recorded": "2024-01-01T04:00:00.123000+00:00",
    },
    "WIN_20240101_12_00_00_Pro.mp4": {"pattern": "windows-camera", "source": "phone", "recorded": NOON},
    "录音_20240101_120000.m4a": {"pattern": "phone-recorder", "source": "phone", "recorded": NOON},
    # Vehicles.
    "CAR03_20240101_120000_F.ts": {
        "pattern": "vehicle-number", "source": "vehicle", "serial": "CAR03", "channel": "F", "recorded": NOON,
    },
    "云A1234警_20240101120000_1.mp4": {
        "pattern": "vehicle-number", "source": "vehicle", "serial": "云A1234警", "channel": "1", "recorded": NOON,
    },
    "20240101_120000_F.ts": {"pattern": "vehicle-channel", "source": "vehicle", "channel": "F", "recorded": NOON},
    "20240101_120000_ER.mp4": {
        "pattern": "vehicle-channel", "source": "vehicle", "trigger": "E", "channel": "R", "recorded": NOON,
    },
    "2024_0101_120000_0001F.MP4": {
        "pattern": "viofo", "source": "vehicle", "channel": "F", "sequence": 1, "recorded": NOON,
    },
    "EV20240101-120000-000123B.MP4": {
        "pattern": "70mai", "source": "vehicle", "trigger": "EV", "channel": "B", "sequence": 123, "recorded": NOON,
    },
    "H20240101-120000P1N2P0.avi": {
        "pattern": "mdvr", "source": "vehicle", "trigger": "N", "channel": "2", "recorded": NOON,
    },
    # Rooms.
    "听证室1_20240101120000.mp4": {"pattern": "hearing-room", "source": "hearing", "channel": "听证室1", "recorded": NOON},
    "询问室1_20240101_120000_0003.mp4": {
        "pattern": "room", "source": "room", "channel": "询问室1", "sequence": 3, "recorded": NOON,
    },
    "办案区候问室-全景_20240101120000_20240101123000.mp4": {
        "pattern": "room", "source": "room", "channel": "办案区候问室-全景", "recorded": NOON,
    },
    "ch01_20240101120000.mp4": {"pattern": "hikvision-recorder", "source": "room", "channel": "ch01", "recorded": NOON},
    "192.168.1.64_01_20240101120000123_TIMING.mp4": {
        "pattern": "hikvision-client", "source": "room", "channel": "192.168.1.64 01", "trigger": "TIMING",
        "recorded": "2024-01-01T12:00:00.123000+08:00",
    },
    "NVR_ch2_main_20240101120000_20240101123000.dav": {
        "pattern": "dahua-recorder", "source": "room", "channel": "NVR ch2 main", "recorded": NOON,
    },
    "2024-01-01_12.00.00-12.05.00[M][0@0][0].dav": {
        "pattern": "dahua-export", "source": "room", "trigger": "M", "recorded": NOON,
    },
    # A time and nothing else.
    "20240101_120000.mp4": {"pattern": "time", "recorded": NOON},
    "2024-01-01-12-00-00.wav": {"pattern": "time", "recorded": NOON},
}  # fmt: skip

STRANGERS = [
    "", ".mp4", "mp4", "a.mp4", "notes.mp4", "现场照片_01.jpg", "IMG_0001.MOV", "DSC00042.JPG", "MVI_0001.MP4",
    "GH010123.txt", "GX0101234.MP4", "G0010123.MP4", "GHAA0001.MP4", "GP01123.MP4", "DJI_001.MP4",
    "DJI_20240101120000_0001.MP4", "DSJ-KEDX8A1_012345_20240101120000_0001", "DSJ-KEDX8A1_012345_20240101120000.exe",
    "DSJ-KEDX8A1_012345_20241301120000_0001.MP4", "DSJ-KEDX8A1_012345_20240230120000_0001.MP4",
    "DSJ-KEDX8A1_012345_20240101250000_0001.MP4", "DSJ-KEDX8A1_012345_20240101120000_0001 (1).MP4",
    "VID_20240101_126100.mp4", "VID_19700101_080000.mp4", "20240101_120000_X.ts", "20240101.mp4", "120000.mp4",
    "ch01_20240101.mp4", "12.00.00-12.05.00[R][0@0][0].dav", "询问室.mp4", "会议室1_20240101120000.mp4",
    "WFC1-012345@2024010112000.mp4", "a" * 1000 + ".mp4", "DSJ-\n_012345_20240101120000_0001.MP4",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_what_devices_put_into_it(name: str) -> None:
    assert said(name) == NAMES[name]


@pytest.mark.parametrize("name", STRANGERS)
def test_a_name_that_no_pattern_knows_says_nothing(name: str) -> None:
    assert said(name) is None


def test_every_pattern_has_its_name_here() -> None:
    tried = {fields["pattern"] for fields in NAMES.values()} | {"dahua-disk"}
    assert tried == {pattern.id for pattern in shipped_patterns().patterns}
    assert {kind.value for kind in SourceKind} == {fields.get("source", "other") for fields in NAMES.values()}


def test_a_folder_may_hold_a_part_of_the_name() -> None:
    name = "12.00.00-12.05.00[R][0@0][0].dav"
    expected = {"pattern": "dahua-disk", "source": "room", "channel": "input 001", "trigger": "R", "recorded": NOON}
    for folder in ("2024-01-01/001/dav/12", "disk1/2024-01-01/001/dav/12", "x\\2024-01-01\\001\\dav\\12"):
        assert said(name, folder) == expected
    for folder in ("", "2024-01-01/001/dav", "x2024-01-01/001/dav/12", "2024-01-01/001/dav/12/more"):
        assert said(name, folder) is None


def test_a_path_in_the_name_is_left_out_and_accents_are_joined() -> None:
    assert said("card/DCIM/GH010123.MP4") == said("GH010123.MP4")
    decomposed = "Interview roo\u0308m_20240101120000.mp4"
    found = said(decomposed)
    assert found is not None
    assert found["channel"] == "Interview ro\u00f6m"


@given(st.text(max_size=80), st.sampled_from([".mp4", ".MP4", ".dav", ".jpg", ""]))
def test_no_name_does_any_harm(text: str, extension: str) -> None:
    claims = shipped_patterns().read(text + extension, folder=text)
    if claims is not None and claims.recorded_at is not None:
        assert claims.recorded_at.utcoffset() is not None


OWN = """
version = 1
zone = "UTC"
[extensions]
ours = ["xyz", "MP4"]
[[pattern]]
id = "ours"
source = "hearing"
name = '(?P<place>[A-Z]+)-(?P<serial>\\d+)-(?P<time>\\d{12})-(?P<sequence>\\d+)'
extensions = ["ours"]
time = "YYMMDDhhmmss"
sequence = "chapter"
series = "{place}/{time}"
channel = "{place}"
"""


def test_a_user_adds_patterns_and_chooses_the_zone(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN, "utf-8")
    patterns = NamePatterns.load(path)
    assert said("EAST-0042-240101120000-3.xyz", patterns=patterns) == {
        "pattern": "ours", "source": "hearing", "serial": "0042", "channel": "EAST", "series": "EAST/240101120000",
        "sequence": 3, "recorded": "2024-01-01T12:00:00+00:00",
    }  # fmt: skip
    found = patterns.read("DSJ-KEDX8A1_012345_20240101120000_0001.MP4")
    assert found is not None
    assert found.recorded_at == datetime(2024, 1, 1, 12, tzinfo=UTC)
    for zone, hour in (("-05:00", 17), ("Europe/Berlin", 11)):
        path.write_text(f'version = 1\nzone = "{zone}"\n', "utf-8")
        found = NamePatterns.load(path).read("VID_20240101_120000.mp4")
        assert found is not None
        assert found.recorded_at == datetime(2024, 1, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("version = 1", "version = 2"),
        ("version = 1", "version = 1\nmore = 1"),
        ('zone = "UTC"', 'zone = "Mars/Olympus"'),
        ('zone = "UTC"', "zone = 8"),
        ('id = "ours"', 'id = "Ours!"'),
        ('id = "ours"', 'other = "ours"'),
        ('source = "hearing"', 'source = "cellar"'),
        ("(?P<place>", "(?P<place"),
        ("(?P<place>", "(?P<serial>"),
        ('extensions = ["ours"]', 'extensions = "ours"'),
        ('time = "YYMMDDhhmmss"', 'time = "%Y"'),
        ('sequence = "chapter"', 'sequence = "page"'),
        ('series = "{place}/{time}"', ""),
        ('series = "{place}/{time}"', 'series = "{nothing}"'),
        ('channel = "{place}"', 'channel = "{"'),
        ("[[pattern]]", "[pattern]"),
        ("version = 1", "no toml"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "own.toml"
    assert before in OWN
    path.write_text(OWN.replace(before, after, 1), "utf-8")
    with pytest.raises(PatternsInvalid) as refused:
        NamePatterns.load(path)
    assert "own.toml" in str(refused.value)


def test_a_file_that_is_not_there_or_is_twice_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PatternsInvalid):
        NamePatterns.load(tmp_path / "missing.toml")
    path = tmp_path / "own.toml"
    path.write_text(OWN + OWN[OWN.index("[[pattern]]") :], "utf-8")
    with pytest.raises(PatternsInvalid):
        NamePatterns.load(path)

"""The plan table: what is copied, what is encoded, what cannot be played and why."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.canonical import canonical_json
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import invalid
from ingest.media.allowed import Kind
from ingest.media.facts import Probe, RecordedAt, Stream
from ingest.media.limits import conversion_limits, reading_limits
from ingest.media.plan import PlanKind, RenditionPlan, plan

VIDEO = Stream(
    0, "video", "h264", profile="High", pix_fmt="yuv420p", width=1920, height=1080, fps="30/1", bit_rate=8_000_000
)
AAC = Stream(1, "audio", "aac", profile="LC", sample_rate=48000, channels=2)
DATA = Stream(2, "data", "")
STILL = Stream(0, "picture", "png", width=9, height=9)
BASE = Probe(
    Kind.FOOTAGE,
    1_000_000,
    "video/mp4",
    "mov",
    duration_ms=10_000,
    is_duration_stated=True,
    streams=(VIDEO, AAC, DATA),
    recorded_at=(RecordedAt("container.creation_time", "2026-03-02T01:30:00Z", "2026-03-02T01:30:00.000000Z"),),
    tags={"make": "相机"},
)


def with_video(**changes: object) -> Probe:
    return replace(BASE, streams=(replace(VIDEO, **changes), AAC))  # type: ignore[arg-type]


def with_audio(*tracks: Stream) -> Probe:
    return replace(BASE, streams=(VIDEO, *tracks))


@pytest.mark.parametrize(
    ("probe", "kind", "actions"),
    [
        (BASE, PlanKind.REMUX, ["copy", "copy"]),
        (replace(BASE, streams=(VIDEO,)), PlanKind.REMUX, ["copy"]),
        (replace(BASE, format_name="mpegts"), PlanKind.REMUX, ["copy", "copy"]),
        (with_video(profile="Constrained Baseline"), PlanKind.REMUX, ["copy", "copy"]),
        (with_video(profile="High 10"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(pix_fmt="yuv420p10le"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(pix_fmt="yuv422p"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(codec="hevc"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(fps="60/1"), PlanKind.REMUX, ["copy", "copy"]),
        (with_video(fps="60000/1001"), PlanKind.REMUX, ["copy", "copy"]),
        (with_video(fps="120/1"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(fps="1/1"), PlanKind.REMUX, ["copy", "copy"]),
        (with_video(fps="1/2"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(bit_rate=25_000_000), PlanKind.REMUX, ["copy", "copy"]),
        (with_video(bit_rate=25_000_001), PlanKind.ENCODE, ["encode", "copy"]),
        (replace(with_video(bit_rate=None), bit_rate=40_000_000), PlanKind.ENCODE, ["encode", "copy"]),
        (replace(BASE, format_name="h264"), PlanKind.ENCODE, ["encode", "copy"]),
        (with_video(is_reordered=True), PlanKind.REMUX, ["copy", "copy"]),
        (replace(with_video(is_reordered=True), format_name="avi"), PlanKind.ENCODE, ["encode", "copy"]),
        (replace(BASE, format_name="avi"), PlanKind.REMUX, ["copy", "copy"]),
        (with_audio(replace(AAC, codec="pcm_alaw", profile="")), PlanKind.REMUX, ["copy", "encode"]),
        (with_audio(replace(AAC, profile="Main")), PlanKind.REMUX, ["copy", "encode"]),
        (with_audio(AAC, replace(AAC, index=2, codec="opus")), PlanKind.REMUX, ["copy", "copy", "encode"]),
        (with_audio(replace(AAC, channels=0)), PlanKind.REMUX, ["copy"]),
        (replace(BASE, kind=Kind.AUDIO, streams=(AAC,)), PlanKind.AUDIO, ["copy"]),
        (replace(BASE, kind=Kind.AUDIO, streams=(replace(AAC, codec="mp3"),)), PlanKind.AUDIO, ["encode"]),
        (replace(BASE, kind=Kind.PHOTO, streams=(STILL,)), PlanKind.PHOTO, ["encode"]),
        (replace(BASE, streams=(DATA,)), PlanKind.UNPLAYABLE, []),
        (replace(BASE, kind=Kind.DOCUMENT, streams=()), PlanKind.UNPLAYABLE, []),
    ],
)  # fmt: skip
def test_plan_table(probe: Probe, kind: PlanKind, actions: list[str]) -> None:
    chosen = plan(probe)
    assert (chosen.kind, [stream.action for stream in chosen.streams]) == (kind, actions)
    assert (chosen.reason is not None) == (kind is PlanKind.UNPLAYABLE)
    assert all(stream.why for stream in chosen.streams if stream.action == "encode")


@pytest.mark.parametrize(
    ("probe", "code"),
    [
        (replace(BASE, findings=(invalid("media.no_index", "x"),)), "media.no_index"),
        (
            replace(BASE, findings=(invalid("media.truncated", "x"), invalid("media.unreadable", "y"))),
            "media.unreadable",
        ),
        (replace(BASE, duration_ms=100 * 3600 * 1000), "media.too_long"),
        (with_video(width=20_000, height=20_000), "media.picture_too_large"),
        (replace(BASE, kind=Kind.PHOTO, streams=()), "media.unreadable"),
        (replace(BASE, streams=(DATA,)), "media.no_streams"),
        (replace(BASE, kind=Kind.DOCUMENT, streams=()), "media.not_media"),
    ],
)
def test_why_nothing_can_be_made(probe: Probe, code: str) -> None:
    chosen = plan(probe)
    assert chosen.reason is not None
    assert chosen.reason.code == code


def test_a_truncated_file_is_still_played() -> None:
    assert plan(replace(BASE, findings=(invalid("media.truncated", "x"),))).kind is PlanKind.REMUX


def test_the_data_track_is_left_out_and_indices_are_the_sources() -> None:
    shifted = (DATA, replace(AAC, index=1), replace(VIDEO, index=4))
    chosen = plan(replace(BASE, streams=shifted))
    assert [(stream.kind, stream.index) for stream in chosen.streams] == [("video", 4), ("audio", 1)]


def test_too_many_sound_tracks_are_told() -> None:
    chosen = plan(with_audio(*(replace(AAC, index=number) for number in range(1, 12))))
    assert len(chosen.audio) == 8
    assert len(chosen.dropped) == 3


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (1920, 1080)),
        ({"width": 3840, "height": 2160}, (1920, 1080)),
        ({"width": 2304, "height": 1296}, (1920, 1080)),
        ({"width": 3840, "height": 2160, "rotation": 90}, (1080, 1920)),
        ({"width": 641, "height": 481}, (640, 480)),
        ({"width": 720, "height": 576, "sample_aspect": "16:11"}, (1046, 576)),
        ({"width": 1, "height": 1}, (2, 2)),
        ({"width": 10_000, "height": 2}, (1920, 2)),
    ],
)
def test_size_of_an_encode(changes: dict[str, object], size: tuple[int, int]) -> None:
    chosen = plan(with_video(codec="hevc", **changes))
    assert (chosen.width, chosen.height) == size


def test_second_attempts_encode_everything_then_leave_the_sound_out() -> None:
    assert [stream.action for stream in plan(BASE, may_copy=False).streams] == ["encode", "encode"]
    silent = plan(BASE, may_copy=False, has_audio=False)
    assert [stream.kind for stream in silent.streams] == ["video"]
    assert silent.dropped


streams = st.builds(
    Stream,
    index=st.integers(0, 9),
    kind=st.sampled_from(("video", "audio", "data", "picture", "subtitle", "other")),
    codec=st.sampled_from(("h264", "hevc", "aac", "opus", "", "mjpeg")),
    profile=st.sampled_from(("High", "", "LC", "x")),
    pix_fmt=st.sampled_from(("yuv420p", "gray", "")),
    width=st.integers(0, 9000),
    height=st.integers(0, 9000),
    sample_aspect=st.sampled_from(("1:1", "4:3", "0:1", "100:1", "x")),
    rotation=st.sampled_from((0, 90, 180, 270)),
    is_reordered=st.booleans(),
    fps=st.sampled_from(("25/1", "0/1", "30000/1001", "240/1", "1/0", "")),
    sample_rate=st.sampled_from((0, 8000, 44100, 192000)),
    channels=st.integers(0, 8),
    start_ms=st.none() | st.integers(-5000, 5000),
    duration_ms=st.none() | st.integers(0, 10**9),
    bit_rate=st.none() | st.integers(0, 10**9),
)
probes = st.builds(
    Probe,
    kind=st.sampled_from(Kind),
    size_bytes=st.integers(0, 2**45),
    media_type=st.just("video/mp4"),
    format_name=st.sampled_from(("mov", "mpegts", "h264")),
    duration_ms=st.none() | st.integers(0, 10**10),
    is_duration_stated=st.booleans(),
    bit_rate=st.none() | st.integers(0, 10**9),
    orientation=st.integers(1, 8),
    errors=st.integers(0, 9),
    tool=st.text(max_size=5),
    streams=st.lists(streams, max_size=5).map(tuple),
    tags=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    recorded_at=st.just(BASE.recorded_at),
    findings=st.sampled_from(((), (invalid("media.truncated", "x", "9 B"),))),
)


@given(probes)
def test_every_probe_has_a_plan_and_both_go_to_json_and_back(probe: Probe) -> None:
    assert Probe.from_json(json.loads(json.dumps(probe.as_json()))) == probe
    chosen = plan(probe)
    assert RenditionPlan.from_json(json.loads(json.dumps(chosen.as_json()))) == chosen
    if chosen.video is not None and chosen.kind is PlanKind.ENCODE:
        assert chosen.width % 2 == chosen.height % 2 == 0
        assert 2 <= min(chosen.width, chosen.height) <= 1080
        assert max(chosen.width, chosen.height) <= 1920
    for limits in (conversion_limits(probe, chosen), reading_limits(probe, is_decoded=True)):
        assert 0 < limits.cpu_s <= 7 * 24 * 3600
        assert limits.wall_s > limits.cpu_s
        assert 0 <= limits.file_bytes <= 1 << 42


def test_the_json_form_holds_no_floats() -> None:
    assert canonical_json(BASE.as_json())
    assert canonical_json(plan(BASE).as_json())


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        BASE.as_json() | {"more": 1},
        BASE.as_json() | {"size_bytes": "1"},
        BASE.as_json() | {"size_bytes": True},
        BASE.as_json() | {"kind": "film"},
        BASE.as_json() | {"streams": [{}]},
        BASE.as_json() | {"streams": None},
        BASE.as_json() | {"findings": [{"code": "x"}]},
    ],
)
def test_other_json_is_no_probe(broken: object) -> None:
    with pytest.raises(InvalidInput):
        Probe.from_json(broken)
    with pytest.raises(InvalidInput):
        RenditionPlan.from_json(broken)

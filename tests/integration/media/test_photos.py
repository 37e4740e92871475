"""Photos that ffmpeg does not read end as a JPEG view all the same: decoded, or as the preview that the camera made."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.photos import _looked_at, develop
from ingest.media.probe import probe
from ingest.media.renditions import Rendition, make_playable
from ingest.media.tools import Toolbox
from tests.support import footage, hostile, photos

has_heif = pytest.mark.skipif(not photos.has_heif_encoder(), reason="heif-enc is not installed")


def viewed(path: Path, toolbox: Toolbox, out: Path) -> tuple[Probe, Rendition]:
    found = probe(path, toolbox=toolbox)
    assert found.kind.value == "photo"
    made = make_playable(path, toolbox=toolbox, out=out, probe=found)
    assert (made.media_type, made.findings) == ("image/jpeg", ())
    return found, made


def colours(path: Path) -> bytes:
    """The picture, shrunk to 8 x 8 grey pixels: what it shows, roughly."""
    shrink = ("-vf", "scale=8:8:flags=area,format=gray", "-f", "rawvideo", "-")
    command = [footage.ffmpeg_program(), "-v", "error", "-i", str(path), *shrink]
    return subprocess.run(command, capture_output=True, check=True).stdout


def are_alike(one: Path, other: Path) -> bool:
    pairs = list(zip(colours(one), colours(other), strict=True))
    return len(pairs) == 64 and max(abs(a - b) for a, b in pairs) < 24


@has_heif
@pytest.mark.parametrize(("name", "format_name"), [("a.heic", "heic"), ("a.avif", "avif")])
def test_photos_of_phones(name: str, format_name: str, toolbox: Toolbox, tmp_path: Path) -> None:
    found, made = viewed(photos.heif(tmp_path / name), toolbox, tmp_path)
    assert found.format_name == format_name
    assert (found.streams[0].width, found.streams[0].height) == (320, 240)
    assert are_alike(made.path, footage.still(tmp_path / "same.png", size=(320, 240)))
    assert made.recipe["before"][0]["tool"].startswith("heif-convert 1.")
    json.dumps(made.recipe)


@pytest.mark.parametrize(("name", "make"), photos.RAW.items(), ids=list(photos.RAW))
def test_raw_photos_show_their_preview(
    name: str, make: Callable[[Path], Path], toolbox: Toolbox, tmp_path: Path
) -> None:
    found, made = viewed(make(tmp_path / name), toolbox, tmp_path)
    assert found.format_name == "raw"
    assert (made.probe.streams[0].width, made.probe.streams[0].height) == (320, 240)
    assert are_alike(made.path, footage.still(tmp_path / "same.png", size=(320, 240)))
    assert made.recipe["before"][0]["arguments"][0] == "exiftool"


def test_a_preview_is_turned_as_the_photo_says(toolbox: Toolbox, tmp_path: Path) -> None:
    _, made = viewed(photos.dng(tmp_path / "a.dng", orientation=6), toolbox, tmp_path)
    assert (made.probe.streams[0].width, made.probe.streams[0].height) == (240, 320)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.bmp", "a.tiff"])
def test_other_photos(name: str, toolbox: Toolbox, tmp_path: Path) -> None:
    _, made = viewed(footage.still(tmp_path / name, size=(320, 240)), toolbox, tmp_path)
    assert are_alike(made.path, footage.still(tmp_path / "same.png", size=(320, 240)))


def test_a_file_of_several_pictures_shows_its_first(toolbox: Toolbox, tmp_path: Path) -> None:
    found, made = viewed(photos.multi_picture(tmp_path / "a.mpo"), toolbox, tmp_path)
    assert found.format_name == "jpeg_pipe"
    assert (made.probe.streams[0].width, made.probe.streams[0].height) == (320, 240)


def test_a_raw_photo_without_preview_says_so(toolbox: Toolbox, tmp_path: Path) -> None:
    path = photos.dng(tmp_path / "a.dng")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\xff\xd8\xff", b"\0\0\0", 1))
    with pytest.raises(Unplayable) as caught:
        viewed(path, toolbox, tmp_path)
    assert caught.value.facts["reason"] == "media.no_preview"


def test_a_program_that_is_missing_is_named(toolbox: Toolbox, tmp_path: Path) -> None:
    path = photos.dng(tmp_path / "a.dng")
    with pytest.raises(Unplayable) as caught:
        viewed(path, replace(toolbox, exiftool=None), tmp_path)
    assert caught.value.facts["reason"] == "media.tool_missing"
    assert "libimage-exiftool-perl" in caught.value.message


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("bomb.heic", hostile.heif_bomb),
        ("bomb.tiff", hostile.tiff_bomb),
        ("bomb.jpg", hostile.jpeg_bomb),
        ("bomb.gif", hostile.gif_bomb),
        ("bomb.bmp", hostile.bmp_bomb),
        ("bomb.webp", hostile.webp_bomb),
    ],
)
def test_bombs_are_refused_by_what_they_declare(
    name: str, make: Callable[[Path], Path], toolbox: Toolbox, tmp_path: Path
) -> None:
    path = make(tmp_path / name)
    assert path.stat().st_size < 2000
    found = probe(path, toolbox=toolbox)
    assert [finding.code for finding in found.findings] == ["media.picture_too_large"]


@has_heif
@pytest.mark.parametrize("seed", range(4))
def test_broken_photos_end_with_an_answer(seed: int, toolbox: Toolbox, tmp_path: Path) -> None:
    whole = photos.heif(tmp_path / "a.heic") if seed % 2 else photos.dng(tmp_path / "a.dng")
    path = hostile.flipped(whole, tmp_path / "broken", bits=200, after=0.02, seed=seed)
    found = probe(path, toolbox=toolbox)
    try:
        ended = make_playable(path, toolbox=toolbox, out=tmp_path, probe=found).media_type
    except Unplayable as exc:
        ended = str(exc.facts["reason"])
    assert ended in {"image/jpeg", "video/mp4"} or ended.startswith("media.")


# ---- what the program leaves behind ---------------------------------------------------------------------------------


def test_a_result_that_is_a_link_or_no_picture_is_not_followed(toolbox: Toolbox, tmp_path: Path) -> None:
    whole = footage.still(tmp_path / "whole.jpg")
    (tmp_path / "link.jpg").symlink_to(whole)
    (tmp_path / "text.jpg").write_text("secret", encoding="utf-8")
    (tmp_path / "bomb.jpg").write_bytes(hostile.jpeg_head(65535, 65535))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    assert _looked_at(whole) is not None
    for name in ("link", "text", "bomb", "empty", "folder", "none"):
        assert _looked_at(tmp_path / f"{name}.jpg") is None, name


def test_what_lay_in_the_folder_before_counts_for_nothing(toolbox: Toolbox, tmp_path: Path) -> None:
    path = photos.cr2(tmp_path / "a.cr2")
    found = probe(path, toolbox=toolbox)
    developed = develop(path, toolbox=toolbox, out=tmp_path, probe=found)
    again = develop(path, toolbox=toolbox, out=tmp_path, probe=found)
    assert developed == again

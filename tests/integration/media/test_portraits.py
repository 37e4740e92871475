"""Portraits out of strangers' pictures: one size, upright, nothing of the source's own, and no other kind of file."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.kernel.errors import InvalidInput
from ingest.media.portraits import HEIGHT, MOST_BYTES, WIDTH, PortraitUnusable, make_portrait
from ingest.media.probe import probe
from ingest.media.tools import Toolbox
from tests.support import footage, hostile, photos


def portrait(data: bytes, toolbox: Toolbox, folder: Path) -> bytes:
    made = make_portrait(data, toolbox=toolbox, work=folder / "work")
    assert list((folder / "work").iterdir()) == [], "nothing stays behind"
    path = folder / "made.jpg"
    path.write_bytes(made)
    found = probe(path, toolbox=toolbox)
    assert (found.format_name, found.streams[0].width, found.streams[0].height) == ("jpeg_pipe", WIDTH, HEIGHT)
    return made


def colour(jpeg: bytes, x: int, y: int) -> tuple[int, int, int]:
    """Return the colour at a place, as ffmpeg decodes it."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "-", "-vf", f"crop=2:2:{x}:{y},format=rgb24", "-f", "rawvideo", "-"],
        input=jpeg,
        capture_output=True,
        check=True,
    ).stdout
    return raw[0], raw[1], raw[2]


@pytest.mark.parametrize(("name", "size"), [("a.jpg", (640, 480)), ("a.png", (480, 640)), ("b.png", (97, 300))])
def test_any_size_becomes_the_one_size(toolbox: Toolbox, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    data = footage.still(tmp_path / name, size=size).read_bytes()
    assert portrait(data, toolbox, tmp_path) == portrait(data, toolbox, tmp_path)


def test_it_stands_upright_and_says_nothing_of_its_camera(toolbox: Toolbox, tmp_path: Path) -> None:
    plain = tmp_path / "plain.jpg"
    footage.ffmpeg("-f", "lavfi", "-i", "color=red:size=400x300", "-vf", "drawbox=w=200:color=blue:t=fill",
                   "-frames:v", "1", "-update", "1", plain)  # fmt: skip
    data = plain.read_bytes()
    turned = data[:2] + hostile.exif_segment(orientation=6) + data[2:]
    made = portrait(turned, toolbox, tmp_path)
    assert b"Exif" not in made
    assert b"Lavc" not in made
    red, _, blue = colour(made, WIDTH // 2, 40)  # what was on the left is above now
    assert blue > 200 > red
    red, _, blue = colour(made, WIDTH // 2, HEIGHT - 40)
    assert red > 200 > blue


def test_what_is_transparent_is_white(toolbox: Toolbox, tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    footage.ffmpeg(
        "-f", "lavfi", "-i", "color=black@0.0:size=200x300,format=rgba", "-frames:v", "1", "-update", "1", path
    )
    assert min(colour(portrait(path.read_bytes(), toolbox, tmp_path), WIDTH // 2, HEIGHT // 2)) > 245


REFUSED: dict[str, Callable[[Path], bytes]] = {
    "nothing": lambda folder: b"",
    "text": lambda folder: b"a portrait, honestly",
    "too large": lambda folder: photos.jpeg(folder) + bytes(MOST_BYTES),
    "too small": lambda folder: footage.still(folder / "s.png", size=(90, 300)).read_bytes(),
    "a tiff": lambda folder: footage.still(folder / "s.tiff", size=(320, 240)).read_bytes(),
    "an svg": lambda folder: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "a film": lambda folder: footage.make_clip(folder / "s.mp4", seconds=1).read_bytes(),
    "a header only": lambda folder: photos.jpeg(folder)[:400],
    "a page that begins as a png": lambda folder: b"\x89PNG\r\n\x1a\n<html>",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_portrait_is_refused(toolbox: Toolbox, tmp_path: Path, what: str) -> None:
    with pytest.raises(PortraitUnusable) as caught:
        make_portrait(REFUSED[what](tmp_path), toolbox=toolbox, work=tmp_path / "work")
    assert isinstance(caught.value, InvalidInput)
    assert list((tmp_path / "work").iterdir() if (tmp_path / "work").exists() else []) == []

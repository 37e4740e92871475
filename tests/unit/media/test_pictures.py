"""What pictures declare is read without decoding them."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.media.pictures import Declared, declared
from tests.support import hostile

TAKEN = "2026:03:02 09:30:00+08:00"
SOF = b"\xff\xc0" + struct.pack(">HBHH", 11, 8, 480, 640) + b"\1\1\x11\0"
JPEG = b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9) + SOF


def jpeg_with(segment: bytes) -> bytes:
    return JPEG[:2] + segment + JPEG[2:]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("png_pipe", hostile.png(100_000, 100_000), Declared(100_000, 100_000)),
        ("gif", b"GIF89a" + struct.pack("<HH", 7, 5), Declared(7, 5)),
        ("bmp_pipe", b"BM" + bytes(16) + struct.pack("<ii", 7, -5), Declared(7, 5)),
        ("webp_pipe", b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + b"\x3f\2\0\xdf\1\0", Declared(576, 480)),
        ("webp_pipe", b"RIFF" + bytes(4) + b"WEBPVP8L" + bytes(4) + b"\x2f\x3f\xc2\x77\0", Declared(576, 480)),
        ("webp_pipe", b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(10) + struct.pack("<HH", 640, 480), Declared(640, 480)),
        ("jpeg_pipe", JPEG, Declared(640, 480)),
        (
            "jpeg_pipe",
            jpeg_with(hostile.exif_segment(orientation=6)),
            Declared(640, 480, 6, TAKEN),
        ),
        ("jpeg_pipe", jpeg_with(hostile.exif_segment(orientation=77)), Declared(640, 480, 1, TAKEN)),
        ("jpeg_pipe", b"\xff\xd8\xff\xff" + SOF, Declared(640, 480)),
        ("jpeg_pipe", b"\xff\xd8\xff\xda\0\2", None),
        ("jpeg_pipe", b"\xff\xd8\xff", None),
        ("jpeg_pipe", b"\xff\xd8\0\0\0\0", None),
        ("png_pipe", b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IDAT", None),
        ("gif", b"GIF8", None),
        ("webp_pipe", b"RIFF" + bytes(4) + b"WEBPJUNK", None),
        ("mov", bytes(64), None),
    ],
)  # fmt: skip
def test_declared_size(name: str, data: bytes, expected: Declared | None) -> None:
    assert declared(io.BytesIO(data), format_name=name) == expected


@given(
    name=st.sampled_from(("png_pipe", "gif", "bmp_pipe", "webp_pipe", "jpeg_pipe")),
    start=st.sampled_from(
        (b"", jpeg_with(hostile.exif_segment(orientation=3)), hostile.png(3, 3), b"RIFF0000WEBPVP8X")
    ),
    tail=st.binary(max_size=200),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
)
def test_no_bytes_break_it(name: str, start: bytes, tail: bytes, flips: list[tuple[int, int]]) -> None:
    data = bytearray(start + tail)
    for at, value in flips:
        if at < len(data):
            data[at] = value
    found = declared(io.BytesIO(bytes(data)), format_name=name)
    assert found is None or (found.width >= 0 and found.height >= 0 and 1 <= found.orientation <= 8)

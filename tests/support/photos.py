"""Photos as phones and cameras write them: HEIC, AVIF, several pictures in one file, and raw ones with a preview.

The raw files are made byte by byte: their headers are those of the makers, their sensor data is a few zeros.
"""

import shutil
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import footage

_SHORT, _LONG, _ASCII, _BYTE = 3, 4, 2, 1
Entry = tuple[int, int, Sequence[int] | bytes]
TAKEN = b"2026:03:02 09:30:00\0"


def has_heif_encoder() -> bool:
    """Return whether HEIC and AVIF can be made here."""
    return shutil.which("heif-enc") is not None


def heif(path: Path, *, size: tuple[int, int] = (320, 240)) -> Path:
    """Make a HEIC or AVIF; the format follows the name."""
    plain = footage.still(path.with_suffix(".plain.png"), size=size)
    footage.run("heif-enc", *(("-A",) if path.suffix == ".avif" else ()), plain, "-o", path)
    plain.unlink()
    return path


def jpeg(folder: Path, *, size: tuple[int, int] = (320, 240)) -> bytes:
    """Return the bytes of a JPEG without EXIF."""
    path = footage.still(folder / "preview.jpg", size=size)
    data = path.read_bytes()
    path.unlink()
    return data


def multi_picture(path: Path) -> Path:
    """Make an MPO: two JPEGs in one file, the second the other eye of a stereo camera."""
    first = jpeg(path.parent)
    index = b"MPF\0" + b"II*\0\x08\0\0\0" + bytes(90)
    path.write_bytes(first[:2] + b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index + first[2:] + first)
    return path


def dng(path: Path, *, orientation: int = 1) -> Path:
    """Make a DNG: sensor data in the first folder of tags, a JPEG preview in a folder below it."""
    picture = jpeg(path.parent)
    preview: list[Entry] = [(254, _LONG, [1]), (256, _LONG, [320]), (257, _LONG, [240]), (259, _SHORT, [7])]
    path.write_bytes(
        _tiff(
            [
                (254, _LONG, [0]),
                (256, _LONG, [64]),
                (257, _LONG, [48]),
                (259, _SHORT, [1]),
                (271, _ASCII, b"Liuhen\0"),
                (272, _ASCII, b"Camera\0"),
                (274, _SHORT, [orientation]),
                (306, _ASCII, TAKEN),
                (50706, _BYTE, b"\1\4\0\0"),
            ],
            sensor=bytes(64 * 48),
            below=preview,
            below_data=picture,
        )
    )
    return path


def nef(path: Path) -> Path:
    """Make a NEF (Nikon): the preview stands where old JPEG readers look for it."""
    return _with_maker(path, maker=b"NIKON CORPORATION\0", model=b"NIKON D90\0")


def arw(path: Path) -> Path:
    """Make an ARW (Sony)."""
    return _with_maker(path, maker=b"SONY\0", model=b"ILCE-7M3\0")


def cr2(path: Path) -> Path:
    """Make a CR2 (Canon): the first folder of tags is the preview itself."""
    picture = jpeg(path.parent)
    entries: list[Entry] = [
        (256, _SHORT, [320]),
        (257, _SHORT, [240]),
        (259, _SHORT, [6]),
        (271, _ASCII, b"Canon\0"),
        (272, _ASCII, b"Canon EOS R\0"),
        (274, _SHORT, [1]),
        (306, _ASCII, TAKEN),
    ]
    data = bytearray(_tiff(entries, sensor=picture, first=16))
    data[8:12] = b"CR\2\0"
    path.write_bytes(data)
    return path


def raf(path: Path) -> Path:
    """Make a RAF (Fujifilm): a header that names the place of a JPEG."""
    picture = jpeg(path.parent)
    head = b"FUJIFILMCCD-RAW 0201FF383501" + b"X-T3".ljust(32, b"\0") + b"0100" + bytes(20)
    path.write_bytes(head + struct.pack(">II", 160, len(picture)) + bytes(160 - len(head) - 8) + picture)
    return path


RAW: Mapping[str, Callable[[Path], Path]] = {
    "photo.dng": dng,
    "photo.nef": nef,
    "photo.arw": arw,
    "photo.cr2": cr2,
    "photo.raf": raf,
}


def _with_maker(path: Path, *, maker: bytes, model: bytes) -> Path:
    picture = jpeg(path.parent)
    entries: list[Entry] = [
        (254, _LONG, [1]),
        (256, _LONG, [64]),
        (257, _LONG, [48]),
        (259, _SHORT, [1]),
        (271, _ASCII, maker),
        (272, _ASCII, model),
        (274, _SHORT, [1]),
        (306, _ASCII, TAKEN),
    ]
    preview: list[Entry] = [(254, _LONG, [1]), (259, _SHORT, [6])]
    path.write_bytes(_tiff(entries, sensor=bytes(64 * 48), below=preview, below_data=picture, is_interchange=True))
    return path


def _tiff(
    entries: Sequence[Entry],
    *,
    sensor: bytes,
    below: Sequence[Entry] | None = None,
    below_data: bytes = b"",
    is_interchange: bool = False,
    first: int = 8,
) -> bytes:
    """Return a TIFF with one folder of tags, and one below it whose picture is `below_data`."""
    top = [*entries, (273, _LONG, [0]), (279, _LONG, [len(sensor)])]
    if below is not None:
        top.append((330, _LONG, [0]))
    at = first + _folder_bytes(top)
    places = {273: at}
    at += len(sensor)
    out = sensor
    if below is not None:
        where, length = (513, 514) if is_interchange else (273, 279)
        inner = [*below, (where, _LONG, [0]), (length, _LONG, [len(below_data)])]
        places[330] = at + at % 2
        out += bytes(at % 2)
        out += _folder(inner, places[330], {where: places[330] + _folder_bytes(inner)}) + below_data
    return struct.pack("<2sHI", b"II", 42, first) + bytes(first - 8) + _folder(top, first, places) + out


def _folder_bytes(entries: Sequence[Entry]) -> int:
    return 6 + 12 * len(entries) + sum(len(value) + len(value) % 2 for _, _, value in entries if _is_apart(value))


def _is_apart(value: Sequence[int] | bytes) -> bool:
    return isinstance(value, bytes) and len(value) > 4


def _folder(entries: Sequence[Entry], start: int, places: Mapping[int, int]) -> bytes:
    apart = start + 6 + 12 * len(entries)
    body, texts = b"", b""
    for tag, kind, value in sorted(entries):
        if isinstance(value, bytes):
            inline = value.ljust(4, b"\0") if not _is_apart(value) else struct.pack("<I", apart + len(texts))
            texts += value + bytes(len(value) % 2) if _is_apart(value) else b""
            count = len(value)
        else:
            inline = struct.pack("<I", places.get(tag, value[0]))
            count = 1
        body += struct.pack("<HHI4s", tag, kind, count, inline)
    return struct.pack("<H", len(entries)) + body + bytes(4) + texts

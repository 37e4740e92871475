"""Read what a picture declares about itself, without decoding it: size, orientation, when it was taken.

Why not ffprobe: it decodes to learn the size, and a bomb of a few bytes declares gigapixels.
Source: PNG (ISO 15948) 11.2.2; GIF89a 18; RFC 9649 (WebP); JPEG (ITU-T T.81) B.2.2; EXIF 2.32 sections 4.6.2, 4.6.5;
TIFF 6.0 section 2; DNG 1.4 chapter 2; ISO/IEC 23008-12 (HEIF) section 6.5.3.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

_SCAN_BYTES: Final = 4 * 1024 * 1024
_SIZED_MARKERS: Final = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_ORIENTATION: Final = 0x0112
_TAKEN_AT: Final = 0x9003
_TAKEN_OFFSET: Final = 0x9011
_EXIF_FOLDER: Final = 0x8769
_MOST_ENTRIES: Final = 512
_IS_REDUCED: Final = 0x00FE
_WIDTH: Final = 0x0100
_HEIGHT: Final = 0x0101
_MAKE: Final = 0x010F
_FOLDERS_BELOW: Final = 0x014A
_DNG_VERSION: Final = 0xC612
_LEAST_IN_A_ROW: Final = 3
_MOST_SEGMENTS: Final = 1000
_ITEM_SIZE: Final = b"ispe"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a picture says of itself. Units: pixels; orientation 1 to 8 as in EXIF; `taken_at` as written."""

    width: int
    height: int
    orientation: int = 1
    taken_at: str = ""


def declared(source: BinaryIO, *, format_name: str) -> Declared | None:
    """Return the declared facts, or None when the head is broken. `format_name` is a key of the allow-list."""
    source.seek(0)
    head = source.read(64)
    try:
        if format_name in _WHOLE:
            source.seek(0)
            return _WHOLE[format_name](source.read(_SCAN_BYTES))
        return _HEADS[format_name](head) if format_name in _HEADS else None
    except (struct.error, IndexError):
        return None


def _png(head: bytes) -> Declared | None:
    return Declared(*struct.unpack_from(">II", head, 16)) if head[12:16] == b"IHDR" else None


def _gif(head: bytes) -> Declared:
    return Declared(*struct.unpack_from("<HH", head, 6))


def _bmp(head: bytes) -> Declared:
    width, height = struct.unpack_from("<ii", head, 18)
    return Declared(abs(width), abs(height))


def _webp(head: bytes) -> Declared | None:
    match head[12:16]:
        case b"VP8X":
            return Declared(1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little"))
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return Declared(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return Declared(width & 0x3FFF, height & 0x3FFF)
        case _:
            return None


_HEADS: Final[Mapping[str, Callable[[bytes], Declared | None]]] = {
    "png_pipe": _png,
    "gif": _gif,
    "bmp_pipe": _bmp,
    "webp_pipe": _webp,
}


def _jpeg(data: bytes) -> Declared | None:
    """Walk the markers up to the frame header. The first frame header counts: decoders follow it too."""
    orientation, taken_at = 1, ""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in {0xFF, 0x01} or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if marker in _SIZED_MARKERS:
            height, width = struct.unpack_from(">HH", body, 1)
            return Declared(width, height, orientation, taken_at)
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation, taken_at = _exif(body[6:])
        if marker in {0xD9, 0xDA} or size < 2:
            return None
        at += 2 + size
    return None


def _tiff(data: bytes) -> Declared | None:
    order = _order(data)
    if order is None:
        return None
    entries = _entries(data, order, struct.unpack_from(order + "I", data, 4)[0])
    orientation, taken = _exif(data)
    return Declared(_number(entries, order, _WIDTH), _number(entries, order, _HEIGHT), orientation, taken)


def _raw(data: bytes) -> Declared:
    """Return what the head of a raw photo says of how it stands; its size is that of the preview, which is apart."""
    return Declared(0, 0, *_exif(data))


def _heif(data: bytes) -> Declared | None:
    """Return the size of the largest picture in the file: a box of each states it. The decoder turns it upright."""
    sizes: list[tuple[int, int]] = []
    exif = data.find(b"Exif\0\0")
    taken_at = _exif(data[exif + 6 :])[1] if exif != -1 else ""
    at = data.find(_ITEM_SIZE)
    while at != -1 and len(sizes) < _MOST_SEGMENTS:
        if at + 16 <= len(data):
            sizes.append(struct.unpack_from(">II", data, at + 8))
        at = data.find(_ITEM_SIZE, at + 4)
    if not sizes:
        return None
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Declared(width, height, taken_at=taken_at)


_WHOLE: Final[Mapping[str, Callable[[bytes], Declared | None]]] = {
    "jpeg_pipe": _jpeg,
    "tiff_pipe": _tiff,
    "raw": _raw,
    "heic": _heif,
    "avif": _heif,
}


def is_raw(head: bytes) -> bool:
    """Return whether a TIFF is a camera's raw photo: the picture that people look at is a preview in it."""
    order = _order(head)
    if order is None:
        return False
    try:
        entries = _entries(head, order, struct.unpack_from(order + "I", head, 4)[0])
    except struct.error:
        return False
    is_cameras = _MAKE in entries and (_FOLDERS_BELOW in entries or _number(entries, order, _IS_REDUCED) & 1 == 1)
    return head[8:10] == b"CR" or _DNG_VERSION in entries or is_cameras


def pictures_in_a_row(data: bytes) -> bool:
    """Return whether JPEGs of one size follow each other without anything between: footage, not a photo."""
    sizes: list[tuple[int, int]] = []
    at = 0
    while len(sizes) < _LEAST_IN_A_ROW and data.startswith(b"\xff\xd8\xff", at):
        end = _end_of_jpeg(data, at)
        found = _jpeg(data[at:end]) if end else None
        if found is None:
            return False
        sizes.append((found.width, found.height))
        at = end
    return len(sizes) == _LEAST_IN_A_ROW and len(set(sizes)) == 1


def _end_of_jpeg(data: bytes, start: int) -> int:
    """Return where the JPEG that begins at `start` ends, 0 where its end is not in `data`."""
    at = start + 2
    for _ in range(_MOST_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            return 0
        if data[at + 1] == 0xDA:
            return data.find(b"\xff\xd9", at) + 2 if data.find(b"\xff\xd9", at) != -1 else 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _order(tiff: bytes) -> str | None:
    return {b"II": "<", b"MM": ">"}.get(tiff[:2])


def _number(entries: Mapping[int, tuple[int, int, bytes]], order: str, tag: int) -> int:
    """Return a value that stands in its entry as a short or a long, 0 where there is none."""
    if tag not in entries:
        return 0
    kind, _, value = entries[tag]
    return int(struct.unpack_from(order + ("H" if kind == 3 else "I"), value)[0])


def _exif(tiff: bytes) -> tuple[int, str]:
    order = _order(tiff)
    if order is None:
        return 1, ""
    try:
        first = _entries(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
        orientation = struct.unpack_from(
            order + "H", first.get(_ORIENTATION, (0, 0, b"\1\0" if order == "<" else b"\0\1"))[2]
        )[0]
        inner: dict[int, tuple[int, int, bytes]] = {}
        if _EXIF_FOLDER in first:
            inner = _entries(tiff, order, struct.unpack(order + "I", first[_EXIF_FOLDER][2])[0])
        taken = _text(tiff, order, inner.get(_TAKEN_AT)) + _text(tiff, order, inner.get(_TAKEN_OFFSET))
    except struct.error:
        return 1, ""
    return (orientation if 1 <= orientation <= 8 else 1), taken


def _entries(tiff: bytes, order: str, at: int) -> dict[int, tuple[int, int, bytes]]:
    """Return tag -> (type, count, the four value bytes) of one folder of tags."""
    count = min(struct.unpack_from(order + "H", tiff, at)[0], _MOST_ENTRIES)
    found: dict[int, tuple[int, int, bytes]] = {}
    for number in range(count):
        tag, kind, amount, value = struct.unpack_from(order + "HHI4s", tiff, at + 2 + 12 * number)
        found.setdefault(tag, (kind, amount, value))
    return found


def _text(tiff: bytes, order: str, entry: tuple[int, int, bytes] | None) -> str:
    if entry is None or entry[0] != 2 or not 5 <= entry[1] <= 64:
        return ""
    at = struct.unpack(order + "I", entry[2])[0]
    raw = tiff[at : at + entry[1]].split(b"\0")[0]
    return raw.decode("ascii", "ignore").strip()

"""What an MP4 or QuickTime file says of itself, read without ffmpeg: a few boxes' heads, never samples.

Damaged files say less, nothing fails. What the dock reads is a hint that travels with the recording; the archive probes
the bytes itself. Source: ISO/IEC 14496-12 sections 4.2, 4.3, 8.2.2.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final

from archive.kernel.instants import format_instant

_MOST_BOXES: Final = 256
_EPOCH: Final = datetime(1904, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""A camera without a clock writes 0 or 1970."""
_MOST_S: Final = 300 * 366 * 86_400


def container_tags(source: BinaryIO, *, size_bytes: int) -> dict[str, str]:
    """Return `major_brand` and `creation_time`, as far as the file has them."""
    tags: dict[str, str] = {}
    try:
        for name, start, end in _boxes(source, 0, size_bytes):
            if name == b"ftyp" and "major_brand" not in tags:
                source.seek(start)
                brand = source.read(4)
                if len(brand) == 4 and all(0x20 <= byte < 0x7F for byte in brand):
                    tags["major_brand"] = brand.decode("ascii")
            elif name == b"moov":
                tags |= _creation_time(source, start, end)
                break
    except (OSError, struct.error, ValueError):
        return tags
    return tags


def _creation_time(source: BinaryIO, start: int, end: int) -> dict[str, str]:
    for name, body, _ in _boxes(source, start, end):
        if name == b"mvhd":
            source.seek(body)
            head = source.read(12)
            seconds = struct.unpack_from(">Q" if head[:1] == b"\x01" else ">I", head, 4)[0]
            created = _EPOCH + timedelta(seconds=min(seconds, _MOST_S))
            return {"creation_time": format_instant(created)} if created > _EARLIEST and seconds < _MOST_S else {}
    return {}


def _boxes(source: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the bodies of the boxes that lie in a stretch of the file."""
    at = start
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        source.seek(at)
        head = source.read(16)
        size, name = struct.unpack_from(">I4s", head)
        body = at + 8
        if size == 1:
            size, body = struct.unpack_from(">Q", head, 8)[0], at + 16
        elif size == 0:
            size = end - at
        if size < body - at or not all(byte >= 0x20 for byte in name):
            return
        yield name, body, min(at + size, end)
        at += size

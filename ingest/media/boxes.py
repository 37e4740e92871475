"""Walk the boxes of an MP4 or QuickTime file: is it whole, and is its timeline without gaps.

Reads sizes and two small tables, never samples; memory is bounded whatever the file claims.
Source: ISO/IEC 14496-12 sections 4.2, 8.4.2, 8.4.3, 8.6.1.2, 8.6.6.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_MOST_BOXES: Final = 4096
_MOST_TABLE_BYTES: Final = 64 * 1024 * 1024
GAP_MS: Final = 500
_MOST_GAPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Layout:
    """The top level of a file. Units: bytes. `missing_bytes`: what the last box declares beyond the end."""

    has_index: bool
    missing_bytes: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a track without data. Units: milliseconds from the start of the recording."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Track:
    """One track's timeline as its tables tell it. Units: milliseconds. `handler` is `vide`, `soun` or other."""

    handler: str
    start_ms: int
    end_ms: int
    samples: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """One box: where its body begins and where the box ends. Units: bytes from the start of the file."""

    name: bytes
    start: int
    end: int


def layout(path: Path) -> Layout:
    """Return whether the file has an index, and how many declared bytes are not there."""
    size = path.stat().st_size
    has_index, missing = False, 0
    with path.open("rb") as source:
        for box in boxes_within(source, 0, size):
            has_index = has_index or box.name in {b"moov", b"moof"}
            missing = max(missing, box.end - size)
    return Layout(has_index, missing)


def tracks(path: Path) -> tuple[Track, ...]:
    """Return the timeline of every track of a progressive MP4; empty when its index is broken."""
    found: list[Track] = []
    size = path.stat().st_size
    try:
        with path.open("rb") as source:
            for movie in named(source, Box(b"", 0, size), b"moov"):
                scale = _time_scale(source, movie, b"mvhd")
                found += [_track(source, box, scale) for box in named(source, movie, b"trak")]
    except (struct.error, ZeroDivisionError):
        return ()
    return tuple(found)


def boxes_within(source: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `start`, at most 4096 of them; stop where a size makes no sense."""
    at = start
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        source.seek(at)
        head = source.read(16)
        if len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        body = at + 8
        if size == 1 and len(head) == 16:
            size, body = struct.unpack_from(">Q", head, 8)[0], at + 16
        elif size == 0:
            size = end - at
        if size < body - at:
            return
        yield Box(name, body, at + size)
        at += size


def named(source: BinaryIO, parent: Box, name: bytes) -> Iterator[Box]:
    """Yield the boxes of this name right inside `parent`, whole ones only."""
    for box in boxes_within(source, parent.start, parent.end):
        if box.name == name and box.end <= parent.end:
            yield box


def at_path(source: BinaryIO, parent: Box, *names: bytes) -> Box | None:
    """Return the first box down this path, or None."""
    box: Box | None = parent
    for name in names:
        box = next(named(source, box, name), None) if box is not None else None
    return box


def read_body(source: BinaryIO, box: Box | None) -> bytes:
    """Return the body of a box, at most 64 MiB of it; nothing for None."""
    if box is None:
        return b""
    source.seek(box.start)
    return source.read(min(box.end - box.start, _MOST_TABLE_BYTES))


def _time_scale(source: BinaryIO, parent: Box, name: bytes) -> int:
    data = read_body(source, at_path(source, parent, name))
    return int(struct.unpack_from(">I", data, 20 if data[:1] == b"\1" else 12)[0])


def _track(source: BinaryIO, box: Box, movie_scale: int) -> Track:
    media = next(named(source, box, b"mdia"), box)
    scale = _time_scale(source, media, b"mdhd")
    handler = read_body(source, at_path(source, media, b"hdlr"))[8:12].decode("latin-1")
    table = read_body(source, at_path(source, media, b"minf", b"stbl", b"stts"))
    count = min(struct.unpack_from(">I", table, 4)[0], (len(table) - 8) // 8)
    runs = list(struct.iter_unpack(">II", table[8 : 8 + 8 * count]))
    start_ms = _start_ms(read_body(source, at_path(source, box, b"edts", b"elst")), movie_scale)
    return Track(
        handler=handler,
        start_ms=start_ms,
        end_ms=start_ms + sum(amount * delta for amount, delta in runs) * 1000 // scale,
        samples=sum(amount for amount, _ in runs),
        gaps=_gaps(runs, scale=scale, start_ms=start_ms),
    )


def _start_ms(table: bytes, movie_scale: int) -> int:
    """Return how long the track waits before it begins: the first, empty edit."""
    if len(table) < 20:
        return 0
    wide = table[0] == 1
    length, media_time = struct.unpack_from(">Qq" if wide else ">Ii", table, 8)
    return int(length) * 1000 // movie_scale if media_time == -1 else 0


def _gaps(runs: list[tuple[int, int]], *, scale: int, start_ms: int) -> tuple[Gap, ...]:
    """Return samples that last over half a second and over three times the track's usual sample."""
    weights: Counter[int] = Counter()
    for amount, delta in runs:
        weights[delta] += amount
    usual = weights.most_common(1)[0][0] if weights else 0
    limit = max(GAP_MS * scale // 1000, 3 * usual)
    gaps: list[Gap] = []
    at = 0
    for amount, delta in runs:
        if delta > limit:
            for number in range(min(amount, _MOST_GAPS - len(gaps))):
                begins = at + number * delta
                gaps.append(
                    Gap(start_ms + (begins + usual) * 1000 // scale, start_ms + (begins + delta) * 1000 // scale)
                )
        at += amount * delta
    return tuple(gaps)

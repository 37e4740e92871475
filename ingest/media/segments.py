"""Segments of a recording that plays while it is encoded: where each begins, which pictures it holds, their playlist.

Every segment begins with a picture that needs no other, two seconds after the one before by the recording's own time,
counted from its first picture. Times are ticks, which hold every usual frame rate without rounding.
"""

import io
import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

from ingest.media.boxes import Box, at_path, boxes_within, named, read_body
from ingest.media.facts import Probe

TICKS_PER_S: Final = 90_000
SEGMENT_S: Final = 2
SEGMENT_TICKS: Final = SEGMENT_S * TICKS_PER_S
INIT: Final = "init.mp4"
HOLE: Final = "hole"
"""What a playlist names where nothing was recorded; nobody asks for it."""
PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
_VIDEO_TRACK: Final = 1
# Bit rates that were measured as far as a run had come; no decoder needs them.
# Source: ISO/IEC 14496-12 section 8.5.2 (btrt), ISO/IEC 14496-1 section 7.2.6.6 (the decoder's part of esds).
_MEASURED: Final = re.compile(rb"(btrt)(.{12})|(\x04\x80\x80\x80[\x00-\x7f]\x40\x15)(.{11})", re.DOTALL)
_MOST_PICTURES: Final = 100_000
# Source: ISO/IEC 14496-12 sections 8.8.7 and 8.8.8: which optional fields there are, and how long each is.
_HEAD_FIELDS: Final = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))
_DEFAULT_DURATION: Final = 0x8
_RUN_FIELDS: Final = ((0x1, 4), (0x4, 4))
_SAMPLE_FIELDS: Final = (0x100, 0x200, 0x400, 0x800)


def segment_name(number: int) -> str:
    """Return the name of a segment's file."""
    return f"{number}.m4s"


def segment_number(name: str) -> int | None:
    """Return the number of the segment that a file's name tells, None for other names."""
    stem, _, suffix = name.rpartition(".")
    return int(stem) if suffix == "m4s" and stem.isascii() and stem.isdigit() and len(stem) < 8 else None


def segment_at(ticks: int, *, origin: int) -> int:
    """Return the number of the segment in which a moment lies; `origin` is the time of the first picture."""
    return (ticks - origin) // SEGMENT_TICKS


def segment_start(number: int, *, origin: int) -> int:
    """Return from when on pictures belong to a segment."""
    return origin + number * SEGMENT_TICKS


def segment_count(probe: Probe, *, origin: int) -> int | None:
    """Return how many segments there should be by what the container says; None where it does not say its length."""
    video = probe.video
    if video is None or not (video.duration_ms or probe.duration_ms):
        return None
    # A stream's own length begins with its first picture, the container's with the first of anything.
    length = Fraction(video.duration_ms or 0, 1000)
    if not length:
        length = Fraction(probe.duration_ms or 0, 1000) - Fraction(origin, TICKS_PER_S)
    last = length - (1 / video.rate if video.rate else 0)
    return max(0, last // SEGMENT_S) + 1


def decoding_head(head: bytes) -> bytes:
    """Return what of a head tells how to decode: equal for segments that one head will do for."""
    return _MEASURED.sub(lambda found: (found[1] or found[3]) + bytes(len(found[2] or found[4])), head)


def first_time_us(head: bytes, segment: bytes) -> int:
    """Return when the first of anything in a segment begins, in microseconds: what ffmpeg counts as its start."""
    scales = dict(enumerate(_scales(io.BytesIO(head), len(head)), start=1))
    source = io.BytesIO(segment)
    starts = [
        Fraction(ticks * 1_000_000, scales[track])
        for fragment in named(source, Box(b"", 0, len(segment)), b"moof")
        for part in named(source, fragment, b"traf")
        for track, ticks in [_part_start(source, part)]
        if scales.get(track)
    ]
    return round(min(starts, default=Fraction(0)))


def _scales(source: BinaryIO, size_bytes: int) -> Iterator[int]:
    for movie in named(source, Box(b"", 0, size_bytes), b"moov"):
        for track in named(source, movie, b"trak"):
            clock = read_body(source, at_path(source, track, b"mdia", b"mdhd"))
            yield struct.unpack_from(">I", clock, 20 if clock[:1] == b"\1" else 12)[0]


def _part_start(source: BinaryIO, part: Box) -> tuple[int, int]:
    """Return the track of a fragment's part, and when it begins in the track's own ticks."""
    head = read_body(source, at_path(source, part, b"tfhd"))
    began = read_body(source, at_path(source, part, b"tfdt"))
    ticks = struct.unpack_from(">Q" if began[:1] == b"\1" else ">I", began, 4)[0]
    return struct.unpack_from(">I", head, 4)[0], ticks


def picture_times(path: Path) -> tuple[int, ...]:
    """Return when each picture of a segment is shown; empty for what is no segment with pictures. Units: ticks."""
    with path.open("rb") as source:
        return read_picture_times(source, path.stat().st_size)


def read_picture_times(source: BinaryIO, size_bytes: int) -> tuple[int, ...]:
    """Return when each picture of an open segment is shown; as `picture_times`."""
    return times_within(source, Box(b"", 0, size_bytes))


def times_within(source: BinaryIO, segment: Box) -> tuple[int, ...]:
    """Return when each picture is shown of a segment that is a part of an open file."""
    times: list[int] = []
    try:
        for fragment in named(source, segment, b"moof"):
            for part in named(source, fragment, b"traf"):
                times += _pictures(source, part)
    except (struct.error, OverflowError):
        return ()
    return tuple(times)


def _pictures(source: BinaryIO, part: Box) -> Iterator[int]:
    head = read_body(source, at_path(source, part, b"tfhd"))
    flags, track = struct.unpack_from(">II", head)
    if track != _VIDEO_TRACK:
        return
    usual = 0
    at = 8
    for flag, length in _HEAD_FIELDS:
        if flags & flag:
            usual = struct.unpack_from(">I", head, at)[0] if flag == _DEFAULT_DURATION else usual
            at += length
    _, ticks = _part_start(source, part)
    for run in boxes_within(source, part.start, part.end):
        if run.name == b"trun":
            for duration in _durations(read_body(source, run), usual):
                yield ticks
                ticks += duration


def _durations(run: bytes, usual: int) -> Iterator[int]:
    flags, count = struct.unpack_from(">II", run)
    at = 8 + sum(length for flag, length in _RUN_FIELDS if flags & flag)
    size = 4 * sum(1 for flag in _SAMPLE_FIELDS if flags & flag)
    for number in range(min(count, _MOST_PICTURES)):
        yield struct.unpack_from(">I", run, at + number * size)[0] if flags & _SAMPLE_FIELDS[0] else usual


def clip_last_picture(path: Path, *, longest: int, usual: int) -> bool:
    """Let the last picture of a segment be shown for as long as is `usual`, where it would be shown beyond `longest`.

    Before a hole in the recording it lasts until the next one, and browsers, which take a long picture for a slow
    stream, would begin to play up to twice as long before the segment. Returns whether it was. Units: ticks.
    """
    with path.open("r+b") as file:
        return clip_last(file, Box(b"", 0, path.stat().st_size), longest=longest, usual=usual)


def clip_last(file: BinaryIO, segment: Box, *, longest: int, usual: int) -> bool:
    """Do as `clip_last_picture` with a segment that is a part of an open file."""
    try:
        place = _last_duration(file, segment)
    except (struct.error, OverflowError):
        return False
    if place is None:
        return False
    file.seek(place)
    if struct.unpack(">I", file.read(4))[0] <= longest:
        return False
    file.seek(place)
    file.write(struct.pack(">I", usual))
    return True


def _last_duration(file: BinaryIO, segment: Box) -> int | None:
    """Return at which byte the duration of the last picture stands; None where there is none."""
    place = None
    for fragment in named(file, segment, b"moof"):
        for part in named(file, fragment, b"traf"):
            head = at_path(file, part, b"tfhd")
            flags, track = struct.unpack_from(">II", read_body(file, head))
            if track != _VIDEO_TRACK or head is None:
                continue
            usual = sum(length for flag, length in _HEAD_FIELDS if flags & flag and flag < _DEFAULT_DURATION)
            place = head.start + 8 + usual if flags & _DEFAULT_DURATION else None
            for run in named(file, part, b"trun"):
                flags, count = struct.unpack_from(">II", read_body(file, run))
                if count and flags & _SAMPLE_FIELDS[0]:
                    before = 8 + sum(length for flag, length in _RUN_FIELDS if flags & flag)
                    size = 4 * sum(1 for flag in _SAMPLE_FIELDS if flags & flag)
                    place = run.start + before + (count - 1) * size
    return place


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a playlist: a segment, or a hole in the recording (`number` is None)."""

    number: int | None
    seconds: Fraction


def entries(
    probe: Probe,
    count: int,
    *,
    origin: int,
    empty: Collection[int] = (),
    late: Mapping[int, int] | None = None,
    short: Mapping[int, int] | None = None,
) -> Sequence[Entry]:
    """Return the segments and holes of a recording from its start: right to the tick where pictures come evenly.

    `late` tells of segments whose first picture comes well after their start, `short` of those whose last one ends well
    before their end: after how many ticks. Segments in `empty` have no picture.
    """
    video = probe.video
    rate = video.rate if video is not None and not video.is_variable_rate else Fraction(0)
    there = [number for number in range(count) if number not in empty]
    starts = {
        number: number * SEGMENT_S + Fraction(late[number], TICKS_PER_S)
        if late and number in late
        else _first_picture(number, rate)
        for number in range(count)
    }
    first = Fraction(origin, TICKS_PER_S)
    last = max(Fraction(probe.duration_ms or 0, 1000) - first, starts[there[-1]] + Fraction(1, 10)) if there else first
    found: list[Entry] = []
    for number, following in zip(there, [*there[1:], None], strict=True):
        goes_on = last if following is None else starts[following]
        ends = starts.get(number + 1, last) if number + 1 != following and following is not None else goes_on
        if short and number in short:
            ends = min(goes_on, number * SEGMENT_S + Fraction(short[number], TICKS_PER_S))
        found.append(Entry(number, ends - starts[number] + (first if not found else 0)))
        if ends < goes_on and following is not None:
            found.append(Entry(None, goes_on - ends))
    return found


def _first_picture(number: int, rate: Fraction) -> Fraction:
    """Return when the first picture of a segment is shown, counted from the first of all."""
    start = Fraction(number * SEGMENT_S)
    return Fraction(-(-start * rate // 1)) / rate if rate else start


def playlist(listed: Sequence[Entry], *, folder: str, is_whole: bool = True) -> str:
    """Return the playlist of segments that lie in `folder`; players pass over holes. One that is not whole still grows.

    Source: RFC 8216 section 4; EXT-X-GAP of draft-pantos-hls-rfc8216bis section 4.4.4.7.
    """
    longest = max((-(-entry.seconds // 1) for entry in listed), default=SEGMENT_S)
    lines = [
        *("#EXTM3U", "#EXT-X-VERSION:8", f"#EXT-X-TARGETDURATION:{longest}", "#EXT-X-MEDIA-SEQUENCE:0"),
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if is_whole else 'EVENT'}",
        *("#EXT-X-INDEPENDENT-SEGMENTS", f'#EXT-X-MAP:URI="{folder}/{INIT}"'),
    ]
    for entry in listed:
        lines += [*(["#EXT-X-GAP"] if entry.number is None else []), f"#EXTINF:{float(entry.seconds):.6f},"]
        lines.append(f"{folder}/{HOLE if entry.number is None else segment_name(entry.number)}")
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if is_whole else [])]) + "\n"

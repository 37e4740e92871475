"""Segments of a recording that plays while it is encoded: where each begins, which pictures it holds, their playlist.

Every segment begins with a picture that needs no other, two seconds after the one before by the recording's own time,
counted from its first picture. Times are ticks, which hold every usual frame rate without rounding.
"""

import io
import re
import struct
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

from ingest.media.boxes import Box, at_path, boxes_within, named, read_body
from ingest.media.facts import Probe

TICKS_PER_S: Final = 90_000
SEGMENT_S: Final = 2
SEGMENT_TICKS: Final = SEGMENT_S * TICKS_PER_S
INIT: Final = "init.mp4"
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
    times: list[int] = []
    try:
        for fragment in named(source, Box(b"", 0, size_bytes), b"moof"):
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


def segment_seconds(probe: Probe, count: int, *, origin: int) -> Sequence[Fraction]:
    """Return how long each segment lasts, the first from the recording's start: right where pictures come evenly."""
    video = probe.video
    rate = video.rate if video is not None and not video.is_variable_rate else Fraction(0)
    starts = [_first_picture(number, rate) for number in range(count)]
    first = Fraction(origin, TICKS_PER_S)
    whole = Fraction(probe.duration_ms or 0, 1000) - first
    ends = [*starts[1:], max(whole, starts[-1] + Fraction(1, 10))] if starts else []
    seconds = [end - start for start, end in zip(starts, ends, strict=True)]
    return [first + seconds[0], *seconds[1:]] if seconds else []


def _first_picture(number: int, rate: Fraction) -> Fraction:
    """Return when the first picture of a segment is shown, counted from the first of all."""
    start = Fraction(number * SEGMENT_S)
    return Fraction(-(-start * rate // 1)) / rate if rate else start


def playlist(seconds: Sequence[Fraction], *, folder: str, empty: Collection[int] = (), is_whole: bool = True) -> str:
    """Return the playlist of segments that lie in `folder`; those in `empty` hold no picture and are passed over.

    One that is not whole still grows. Source: RFC 8216 section 4; EXT-X-GAP of draft-pantos-hls-rfc8216bis 4.4.4.7.
    """
    longest = max((-(-part // 1) for part in seconds), default=SEGMENT_S)
    lines = [
        *("#EXTM3U", "#EXT-X-VERSION:8", f"#EXT-X-TARGETDURATION:{longest}", "#EXT-X-MEDIA-SEQUENCE:0"),
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if is_whole else 'EVENT'}",
        *("#EXT-X-INDEPENDENT-SEGMENTS", f'#EXT-X-MAP:URI="{folder}/{INIT}"'),
    ]
    for number, part in enumerate(seconds):
        lines += [*(["#EXT-X-GAP"] if number in empty else []), f"#EXTINF:{float(part):.6f},"]
        lines.append(f"{folder}/{segment_name(number)}")
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if is_whole else [])]) + "\n"

"""How much time and room a conversion may take: far above what any honest file needs, never without end.

Derived from duration, size and pixels, so that a file which makes a decoder run for ever is stopped.
"""

import os
from dataclasses import replace
from typing import Final

from ingest.media.facts import Probe
from ingest.media.plan import PlanKind, RenditionPlan
from ingest.media.sandbox import Limits

_MIB: Final = 1024 * 1024
_MOST_CPU_S: Final = 7 * 24 * 3600
_MOST_FILE_BYTES: Final = 1 << 42
# A slow processor decodes and encodes some 40 million pixels a second and core; a tenth of that is the limit.
_LEAST_PIXELS_PER_S: Final = 4_000_000
_LEAST_COPY_BYTES_PER_S: Final = 4 * _MIB
_UNKNOWN_BITS_PER_S: Final = 100_000
VIDEO_BITS_PER_S: Final = 8_000_000
AUDIO_BITS_PER_S: Final = 160_000


def conversion_limits(probe: Probe, chosen: RenditionPlan) -> Limits:
    """Return the limits for making `chosen` from the probed file."""
    duration_s = _duration_s(probe)
    audio_bytes = duration_s * AUDIO_BITS_PER_S // 8 * max(len(chosen.audio), 1)
    cpu_s = 60 + probe.size_bytes // _LEAST_COPY_BYTES_PER_S + duration_s // 4
    file_bytes = 32 * _MIB + audio_bytes
    if chosen.kind is PlanKind.REMUX:
        file_bytes += probe.size_bytes * 5 // 4
    elif chosen.kind is PlanKind.ENCODE:
        cpu_s += decode_seconds(probe)
        file_bytes += 2 * duration_s * VIDEO_BITS_PER_S // 8
    cpu_s = min(cpu_s, _MOST_CPU_S)
    return Limits(
        wall_s=120 + 2 * cpu_s,
        cpu_s=cpu_s,
        memory_bytes=memory_bytes(),
        file_bytes=min(file_bytes, _MOST_FILE_BYTES),
    )


def proxy_limits(probe: Probe, chosen: RenditionPlan, *, count: int) -> Limits:
    """Return the limits for `count` versions for slow links, made behind everything else."""
    one = conversion_limits(probe, chosen)
    return replace(one, cpu_s=min(count * one.cpu_s, _MOST_CPU_S), wall_s=count * 4 * one.wall_s, niceness=19)


def reading_limits(probe: Probe, *, is_decoded: bool) -> Limits:
    """Return the limits for one pass over the file that writes nothing."""
    cpu_s = 60 + probe.size_bytes // _LEAST_COPY_BYTES_PER_S + _duration_s(probe) // 4
    if is_decoded:
        cpu_s += decode_seconds(probe)
    cpu_s = min(cpu_s, _MOST_CPU_S)
    return Limits(wall_s=120 + 2 * cpu_s, cpu_s=cpu_s, memory_bytes=memory_bytes(), file_bytes=0)


def still_limits() -> Limits:
    """Return the limits for one picture out of a file."""
    return Limits(wall_s=120, cpu_s=60, memory_bytes=memory_bytes(), file_bytes=32 * _MIB)


def memory_bytes() -> int:
    """Return the address space of one program: each thread of a codec reserves some, and there is one per core."""
    return (4 << 30) + (os.cpu_count() or 1) * 160 * _MIB


def decode_seconds(probe: Probe) -> int:
    """Return the most processor seconds that decoding and encoding the pictures may take."""
    video = probe.video
    if video is None:
        return 0
    frames = _duration_s(probe) * max(1, min(int(video.rate) + 1, 240))
    return frames * max(video.width * video.height, 1) // _LEAST_PIXELS_PER_S


def _duration_s(probe: Probe) -> int:
    """Return the stated duration, or what the size would hold at a very low bit rate."""
    if probe.duration_ms:
        return probe.duration_ms // 1000 + 1
    return min(probe.size_bytes * 8 // _UNKNOWN_BITS_PER_S, 72 * 3600) + 1

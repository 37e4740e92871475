"""Versions for slow links: one file of segments of two seconds each, with the playlist of their bytes at its end.

All that are wanted are made in one run. The file plays by itself too.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

from ingest.media.arguments import rung_arguments
from ingest.media.boxes import Box
from ingest.media.encoding import Rung, proxy_options
from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.limits import proxy_limits
from ingest.media.plan import PlanKind, RenditionPlan, plan
from ingest.media.renditions import recipe_of
from ingest.media.running import Observer, failure
from ingest.media.segments import HOLE, TICKS_PER_S, clip_last, times_within
from ingest.media.supervise import Ended
from ingest.media.tools import Toolbox

_ENTRY: Final = re.compile(
    r"#EXTINF:([0-9]{1,9}(?:\.[0-9]{1,9})?),\s*\n#EXT-X-BYTERANGE:([0-9]{1,15})@([0-9]{1,15})\s*\n"
)
_HEAD: Final = re.compile(r'#EXT-X-MAP:URI="[^"\n]*",BYTERANGE="([0-9]{1,9})@0"')
_MOST_PLAYLIST_BYTES: Final = 1 << 26
_FREE_HEAD_BYTES: Final = 8
_HOLE_TICKS: Final = TICKS_PER_S
_SHOWN_TICKS: Final = TICKS_PER_S // 8


@dataclass(frozen=True, slots=True)
class Proxy:
    """A version that was made. `recipe` holds what a playlist of versions says of it, and where its own playlist is."""

    rung: Rung
    path: Path
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    seconds: Fraction
    size_bytes: int
    offset: int


def is_needed(rung: Rung, probe: Probe, *, size_bytes: int) -> bool:
    """Return whether a version would be smaller than what plays: in lines, or well so in bits per second."""
    chosen = plan(probe, may_copy=False)
    if chosen.kind is not PlanKind.ENCODE or not probe.duration_ms:
        return False
    return min(chosen.width, chosen.height) > rung.lines or size_bytes * 8000 // probe.duration_ms > 2 * rung.bits_per_s


def make_proxies(
    source: Path,
    *,
    toolbox: Toolbox,
    out: Path,
    probe: Probe,
    rungs: Sequence[Rung],
    on_progress: Callable[[int], None] | None = None,
) -> Sequence[Proxy]:
    """Make versions for slow links in the folder `out`, all in one run that yields to every other program.

    Raises: Unplayable, MediaTimeout, MediaKilled, StorageFull, ToolMissing, SandboxUnavailable.
    """
    chosen = plan(probe, may_copy=False)
    if chosen.kind is not PlanKind.ENCODE or not rungs:
        raise Unplayable("There is no moving picture to make a version of", reason="media.no_streams")
    arguments = rung_arguments(
        probe.format_name,
        streams=[stream.index for stream in (chosen.video, *chosen.audio[:1]) if stream is not None],
        outputs=[(f"{rung.kind}.m3u8", proxy_options(chosen, rung, name=f"{rung.kind}.mp4")) for rung in rungs],
    )
    for rung in rungs:
        (out / f"{rung.kind}.mp4").unlink(missing_ok=True)
    seen = Observer(probe.duration_ms, probe.size_bytes, on_progress=on_progress)
    ran = toolbox.sandbox.run(
        toolbox.ffmpeg.path,
        arguments,
        limits=proxy_limits(probe, chosen, count=len(rungs)),
        source=source,
        out=out,
        hooks=seen.hooks(),
        is_background=True,
    )
    recipe = recipe_of(toolbox, arguments, chosen)
    made = [] if ran.ended is not Ended.EXIT else [_finished(out, rung, chosen, recipe) for rung in rungs]
    proxies = [proxy for proxy in made if proxy is not None]
    if len(proxies) < len(rungs):
        reason = failure(ran)
        raise Unplayable(reason.message, reason=reason.code)
    seen.say(1000)
    return proxies


def _finished(out: Path, rung: Rung, chosen: RenditionPlan, recipe: dict[str, Any]) -> Proxy | None:
    """Put the playlist behind the segments, in a box that players pass over; None where nothing was made."""
    path, listed = out / f"{rung.kind}.mp4", out / f"{rung.kind}.m3u8"
    if (
        path.is_symlink()
        or listed.is_symlink()
        or not path.is_file()
        or not listed.is_file()
        or listed.stat().st_size > _MOST_PLAYLIST_BYTES
    ):
        return None
    text = listed.read_text("utf-8", "replace")
    head, size_bytes = _HEAD.search(text), path.stat().st_size
    parts = [_Part(Fraction(seconds), int(size), int(offset)) for seconds, size, offset in _ENTRY.findall(text)]
    if head is None or not parts or not all(_is_within(part, size_bytes) for part in parts):
        return None
    head_bytes = int(head[1])
    with path.open("r+b") as file:
        codecs = _codecs(file.read(head_bytes))
        parts = _holed(file, parts)
    if codecs is None:
        return None
    told = _playlist(parts, head_bytes, name=path.name).encode()
    with path.open("ab") as file:
        file.write((_FREE_HEAD_BYTES + len(told)).to_bytes(4, "big") + b"free" + told)
    width, height = rung.size(chosen)
    hls = {
        "playlist": [size_bytes + _FREE_HEAD_BYTES, len(told)],
        "codecs": codecs,
        "width": width,
        "height": height,
        "bandwidth": max(int(part.size_bytes * 8 / part.seconds) for part in parts),
        "average": int(sum(part.size_bytes for part in parts) * 8 / sum(part.seconds for part in parts)),
    }
    return Proxy(rung, path, recipe | {"hls": hls})


def _is_within(part: _Part, size_bytes: int) -> bool:
    return part.seconds > 0 and part.offset + part.size_bytes <= size_bytes


def _holed(file: BinaryIO, parts: Sequence[_Part]) -> list[_Part]:
    """Return the parts with holes in the recording between them, counted from the recording's start.

    A picture that lasts over a hole is cut short, as in segments that play while they are encoded.
    """
    found: list[_Part] = []
    for number, part in enumerate(parts):
        segment = Box(b"", part.offset, part.offset + part.size_bytes)
        times = times_within(file, segment)
        if number == 0 and times:
            part = replace(part, seconds=part.seconds + Fraction(times[0], TICKS_PER_S))  # noqa: PLW2901
        is_last = number == len(parts) - 1
        if times and not is_last and clip_last(file, segment, longest=_HOLE_TICKS, usual=_SHOWN_TICKS):
            began = Fraction(0) if number == 0 else Fraction(times[0], TICKS_PER_S)
            shown = Fraction(times[-1] + _SHOWN_TICKS, TICKS_PER_S) - began
            found += [replace(part, seconds=shown), _Part(part.seconds - shown, 0, 0)]
        else:
            found.append(part)
    return found


def _codecs(head: bytes) -> str | None:
    """Return the names of the codecs as a playlist tells them. Source: RFC 6381; ISO/IEC 14496-15 section 5.3.3.1.2."""
    at = head.find(b"avcC")
    if at < 0 or len(head) < at + 8:
        return None
    return f"avc1.{head[at + 5 : at + 8].hex()}" + (",mp4a.40.2" if b"mp4a" in head else "")


def _playlist(parts: Sequence[_Part], head_bytes: int, *, name: str) -> str:
    longest = max(-(-part.seconds // 1) for part in parts)
    lines = [
        *("#EXTM3U", "#EXT-X-VERSION:8", f"#EXT-X-TARGETDURATION:{longest}", "#EXT-X-MEDIA-SEQUENCE:0"),
        *("#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS"),
        f'#EXT-X-MAP:URI="{name}",BYTERANGE="{head_bytes}@0"',
    ]
    for part in parts:
        place = [f"#EXT-X-BYTERANGE:{part.size_bytes}@{part.offset}", name] if part.size_bytes else [HOLE]
        lines += [*([] if part.size_bytes else ["#EXT-X-GAP"]), f"#EXTINF:{float(part.seconds):.6f},", *place]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def master_playlist(versions: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return the playlist of versions, each with its address and what its recipe tells.

    Source: RFC 8216 section 4.3.4.
    """
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for address, told in versions:
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={told['bandwidth']},AVERAGE-BANDWIDTH={told['average']},"
            f'RESOLUTION={told["width"]}x{told["height"]},CODECS="{told["codecs"]}"'
        )
        lines.append(address)
    return "\n".join(lines) + "\n"

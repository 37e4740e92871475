"""Find damage inside a recording by decoding it: a copy does not see broken pictures.

A pass of its own, since it takes time; `keyframes` is quick and finds gross damage, `whole` decodes everything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from archive.kernel.findings import Finding
from ingest.media.arguments import convert_arguments
from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.limits import reading_limits
from ingest.media.running import Observer, complaint_findings, failure
from ingest.media.supervise import Ended
from ingest.media.tools import Toolbox


@dataclass(frozen=True, slots=True)
class Damage:
    """What decoding complained about. Units: `places_ms` are milliseconds of the recording, about."""

    depth: str
    complaints: int
    places_ms: tuple[int, ...]
    findings: tuple[Finding, ...]


def find_damage(
    path: Path,
    *,
    toolbox: Toolbox,
    probe: Probe,
    depth: Literal["keyframes", "whole"] = "whole",
    on_progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Damage:
    """Decode the file, write nothing, and tell where the decoders complain.

    Raises: Unplayable when there is nothing to decode, MediaTimeout, MediaStopped, ToolMissing, SandboxUnavailable.
    """
    chosen = [stream.index for stream in probe.streams if stream.kind in {"video", "audio"} and stream.codec]
    if not chosen or not probe.format_name:
        raise Unplayable("The file has no stream to decode", reason="media.no_streams")
    seen = Observer(probe.duration_ms, probe.size_bytes, on_progress=on_progress, should_stop=should_stop)
    arguments = convert_arguments(
        probe.format_name,
        streams=chosen,
        output="pipe:2",
        # A line for every frame goes where the complaints go, so that their order tells the place.
        options={"f": "framecrc", "flush_packets": 1, "fps_mode": "passthrough"},
        before={"skip_frame": "nokey"} if depth == "keyframes" else None,
    )
    ran = toolbox.sandbox.run(
        toolbox.ffmpeg.path,
        arguments,
        limits=reading_limits(probe, is_decoded=True),
        source=path,
        hooks=seen.hooks(),
        is_background=True,
    )
    if ran.ended is not Ended.EXIT:
        reason = failure(ran)
        raise Unplayable(reason.message, reason=reason.code)
    seen.say(1000)
    return Damage(depth, seen.complaints, tuple(seen.places_ms), tuple(complaint_findings(seen, doing="decoding")))

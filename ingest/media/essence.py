"""The essence of a recording: a hash of each stream's packets, whatever container they are in.

Equal hashes prove that what plays is what was recorded. Where two containers write the same video in different
packets (MPEG-TS), the decoded pictures are compared instead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archive.kernel.findings import Finding, indeterminate, invalid, valid
from ingest.media.arguments import convert_arguments
from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.limits import reading_limits
from ingest.media.plan import RenditionPlan
from ingest.media.sandbox import Hooks
from ingest.media.supervise import Ended
from ingest.media.tools import Toolbox

# These containers hold H.264 and AAC in the same packets as MP4 does.
_SAME_PACKETS: Final = frozenset(("mov", "matroska", "flv"))
_MOST_STDOUT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Essence:
    """Hashes by stream index of the file (`"0"`: hex of SHA-256). `how`: of `packets`, or of `decoded` frames."""

    how: str
    streams: Mapping[str, str]
    tool: str

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"how": self.how, "algorithm": "sha256", "streams": dict(self.streams), "tool": self.tool}


def needs_decoding(chosen: RenditionPlan, *, format_name: str) -> bool:
    """Return whether a copy out of this container can be compared by its decoded pictures and sound only."""
    return format_name not in _SAME_PACKETS and any(stream.action == "copy" for stream in chosen.streams)


def essence(
    path: Path,
    *,
    toolbox: Toolbox,
    probe: Probe,
    is_decoded: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Essence:
    """Hash every video and sound stream of the file.

    Raises: Unplayable when the packets cannot be read, MediaTimeout, MediaStopped, ToolMissing, SandboxUnavailable.
    """
    chosen = [stream for stream in probe.streams if stream.kind in {"video", "audio"} and stream.codec]
    if not chosen or not probe.format_name:
        raise Unplayable("The file has no stream to hash", reason="media.no_streams")
    options = {"f": "streamhash", "hash": "sha256"} | ({} if is_decoded else {"c": "copy"})
    if is_decoded:
        options |= {"fps_mode": "passthrough"}
    arguments = convert_arguments(
        probe.format_name,
        streams=[stream.index for stream in chosen],
        output="pipe:1",
        options=options,
        before={"noautorotate": None} if is_decoded else None,
    )
    ran = toolbox.sandbox.run(
        toolbox.ffmpeg.path,
        arguments,
        limits=reading_limits(probe, is_decoded=is_decoded),
        source=path,
        hooks=Hooks(should_stop=should_stop, keep_stdout_bytes=_MOST_STDOUT_BYTES),
    )
    found: dict[str, str] = {}
    for line in ran.stdout.decode("ascii", "replace").splitlines():
        number, _, rest = line.partition(",")
        if number.isdigit() and int(number) < len(chosen) and "SHA256=" in rest:
            found[str(chosen[int(number)].index)] = rest.partition("SHA256=")[2].strip().lower()
    if ran.ended is not Ended.EXIT or not found:
        raise Unplayable("The packets cannot be read to their end", reason="media.unreadable")
    return Essence("decoded" if is_decoded else "packets", found, toolbox.ffmpeg.version)


def compare_essence(
    original: Essence, rendition: Essence, *, chosen: RenditionPlan, format_name: str
) -> tuple[Finding, ...]:
    """Hold the rendition's streams against the original's, one finding each: equal, different, not comparable.

    `chosen` and `format_name` tell how the rendition was made and out of what; it has its streams in the plan's order.
    """
    findings: list[Finding] = []
    for number, planned in enumerate(chosen.streams):
        where = f"{planned.kind} {planned.index}"
        ours, theirs = rendition.streams.get(str(number)), original.streams.get(str(planned.index))
        if planned.action != "copy":
            why = f"The {planned.kind} was encoded ({planned.why})"
            findings.append(indeterminate("media.essence_not_comparable", why, where))
        elif original.how != rendition.how or ours is None or theirs is None:
            why = "There are no two hashes of the same kind"
            findings.append(indeterminate("media.essence_not_comparable", why, where))
        elif ours == theirs:
            findings.append(valid("media.essence_equal", f"The {planned.kind} is what was recorded", where))
        elif original.how == "packets" and format_name not in _SAME_PACKETS:
            why = f"The container ({format_name}) writes the same {planned.kind} in other packets"
            findings.append(indeterminate("media.essence_not_comparable", why, where))
        else:
            findings.append(invalid("media.essence_differs", f"The {planned.kind} is not what was recorded", where))
    return tuple(findings)

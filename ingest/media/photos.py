"""Photos that ffmpeg does not read: a JPEG is made of them first, by a program that does, in the sandbox.

HEIC and AVIF are decoded; of a camera's raw photo the largest preview is taken out that the camera put into it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archive.kernel.findings import Finding, indeterminate, invalid
from ingest.media.allowed import FORMATS, MAX_PIXELS
from ingest.media.errors import ToolMissing
from ingest.media.facts import Probe, Stream
from ingest.media.limits import memory_bytes
from ingest.media.pictures import declared
from ingest.media.programs import find_program
from ingest.media.running import failure
from ingest.media.sandbox import OUT, SOURCE, Hooks, Limits
from ingest.media.supervise import Ended
from ingest.media.tools import Tool, Toolbox

_MIB: Final = 1024 * 1024
_QUALITY: Final = "95"
_MOST_PREVIEWS: Final = 16
_SAID_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Developed:
    """A JPEG that stands for a photo. `probe` is what it is; `step` is how it was made, for the recipe."""

    path: Path
    probe: Probe
    step: dict[str, Any]


def develop(source: Path, *, toolbox: Toolbox, out: Path, probe: Probe) -> Developed | Finding:
    """Make a JPEG of the photo in the folder `out`, or say why there is none.

    Raises: MediaTimeout, SandboxUnavailable, StorageFull.
    """
    through = FORMATS[probe.format_name].through
    try:
        tool = _exiftool(toolbox) if through == "exiftool" else find_program(through)
    except ToolMissing as exc:
        return indeterminate("media.tool_missing", exc.message)
    folder = out / "developed"
    shutil.rmtree(folder, ignore_errors=True)  # what lay there before counts for nothing
    folder.mkdir()
    if through == "exiftool":
        return _preview(source, toolbox=toolbox, tool=tool, folder=folder, probe=probe)
    return _decoded(source, toolbox=toolbox, tool=tool, folder=folder, probe=probe)


def _decoded(source: Path, *, toolbox: Toolbox, tool: Tool, folder: Path, probe: Probe) -> Developed | Finding:
    arguments = ["--quiet", "-q", _QUALITY, SOURCE, f"{OUT}/photo.jpg"]
    ran = toolbox.sandbox.run(tool.path, arguments, limits=_limits(), source=source, out=folder)
    if ran.ended is not Ended.EXIT:
        return failure(ran)
    # A file with several pictures gives one result each, with a number; the first is the one that people see.
    results = [folder / "photo.jpg", folder / "photo-1.jpg"]
    found = next((looked for path in results if (looked := _looked_at(path)) is not None), None)
    if found is None:
        return invalid("media.unreadable", "The picture cannot be decoded")
    return _developed(found, probe, tool=tool, arguments=arguments, orientation=1)  # the decoder has turned it


def _preview(source: Path, *, toolbox: Toolbox, tool: Tool, folder: Path, probe: Probe) -> Developed | Finding:
    arguments = ["-a", "-b", "-W", f"{OUT}/%t%-c.%s", "-preview:all", SOURCE]
    ran = toolbox.sandbox.run(tool.path, arguments, limits=_limits(), source=source, out=folder)
    if ran.ended is not Ended.EXIT:
        return failure(ran)
    results = [looked for path in sorted(folder.glob("*.jpg"))[:_MOST_PREVIEWS] if (looked := _looked_at(path))]
    if not results:
        return invalid("media.no_preview", "The raw photo holds no preview, and raw sensor data is not developed")
    path, preview = max(results, key=lambda found: found[1].streams[0].width * found[1].streams[0].height)
    orientation = preview.orientation
    if orientation == 1:  # most previews do not say themselves how they stand
        orientation = probe.orientation if probe.orientation != 1 else _orientation(source, toolbox, tool)
    return _developed((path, preview), probe, tool=tool, arguments=arguments, orientation=orientation)


def _orientation(source: Path, toolbox: Toolbox, tool: Tool) -> int:
    """Return how the photo has to be turned, where its head is none that we read ourselves."""
    ran = toolbox.sandbox.run(
        tool.path,
        ["-n", "-s3", "-Orientation", SOURCE],
        limits=_limits(),
        source=source,
        hooks=Hooks(keep_stdout_bytes=_SAID_BYTES),
    )
    told = ran.stdout.strip()
    return int(told) if told in {b"%d" % number for number in range(1, 9)} else 1


def _developed(
    found: tuple[Path, Probe], probe: Probe, *, tool: Tool, arguments: list[str], orientation: int
) -> Developed:
    path, looked = found
    turned = Probe(
        kind=probe.kind,
        size_bytes=looked.size_bytes,
        media_type=looked.media_type,
        format_name=looked.format_name,
        orientation=orientation,
        streams=looked.streams,
    )
    return Developed(path, turned, {"tool": tool.version, "arguments": [tool.name, *arguments]})


def _looked_at(path: Path) -> tuple[Path, Probe] | None:
    """Return what a result is, None where it is no picture that may be read on. A link is never followed."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        found = declared(file, format_name="jpeg_pipe") if file.read(3) == b"\xff\xd8\xff" else None
    if found is None or not 0 < found.width * found.height <= MAX_PIXELS:
        return None
    jpeg = FORMATS["jpeg_pipe"]
    stream = Stream(0, "picture", jpeg.decoders, width=found.width, height=found.height)
    size_bytes = path.stat().st_size
    return path, Probe(
        jpeg.kind, size_bytes, jpeg.media_type, "jpeg_pipe", orientation=found.orientation, streams=(stream,)
    )


def _exiftool(toolbox: Toolbox) -> Tool:
    if toolbox.exiftool is None:
        raise ToolMissing("exiftool is not installed: install the package libimage-exiftool-perl", tool="exiftool")
    return toolbox.exiftool


def _limits() -> Limits:
    return Limits(wall_s=180, cpu_s=90, memory_bytes=memory_bytes(), file_bytes=256 * _MIB)

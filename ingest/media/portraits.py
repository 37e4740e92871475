"""A portrait of a person out of whatever picture somebody sends: fixed size, upright, nothing of the source's own.

The picture is a stranger's: what it is shows in its bytes, and it is decoded in the sandbox only.
"""

import tempfile
from pathlib import Path
from typing import Final

from archive.kernel.errors import InvalidInput
from ingest.media.arguments import convert_arguments
from ingest.media.encoding import portrait_options
from ingest.media.limits import still_limits
from ingest.media.probe import probe
from ingest.media.running import Observer
from ingest.media.tools import Toolbox

MOST_BYTES: Final = 5 * 1024 * 1024
WIDTH: Final = 480
HEIGHT: Final = 640
_LEAST_SIDE: Final = 96
_TAKEN: Final = frozenset({"jpeg_pipe", "png_pipe"})
_NAME: Final = "portrait.jpg"


class PortraitUnusable(InvalidInput):
    """A portrait is a JPEG or PNG file that can be read, at most 5 MiB, at least 96 pixels a side."""

    code = "ingest.portrait_unusable"


def make_portrait(data: bytes, *, toolbox: Toolbox, work: Path) -> bytes:
    """Return a JPEG of 480 x 640 pixels, the middle of the picture; without its metadata. `work` holds it meanwhile.

    Raises: PortraitUnusable, MediaTimeout, MediaKilled, SandboxUnavailable, ToolMissing, StorageFull.
    """
    if not 0 < len(data) <= MOST_BYTES:
        raise PortraitUnusable
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="portrait-", dir=work) as folder:
        source, out = Path(folder) / "source", Path(folder) / "out"
        source.write_bytes(data)
        out.mkdir()
        found = probe(source, toolbox=toolbox)
        if found.format_name not in _TAKEN or found.findings or not found.streams:
            raise PortraitUnusable
        if min(found.streams[0].width, found.streams[0].height) < _LEAST_SIDE:
            raise PortraitUnusable
        arguments = convert_arguments(
            found.format_name,
            streams=[0],
            output=_NAME,
            options=portrait_options(found.orientation, width=WIDTH, height=HEIGHT),
            before={"noautorotate": None},
        )
        seen = Observer(None, len(data))
        toolbox.sandbox.run(
            toolbox.ffmpeg.path, arguments, limits=still_limits(), source=source, out=out, hooks=seen.hooks()
        )
        if seen.complaints:  # half a face is no portrait
            raise PortraitUnusable
        return _checked(out / _NAME, toolbox=toolbox)


def _checked(path: Path, *, toolbox: Toolbox) -> bytes:
    """Return the picture that was made if it is what was asked for: the program's word is not taken for it."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size == 0:
        raise PortraitUnusable
    made = probe(path, toolbox=toolbox)
    if made.format_name != "jpeg_pipe" or made.findings or not made.streams:
        raise PortraitUnusable
    if (made.streams[0].width, made.streams[0].height) != (WIDTH, HEIGHT):
        raise PortraitUnusable
    return path.read_bytes()

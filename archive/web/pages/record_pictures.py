"""Pictures of the pages of a text record before it is filed: kept a while, by what they show."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ingest.media.pages import draw_pages
from ingest.media.tools import Toolbox

_MOST_BYTES: Final = 64 * 1024 * 1024


class Pictures:
    """Keeps the newest pictures in memory, 64 MiB of them. Usable from several threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[tuple[str, ...], Sequence[bytes]] = OrderedDict()
        self._guard = threading.Lock()
        self._bytes = 0

    def of(self, key: tuple[str, ...], draw: Callable[[], Sequence[bytes]]) -> Sequence[bytes]:
        """Return the pictures of a key, which tells all that they show; drawn where they are not kept."""
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = draw()
        with self._guard:
            if key not in self._kept:
                self._kept[key] = drawn
                self._bytes += sum(map(len, drawn))
            while self._bytes > _MOST_BYTES and len(self._kept) > 1:
                self._bytes -= sum(map(len, self._kept.popitem(last=False)[1]))
        return drawn


def draw_page(pdf: bytes, number: int, *, toolbox: Toolbox) -> bytes:
    """Return the picture of one page of a PDF (JPEG), drawn in the sandbox.

    Raises: Unplayable, ToolMissing, MediaTimeout, MediaKilled, StorageFull, SandboxUnavailable.
    """
    with tempfile.TemporaryDirectory(prefix="liuhen-page-") as folder:
        source, out = Path(folder) / "record.pdf", Path(folder) / "out"
        source.write_bytes(pdf)
        out.mkdir()
        drawn = draw_pages(source, toolbox=toolbox, out=out, pages=number, first=number)
        return drawn.pages[0].path.read_bytes()

"""Looking at scanned papers: whether their pages are sharp enough to be kept, and each holds something.

Source: DA/T 31-2017, 200 dots to the inch at least.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingest.media.limits import memory_bytes
from ingest.media.programs import find_program
from ingest.media.sandbox import FONTS, OUT, SOURCE, Hooks, Leeway, Limits
from ingest.media.supervise import Ended
from ingest.media.tools import Toolbox

LEAST_DOTS_PER_INCH: Final = 200
MOST_PAGES: Final = 200
"""Of a longer paper the first pages are looked at; the others were not seen."""
_LONG_SIDE: Final = 400
_DARK: Final = 200
_LEAST_DARK: Final = 2
"""Points of ten thousand that are dark on a page that says anything: a line of a few words has more."""
_LIST_BYTES: Final = 2 * 1024 * 1024
_PICTURE_BYTES: Final = 256 * 1024
_NAME: Final = re.compile(r"page-(\d{1,6})\.pgm")
_HEADER: Final = re.compile(rb"P5\s(\d{1,5})\s(\d{1,5})\s255\s")


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What was seen of a scanned paper. Units: dots to the inch. Pages are numbers from 1.

    `looked` of its `pages` were looked at, the first ones. `least_dots` is that of the coarsest page that is a picture;
    None where no page is one. A page whose sharpness or blankness was not found out is in `unseen`.
    """

    pages: int
    looked: int
    least_dots: int | None
    coarse: tuple[int, ...]
    blank: tuple[int, ...]
    unseen: tuple[int, ...]
    tool: str

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "pages": self.pages,
            "looked": self.looked,
            "least_dots": self.least_dots,
            "coarse": list(self.coarse),
            "blank": list(self.blank),
            "unseen": list(self.unseen),
        }


def scan_facts(source: Path, *, toolbox: Toolbox, out: Path, pages: int) -> ScanFacts:
    """Look at the first 200 pages of a PDF: how sharp the pictures are that it is made of, and which pages are blank.

    Raises: ToolMissing, MediaTimeout, MediaKilled, StorageFull, SandboxUnavailable.
    """
    looked = min(pages, MOST_PAGES)
    dots, tool = _dots_of_pages(source, toolbox=toolbox, pages=looked)
    sharp = dots or {}
    dark = _darkness_of_pages(source, toolbox=toolbox, out=out, pages=looked)
    numbers = range(1, looked + 1)
    return ScanFacts(
        pages=pages,
        looked=looked,
        least_dots=min(sharp.values(), default=None),
        coarse=tuple(number for number in numbers if sharp.get(number, LEAST_DOTS_PER_INCH) < LEAST_DOTS_PER_INCH),
        blank=tuple(number for number in numbers if dark.get(number, _LEAST_DARK) < _LEAST_DARK),
        unseen=tuple(number for number in numbers if dots is None or number not in dark),
        tool=tool,
    )


def _dots_of_pages(source: Path, *, toolbox: Toolbox, pages: int) -> tuple[Mapping[int, int] | None, str]:
    """Return the dots to the inch of the sharpest picture on each page that has one; None where that failed."""
    tool = find_program("pdfimages")
    ran = toolbox.sandbox.run(
        tool.path,
        ["-list", "-f", "1", "-l", str(pages), SOURCE],
        limits=_limits(20 + pages // 4),
        source=source,
        hooks=Hooks(keep_stdout_bytes=_LIST_BYTES),
    )
    found: defaultdict[int, int] = defaultdict(int)
    for line in ran.stdout.decode("ascii", "replace").splitlines()[2:]:
        parts = line.split()
        if len(parts) > 12 and parts[0].isdigit() and parts[2] == "image" and parts[-4].isdigit():
            dots = min(int(parts[-4]), int(parts[-3])) if parts[-3].isdigit() else int(parts[-4])
            found[int(parts[0])] = max(found[int(parts[0])], dots)
    return found if ran.ended is Ended.EXIT and ran.returncode == 0 else None, tool.version


def _darkness_of_pages(source: Path, *, toolbox: Toolbox, out: Path, pages: int) -> Mapping[int, int]:
    """Return how many of ten thousand points of each page are dark, as it is drawn small."""
    tool = find_program("pdftoppm")
    folder = out / "small"
    folder.mkdir()
    ran = toolbox.sandbox.run(
        tool.path,
        ["-gray", "-scale-to", str(_LONG_SIDE), "-f", "1", "-l", str(pages), SOURCE, f"{OUT}/page"],
        limits=_limits(20 + 2 * pages, file_bytes=_PICTURE_BYTES * pages),
        source=source,
        out=folder,
        leeway=Leeway(sees=(FONTS,)),
    )
    found = {}
    for path in folder.iterdir():
        named = _NAME.fullmatch(path.name)
        is_ours = named is not None and not path.is_symlink() and path.is_file()
        if named is None or not is_ours or path.stat().st_size > _PICTURE_BYTES:
            continue
        if (dark := _darkness(path.read_bytes())) is not None:
            found[int(named[1])] = dark
    return found if ran.ended is Ended.EXIT else {}


def _darkness(picture: bytes) -> int | None:
    header = _HEADER.match(picture)
    if header is None or len(picture) - header.end() != int(header[1]) * int(header[2]):
        return None
    points = picture[header.end() :]
    return 10_000 * sum(point < _DARK for point in points) // max(1, len(points))


def _limits(cpu_s: int, *, file_bytes: int = 0) -> Limits:
    return Limits(wall_s=60 + 3 * cpu_s, cpu_s=cpu_s, memory_bytes=memory_bytes(), file_bytes=file_bytes)

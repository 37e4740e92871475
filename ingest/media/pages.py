"""Look at PDFs: how many pages, the pages as pictures, the text. poppler in the sandbox; scripts and links do nothing.

A page that takes without end is left out and named; the others are still drawn.
"""

import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.kernel.findings import Finding, invalid
from ingest.media.errors import Unplayable
from ingest.media.limits import memory_bytes
from ingest.media.pictures import declared
from ingest.media.plain_text import readable
from ingest.media.programs import find_program
from ingest.media.running import failure
from ingest.media.sandbox import FONTS, OUT, SOURCE, Hooks, Leeway, Limits
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox

MOST_PAGES: Final = 200
"""Of a longer document the first pages are drawn."""
LONG_SIDE: Final = 1600
"""Of a page picture, in pixels: 137 dots to the inch on A4."""
MOST_CHARACTERS: Final = 1_000_000
_MOST_TEXT_BYTES: Final = 2 * 1024 * 1024
_MIB: Final = 1024 * 1024
_SAID_BYTES: Final = 64 * 1024
_AT_ONCE: Final = 20
_MOST_BAD_PAGES: Final = 3
_PAGE_CPU_S: Final = 10
_TEXT_CPU_S: Final = 20
_TEXT_PAGES_PER_S: Final = 10
_MOST_PAGE_BYTES: Final = 8 * _MIB
_NAME: Final = re.compile(r"page-(\d{1,6})\.jpg")
_ATTACHED: Final = re.compile(rb"(\d{1,6}) embedded file")
_LEEWAY: Final = Leeway(sees=(FONTS,))
_BUNDLED_AT: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class PdfFacts:
    """What a PDF says of itself. `has_script`: it brings JavaScript along, which is never run."""

    pages: int
    has_script: bool
    tool: str


@dataclass(frozen=True, slots=True)
class Page:
    """The picture of one page. Units: pixels."""

    number: int
    path: Path
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """The page pictures of a document, and which pages could not be drawn."""

    pages: tuple[Page, ...]
    findings: tuple[Finding, ...]
    step: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReadText:
    """The text of a document. `is_cut`: there is more than is kept."""

    text: str
    is_cut: bool
    tool: str


def pdf_facts(source: Path, *, toolbox: Toolbox) -> PdfFacts:
    """Return what the PDF says of itself.

    Raises: Unplayable (`media.encrypted`, `media.unreadable`, `media.too_costly`), ToolMissing, MediaTimeout,
        SandboxUnavailable.
    """
    tool = find_program("pdfinfo")
    hooks = Hooks(keep_stdout_bytes=_SAID_BYTES)
    ran = toolbox.sandbox.run(tool.path, [SOURCE], limits=_limits(30), source=source, hooks=hooks, leeway=_LEEWAY)
    told = dict(_pairs(ran.stdout.decode("utf-8", "replace")))
    if ran.ended is not Ended.EXIT:
        raise _unplayable(failure(ran))
    if "Incorrect password" in ran.stderr_tail:
        raise Unplayable("The document opens with a password only", reason="media.encrypted")
    if not told.get("Pages", "").isdigit() or int(told["Pages"]) < 1:
        raise Unplayable("The document cannot be read: it has no page that could be found", reason="media.unreadable")
    return PdfFacts(int(told["Pages"]), told.get("JavaScript") == "yes", tool.version)


def attachment_count(source: Path, *, toolbox: Toolbox) -> int:
    """Return how many files are attached to a PDF; nothing is taken out of it.

    Raises: Unplayable, ToolMissing, MediaTimeout, SandboxUnavailable.
    """
    tool = find_program("pdfdetach")
    hooks = Hooks(keep_stdout_bytes=_SAID_BYTES)
    ran = toolbox.sandbox.run(tool.path, ["-list", SOURCE], limits=_limits(30), source=source, hooks=hooks)
    found = _ATTACHED.match(ran.stdout)
    if ran.ended is not Ended.EXIT or found is None:
        raise _unplayable(failure(ran))
    return int(found[1])


@dataclass(slots=True)
class _Drawing:
    """One attempt after the other to draw pages `at` to `last`; a page that fails twice in a row is left out."""

    last: int
    at: int = 1
    pages: list[Page] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.at > self.last or len(self.findings) > _MOST_BAD_PAGES

    @property
    def until(self) -> int:
        return min(self.last, self.at + _AT_ONCE - 1)

    def take(self, ran: Ran, folder: Path) -> None:
        """Take over what a run has drawn from `at` on."""
        found = {page.number: page for page in _pages(folder)}
        begun, until = self.at, self.until
        while self.at in found:
            self.pages.append(found[self.at])
            self.at += 1
        if self.at <= until and (self.at == begun or ran.ended is Ended.EXIT):
            why = "it cannot be drawn" if ran.ended is Ended.EXIT else "drawing it takes more than any page needs"
            self.findings.append(invalid("media.page_unreadable", f"Page {self.at} is left out: {why}", str(self.at)))
            self.at += 1


def draw_pages(
    source: Path,
    *,
    toolbox: Toolbox,
    out: Path,
    pages: int,
    first: int = 1,
    page_cpu_s: int = _PAGE_CPU_S,
    on_progress: Callable[[int], None] | None = None,
) -> Drawn:
    """Draw the pages of a PDF from the first, or from `first`, to number `pages` as JPEG in the folder `out`.

    Raises: Unplayable when no page can be drawn, ToolMissing, MediaTimeout, MediaKilled, StorageFull,
        SandboxUnavailable.
    """
    tool = find_program("pdftocairo")
    drawing = _Drawing(last=pages, at=first)
    step: dict[str, Any] = {}
    while not drawing.is_over:
        arguments = _drawing_arguments(drawing.at, drawing.until)
        folder = out / f"pages-{drawing.at}"
        folder.mkdir()
        count = drawing.until - drawing.at + 1
        step = step or {"tool": tool.version, "arguments": [tool.name, *arguments]}
        ran = toolbox.sandbox.run(
            tool.path,
            arguments,
            limits=_limits(page_cpu_s + count, file_bytes=_MOST_PAGE_BYTES * count),
            source=source,
            out=folder,
            leeway=_LEEWAY,
        )
        drawing.take(ran, folder)
        if on_progress is not None:
            on_progress(900 * (drawing.at - 1) // pages)
    if not drawing.pages:
        raise _unplayable(drawing.findings[0])
    return Drawn(tuple(drawing.pages), tuple(drawing.findings), step)


def _drawing_arguments(first: int, last: int) -> list[str]:
    pages = ["-f", str(first), "-l", str(last)]
    return ["-jpeg", "-jpegopt", "quality=85", "-scale-to", str(LONG_SIDE), *pages, SOURCE, f"{OUT}/page"]


def pdf_text(source: Path, *, toolbox: Toolbox, pages: int, without: Collection[int] = ()) -> ReadText:
    """Return the text of a PDF, pages apart by form feeds, at most a million characters; empty where it has none.

    `without` are pages that are not to be read.
    Raises: ToolMissing, MediaTimeout, MediaKilled, SandboxUnavailable.
    """
    tool = find_program("pdftotext")
    told, is_cut = b"", False
    for first, last in _stretches(pages, without):
        ran = toolbox.sandbox.run(
            tool.path,
            ["-enc", "UTF-8", "-q", "-f", str(first), "-l", str(last), SOURCE, "-"],
            limits=_limits(_TEXT_CPU_S + (last - first) // _TEXT_PAGES_PER_S),
            source=source,
            hooks=Hooks(keep_stdout_bytes=_MOST_TEXT_BYTES),
        )
        told += ran.stdout
        is_cut = is_cut or ran.ended is not Ended.EXIT
        if len(told) >= _MOST_TEXT_BYTES:
            break
    text, is_too_long = readable(told[:_MOST_TEXT_BYTES].decode("utf-8", "replace"), most=MOST_CHARACTERS)
    return ReadText(text.strip("\n\f "), is_cut or is_too_long, tool.version)


def _stretches(pages: int, without: Collection[int]) -> Iterator[tuple[int, int]]:
    first = 1
    for bad in (*sorted(without), pages + 1):
        if first < bad:
            yield first, bad - 1
        first = bad + 1


def bundle(pages: Sequence[Page], path: Path) -> list[dict[str, int | str]]:
    """Put the page pictures into one ZIP without packing them; return number, place and size of each.

    The same pictures always give the same bytes. Units: bytes and pixels; `offset` is where a picture begins.
    """
    told: list[dict[str, int | str]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for page in pages:
            content = page.path.read_bytes()
            info = zipfile.ZipInfo(f"page-{page.number:04d}.jpg", _BUNDLED_AT)
            made.writestr(info, content)
            offset = made.start_dir - len(content)
            told.append(
                {
                    "number": page.number,
                    "offset": offset,
                    "size": len(content),
                    "width": page.width,
                    "height": page.height,
                }
            )
    return told


def _pages(folder: Path) -> list[Page]:
    """Return the whole pictures that lie in a folder. A link is never followed."""
    found = []
    for path in folder.iterdir():
        named = _NAME.fullmatch(path.name)
        if named is None or path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_PAGE_BYTES:
            continue
        with path.open("rb") as file:
            looked = declared(file, format_name="jpeg_pipe") if _is_whole(file) else None
        if looked is not None:
            found.append(Page(int(named[1]), path, looked.width, looked.height))
    return found


def _is_whole(file: BinaryIO) -> bool:
    start = file.read(3)
    if start != b"\xff\xd8\xff":
        return False
    file.seek(-2, 2)
    return file.read(2) == b"\xff\xd9"


def _pairs(told: str) -> Mapping[str, str]:
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in told.splitlines())}


def _limits(cpu_s: int, *, file_bytes: int = 0) -> Limits:
    return Limits(wall_s=60 + 3 * cpu_s, cpu_s=cpu_s, memory_bytes=memory_bytes(), file_bytes=file_bytes)


def _unplayable(reason: Finding) -> Unplayable:
    return Unplayable(reason.message, reason=reason.code)

"""Setting documents to PDF/A-2b with Typst: from a shipped layout, shipped fonts and data alone.

No network and no file outside the layout folder: the layouts import no packages, fonts of the system are not looked
at, and data is handed over as text, never as markup. The same data and date give the same bytes.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archive.documents.faces import faces, shownable
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant

_FOLDER: Final = Path(__file__).parent / "typst"
_PAGE_HEIGHT_PT: Final = 297 / 25.4 * 72


class TypesettingFault(LiuhenError):
    """A document could not be set."""

    code = "documents.typesetting_fault"


@dataclass(frozen=True, slots=True)
class Place:
    """A place on a page that something goes to later. Units: points from the lower left: x0, y0, x1, y1."""

    name: str
    page: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SetDocument:
    """A set document: its bytes, how many pages it has, and its places in the order of the pages."""

    pdf: bytes
    pages: int
    places: tuple[Place, ...]


class Typesetter:
    """Sets one kind of document with a compiler that is kept. Usable from several threads."""

    def __init__(self, layout: str) -> None:
        """Take a layout by its name in the layout folder."""
        self._layout = _FOLDER / f"{layout}.typ"
        self._lock = threading.Lock()
        self._compiler: Any = None

    def set_pdf(self, data: Mapping[str, Any], *, at: Instant) -> bytes:
        """Return the document as PDF/A-2b, dated `at` (whole seconds).

        A character that no shipped font has is set as its number, `〔U+20BB7〕`, so that none is lost unseen.
        Raises: TypesettingFault.
        """
        with self._lock:
            return self._compile(data, at, has_lines=False)

    def set_document(self, data: Mapping[str, Any], *, at: Instant) -> SetDocument:
        """Return the document as PDF/A-2b with its pages and places, as the layout names them.

        Raises: TypesettingFault.
        """
        with self._lock:
            pdf = self._compile(data, at, has_lines=True)
            try:
                places = json.loads(self._compiler.query("<place>", field="value"))
                pages = json.loads(self._compiler.query("<pages>", field="value"))
            except (RuntimeError, ValueError) as exc:
                raise TypesettingFault(f"Typst does not say where things are: {exc}") from exc
        return SetDocument(pdf, int(pages[0]), tuple(sorted(map(_place, places), key=lambda place: place.page)))

    def set_pictures(self, data: Mapping[str, Any], *, at: Instant, ppi: int) -> tuple[bytes, ...]:
        """Return each page of the document as a PNG, to be looked at on a screen.

        Raises: TypesettingFault.
        """
        with self._lock:
            found = self._compiled(data, at, has_lines=True, format="png", ppi=float(ppi))
        return (bytes(found),) if isinstance(found, bytes) else tuple(map(bytes, found))

    def _compile(self, data: Mapping[str, Any], at: Instant, *, has_lines: bool) -> bytes:
        return bytes(self._compiled(data, at, has_lines=has_lines, format="pdf", pdf_standards=["a-2b"]))

    def _compiled(self, data: Mapping[str, Any], at: Instant, *, has_lines: bool, **kind: Any) -> Any:
        # Late, since most processes never set a document.
        import typst

        if self._compiler is None:
            self._compiler = typst.Compiler(str(self._layout), root=str(_FOLDER), font_paths=faces())
        shown = json.dumps(shownable(dict(data), has_lines=has_lines), ensure_ascii=False)
        try:
            return self._compiler.compile(sys_inputs={"data": shown}, timestamp=at.replace(microsecond=0), **kind)
        except (RuntimeError, ValueError, TypeError) as exc:
            raise TypesettingFault(f"Typst refuses the document: {exc}") from exc


def _place(told: Mapping[str, Any]) -> Place:
    left, top = float(told["x"]), float(told["y"])
    bottom = _PAGE_HEIGHT_PT - top - float(told["h"])
    box = (left, bottom, left + float(told["w"]), bottom + float(told["h"]))
    return Place(str(told["name"]), int(told["page"]), tuple(round(each, 2) for each in box))  # type: ignore[arg-type]

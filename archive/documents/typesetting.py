"""Setting documents to PDF/A-2b with Typst: from a shipped template, shipped fonts and data alone.

No network and no file outside the template folder: the templates import no packages, fonts of the system are not
looked at, and data is handed over as text, never as markup. The same data and date give the same bytes.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant

_FOLDER: Final = Path(__file__).parent / "typst"
_FONT: Final = _FOLDER / "fonts" / "NotoSerifCJKsc-Regular-subset.otf"


class TypesettingFault(LiuhenError):
    """A document could not be set."""

    code = "documents.typesetting_fault"


class Typesetter:
    """Sets one kind of document with a compiler that is kept. Usable from several threads."""

    def __init__(self, template: str) -> None:
        """Take a template by its name in the template folder."""
        self._template = _FOLDER / f"{template}.typ"
        self._lock = threading.Lock()
        self._compiler: Any = None
        self._shown: frozenset[int] = frozenset()

    def set_pdf(self, data: Mapping[str, Any], *, at: Instant) -> bytes:
        """Return the document as PDF/A-2b, dated `at` (whole seconds).

        A character that the shipped font lacks is set as its number, `〔U+20BB7〕`, so that none is lost unseen.
        Raises: TypesettingFault.
        """
        # Late, since most processes never set a document.
        import typst

        with self._lock:
            if self._compiler is None:
                fonts = typst.Fonts(False, False, [str(_FONT.parent)])
                self._compiler = typst.Compiler(str(self._template), root=str(_FOLDER), font_paths=fonts)
                self._shown = _characters(_FONT.read_bytes())
            try:
                return bytes(
                    self._compiler.compile(
                        format="pdf",
                        sys_inputs={"data": json.dumps(self._shownable(dict(data)), ensure_ascii=False)},
                        pdf_standards=["a-2b"],
                        timestamp=at.replace(microsecond=0),
                    )
                )
            except (RuntimeError, ValueError, TypeError) as exc:
                raise TypesettingFault(f"Typst refuses the document: {exc}") from exc

    def _shownable(self, value: Any) -> Any:
        match value:
            case str():
                return "".join(char if ord(char) in self._shown else f"〔U+{ord(char):04X}〕" for char in value)
            case Mapping():
                return {name: self._shownable(part) for name, part in value.items()}
            case list():
                return [self._shownable(part) for part in value]
            case _:
                return value


def _characters(font: bytes) -> frozenset[int]:
    """Return the code points that a font has glyphs for, from its character map of format 4.

    The shipped font is a subset whose segments have no holes. Source: OpenType 1.9, `cmap`, format 4.
    """
    tables = {font[at : at + 4]: _number(font, at + 8, 4) for at in range(12, 12 + 16 * _number(font, 4), 16)}
    cmap = tables[b"cmap"]
    found: set[int] = set()
    for record in range(cmap + 4, cmap + 4 + 8 * _number(font, cmap + 2), 8):
        at = cmap + _number(font, record + 4, 4)
        if _number(font, at) != 4:
            continue
        span = _number(font, at + 6)
        for last in range(at + 14, at + 14 + span, 2):
            found.update(range(_number(font, last + span + 2), _number(font, last) + 1))
    return frozenset(found - {0xFFFF})


def _number(data: bytes, at: int, size: int = 2) -> int:
    return int.from_bytes(data[at : at + size])

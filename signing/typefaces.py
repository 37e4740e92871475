"""A typeface for what is drawn into documents: subsets to embed, and outlines for seals. One face in one file.

A collection (TTC) is refused. Source: OpenType 1.9; ISO 19005-2 section 6.2.11 (fonts are embedded).
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

from archive.kernel.errors import InvalidInput

_CID: Final = re.compile(r"cid([0-9]{5})")
_MOST_KEPT: Final = 64


class TypefaceRefused(InvalidInput):
    """The font file cannot be read, or is not one face of TrueType or of OpenType with character identifiers."""

    code = "signing.typeface_refused"


@dataclass(frozen=True, slots=True)
class EmbeddedFont:
    """A subset as PDF embeds it. `codes` maps characters to codes of two bytes, `widths` codes to 1/1000 em."""

    name: str
    program: bytes
    kind: Literal["CIDFontType0C", "TrueType"]
    codes: Mapping[str, int]
    widths: Mapping[int, int]
    ascent: int
    descent: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of one character as operators of PDF, and its advance; both in 1/1000 em."""

    path: bytes
    advance: int


class Typeface:
    """A face read from a file when it is first needed. Usable from several threads."""

    def __init__(self, path: Path) -> None:
        """Take the file; nothing is read yet."""
        self._path = path
        self._lock = threading.Lock()
        self._file = b""
        self._font: Any = None
        self._names: dict[int, str] = {}
        self._outline = lru_cache(maxsize=1024)(self._drawn)
        self._subset = lru_cache(maxsize=_MOST_KEPT)(self._cut)

    def shownable(self, text: str) -> str:
        """Return the text with each character that the face lacks as its number, so that none is lost unseen.

        Raises: TypefaceRefused.
        """
        with self._lock:
            self._open()
            return "".join(char if ord(char) in self._names else f"〔U+{ord(char):04X}〕" for char in text)

    def outline(self, char: str) -> Outline:
        """Return the outline of a character that the face has. Raises: TypefaceRefused."""
        with self._lock:
            self._open()
            return self._outline(char)

    def subset(self, text: str) -> EmbeddedFont:
        """Return a font with the characters of `text`, which the face has all. Raises: TypefaceRefused."""
        with self._lock:
            self._open()
            return self._subset("".join(sorted(set(text))))

    def _open(self) -> None:
        # Late, since most processes never draw.
        from fontTools.ttLib import TTFont, TTLibError

        if self._font is None:
            try:
                self._file = self._path.read_bytes()
                font = TTFont(BytesIO(self._file), lazy=True)
                names = font.getBestCmap()
            except (OSError, TTLibError, KeyError, ValueError) as exc:
                raise TypefaceRefused(path=str(self._path)) from exc
            if "CFF " in font and not hasattr(font["CFF "].cff.topDictIndex[0], "ROS"):
                raise TypefaceRefused("A face of OpenType needs character identifiers", path=str(self._path))
            self._font, self._names = font, dict(names)

    def _drawn(self, char: str) -> Outline:
        if ord(char) not in self._names:
            raise TypefaceRefused("The face lacks a character", character=f"U+{ord(char):04X}")
        pen = _pdf_pen(self._font.getGlyphSet(), 1000 / self._font["head"].unitsPerEm)
        name = self._names[ord(char)]
        self._font.getGlyphSet()[name].draw(pen)
        return Outline(" ".join(pen.operators).encode("ascii"), self._scaled(self._font["hmtx"][name][0]))

    def _cut(self, characters: str) -> EmbeddedFont:
        from fontTools import subset
        from fontTools.ttLib import TTFont

        options = subset.Options()
        options.layout_features, options.name_IDs = [], []
        options.hinting, options.glyph_names, options.notdef_outline = False, False, True
        options.drop_tables += ["GPOS", "GSUB", "BASE", "VORG", "vhea", "vmtx", "DSIG"]
        font = TTFont(BytesIO(self._file), lazy=True)
        cutter = subset.Subsetter(options)
        cutter.populate(text=characters)
        cutter.subset(font)
        written = BytesIO()
        font.save(written)
        font = TTFont(BytesIO(written.getvalue()))
        is_cff = "CFF " in font
        names = font.getBestCmap()
        # In a face with character identifiers a code is one of them, in another it is the place of the glyph.
        code = {name: int(found[1]) if (found := _CID.fullmatch(name)) and is_cff else font.getGlyphID(name)
                for name in font.getGlyphOrder()}  # fmt: skip
        head, hhea = font["head"], font["hhea"]
        return EmbeddedFont(
            name=self._postscript_name(),
            program=font.reader["CFF "] if is_cff else written.getvalue(),
            kind="CIDFontType0C" if is_cff else "TrueType",
            codes={char: code[names[ord(char)]] for char in characters},
            widths={code[name]: self._scaled(font["hmtx"][name][0]) for name in font.getGlyphOrder()},
            ascent=self._scaled(hhea.ascent),
            descent=self._scaled(hhea.descent),
            box=(
                self._scaled(head.xMin), self._scaled(head.yMin), self._scaled(head.xMax), self._scaled(head.yMax)
            ),
        )  # fmt: skip

    def _postscript_name(self) -> str:
        told = self._font["name"].getDebugName(6) or "Face"
        return re.sub(r"[^A-Za-z0-9-]", "", told) or "Face"

    def _scaled(self, units: float) -> int:
        scale = 1000 / int(self._font["head"].unitsPerEm)
        return round(units * scale)


def _pdf_pen(glyphs: Any, scale: float) -> Any:
    """Return a pen that writes operators of PDF. Source: ISO 32000-1 section 8.5.2."""
    from fontTools.pens.basePen import BasePen

    class _Pen(BasePen):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__(glyphs)
            self.operators: list[str] = []

        def _write(self, operator: str, *points: tuple[float, float]) -> None:
            self.operators += [*(f"{x * scale:.4g} {y * scale:.4g}" for x, y in points), operator]

        def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802 (fontTools' name)
            self._write("m", pt)

        def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
            self._write("l", pt)

        def _curveToOne(  # noqa: N802
            self, pt1: tuple[float, float], pt2: tuple[float, float], pt3: tuple[float, float]
        ) -> None:
            self._write("c", pt1, pt2, pt3)

        def _closePath(self) -> None:  # noqa: N802
            self._write("h")

    return _Pen()

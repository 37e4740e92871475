"""The faces that documents are set in: which are there, and which characters they have glyphs for.

Song for standing words, its bold weight for titles, Kai for what is filled in; rare characters of names come from two
more files of Song. All are shipped, under the SIL Open Font License. Faces of the system are never looked at.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent / "typst" / "fonts"
SONG: Final = _FOLDER / "NotoSerifCJKsc-Regular-subset.otf"
"""A face in the style of 宋体, one in its file, for what is drawn into documents."""


@cache
def faces() -> Any:
    """Return the faces as the compiler takes them; read once."""
    import typst

    return typst.Fonts(False, False, [str(_FOLDER)])


@cache
def shown_characters() -> frozenset[int]:
    """Return the code points that one of the faces shows."""
    files = [*sorted(_FOLDER.rglob("*.otf")), *sorted(_FOLDER.rglob("*.ttf"))]
    return frozenset().union(*(_characters(file.read_bytes()) for file in files))


def shownable(value: Any, *, has_lines: bool = False) -> Any:
    """Return JSON whose texts hold only characters that are shown; others stand as their number, `〔U+20BB7〕`.

    The end of a line is one of them, unless the layout breaks its texts there.
    """
    shown = shown_characters()
    match value:
        case str():
            return "".join(
                char if ord(char) in shown or (has_lines and char == "\n") else f"〔U+{ord(char):04X}〕"
                for char in value
            )
        case Mapping():
            return {name: shownable(part, has_lines=has_lines) for name, part in value.items()}
        case list() | tuple():
            return [shownable(part, has_lines=has_lines) for part in value]
        case _:
            return value


def _characters(font: bytes) -> frozenset[int]:
    """Return the code points that a font has glyphs for, from its character map of format 4.

    The shipped fonts are subsets whose segments have no holes. Source: OpenType 1.9, `cmap`, format 4.
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

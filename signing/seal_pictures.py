"""A seal as a picture for the screen: the drawing that goes into documents, as SVG. A picture proves nothing.

Source: SVG 1.1 section 8.3 for paths; ISO 32000-1 sections 8.4.4 and 8.5 for the operators that `signing.seals` uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from signing.appearances import Appearance

_PATH: Final = {"m": (2, "M"), "l": (2, "L"), "c": (6, "C"), "h": (0, "Z")}
_PAINTED: Final = {"S": ("none", "stroke"), "B": ("fill", "stroke"), "f": ("fill", "none")}


@dataclass(frozen=True, slots=True)
class _Pen:
    """What the graphics state holds of what seals use; `moved` are the matrices so far."""

    moved: tuple[str, ...] = ()
    width: str = "1"
    stroke: str = "#000"
    fill: str = "#000"


def seal_svg(seal: Appearance) -> bytes:
    """Return a drawing of `signing.seals.round_seal` as an SVG of the same proportions, transparent where nothing is.

    Raises: ValueError for operators that no seal has.
    """
    pen, kept, path, shown, numbers = _Pen(), list[_Pen](), list[str](), list[str](), list[str]()
    for part in seal.content.decode("ascii").split():
        if part in _PATH:
            count, command = _PATH[part]
            path.append(command + " ".join(numbers[len(numbers) - count :]))
        elif part in _PAINTED:
            shown.append(_drawn(pen, path, *_PAINTED[part]))
            path = []
        elif part == "q":
            kept.append(pen)
        elif part == "Q":
            pen = kept.pop()
        elif part == "cm":
            pen = replace(pen, moved=(*pen.moved, f"matrix({' '.join(numbers)})"))
        elif part == "w":
            pen = replace(pen, width=numbers[-1])
        elif part == "RG":
            pen = replace(pen, stroke=_colour(numbers))
        elif part == "rg":
            pen = replace(pen, fill=_colour(numbers))
        else:
            float(part)
            numbers.append(part)
            continue
        numbers = []
    size = f"{seal.width:.2f} {seal.height:.2f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">'
    return f'{head}<g transform="matrix(1 0 0 -1 0 {seal.height:.2f})">{"".join(shown)}</g></svg>\n'.encode("ascii")


def _drawn(pen: _Pen, path: Sequence[str], fill: str, stroke: str) -> str:
    moved = f' transform="{" ".join(pen.moved)}"' if pen.moved else ""
    line = f' stroke="{pen.stroke}" stroke-width="{pen.width}"' if stroke != "none" else ""
    return f'<path{moved} fill="{pen.fill if fill != "none" else "none"}"{line} d="{"".join(path)}"/>'


def _colour(numbers: Sequence[str]) -> str:
    return "#" + "".join(f"{round(float(each) * 255):02x}" for each in numbers[-3:])

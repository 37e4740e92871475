"""What a signature shows on the page: pure drawings in points, as PDF content streams. No pyHanko, no files.

Coordinates start at the lower left corner of the drawing. Colours are device RGB, for which the documents that we
make have an output intent (ISO 19005-2 section 6.2.4.3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import BUREAU_ZONE, Instant
from signing.typefaces import EmbeddedFont, Typeface

POINTS_PER_MM: Final = 72 / 25.4
_INK: Final = "0.05 0.07 0.20 RG"
_LEADING: Final = 1.35


class PictureRefused(InvalidInput):
    """The picture is no PNG, or is larger than 4,000 dots on a side."""

    code = "signing.picture_refused"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for PDF: 8-bit RGB samples and, where it is transparent, 8-bit opacity."""

    width_px: int
    height_px: int
    samples: bytes
    opacity: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """A drawing with what it uses, each under the name that `content` calls it by. Units: points.

    Drawn with blend mode Multiply when `is_ink`, so that what is printed below stays to be read.
    """

    width: float
    height: float
    content: bytes
    fonts: Mapping[str, EmbeddedFont] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    parts: Mapping[str, "Appearance"] = field(default_factory=dict)
    is_ink: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text. Units: points."""

    text: str
    size: float


def lines_appearance(typeface: Typeface, lines: Sequence[Line], *, width: float, height: float) -> Appearance:
    """Return lines of text, the first at the top; all are made smaller together where they would not fit.

    Raises: TypefaceRefused.
    """
    shown = [Line(typeface.shownable(line.text), line.size) for line in lines]
    # All digits always: the subset of an officer is then made once and not for each second of signing.
    font = typeface.subset("0123456789" + "".join(line.text for line in shown))
    widest = max((_width(font, line.text) * line.size for line in shown), default=0) or 1
    tall = sum(line.size for line in shown) * _LEADING or 1
    scale = min(1.0, (width - 2) / widest, (height - 2) / tall)
    top, operators = height - (height - tall * scale) / 2, ["0 g", "BT"]
    for line in shown:
        size = line.size * scale
        top -= size * _LEADING
        base = top + size * (_LEADING - 1) / 2 + size * 0.16
        codes = "".join(f"{font.codes[char]:04X}" for char in line.text)
        operators += [f"/Text {number(size)} Tf", f"1 0 0 1 1 {number(base)} Tm", f"<{codes}> Tj"]
    operators.append("ET")
    return Appearance(width, height, "\n".join(operators).encode("ascii"), fonts={"Text": font})


def officer_appearance(
    typeface: Typeface, *, name: str, certificate_number: str, at: Instant, width: float, height: float
) -> Appearance:
    """Return an officer's name, number of the enforcement certificate and the time of signing in the bureau's zone.

    Raises: TypefaceRefused.
    """
    when = at.astimezone(BUREAU_ZONE)
    told = f"{when.year}年{when.month}月{when.day}日 {when:%H:%M:%S}"
    lines = (Line(name, 16), Line(f"执法证号 {certificate_number}", 8), Line(told, 8))
    return lines_appearance(typeface, lines, width=width, height=height)


def picture_appearance(png: bytes, *, width: float, height: float) -> Appearance:
    """Return an image (PNG, also with transparency) in the size given. Raises: PictureRefused."""
    picture = _read_png(png)
    content = f"q {number(width)} 0 0 {number(height)} 0 0 cm /Picture Do Q".encode("ascii")
    return Appearance(width, height, content, pictures={"Picture": picture}, is_ink=True)


def strokes_appearance(
    strokes: Sequence[Sequence[tuple[float, float, float]]], *, width: float, height: float
) -> Appearance:
    """Return a hand signature: strokes of points (x, y, pressure from 0 to 1), y downwards, fitted into the box.

    The proportions are kept; the pen is broader where it was pressed harder.
    """
    points = [point for stroke in strokes for point in stroke]
    left, top = (min((point[axis] for point in points), default=0) for axis in (0, 1))
    right, bottom = (max((point[axis] for point in points), default=1) for axis in (0, 1))
    margin = min(width, height) * 0.06
    scale = min((width - 2 * margin) / max(right - left, 1e-6), (height - 2 * margin) / max(bottom - top, 1e-6))
    shift_x = (width - (right - left) * scale) / 2 - left * scale
    shift_y = (height + (bottom - top) * scale) / 2 + top * scale
    pen = min(width / 3, height) * 0.045
    operators = [_INK, "1 J 1 j"]
    for stroke in strokes:
        placed = [
            (shift_x + x * scale, shift_y - y * scale, pen * (0.45 + 1.1 * pressure)) for x, y, pressure in stroke
        ]
        operators += _smooth(placed)
    return Appearance(width, height, "\n".join(operators).encode("ascii"))


def number(value: float) -> str:
    """Return a number as PDF content wants it: two decimals at most, no exponent."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if round(value, 2) else "0"


def _smooth(points: Sequence[tuple[float, float, float]]) -> list[str]:
    """Return curves through the points of a stroke (a Catmull-Rom spline, as Bézier curves), each with its breadth."""
    if len(points) == 1:
        x, y, breadth = points[0]
        return [f"{number(breadth)} w {number(x)} {number(y)} m {number(x)} {number(y)} l S"]
    found = []
    for at in range(len(points) - 1):
        before, start, end, after = (
            points[max(at - 1, 0)],
            points[at],
            points[at + 1],
            points[min(at + 2, len(points) - 1)],
        )
        handles = [
            (start[0] + (end[0] - before[0]) / 6, start[1] + (end[1] - before[1]) / 6),
            (end[0] - (after[0] - start[0]) / 6, end[1] - (after[1] - start[1]) / 6),
        ]
        curve = " ".join(f"{number(x)} {number(y)}" for x, y in (*handles, end[:2]))
        pressed = number((start[2] + end[2]) / 2)
        found.append(f"{pressed} w {number(start[0])} {number(start[1])} m {curve} c S")
    return found


def _width(font: EmbeddedFont, text: str) -> float:
    return sum(font.widths[font.codes[char]] for char in text) / 1000


def _read_png(png: bytes) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        from io import BytesIO

        with Image.open(BytesIO(png), formats=["PNG"]) as found:
            if max(found.size) > 4000:
                raise PictureRefused(width_px=found.width, height_px=found.height)
            whole = found.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise PictureRefused from exc
    opacity = whole.getchannel("A")
    is_opaque = opacity.getextrema() == (255, 255)
    return Picture(whole.width, whole.height, whole.convert("RGB").tobytes(), None if is_opaque else opacity.tobytes())

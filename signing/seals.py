"""The round seal of an agency, drawn from its name: the picture of an electronic seal (电子签章), never its proof.

Red ring, the name on an arc from left to right, a star in the middle, an optional line below it.
Source: 国发〔1999〕25号, sections on the seals of local bodies: 42 mm across, rim 1.2 mm, star 14 mm, 宋体.
"""

import math
from collections.abc import Sequence
from typing import Final

from archive.kernel.errors import InvalidInput
from signing.appearances import POINTS_PER_MM, Appearance, number
from signing.typefaces import Typeface

SEAL_MM: Final = 42.0
SEAL_POINTS: Final = SEAL_MM * POINTS_PER_MM
LEAST_SLICE_MM: Final = 5.0
"""A slice of a seal across the pages is not narrower, so that what it shows can be told."""
_RIM_MM: Final = 1.2
_STAR_MM: Final = 14.0
_RED: Final = "0.84 0.09 0.10"
_MOST_NAME_CHARS: Final = 40
_MOST_LINE_CHARS: Final = 12


class SealNameRefused(InvalidInput):
    """The name on a seal has 1 to 40 characters, the line below the star at most 12."""

    code = "signing.seal_name_refused"


def round_seal(typeface: Typeface, *, name: str, line: str = "") -> Appearance:
    """Return the seal with this name and, below the star, this line, for example 行政执法专用章.

    Raises: SealNameRefused; TypefaceRefused for a character that the face lacks.
    """
    name, line = name.strip(), line.strip()
    if not 0 < len(name) <= _MOST_NAME_CHARS or len(line) > _MOST_LINE_CHARS:
        raise SealNameRefused(name_chars=len(name), line_chars=len(line))
    half = SEAL_MM / 2
    scale = POINTS_PER_MM
    operators = [
        f"{scale:.5f} 0 0 {scale:.5f} {number(half * scale)} {number(half * scale)} cm",
        f"{_RED} RG {_RED} rg",
        _ring(half - _RIM_MM / 2 - 0.1),
        _star(_STAR_MM / 2, rise=0.6 if line else 0.0),
        *_arc(typeface, name, has_line=bool(line)),
        *_row(typeface, line),
    ]
    return Appearance(SEAL_POINTS, SEAL_POINTS, "\n".join(operators).encode("ascii"), is_ink=True)


def slices_of(seal: Appearance, parts: int) -> Sequence[Appearance]:
    """Return the seal cut into upright strips of one width, the left one first: what each of `parts` pages shows."""
    width = seal.width / parts
    return tuple(
        Appearance(
            width,
            seal.height,
            f"q 1 0 0 1 {number(-at * width)} 0 cm /Seal Do Q".encode("ascii"),
            parts={"Seal": seal},
            is_ink=seal.is_ink,
        )
        for at in range(parts)
    )


def pages_per_seal(pages: int) -> Sequence[int]:
    """Return over how many pages each seal goes, so that all slices are wide enough: 19 pages are three seals.

    A single page has no seal across pages.
    """
    most = int(SEAL_MM / LEAST_SLICE_MM)
    if pages < 2:
        return ()
    seals = math.ceil(pages / most)
    return tuple(pages // seals + (at < pages % seals) for at in range(seals))


def _ring(radius: float) -> str:
    """Return a circle of four curves. Source: the usual constant 4/3 (√2 - 1)."""
    pull = radius * 0.5522847
    path = [f"{_RIM_MM} w {radius:.3f} 0 m"]
    for turn in range(4):
        start, end = math.pi / 2 * turn, math.pi / 2 * (turn + 1)
        points = (
            (radius * math.cos(start) - pull * math.sin(start), radius * math.sin(start) + pull * math.cos(start)),
            (radius * math.cos(end) + pull * math.sin(end), radius * math.sin(end) - pull * math.cos(end)),
            (radius * math.cos(end), radius * math.sin(end)),
        )
        path.append(" ".join(f"{x:.3f} {y:.3f}" for x, y in points) + " c")
    return " ".join([*path, "h S"])


def _star(radius: float, *, rise: float) -> str:
    inner = radius * math.sin(math.radians(18)) / math.sin(math.radians(54))
    points = [
        (reach * math.cos(angle), rise + reach * math.sin(angle))
        for turn in range(10)
        for reach, angle in [(inner if turn % 2 else radius, math.pi / 2 + math.pi / 5 * turn)]
    ]
    return " ".join(f"{x:.3f} {y:.3f} {'l' if at else 'm'}" for at, (x, y) in enumerate(points)) + " h f"


def _arc(typeface: Typeface, name: str, *, has_line: bool) -> list[str]:
    """Return the characters of the name on their arc, feet towards the middle, narrower the more there are."""
    height = 5.6 if len(name) <= 16 else 4.6
    radius = SEAL_MM / 2 - _RIM_MM - 1.0 - height / 2
    span = math.radians(228 if has_line else 262)
    step = min(math.radians(35), span / max(len(name) - 1, 1))
    width = min(height * 0.86, 2 * (radius - height / 2) * math.tan(step / 2) * 1.02)
    first = math.pi / 2 + step * (len(name) - 1) / 2
    found = []
    for at, char in enumerate(name):
        angle = first - at * step
        turn = angle - math.pi / 2
        found.append(
            _placed(
                typeface,
                char,
                x=radius * math.cos(angle),
                y=radius * math.sin(angle),
                turn=turn,
                width=width,
                height=height,
            )
        )
    return found


def _row(typeface: Typeface, line: str) -> list[str]:
    """Return the characters of the line below the star."""
    height = 4.0
    step = min(3.4, 21.0 / max(len(line), 1))
    return [
        _placed(
            typeface, char, x=(at - (len(line) - 1) / 2) * step, y=-11.4, turn=0.0, width=step * 0.94, height=height
        )
        for at, char in enumerate(line)
    ]


def _placed(typeface: Typeface, char: str, *, x: float, y: float, turn: float, width: float, height: float) -> str:
    """Return one character with its em square turned, in this size, about this middle; its strokes a little broader."""
    outline = typeface.outline(char)
    across, up = width / max(outline.advance, 1), height / 1000
    cos, sin = math.cos(turn), math.sin(turn)
    matrix = (cos * across, sin * across, -sin * up, cos * up)
    shift_x = x - matrix[0] * outline.advance / 2 - matrix[2] * 380
    shift_y = y - matrix[1] * outline.advance / 2 - matrix[3] * 380
    told = " ".join(f"{each:.6f}" for each in (*matrix, shift_x, shift_y))
    # Regular strokes would look thin in a stamp's print.
    return f"q {told} cm 24 w {outline.path.decode('ascii')} B Q"

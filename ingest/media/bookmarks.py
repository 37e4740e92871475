"""Bookmarks out of what a camera wrote beside its recording: places that its wearer marked, each with its source."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ingest.media.track import clean

_MOST: Final = 1000
_LISTS: Final = ("bookmarks", "markers")
_MS: Final = ("at_ms", "offset_ms", "time_ms", "ms")
_S: Final = ("at_s", "offset_s", "seconds", "offset", "at", "time", "position")
_LABELS: Final = ("label", "name", "title", "text", "note", "comment", "description", "type")
_MOST_MS: Final = 1 << 50
_DEPTH: Final = 3


def bookmarks(sidecar: Any) -> list[dict[str, Any]]:
    """Return the bookmarks of a dock manifest's sidecar: `at_ms` from the start, `label`, `source`.

    A mark is a number of seconds, or an object with seconds or milliseconds and a label; numbers may stand as text, as
    `12.5` or `0:01:02`. What names no place in the recording is left out.
    """
    found: list[dict[str, Any]] = []
    for source, mark in _marks(sidecar, "sidecar", _DEPTH):
        at_ms = _place_ms(mark)
        if at_ms is not None and 0 <= at_ms <= _MOST_MS and len(found) < _MOST:
            found.append({"at_ms": at_ms, "label": _label(mark), "source": source})
    return sorted(found, key=lambda mark: (mark["at_ms"], mark["source"]))


def _marks(value: Any, source: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what the lists hold, also those of an object inside the sidecar."""
    if not isinstance(value, Mapping):
        return
    for name, inner in value.items():
        where = f"{source}.{clean(name)}"
        if str(name).lower() in _LISTS and isinstance(inner, list):
            yield from ((f"{where}[{number}]", mark) for number, mark in enumerate(inner))
        elif depth > 1:
            yield from _marks(inner, where, depth - 1)


def _place_ms(mark: Any) -> int | None:
    if not isinstance(mark, Mapping):
        return _seconds_ms(mark)
    for name in _MS:
        if name in mark:
            value = _number(mark[name])
            return None if value is None else round(value)
    return next((at_ms for name in _S if name in mark and (at_ms := _seconds_ms(mark[name])) is not None), None)


def _seconds_ms(value: Any) -> int | None:
    parts = value.split(":") if isinstance(value, str) else [value]
    numbers = [_number(part) for part in parts]
    if not 1 <= len(numbers) <= 3 or any(number is None for number in numbers):
        return None
    total = 0.0
    for number in numbers:
        total = total * 60 + (number or 0.0)
    return round(total * 1000) if abs(total) < _MOST_MS else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= _MOST_MS else None


def _label(mark: Any) -> str:
    if not isinstance(mark, Mapping):
        return ""
    return next((text for name in _LABELS if (text := clean(mark.get(name)))), "")

"""What is known of an encode in segments, in a form that outlives the worker that found it."""

from dataclasses import dataclass, field
from typing import Any, Self

from archive.kernel.errors import InvalidInput


@dataclass(slots=True)
class LiveState:
    """What has to outlive a worker: where segments begin, how many there are, and what was complained of.

    Units: `origin` in ticks, places in milliseconds. `end` is the number after the last segment, once a run came to the
    end of the source; `empty` are segments without a picture, `late` those whose first picture comes well after their
    start, `short` those whose last one ends well before their end, and after how many ticks.
    `is_cut_off`: a run ended with an error.
    `is_doubtful`: a run that began in the middle complained at its start, which the seek may have caused.
    """

    origin: int | None = None
    count: int | None = None
    end: int | None = None
    empty: set[int] = field(default_factory=set)
    late: dict[int, int] = field(default_factory=dict)
    short: dict[int, int] = field(default_factory=dict)
    runs: int = 0
    complaints: int = 0
    places_ms: list[int] = field(default_factory=list)
    is_cut_off: bool = False
    is_doubtful: bool = False

    @property
    def listed(self) -> int | None:
        """How many segments there are, or should be; None where nobody knows yet."""
        return self.end if self.end is not None else self.count

    def is_empty(self, number: int) -> bool:
        """Return whether it is known that a segment has no picture."""
        return number in self.empty or (self.end is not None and number >= self.end)

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            "origin": self.origin,
            "count": self.count,
            "end": self.end,
            "empty": _as_ranges(self.empty),
            "late": [[number, ticks] for number, ticks in sorted(self.late.items())],
            "short": [[number, ticks] for number, ticks in sorted(self.short.items())],
            "runs": self.runs,
            "complaints": self.complaints,
            "places_ms": list(self.places_ms),
            "is_cut_off": self.is_cut_off,
            "is_doubtful": self.is_doubtful,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        try:
            empty = {number for first, after in value["empty"] for number in range(first, after)}
            edges = {name: {int(number): int(ticks) for number, ticks in value[name]} for name in ("late", "short")}
            return cls(**{**value, **edges, "empty": empty, "places_ms": list(value["places_ms"])})
        except (KeyError, TypeError, ValueError) as exc:
            raise InvalidInput("Not the JSON form of a live encode") from exc


def _as_ranges(numbers: set[int]) -> list[list[int]]:
    """Return numbers as first and after the last of each row of them: a gap of hours is two numbers."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] = number + 1
        else:
            ranges.append([number, number + 1])
    return ranges

"""The rules of holds as data: their numbers, how far ahead a review may lie, when people are told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Self

from archive.calendar.days import local_day
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.kernel.rules import check_scheme, load_rules

MAX_NUMBER_CHARACTERS: Final = 64
_SHIPPED: Final = Path(__file__).parent / "rules.toml"
_NAMES: Final = {"from", "set_by", "scheme", "most_review_days", "warn_days"}


class HoldRulesInvalid(LiuhenError):
    """The file of the rules of holds is wrong."""

    code = "holds.rules_invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class HoldRules:
    """A dated set of the rules. Units: days."""

    since: date
    set_by: str
    scheme: str
    most_review_days: int
    warn_days: int

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: a bureau's own where a file is named, else those that are shipped.

        Raises: HoldRulesInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, HoldRulesInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != _NAMES:
            raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
        rules = cls(told["from"], told["set_by"], told["scheme"], told["most_review_days"], told["warn_days"])
        if type(rules.since) is not date or {type(rules.set_by), type(rules.scheme)} != {str}:
            raise TypeError("`from` is a date, `set_by` and `scheme` are texts")
        if {type(rules.most_review_days), type(rules.warn_days)} != {int}:
            raise TypeError("days are whole numbers")
        if not 1 <= rules.most_review_days <= 366 or not 0 <= rules.warn_days <= 60:
            raise ValueError("a review lies 1 to 366 days ahead, and a warning 0 to 60")
        check_scheme(rules.scheme, {"year", "serial"})
        if len(rules.number(year=9999, serial=10**9)) > MAX_NUMBER_CHARACTERS:
            raise ValueError(f"a number has at most {MAX_NUMBER_CHARACTERS} characters")
        return rules

    def number(self, *, year: int, serial: int) -> str:
        """Return the number with this serial."""
        return self.scheme.format(year=year, serial=serial)

    def series(self, *, year: int) -> str:
        """Return what names the numbers that are counted together: all that say the same beside the serial."""
        return self.number(year=year, serial=0)

    def is_review_day(self, day: date, at: Instant) -> bool:
        """Return whether a review may be set to a day: not in the past, and not too far ahead."""
        today = local_day(at)
        return today <= day <= today + timedelta(days=self.most_review_days)

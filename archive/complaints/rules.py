"""The rules of numbers and deadlines, as data: shipped with a date, replaced by a bureau's own file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any, Final, Self

from archive.complaints.terms import ComplaintKind
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.kernel.rules import check_scheme, load_rules

MAX_NUMBER_CHARACTERS: Final = 100
_SHIPPED: Final = Path(__file__).parent / "rules.toml"
_NAMES: Final = {"from", "set_by", "counting", "zone_minutes", "warn_days", "numbers", "complaint", "report"}
_FIELDS: Final = {"kind", "year", "serial"}
_MOST_DAYS: Final = 3660
_LAST_SECOND: Final = time(23, 59, 59)


class ComplaintRulesInvalid(LiuhenError):
    """The file of the rules of complaints is wrong."""

    code = "complaints.rules_invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class Limits:
    """The deadlines of a kind, in calendar days after the day of receipt, and their legal basis."""

    accept_days: int
    answer_days: int
    basis: str


@dataclass(frozen=True, slots=True)
class ComplaintRules:
    """A dated set of the rules. Units: minutes ahead of UTC; days."""

    since: date
    set_by: str
    zone_minutes: int
    warn_days: int
    scheme: str
    words: Mapping[ComplaintKind, str]
    limits: Mapping[ComplaintKind, Limits]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: a bureau's own where a file is named, else those that are shipped.

        Raises: ComplaintRulesInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, ComplaintRulesInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != _NAMES or set(told["numbers"]) != {"scheme", *(kind.value for kind in ComplaintKind)}:
            raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
        if told["counting"] != "calendar":
            raise ValueError("counting is calendar: working days are not known yet")
        rules = cls(
            since=told["from"],
            set_by=told["set_by"],
            zone_minutes=told["zone_minutes"],
            warn_days=told["warn_days"],
            scheme=told["numbers"]["scheme"],
            words={kind: told["numbers"][kind.value] for kind in ComplaintKind},
            limits={kind: Limits(**told[kind.value]) for kind in ComplaintKind},
        )
        days = [day for limits in rules.limits.values() for day in (limits.accept_days, limits.answer_days)]
        texts = [rules.set_by, rules.scheme, *rules.words.values(), *(found.basis for found in rules.limits.values())]
        numbers = {*map(type, [rules.zone_minutes, rules.warn_days, *days])}
        if type(rules.since) is not date or numbers != {int} or {*map(type, texts)} != {str}:
            raise TypeError("a value is of another type")
        if not all(1 <= day <= _MOST_DAYS for day in days) or not 0 <= rules.warn_days <= 60:
            raise ValueError(f"1 to {_MOST_DAYS} days, and a warning of 0 to 60 days")
        if abs(rules.zone_minutes) > 14 * 60:
            raise ValueError("a zone is at most 14 hours from UTC")
        check_scheme(rules.scheme, _FIELDS)
        if len(rules.number(ComplaintKind.COMPLAINT, year=9999, serial=10**9)) > MAX_NUMBER_CHARACTERS:
            raise ValueError(f"a number has at most {MAX_NUMBER_CHARACTERS} characters")
        return rules

    def year_of(self, at: Instant) -> int:
        """Return the year of a moment where the bureau is."""
        return at.astimezone(self._zone).year

    def number(self, kind: ComplaintKind, *, year: int, serial: int) -> str:
        """Return the number with this serial."""
        return self.scheme.format(kind=self.words[kind], year=year, serial=serial)

    def series(self, kind: ComplaintKind, *, year: int) -> str:
        """Return what names the numbers that are counted together: all that say the same beside the serial."""
        return self.number(kind, year=year, serial=0)

    def deadlines(self, kind: ComplaintKind, received_at: Instant) -> tuple[Instant, Instant]:
        """Return until when it is accepted or not, and until when it is answered: each the last second of a day."""
        day, limits = received_at.astimezone(self._zone).date(), self.limits[kind]
        return self._end_of(day, limits.accept_days), self._end_of(day, limits.answer_days)

    def day_of(self, at: Instant) -> str:
        """Return the day of a deadline, as people read it."""
        return at.astimezone(self._zone).strftime("%Y-%m-%d")

    @property
    def warning(self) -> timedelta:
        """How long before a deadline people are told."""
        return timedelta(days=self.warn_days)

    @property
    def _zone(self) -> timezone:
        return timezone(timedelta(minutes=self.zone_minutes))

    def _end_of(self, day: date, days: int) -> Instant:
        return datetime.combine(day + timedelta(days=days), _LAST_SECOND, self._zone).astimezone(UTC)

"""Working days of China: weekends, public holidays and shifted weekends (调休) by year, as the State Council sets them.

The years stand in `holidays/`, a file each; a bureau may name a folder of its own. A year without a file is known by
its weekends only, and whoever counts says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.kernel.rules import load_rules

_SHIPPED: Final = Path(__file__).parent / "holidays"
_SATURDAY: Final = 5
_MOST_DAYS_OFF: Final = 31


class CalendarInvalid(LiuhenError):
    """A file of holidays is wrong."""

    code = "calendar.invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class Year:
    """One year as its notice has it: the days off with their names, and the weekend days that are worked."""

    year: int
    notice: str
    off: Mapping[date, str]
    working: frozenset[date]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what a file says. Raises: ValueError, KeyError, TypeError."""
        if set(told) != {"year", "notice", "working", "off"}:
            raise ValueError("the names are year, notice, working, off")
        year, notice = told["year"], told["notice"]
        if type(year) is not int or not isinstance(notice, str) or not notice:
            raise TypeError("`year` is a number and `notice` a text")
        off: dict[date, str] = {}
        for each in told["off"]:
            if set(each) != {"name", "first", "last"}:
                raise ValueError("days off have name, first and last")
            for day in _days(each["first"], each["last"]):
                if day in off:
                    raise ValueError(f"{day} is off twice")
                off[day] = str(each["name"])
        working = frozenset(_day(day) for day in told["working"])
        if wrong := [day for day in (*off, *working) if day.year != year]:
            raise ValueError(f"{wrong[0]} is not in {year}")
        if wrong := [day for day in working if day.weekday() < _SATURDAY or day in off]:
            raise ValueError(f"{wrong[0]} is no weekend day that could be worked")
        return cls(year, notice, off, working)


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """Which days are worked. A year that is not in `years` is known by its weekends only."""

    years: Mapping[int, Year]

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read the files of a folder, `*.toml`, a year each; those that are shipped where none is named.

        Raises: CalendarInvalid, also for a year that stands in two files.
        """
        years: dict[int, Year] = {}
        for file in sorted((folder or _SHIPPED).glob("*.toml")):
            found = load_rules(file, Year.of, CalendarInvalid)
            if found.year in years:
                raise CalendarInvalid(file=str(file), cause=f"the year {found.year} stands in two files")
            years[found.year] = found
        return cls(years)

    def knows(self, day: date) -> bool:
        """Return whether the notice for the day's year is known."""
        return day.year in self.years

    def is_working(self, day: date) -> bool:
        """Return whether a day is worked; by the weekend alone where the year is not known."""
        return self.why_off(day) is None

    def why_off(self, day: date) -> str | None:
        """Return the name of the holiday, `weekend`, or None for a working day."""
        if (year := self.years.get(day.year)) is not None:
            if day in year.off:
                return year.off[day]
            if day in year.working:
                return None
        return "weekend" if day.weekday() >= _SATURDAY else None


@cache
def shipped_days() -> WorkingDays:
    """Return the working days that are shipped."""
    return WorkingDays.load()


def local_day(at: Instant) -> date:
    """Return the day on which an instant falls where the bureau is.

    Raises: InvalidInput for a naive datetime.
    """
    if at.tzinfo is None:
        raise InvalidInput("An instant needs a time zone")
    return at.astimezone(BUREAU_ZONE).date()


def _day(value: Any) -> date:
    if type(value) is not date:
        raise TypeError(f"{value} is no day")
    return value


def _days(first: Any, last: Any) -> list[date]:
    count = (_day(last) - _day(first)).days + 1
    if not 1 <= count <= _MOST_DAYS_OFF:
        raise ValueError(f"{first} to {last} are not 1 to {_MOST_DAYS_OFF} days")
    return [first + timedelta(days=number) for number in range(count)]


def day_start(day: date) -> Instant:
    """Return the instant at which a day begins where the bureau is."""
    return datetime.combine(day, time(), BUREAU_ZONE).astimezone(UTC)

"""Deadlines: the last day of a period, with all that its count rests on.

The first day is not counted; a last day that is off moves to the next working day where the limit says so; months end
on the day of the same number, or on the last day of the month where it has none.

Source: 行政处罚法 art. 85, 行政强制法 art. 69 (short periods are working days); 民事诉讼法 art. 85 and 民法典
art. 200 to 203 (how days and months are counted, and the last day that is a holiday). What a limit goes by stands in
its `basis`.
"""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

from archive.calendar.days import WorkingDays
from archive.kernel.errors import InvalidInput

_MOST: Final = 3660
_MONTHS_OF_A_YEAR: Final = 12


class PeriodInvalid(InvalidInput):
    """A period is from 1 to 3660 days or months, and ends before the year 9999."""

    code = "calendar.period_invalid"


class Unit(StrEnum):
    """What a period is counted in."""

    DAYS = "days"
    WORKING_DAYS = "working_days"
    MONTHS = "months"


@dataclass(frozen=True, slots=True)
class Limit:
    """A period: how much of what, whether a last day that is off moves on, and the provision it goes by."""

    amount: int
    unit: Unit
    moves_on: bool = True
    basis: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be counted. Raises: PeriodInvalid."""
        if not 1 <= self.amount <= _MOST:
            raise PeriodInvalid(amount=self.amount)


@dataclass(frozen=True, slots=True)
class DayOff:
    """A day that was passed over, and why: the holiday's name or `weekend`."""

    day: date
    why: str

    def as_json(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"day": self.day.isoformat(), "why": self.why}


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day of a period and how it was counted.

    `first` is the first day that counts; `skipped` are the days off that did not count, for working days; `due` is the
    last day before it moved, `moved_over` the days off that it moved over; `unknown_years` are those whose holidays are
    not known, so that they were counted with weekends only.
    """

    start: date
    limit: Limit
    first: date
    due: date
    last: date
    skipped: tuple[DayOff, ...]
    moved_over: tuple[DayOff, ...]
    unknown_years: tuple[int, ...]

    @property
    def is_certain(self) -> bool:
        """Whether every year that the count touches is known; only then is the last day sure."""
        return not self.unknown_years

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: the last day and every step that led there."""
        return {
            "start": self.start.isoformat(),
            "amount": self.limit.amount,
            "unit": self.limit.unit.value,
            "basis": self.limit.basis,
            "first": self.first.isoformat(),
            "due": self.due.isoformat(),
            "last": self.last.isoformat(),
            "skipped": [day.as_json() for day in self.skipped],
            "moved_over": [day.as_json() for day in self.moved_over],
            "unknown_years": list(self.unknown_years),
        }


def deadline(start: date, limit: Limit, *, days: WorkingDays) -> Deadline:
    """Count a period from the day of an event, which is not counted itself.

    Raises: PeriodInvalid when it ends beyond the year 9999.
    Source: 民法典 art. 201 (first day not counted), 202 (months), 203 (last day off); 行政处罚法 art. 85.

    1. the first day is not counted   2. days off are passed over where working days are counted
    3. a last day that is off moves on to the next working day
    """
    try:
        first = start + timedelta(days=1)  # 1.
        skipped: list[DayOff] = []
        due = _due(start, limit, days, skipped)
        moved_over: list[DayOff] = []
        last = _next_working(due, days, moved_over) if limit.moves_on else due  # 3.
    except (OverflowError, ValueError) as exc:
        raise PeriodInvalid("The period ends beyond the year 9999") from exc
    touched: range | tuple[()] = range(due.year, last.year + 1) if limit.moves_on else ()
    if limit.unit is Unit.WORKING_DAYS:
        touched = range(first.year, last.year + 1)
    unknown = tuple(year for year in touched if year not in days.years)
    return Deadline(start, limit, first, due, last, tuple(skipped), tuple(moved_over), unknown)


def _due(start: date, limit: Limit, days: WorkingDays, skipped: list[DayOff]) -> date:
    if limit.unit is Unit.DAYS:
        return start + timedelta(days=limit.amount)
    if limit.unit is Unit.MONTHS:
        return _months_later(start, limit.amount)
    due = start
    for _ in range(limit.amount):  # 2.
        due = _next_working(due + timedelta(days=1), days, skipped)
    return due


def _next_working(day: date, days: WorkingDays, passed: list[DayOff]) -> date:
    while (why := days.why_off(day)) is not None:
        passed.append(DayOff(day, why))
        day += timedelta(days=1)
    return day


def _months_later(start: date, months: int) -> date:
    years, month = divmod(start.month - 1 + months, _MONTHS_OF_A_YEAR)
    year, month = start.year + years, month + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))

"""Working days as the State Council's notices have them, held against the package chinesecalendar as judge."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import chinese_calendar
import pytest

from archive.calendar import days as module
from archive.calendar.days import CalendarInvalid, WorkingDays, local_day, shipped_days
from archive.kernel.errors import InvalidInput

SHIPPED = Path(module.__file__).parent / "holidays"


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_every_day_of_a_known_year_is_as_the_judge_has_it(year: int) -> None:
    day, found = date(year, 1, 1), []
    while day.year == year:
        if shipped_days().is_working(day) is not chinese_calendar.is_workday(day):
            found.append(day)
        day += timedelta(days=1)
    assert found == []
    assert shipped_days().knows(date(year, 6, 1))


def test_a_shifted_weekend_is_worked_and_a_holiday_has_its_name() -> None:
    known = shipped_days()
    assert known.why_off(date(2026, 2, 14)) is None
    assert known.why_off(date(2026, 2, 16)) == "春节"
    assert known.why_off(date(2026, 3, 14)) == "weekend"
    assert known.why_off(date(2026, 3, 16)) is None


def test_an_unknown_year_has_its_weekends_only() -> None:
    known = shipped_days()
    assert not known.knows(date(2031, 10, 1))
    assert known.is_working(date(2031, 10, 1))
    assert not known.is_working(date(2031, 10, 4))


def test_a_day_begins_where_the_bureau_is() -> None:
    assert local_day(datetime(2026, 3, 4, 15, 59, tzinfo=UTC)) == date(2026, 3, 4)
    assert local_day(datetime(2026, 3, 4, 16, 0, tzinfo=UTC)) == date(2026, 3, 5)
    with pytest.raises(InvalidInput):
        local_day(datetime.fromisoformat("2026-03-04T16:00"))


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("year = 2025", 'year = "2025"', "`year` is a number"),
        ("notice =", "note =", "the names are"),
        ("last = 2025-01-01", "last = 2024-12-01", "are not 1 to 31 days"),
        ("first = 2025-01-01", "first = 2024-12-31", "2024-12-31 is not in 2025"),
        ("first = 2025-01-28", "first = 2025-01-01", "are not 1 to 31 days"),
        ("first = 2025-05-01", "first = 2025-04-06", "2025-04-06 is off twice"),
        ("2025-01-26,", "2025-01-27,", "2025-01-27 is no weekend day"),
        ("last = 2025-01-01", 'last = 2025-01-01\nwhy = "x"', "name, first and last"),
        ("last = 2025-01-01", 'last = "2025-01-01"', "is no day"),
        ("year = 2025", "year = ", "Invalid value"),
    ],
)
def test_a_wrong_file_is_refused_with_its_cause(tmp_path: Path, old: str, new: str, cause: str) -> None:
    text = (SHIPPED / "2025.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "2025.toml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(CalendarInvalid) as caught:
        WorkingDays.load(tmp_path)
    assert cause in str(caught.value)


def test_a_year_stands_in_one_file(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text((SHIPPED / "2025.toml").read_text("utf-8"), "utf-8")
    with pytest.raises(CalendarInvalid, match="stands in two files"):
        WorkingDays.load(tmp_path)

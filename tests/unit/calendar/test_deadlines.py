"""Deadlines by hand: each count as a clerk would make it on paper."""

from datetime import date

import pytest

from archive.calendar.days import shipped_days
from archive.calendar.deadlines import DayOff, Limit, PeriodInvalid, Unit, deadline

DAYS = shipped_days()


@pytest.mark.parametrize(
    ("start", "limit", "last"),
    [
        # Seven working days over the Spring Festival of 2026, with the shifted Saturday 14 and 28 February.
        (date(2026, 2, 11), Limit(7, Unit.WORKING_DAYS), date(2026, 2, 27)),
        (date(2026, 2, 11), Limit(3, Unit.WORKING_DAYS), date(2026, 2, 14)),
        (date(2026, 3, 6), Limit(5, Unit.WORKING_DAYS), date(2026, 3, 13)),
        # The thirtieth day is a Saturday: it moves to Monday, or stays where the limit does not move.
        (date(2026, 3, 12), Limit(30, Unit.DAYS), date(2026, 4, 13)),
        (date(2026, 3, 12), Limit(30, Unit.DAYS, moves_on=False), date(2026, 4, 11)),
        # The last day is National Day 2025, which lasted until 8 October.
        (date(2025, 8, 2), Limit(60, Unit.DAYS), date(2025, 10, 9)),
        (date(2025, 8, 31), Limit(6, Unit.MONTHS, moves_on=False), date(2026, 2, 28)),
        (date(2025, 8, 31), Limit(6, Unit.MONTHS), date(2026, 2, 28)),
        (date(2024, 8, 29), Limit(6, Unit.MONTHS, moves_on=False), date(2025, 2, 28)),
        (date(2025, 12, 15), Limit(12, Unit.MONTHS), date(2026, 12, 15)),
    ],
)
def test_the_last_day_is_as_counted_by_hand(start: date, limit: Limit, last: date) -> None:
    assert deadline(start, limit, days=DAYS).last == last


def test_it_shows_how_it_was_counted() -> None:
    found = deadline(date(2025, 9, 25), Limit(5, Unit.WORKING_DAYS, basis="行政处罚法第八十五条"), days=DAYS)
    assert found.as_json() == {
        "start": "2025-09-25",
        "amount": 5,
        "unit": "working_days",
        "basis": "行政处罚法第八十五条",
        "first": "2025-09-26",
        "due": "2025-10-09",
        "last": "2025-10-09",
        "skipped": [
            {"day": "2025-09-27", "why": "weekend"},
            *({"day": f"2025-10-0{number}", "why": "国庆节、中秋节"} for number in range(1, 9)),
        ],
        "moved_over": [],
        "unknown_years": [],
    }


def test_a_last_day_that_is_off_says_what_it_moved_over() -> None:
    found = deadline(date(2026, 3, 12), Limit(30, Unit.DAYS), days=DAYS)
    assert found.due == date(2026, 4, 11)
    assert found.moved_over == (DayOff(date(2026, 4, 11), "weekend"), DayOff(date(2026, 4, 12), "weekend"))


@pytest.mark.parametrize(
    ("start", "limit", "unknown"),
    [
        (date(2026, 12, 28), Limit(5, Unit.WORKING_DAYS), (2027,)),
        (date(2026, 12, 1), Limit(90, Unit.DAYS), (2027,)),
        (date(2026, 12, 1), Limit(90, Unit.DAYS, moves_on=False), ()),
        (date(2026, 11, 2), Limit(5, Unit.WORKING_DAYS), ()),
        (date(2030, 11, 2), Limit(1, Unit.MONTHS), (2030,)),
    ],
)
def test_a_year_that_is_not_known_is_named(start: date, limit: Limit, unknown: tuple[int, ...]) -> None:
    found = deadline(start, limit, days=DAYS)
    assert found.unknown_years == unknown
    assert found.is_certain is (unknown == ())


@pytest.mark.parametrize("amount", [0, -1, 3661])
def test_a_period_has_bounds(amount: int) -> None:
    with pytest.raises(PeriodInvalid):
        Limit(amount, Unit.DAYS)


@pytest.mark.parametrize("unit", Unit)
def test_time_ends(unit: Unit) -> None:
    with pytest.raises(PeriodInvalid, match="9999"):
        deadline(date(9999, 12, 31), Limit(1, unit), days=DAYS)

"""Laws of counting that hold for every start, period and calendar."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from archive.calendar.days import shipped_days
from archive.calendar.deadlines import Limit, Unit, deadline

DAYS = shipped_days()
starts = st.dates(date(2023, 6, 1), date(2027, 12, 31))
limits = st.builds(Limit, st.integers(1, 120), st.sampled_from(Unit), moves_on=st.booleans())


@given(starts, st.integers(1, 60))
def test_as_many_working_days_lie_in_the_period_as_were_asked_for(start: date, amount: int) -> None:
    found = deadline(start, Limit(amount, Unit.WORKING_DAYS), days=DAYS)
    inside = [start + timedelta(days=number) for number in range(1, (found.last - start).days + 1)]
    assert sum(map(DAYS.is_working, inside)) == amount
    assert [off.day for off in found.skipped] == [day for day in inside if not DAYS.is_working(day)]
    assert DAYS.is_working(found.last)


@given(starts, limits)
def test_the_last_day_is_worked_where_it_moves_and_never_before_it_is_due(start: date, limit: Limit) -> None:
    found = deadline(start, limit, days=DAYS)
    assert start < found.first <= found.due <= found.last
    assert (found.last - found.due).days == len(found.moved_over)
    if limit.moves_on:
        assert DAYS.is_working(found.last)
    else:
        assert found.last == found.due


@given(starts, limits)
def test_a_later_start_never_ends_earlier(start: date, limit: Limit) -> None:
    assert deadline(start, limit, days=DAYS).last <= deadline(start + timedelta(days=1), limit, days=DAYS).last


@given(starts, limits)
def test_a_longer_period_never_ends_earlier(start: date, limit: Limit) -> None:
    longer = Limit(limit.amount + 1, limit.unit, moves_on=limit.moves_on)
    assert deadline(start, limit, days=DAYS).last <= deadline(start, longer, days=DAYS).last

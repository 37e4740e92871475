"""When a period ends: month ends, leap days, midnight where the bureau is, clocks that say anything."""

from datetime import UTC, datetime

import pytest

from archive.kernel.errors import InvalidInput
from retention.schedules.algebra import LAST, Condition, Facts, Rule, ends_at, kept_by
from retention.schedules.terms import PERMANENT, BadPeriod, Basis, Mark, Period

HALF_A_YEAR = Period(6)


def local(text: str) -> datetime:
    """A moment of the bureau's clock."""
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("basis", "months", "ends"),
    [
        # The day itself does not count, the last day counts to its end: 民法典 art. 201 to 203.
        ("2026-03-05 10:00", 6, "2026-09-06"),
        ("2026-03-05 00:00", 6, "2026-09-06"),
        ("2026-03-05 23:59:59.999999", 6, "2026-09-06"),
        ("2026-03-06 00:00", 6, "2026-09-07"),
        # A month that has no such day: its last day is the last.
        ("2026-01-31 12:00", 1, "2026-03-01"),
        ("2026-01-30 12:00", 1, "2026-03-01"),
        ("2026-01-29 12:00", 1, "2026-03-01"),
        ("2026-01-28 12:00", 1, "2026-03-01"),
        ("2026-01-27 12:00", 1, "2026-02-28"),
        ("2026-08-31 12:00", 1, "2026-10-01"),
        ("2026-08-31 12:00", 6, "2027-03-01"),
        # Leap days.
        ("2024-01-31 12:00", 1, "2024-03-01"),
        ("2024-02-29 12:00", 12, "2025-03-01"),
        ("2024-02-29 12:00", 48, "2028-03-01"),
        ("2023-02-28 12:00", 12, "2024-02-29"),
        ("2023-08-29 12:00", 6, "2024-03-01"),
        ("2000-02-29 12:00", 1200, "2100-03-01"),
        # Over the end of a year.
        ("2026-12-31 12:00", 1, "2027-02-01"),
        ("2026-11-30 12:00", 1, "2026-12-31"),
        ("2026-06-30 12:00", 6, "2026-12-31"),
        ("2026-07-31 12:00", 5, "2027-01-01"),
    ],
)
def test_ends_at(basis: str, months: int, ends: str) -> None:
    assert ends_at(local(basis), Period(months)) == local(f"{ends} 00:00")


def test_the_day_is_the_bureaus_and_not_that_of_utc() -> None:
    assert ends_at(datetime(2026, 3, 5, 15, 59, 59, tzinfo=UTC), HALF_A_YEAR) == local("2026-09-06 00:00")
    assert ends_at(datetime(2026, 3, 5, 16, 0, 0, tzinfo=UTC), HALF_A_YEAR) == local("2026-09-07 00:00")


def test_for_ever_has_no_end() -> None:
    assert ends_at(local("2026-03-05 10:00"), PERMANENT) is None


@pytest.mark.parametrize("at", [datetime(9999, 12, 31, 23, tzinfo=UTC), datetime(9950, 1, 1, tzinfo=UTC)])
def test_a_clock_that_is_far_ahead_ends_where_dates_end(at: datetime) -> None:
    assert ends_at(at, Period(1200)) == LAST


def test_a_clock_that_is_far_behind_ends_all_the_same() -> None:
    assert ends_at(datetime(1, 1, 1, tzinfo=UTC), Period(1)) == local("0001-02-02 00:00")


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInput):
        ends_at(datetime(2026, 3, 5), HALF_A_YEAR)  # noqa: DTZ001 - that is what is refused


@pytest.mark.parametrize("months", [0, -1, 1201])
def test_a_period_that_is_none_is_refused(months: int) -> None:
    with pytest.raises(BadPeriod):
        Period(months)


def test_of_several_cases_the_last_closing_counts_and_an_open_one_stops_it() -> None:
    rule = Rule("c", "c", Condition(filed=True), Period(12), Basis.CASE_CLOSED, "法")
    first, last = local("2026-01-10 00:00"), local("2026-02-10 00:00")
    facts = Facts("footage", first, closings=(last, first))
    assert kept_by(facts, [rule]).until == local("2027-02-11 00:00")
    (reason,) = kept_by(Facts("footage", first, closings=(last, None)), [rule]).reasons
    assert (reason.waits, reason.basis_at, reason.until) == (True, None, None)


def test_what_was_never_recorded_counts_from_its_receipt() -> None:
    rule = Rule("r", "r", Condition(), HALF_A_YEAR, Basis.RECORDED, "法")
    received = local("2026-03-05 10:00")
    assert kept_by(Facts("document", received), [rule]).until == local("2026-09-06 00:00")
    assert kept_by(Facts("footage", received, recorded_at=local("2026-02-05 10:00")), [rule]).until == local(
        "2026-08-06 00:00"
    )


def test_a_condition_asks_for_each_part_and_for_any_of_its_members() -> None:
    condition = Condition(kinds=frozenset({"footage", "audio"}), marks=frozenset({Mark.EVIDENCE}))
    at = local("2026-03-05 10:00")
    assert condition.is_met_by(Facts("audio", at, marks=frozenset({Mark.EVIDENCE, Mark.COMPLEX})))
    assert not condition.is_met_by(Facts("audio", at, marks=frozenset({Mark.COMPLEX})))
    assert not condition.is_met_by(Facts("photo", at, marks=frozenset({Mark.EVIDENCE})))

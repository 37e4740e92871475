"""Periods as days, months and years: nothing that lies in them is left out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.search.periods import day_facets, period_facets

_INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2109, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(_INSTANTS, _INSTANTS, _INSTANTS)
def test_every_instant_of_a_period_has_one_of_its_facets(one: datetime, two: datetime, three: datetime) -> None:
    since, at, until = sorted([one, two, three])
    spans = period_facets(since, until)
    assert spans is not None
    assert set(day_facets(at)) & set(spans)
    assert len(spans) == len(set(spans)) <= 140 + 22 + 60


def test_a_period_takes_as_few_as_can_be() -> None:
    assert period_facets(_at("2025-12-31"), _at("2027-02-02")) == [
        "2025-12-31", "2026", "2027-01", "2027-02-01", "2027-02-02",
    ]  # fmt: skip


@pytest.mark.parametrize("bounds", [(None, None), (_at("1960-01-01"), None), (None, _at("2110-01-01"))])
def test_a_period_that_no_facets_hold_has_none(bounds: tuple[datetime | None, datetime | None]) -> None:
    assert period_facets(*bounds) is None


def test_a_period_the_wrong_way_round_has_no_days() -> None:
    assert period_facets(_at("2026-03-02"), _at("2026-03-01")) == []


def test_days_are_those_of_utc() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert day_facets(datetime(2026, 3, 1, 7, tzinfo=shanghai)) == ("2026", "2026-02", "2026-02-28")

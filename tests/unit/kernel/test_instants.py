"""Instants: one text form out, RFC 3339 and nothing else in."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from archive.kernel.clock import SystemClock
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import format_instant, parse_instant


def test_the_log_form_has_microseconds_and_z() -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert format_instant(at) == "2026-02-03T04:05:06.000007Z"


def test_other_zones_are_turned_into_utc() -> None:
    at = datetime(2026, 1, 1, 7, 30, tzinfo=timezone(timedelta(hours=8)))
    assert format_instant(at) == "2025-12-31T23:30:00.000000Z"


def test_early_years_have_four_digits() -> None:
    assert format_instant(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"


def test_naive_datetimes_are_refused() -> None:
    with pytest.raises(InvalidInput):
        format_instant(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-03T04:05:06Z", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06.5Z", datetime(2026, 2, 3, 4, 5, 6, 500_000, tzinfo=UTC)),
        ("2026-02-03T12:05:06+08:00", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-02-03T04:05:06.000007-00:00", datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)),
    ],
)
def test_rfc_3339_is_read_into_utc(text: str, expected: datetime) -> None:
    found = parse_instant(text)
    assert found == expected
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-02-03",
        "2026-02-03T04:05:06",
        "2026-02-03T04:05Z",
        "20260203T040506Z",
        "2026-W06-2T04:05:06Z",
        "2026-02-30T04:05:06Z",
        "2026-02-03T25:05:06Z",
        "2026-02-03T04:05:06,5Z",
        "2026-02-03T04:05:06+0800",
        "2026-02-03T04:05:06+08:00:30",
        "2026-02-03x04:05:06Z",
        "2026-02-03T04:05:06Z\n",
        "２026-02-03T04:05:06Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        None,
        1_700_000_000,
    ],
    ids=ascii,
)
def test_other_forms_are_refused(text: Any) -> None:
    with pytest.raises(InvalidInput):
        parse_instant(text)


def test_the_system_clock_tells_aware_utc() -> None:
    before = datetime.now(UTC)
    at = SystemClock().now()
    assert at.tzinfo is UTC
    assert before <= at <= datetime.now(UTC)

"""Instants survive their text form, and their text sorts as they do."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import format_instant, parse_instant

_offsets = st.timezones() | st.just(UTC)
_instants = st.datetimes(
    min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 28), timezones=_offsets  # noqa: DTZ001
)  # fmt: skip


@given(_instants)
def test_round_trip(at: datetime) -> None:
    text = format_instant(at)
    assert parse_instant(text) == at.astimezone(UTC)
    assert format_instant(parse_instant(text)) == text


@given(_instants, _instants)
def test_text_sorts_like_time(one: datetime, other: datetime) -> None:
    one, other = one.astimezone(UTC), other.astimezone(UTC)
    assert (one < other) == (format_instant(one) < format_instant(other))


@given(_instants, st.integers(-23 * 60, 23 * 60))
def test_the_offset_only_changes_the_spelling(at: datetime, minutes: int) -> None:
    at = at.astimezone(UTC)
    sign, shown = "-" if minutes < 0 else "+", abs(minutes)
    local = (at + timedelta(minutes=minutes)).isoformat(timespec="microseconds").removesuffix("+00:00")
    assert parse_instant(f"{local}{sign}{shown // 60:02}:{shown % 60:02}") == at


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        at = parse_instant(text)
    except InvalidInput:
        return
    assert at.tzinfo is UTC

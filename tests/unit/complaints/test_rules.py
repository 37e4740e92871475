"""Rules as data: what is shipped, what a bureau's own file may say, and how days are counted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.complaints.rules import ComplaintRules, ComplaintRulesInvalid
from archive.complaints.terms import FOLLOWING, ComplaintKind, State

_FIRST, _LAST = (datetime.fromisoformat(f"{year}-01-01") for year in (2000, 2100))
SHIPPED = ComplaintRules.load()
TEXT = (Path(__file__).parents[3] / "archive" / "complaints" / "rules.toml").read_text("utf-8")


def test_what_is_shipped_says_since_when_and_why() -> None:
    for kind in ComplaintKind:
        limits = SHIPPED.limits[kind]
        assert (limits.accept_days, limits.answer_days) == (7, 60)
        assert "自然日" in limits.basis
    assert SHIPPED.number(ComplaintKind.REPORT, year=2026, serial=12) == "举〔2026〕00012号"


def test_a_deadline_is_the_end_of_its_day_where_the_bureau_is() -> None:
    received = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)  # 00:30 on 2 March in China
    accept_by, answer_by = SHIPPED.deadlines(ComplaintKind.COMPLAINT, received)
    assert accept_by == datetime(2026, 3, 9, 15, 59, 59, tzinfo=UTC)
    assert SHIPPED.day_of(accept_by) == "2026-03-09"
    assert SHIPPED.day_of(answer_by) == "2026-05-01"
    assert SHIPPED.year_of(datetime(2026, 12, 31, 16, 0, tzinfo=UTC)) == 2027


@given(st.datetimes(_FIRST, _LAST, timezones=st.just(UTC)), st.sampled_from(ComplaintKind))
def test_nobody_has_less_than_the_days_and_never_a_day_more(received: datetime, kind: ComplaintKind) -> None:
    for due, days in zip(SHIPPED.deadlines(kind, received), (7, 60), strict=True):
        assert timedelta(days=days) - timedelta(seconds=1) <= due - received < timedelta(days=days + 1)


@given(st.sampled_from(ComplaintKind), st.integers(2000, 2100), st.integers(1, 10**6), st.integers(1, 10**6))
def test_two_serials_are_two_numbers(kind: ComplaintKind, year: int, one: int, other: int) -> None:
    assert (SHIPPED.number(kind, year=year, serial=one) == SHIPPED.number(kind, year=year, serial=other)) == (
        one == other
    )


def test_every_state_ends_and_none_comes_back() -> None:
    assert set(FOLLOWING) == set(State)

    def walk(state: State, seen: tuple[State, ...]) -> None:
        assert state not in seen
        assert FOLLOWING[state] or state is State.CLOSED
        for following in FOLLOWING[state]:
            walk(following, (*seen, state))

    walk(State.REGISTERED, ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("accept_days = 7", "accept_days = 0"),
        ("accept_days = 7", "accept_days = '7'"),
        ("accept_days = 7", "accept_days = 7\nmore = 1"),
        ("accept_days = 7", ""),
        ('counting = "calendar"', 'counting = "working"'),
        ("from = 2026-01-01", 'from = "2026-01-01"'),
        ("{serial:05}", "{serial}{serial}"),
        ("{serial:05}", ""),
        ("{serial:05}", "{serial!r}"),
        ("{serial:05}", "{serial.real}"),
        ("{serial:05}", "{serial:099999999}"),
        ("〔{year}〕", ""),
        ("{kind}〔", "{self}〔"),
        ("{kind}〔", "{〔"),
        ("{kind}〔", "x" * 90 + "〔"),
        ("warn_days = 3", "warn_days = -1"),
        ("warn_days = 3", "warn_days = 3\nanother = 1"),
        ("zone_minutes = 480", "zone_minutes = 4800"),
        ('report = "举"', ""),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "rules.toml"
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(ComplaintRulesInvalid):
        ComplaintRules.load(file)


def test_a_bureaus_own_file_stands_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(TEXT.replace("answer_days = 60", "answer_days = 30").replace("{serial:05}", "{serial}"), "utf-8")
    rules = ComplaintRules.load(file)
    assert rules.limits[ComplaintKind.REPORT].answer_days == 30
    assert rules.number(ComplaintKind.COMPLAINT, year=2026, serial=3) == "投〔2026〕3号"
    with pytest.raises(ComplaintRulesInvalid):
        ComplaintRules.load(tmp_path / "missing.toml")

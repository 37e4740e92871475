"""The rules of holds as data, and the closed words of queries."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingest.media.allowed import Kind
from retention.holding import rules as hold_rules
from retention.holding.rules import HoldRules, HoldRulesInvalid
from retention.holding.terms import ITEM_KINDS, HeldKind

SHIPPED = Path(hold_rules.__file__).with_name("rules.toml").read_text("utf-8")
LATE = datetime(2026, 3, 1, 17, tzinfo=UTC)
"""Already the second of March where the bureau is."""


def test_what_is_shipped_can_be_read() -> None:
    rules = HoldRules.load()
    assert rules.number(year=2026, serial=7) == "冻〔2026〕0007号"
    assert rules.series(year=2026) != rules.series(year=2027)
    assert (rules.most_review_days, rules.warn_days) == (365, 14)


def test_a_review_lies_between_today_and_the_most_days_ahead() -> None:
    rules = HoldRules.load()
    days = {date(2026, 3, 1): False, date(2026, 3, 2): True, date(2027, 3, 2): True, date(2027, 3, 3): False}
    assert {day: rules.is_review_day(day, LATE) for day in days} == days


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("warn_days = 14", "warn_days = 61"), ("warn_days = 14", 'warn_days = "14"'), ("warn_days = 14", ""),
        ("most_review_days = 365", "most_review_days = 367"), ("most_review_days = 365", "most_review_days = 0"),
        ("from = 2026-01-01", "from = 2026-01-01T00:00:00Z"), ("{serial:04}", ""), ("{year}", ""), ("{year}", "{kind}"),
        ("冻〔", "冻" * 60), ('set_by = "liuhen"', "set_by = 1"), ('set_by = "liuhen"', 'set_by = "x"\nmore = 1'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert old in SHIPPED
    file = tmp_path / "holds.toml"
    file.write_text(SHIPPED.replace(old, new), "utf-8")
    with pytest.raises(HoldRulesInvalid):
        HoldRules.load(file)
    with pytest.raises(HoldRulesInvalid):
        HoldRules.load(tmp_path / "none.toml")


def test_a_query_knows_every_kind_that_an_item_has() -> None:
    assert {kind.value for kind in ITEM_KINDS} == {kind.value for kind in Kind}
    assert set(HeldKind) - ITEM_KINDS == {HeldKind.RECORD, HeldKind.VOLUME}

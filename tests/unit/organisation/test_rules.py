"""What is asked of officers and reviewers, as data."""

from datetime import date
from pathlib import Path

import pytest

from archive.organisation.records import NumberUnreadable, parse_tenths, tenths_text
from archive.organisation.rules import OrganisationRules, OrganisationRulesInvalid

GOOD = """
from = 2026-01-01
set_by = "bureau"
[training]
hours_a_year = 40
basis = "x"
[reviewers]
percent_of_officers = 5
at_least = 1
basis = "y"
"""


def test_the_shipped_rules_name_their_basis() -> None:
    rules = OrganisationRules.load()
    assert rules.training.hours_a_year == 60
    assert "国办发〔2023〕27号" in rules.training.basis
    assert "5%" in rules.reviewers.basis


@pytest.mark.parametrize(("officers", "needed"), [(0, 0), (1, 1), (20, 1), (21, 2), (40, 2), (41, 3), (1000, 50)])
def test_a_share_is_rounded_up(officers: int, needed: int) -> None:
    assert OrganisationRules.load().reviewers.needed(officers) == needed


def test_a_bureau_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(GOOD, "utf-8")
    rules = OrganisationRules.load(path)
    assert (rules.since, rules.set_by, rules.training.hours_a_year) == (date(2026, 1, 1), "bureau", 40)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("= 40", "= 4.5"), ("= 40", "= true"), ("= 40", "= -1"), ("= 5", "= 101"), ('"x"', '" "'), ("hours_a_year", "hours"),
        ("from = 2026-01-01\n", ""), ("from = 2026-01-01", 'from = "2026"'), ("set_by", "set_by ="), ("[reviewers]", "[more]"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "rules.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(OrganisationRulesInvalid) as caught:
        OrganisationRules.load(path)
    assert caught.value.facts["file"] == str(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OrganisationRulesInvalid):
        OrganisationRules.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "tenths"), [("", None), (" 8 ", 80), ("7.5", 75), ("0.5", 5), ("8.0", 80), ("8.50", 85)]
)
def test_numbers_are_read_in_tenths(text: str, tenths: int | None) -> None:
    assert parse_tenths(text, most=1000) == tenths
    assert parse_tenths(tenths_text(tenths), most=1000) == tenths


@pytest.mark.parametrize("text", ["-1", "1.25", "x", "1,5", "1.5.", ".5", "1e3", "１", "100.1", "9999999", "1 0"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(NumberUnreadable):
        parse_tenths(text, most=1000)

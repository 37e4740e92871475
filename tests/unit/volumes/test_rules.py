"""The rules of case files: those that are shipped, those of a bureau, and what is refused."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from archive.volumes import rules as module
from archive.volumes.rules import VolumeKind, VolumeRules, VolumeRulesInvalid

SHIPPED = (Path(module.__file__).parent / "rules.toml").read_text("utf-8")


def own(folder: Path, old: str, new: str) -> Path:
    """The shipped rules with a change."""
    assert SHIPPED.count(old) >= 1
    path = folder / "rules.toml"
    path.write_text(SHIPPED.replace(old, new, 1), "utf-8")
    return path


def test_those_that_are_shipped() -> None:
    rules = VolumeRules.load()
    assert [section.name for section in rules.sections if section.volume is VolumeKind.MAIN][:3] == [
        "立案",
        "调查取证",
        "告知与听证",
    ]
    assert rules.file_number(year=2026, serial=7) == "0000-XZZF·2026-D30-0007"
    assert rules.words == {VolumeKind.MAIN: "正卷", VolumeKind.SUB: "副卷"}


def test_a_case_is_filed_thirty_days_after_the_day_on_which_it_is_closed_where_the_bureau_is() -> None:
    closed_at = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)  # the second of March in Kunming
    assert VolumeRules.load().file_by(closed_at) == date(2026, 4, 1)


def test_those_of_a_bureau(tmp_path: Path) -> None:
    rules = VolumeRules.load(own(tmp_path, 'fonds = "0000"', 'fonds = "5301"'))
    assert rules.file_number(year=2027, serial=12) == "5301-XZZF·2027-D30-0012"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from = 2026-01-01", 'from = "2026"'),
        ("within_days = 30", "within_days = 0"),
        ("within_days = 30", "within_days = 30.5"),
        ("{serial:04}", "{serial:x}"),
        ("{serial:04}", "0"),
        ("{serial:04}", "{serial.real}"),
        ("·{year}", ""),
        ("{fonds}", "{fonds!r}"),
        ("{fonds}", "0" * 100),
        ('sub = "副卷"', ""),
        ('"filing_form"', '"penalty_decision"'),
        ('"filing_form"', '"poem"'),
        ('"filing_form"', ""),
        ('stages = ["filing"]', 'stages = ["notice"]'),
        ('name = "立案"', 'name = " "'),
        ('name = "立案"', "name = 3"),
        ('volume = "main"', 'volume = "third"'),
        ('set_by = "liuhen"', 'set_by = "liuhen"\nmore = 1'),
        ("[filing]", "[filing]\nmore = 1"),
        ("[filing]", "[filing"),
    ],
)
def test_what_is_wrong_is_refused_with_its_cause(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(VolumeRulesInvalid) as refused:
        VolumeRules.load(own(tmp_path, old, new))
    assert refused.value.facts["file"] == str(tmp_path / "rules.toml")
    assert refused.value.facts["cause"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VolumeRulesInvalid):
        VolumeRules.load(tmp_path / "none.toml")

"""The rules of keys: those that are shipped, those of a bureau, and what is refused."""

from pathlib import Path

import pytest

from archive.trust import rules as module
from archive.trust.rules import TrustRules, TrustRulesInvalid
from archive.trust.terms import KeyAct, KeyPurpose

SHIPPED = (Path(module.__file__).parent / "rules.toml").read_text("utf-8")


def test_a_seal_needs_two_people_and_an_officer_one() -> None:
    rules = TrustRules.load()
    for act in KeyAct:
        assert rules.needs_second_person(act, KeyPurpose.SEAL)
        assert not rules.needs_second_person(act, KeyPurpose.OFFICER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from = 2026-01-01", 'from = "2026"'),
        ('set_by = "liuhen"', "set_by = 1"),
        ('set_by = "liuhen"', 'set_by = "liuhen"\nmore = 1'),
        ('revoke = ["seal", "capture", "manifest"]', ""),
        ('revoke = ["seal", "capture", "manifest"]', 'revoke = ["poem"]'),
        ('revoke = ["seal", "capture", "manifest"]', 'revoke = []\nsell = ["seal"]'),
        ("[second_person]", "[second_person"),
    ],
)
def test_what_is_wrong_is_refused_with_its_cause(tmp_path: Path, old: str, new: str) -> None:
    assert old in SHIPPED
    path = tmp_path / "rules.toml"
    path.write_text(SHIPPED.replace(old, new, 1), "utf-8")
    with pytest.raises(TrustRulesInvalid) as refused:
        TrustRules.load(path)
    assert refused.value.facts["file"] == str(path)
    assert refused.value.facts["cause"]


def test_those_of_a_bureau(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(SHIPPED.replace('register = ["seal", "capture", "manifest"]', 'register = ["officer"]'), "utf-8")
    rules = TrustRules.load(path)
    assert rules.needs_second_person(KeyAct.REGISTER, KeyPurpose.OFFICER)
    assert not rules.needs_second_person(KeyAct.REGISTER, KeyPurpose.SEAL)

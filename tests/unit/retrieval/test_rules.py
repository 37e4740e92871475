"""The rules of retrieval as data: the first one that fits decides, and a file that is wrong says why."""

from datetime import time
from pathlib import Path

import pytest

from archive.access.classes import RestrictedClass
from archive.access.policy import Role
from archive.retrieval import rules
from archive.retrieval.rules import Decision, GrantKind, Night, RetrievalRules, RetrievalRulesInvalid, Where

SHIPPED = (Path(rules.__file__).parent / "rules.toml").read_text("utf-8")
VIEW, EXPORT, PRINT = GrantKind


@pytest.mark.parametrize(
    ("kind", "role", "classes", "where", "decision"),
    [
        (VIEW, Role.OFFICER, [], Where.OWN, Decision.AT_ONCE),
        (VIEW, Role.SUPERVISOR, [RestrictedClass.MINORS], Where.ELSEWHERE, Decision.AT_ONCE),
        (VIEW, Role.SUPERVISOR, [RestrictedClass.STATE_SECRET], Where.UNIT, Decision.APPROVAL),
        (VIEW, Role.UNIT_HEAD, [RestrictedClass.STATE_SECRET], Where.UNIT, Decision.AT_ONCE),
        (VIEW, Role.UNIT_HEAD, [RestrictedClass.INFORMANT], Where.ELSEWHERE, Decision.APPROVAL),
        (EXPORT, Role.CASE_HANDLER, [], Where.OWN, Decision.APPROVAL),
        (PRINT, Role.LEGAL_REVIEWER, [], Where.UNIT, Decision.APPROVAL),
        (EXPORT, Role.SUPERVISOR, [], Where.ELSEWHERE, Decision.AT_ONCE),
        (EXPORT, Role.OFFICER, [], Where.OWN, Decision.REFUSED),
        (VIEW, Role.AUDITOR, [], Where.UNIT, Decision.REFUSED),
        (PRINT, Role.ADMINISTRATOR, [], Where.UNIT, Decision.REFUSED),
    ],
)
def test_what_the_shipped_rules_say(
    kind: GrantKind, role: Role, classes: list[RestrictedClass], where: Where, decision: Decision
) -> None:
    assert RetrievalRules.load().decide(kind, roles=[role], classes=classes, where=where) is decision


def test_the_first_rule_that_fits_decides(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    rule = '[[rule]]\nkinds = ["view"]\nroles = ["supervisor"]\ndecision = "refused"\n\n'
    file.write_text(SHIPPED.replace("[[rule]]", rule + "[[rule]]", 1), "utf-8")
    found = RetrievalRules.load(file)
    assert found.decide(VIEW, roles=[Role.SUPERVISOR], classes=[], where=Where.UNIT) is Decision.REFUSED
    assert found.decide(VIEW, roles=[Role.CASE_HANDLER], classes=[], where=Where.UNIT) is Decision.AT_ONCE


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("from = 2026-01-01", 'from = "2026"'),
        ("lasts_minutes = 240", "lasts_minutes = 0"),
        ("lasts_minutes = 240", "lasts_minutes = true"),
        ("told = 2", "told = 1"),
        ('decision = "at_once"', 'decision = "perhaps"'),
        ('kinds = ["view"]', 'kinds = ["look"]'),
        ('roles = ["unit_head"]', 'roles = ["king"]'),
        ('where = ["own", "unit"]', 'here = ["own", "unit"]'),
        ("things = 30", "things = 0"),
        ('from = "22:00"', 'from = "25:00"'),
        ('name = "own_name"', 'name = "night"'),
        ('name = "own_name"', 'name = "mood"'),
        ("[request]", "[requests]"),
        ("[grant]", "[grant"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, was: str, now: str) -> None:
    file = tmp_path / "rules.toml"
    assert was in SHIPPED
    file.write_text(SHIPPED.replace(was, now, 1), "utf-8")
    with pytest.raises(RetrievalRulesInvalid):
        RetrievalRules.load(file)
    with pytest.raises(RetrievalRulesInvalid):
        RetrievalRules.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("since", "until", "inside", "outside"),
    [
        ("22:00", "06:00", ["22:00", "23:59", "00:00", "05:59"], ["06:00", "21:59"]),
        ("01:00", "02:00", ["01:30"], ["02:00", "23:00"]),
    ],
)
def test_a_night_goes_over_midnight(since: str, until: str, inside: list[str], outside: list[str]) -> None:
    night = Night(time.fromisoformat(since), time.fromisoformat(until))
    assert all(night.has(time.fromisoformat(clock)) for clock in inside)
    assert not any(night.has(time.fromisoformat(clock)) for clock in outside)

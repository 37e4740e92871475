"""Schedules as data: files and JSON are read strictly, every fault is told, and notes say what an author may not have meant."""

import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from archive.kernel.canonical import canonical_json
from ingest.media.allowed import Kind
from retention.schedules import shipped
from retention.schedules.algebra import Condition, Facts, Rule, kept_by
from retention.schedules.content import MOST_RULES, decode_rules, encode_rules, read_rules, told_rule
from retention.schedules.faults import ScheduleInvalid, fault_codes
from retention.schedules.listings import compare_rules
from retention.schedules.notes import Note, NoteCode, notes_of
from retention.schedules.shipped import ScheduleFileInvalid, Shipped, load_schedule, shipped_schedule
from retention.schedules.simulation import Change, Comparison, Stored, Tally, moment_of
from retention.schedules.terms import KINDS, PERMANENT, Basis, Mark, Period

FOLDER = Path(shipped.__file__).parent
DEFAULT = (FOLDER / "default.toml").read_text("utf-8")
AT = datetime(2026, 3, 5, 2, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "code": "penalty",
    "title": {"zh": "处罚案卷", "en": "Penalty"},
    "kinds": ["footage"],
    "marks": [],
    "categories": ["penalty"],
    "stages": [],
    "filed": None,
    "months": 360,
    "basis": "case_closed",
    "legal_basis": "某规定第一条",
    "from": "2026-01-01",
}


def rule(code: str, period: Period = PERMANENT, basis: Basis = Basis.RECEIVED, **asked: Any) -> Rule:
    named = {name: frozenset(values) if name != "filed" else values for name, values in asked.items()}
    return Rule(code, code, Condition(**named), period, basis, "法")


def faults(*told: Any) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ScheduleInvalid) as refused:
        read_rules(list(told))
    for fault in refused.value.faults:
        assert str(fault), "every fault has its sentence"
    return [(fault.rule, fault.field, fault.code) for fault in refused.value.faults]


# ---- what ships ------------------------------------------------------------------------------------------------------


def test_an_object_is_of_one_of_the_kinds_that_there_are() -> None:
    assert set(KINDS) == {*Kind, "record", "volume"}


@pytest.mark.parametrize("name", Shipped)
def test_what_ships_says_its_basis_and_its_day_in_two_languages(name: Shipped) -> None:
    file = shipped_schedule(name)
    for each in file.rules:
        assert each.legal_basis
        assert each.title_en
        assert each.since is not None
        assert each.since <= date(2026, 1, 1)
    assert (
        notes_of([*file.rules, *shipped_schedule(Shipped.DEFAULT).rules] if name == Shipped.POLICE else file.rules)
        == []
    )


@pytest.mark.parametrize(
    ("facts", "winner", "until"),
    [
        # By default as the case file: 10 years, 30 years, for ever, from the closing.
        (Facts("footage", AT, categories=frozenset({"inspection"}), closings=(AT,)), "case_10_years", "2036-03-05"),
        (Facts("record", AT, categories=frozenset({"penalty"}), closings=(AT,)), "case_30_years", "2056-03-05"),
        (Facts("volume", AT, categories=frozenset({"confirmation"}), closings=(AT,)), "case_permanent", None),
        # The longest of several cases.
        (
            Facts("footage", AT, categories=frozenset({"inspection", "penalty"}), closings=(AT, AT)),
            "case_30_years",
            "2056-03-05",
        ),
        # Filed under nothing: half a year from recording, and a while from receipt whatever the camera's clock says.
        (Facts("footage", AT, recorded_at=AT), "unfiled", "2026-09-05"),
        (Facts("footage", AT, recorded_at=datetime(2015, 1, 1, tzinfo=UTC)), "unfiled_received", "2026-06-05"),
        (Facts("footage", AT, recorded_at=AT, marks=frozenset({Mark.EVIDENCE})), "marked_evidence", None),
        (Facts("photo", AT, marks=frozenset({Mark.MAJOR_INCIDENT})), "marked_major", None),
    ],
)
def test_what_the_default_says(facts: Facts, winner: str, until: str | None) -> None:
    kept = kept_by(facts, shipped_schedule(Shipped.DEFAULT).rules)
    assert kept.longest is not None
    assert kept.longest.rule == winner
    assert (None if kept.until is None else kept.until.date().isoformat()) == until


def test_the_police_rule_is_an_option_that_adds_to_the_default() -> None:
    both = [*shipped_schedule(Shipped.DEFAULT).rules, *shipped_schedule(Shipped.POLICE).rules]
    filmed = Facts("footage", AT, recorded_at=AT, categories=frozenset({"penalty"}), closings=(None,))
    assert kept_by(filmed, shipped_schedule(Shipped.DEFAULT).rules).until is None
    assert kept_by(filmed, both).waits
    assert kept_by(Facts("audio", AT, marks=frozenset({Mark.OBSTRUCTION})), both).is_permanent
    assert notes_of(shipped_schedule(Shipped.POLICE).rules), "alone it would leave most things without a rule"


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("from = 2026-01-01", 'from = "2026"', "from is a day"),
        ('set_by = "liuhen"', "", "the names are"),
        ("years = 30", "years = 30\nmonths = 1", "one of years, months, permanent"),
        ("years = 30", "years = true", "years are 1 to 100"),
        ("years = 30", "years = 101", "years are 1 to 100"),
        ("months = 6", "months = 0", "1 to 1200"),
        ("\npermanent = true", "\npermanent = false", "permanent is true"),
        ('basis = "received"', 'basis = "birth"', "birth is none of the values"),
        ('marks = ["evidence"]', 'mark = ["evidence"]', "names that are not known here: mark"),
        ('marks = ["evidence"]', 'marks = ["proof"]', "proof is none of the values"),
        ('code = "unfiled"', 'code = "case_10_years"', "another rule has this code"),
        ('code = "unfiled"', 'code = "Unfiled"', "a code begins with a small letter"),
        ("from = 2021-07-15", "", "says no day that it holds from"),
        (', en = "Used as evidence"', "", "has no English title"),
        ("filed = true", "", "only what is filed under a case"),
        ("[[rule]]", "[[rule", "toml"),
    ],
)
def test_a_file_that_is_wrong_says_why(tmp_path: Path, was: str, now: str, told: str) -> None:
    assert was in DEFAULT
    (tmp_path / "own.toml").write_text(DEFAULT.replace(was, now, 1), "utf-8")
    with pytest.raises(ScheduleFileInvalid) as refused:
        load_schedule(tmp_path / "own.toml")
    if told != "toml":
        assert told in refused.value.facts["cause"]
    assert refused.value.facts["file"].endswith("own.toml")


def test_a_file_of_ones_own_is_read_as_those_that_ship(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(DEFAULT.replace("years = 30", "years = 40", 1), "utf-8")
    (change,) = compare_rules(shipped_schedule(Shipped.DEFAULT).rules, load_schedule(tmp_path / "own.toml").rules)
    assert (change.code, change.fields) == ("case_30_years", ("months",))
    assert tomllib.loads(DEFAULT)["rule"][3]["years"] == 30


# ---- JSON ------------------------------------------------------------------------------------------------------------


def test_the_json_is_canonical_and_comes_back() -> None:
    (read,) = read_rules([GOOD])
    content = encode_rules([read])
    assert content.encode() == canonical_json(json.loads(content))
    assert decode_rules(content) == (read,)
    assert told_rule(read) == GOOD
    assert read.since == date(2026, 1, 1)
    spaced = json.dumps(json.loads(content))
    with pytest.raises(ScheduleInvalid):
        decode_rules(spaced)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"rules":[],"v":1}',
        '{"rules":[],"v":2}',
        '{"rules":{},"v":1}',
        '{"rules":"x","v":1}',
        "\ud800",
    ],
)
def test_what_is_no_schedule_is_refused(content: str) -> None:
    with pytest.raises(ScheduleInvalid):
        decode_rules(content)


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"code": ""}, "code", "required"),
        ({"code": "9th"}, "code", "not_a_code"),
        ({"code": "a" * 65}, "code", "not_a_code"),
        ({"title": {"zh": " ", "en": ""}}, "title", "required"),
        ({"title": "处罚"}, "title", "form"),
        ({"title": {"zh": "x" * 201}}, "title", "too_long"),
        ({"title": {"zh": "a\nb"}}, "title", "control_characters"),
        ({"title": {"zh": "a", "en": "x" * 201}}, "title_en", "too_long"),
        ({"legal_basis": None}, "legal_basis", "required"),
        ({"legal_basis": 7}, "legal_basis", "form"),
        ({"legal_basis": "x" * 501}, "legal_basis", "too_long"),
        ({"kinds": ["film"]}, "kinds", "unknown_value"),
        ({"kinds": "footage"}, "kinds", "form"),
        ({"kinds": [7]}, "kinds", "unknown_value"),
        ({"kinds": ["footage", "footage"]}, "kinds", "value_twice"),
        ({"marks": ["odd"]}, "marks", "unknown_value"),
        ({"categories": ["odd"]}, "categories", "unknown_value"),
        ({"stages": ["odd"]}, "stages", "unknown_value"),
        ({"filed": 1}, "filed", "form"),
        ({"filed": False}, "filed", "never_met"),
        ({"months": 0}, "months", "not_a_period"),
        ({"months": 1201}, "months", "not_a_period"),
        ({"months": True}, "months", "not_a_period"),
        ({"months": "6"}, "months", "not_a_period"),
        ({"basis": None}, "basis", "required"),
        ({"basis": "odd"}, "basis", "unknown_value"),
        ({"basis": []}, "basis", "unknown_value"),
        ({"categories": []}, "basis", "closing_needs_case"),
        ({"from": "2026-02-30"}, "from", "not_a_day"),
        ({"from": "20260101"}, "from", "not_a_day"),
        ({"from": 20260101}, "from", "not_a_day"),
        ({"more": 1}, "rule", "unknown_names"),
    ],
)
def test_each_fault_is_told_where_it_stands(change: dict[str, Any], field: str, code: str) -> None:
    assert (1, field, code) in faults({**GOOD, "code": "first"}, {**GOOD, **change})


def test_all_faults_are_told_at_once() -> None:
    found = faults({}, 7, {**GOOD, "months": 0}, GOOD, GOOD)
    assert {(0, "code", "required"), (0, "title", "form"), (0, "months", "required"), (0, "basis", "required")} <= {
        *found
    }
    assert {(1, "rule", "form"), (2, "months", "not_a_period"), (4, "code", "code_twice")} <= {*found}
    assert faults() == [(None, "rules", "no_rules")]
    assert faults(*[GOOD] * (MOST_RULES + 1)) == [(None, "rules", "too_many_rules")]
    assert {code for _, _, code in found} <= fault_codes()


def test_only_the_first_of_two_names_is_taken_where_nothing_is_filed() -> None:
    assert faults({**GOOD, "categories": [], "stages": ["hearing"], "filed": False}) == [(0, "filed", "never_met")]
    assert len(read_rules([{**GOOD, "categories": [], "filed": True}])) == 1
    assert len(read_rules([{**GOOD, "categories": [], "months": None}])) == 1, "for ever needs no clock"


# ---- what is to be looked at -----------------------------------------------------------------------------------------


def test_what_no_rule_is_for_is_told() -> None:
    items = ("footage", "audio", "photo", "document", "archive", "other")
    assert list(notes_of([rule("all")])) == []
    assert list(notes_of([rule("filed", filed=True)])) == [Note(NoteCode.GAP_UNFILED, items)]
    assert list(notes_of([rule("films", kinds=["footage"]), rule("filed", filed=True)])) == [
        Note(NoteCode.GAP_UNFILED, items[1:])
    ]
    (gap,) = notes_of([rule("loose", filed=False), rule("most", categories=["penalty", "permission"])])
    assert gap.code is NoteCode.GAP_FILED
    assert gap.kinds == KINDS
    assert len(gap.categories) == 6
    assert notes_of([rule("marked", marks=[Mark.EVIDENCE])]), "marks fill no gap"


def test_a_rule_that_never_decides_is_told() -> None:
    def beaten(*rules: Rule) -> list[tuple[str, str]]:
        return [(note.rule, note.by) for note in notes_of(rules) if note.code is NoteCode.NEVER_DECIDES]

    ten, thirty = Period(120), Period(360)
    assert beaten(rule("all"), rule("some", ten, kinds=["photo"])) == [("some", "all")]
    assert beaten(rule("a", ten), rule("b", thirty)) == [("a", "b")]
    assert beaten(rule("a", ten), rule("b", thirty, Basis.RECORDED)) == [], "another clock may end later"
    assert beaten(rule("a"), rule("b")) == [("b", "a")], "of two alike one is told"
    closed = rule("closed", ten, Basis.CASE_CLOSED, categories=["penalty"])
    assert beaten(rule("filed", thirty, Basis.CASE_CLOSED, filed=True), closed) == [("closed", "filed")]
    assert beaten(rule("loose", filed=False), rule("penalty", ten, categories=["penalty"])) == []
    assert beaten(rule("few", kinds=["photo"]), rule("all", ten)) == []


# ---- what would change -----------------------------------------------------------------------------------------------

FILMED = Facts("footage", AT, recorded_at=AT, categories=frozenset({"penalty"}), closings=(AT,))
YEARS = [rule("years", Period(120), Basis.RECEIVED)]
END = kept_by(FILMED, YEARS).until


@pytest.mark.parametrize(
    ("now", "then", "stored", "change"),
    [
        (YEARS, YEARS, Stored(), Change.AS_NOW),
        (YEARS, YEARS, Stored(END), Change.AS_NOW),
        (YEARS, [rule("longer", Period(240))], Stored(END), Change.LONGER),
        (YEARS, [rule("ever")], Stored(END), Change.FOR_EVER),
        (YEARS, [rule("short", Period(6))], Stored(END), Change.STAYS),
        (YEARS, [rule("short", Period(6))], Stored(), Change.SHORTER),
        (YEARS, [rule("short", Period(6))], Stored(AT), Change.SHORTER),
        (YEARS, [rule("longer", Period(240))], Stored(None, is_permanent=True), Change.STAYS),
        (YEARS, [rule("ever")], Stored(None, is_permanent=True), Change.AS_NOW),
        # What was stored by an older, longer schedule counts: today's rules alone would say "longer".
        (YEARS, [rule("longer", Period(132))], Stored(datetime(2038, 1, 1, tzinfo=UTC)), Change.STAYS),
        (YEARS, [rule("none", kinds=["photo"])], Stored(END), Change.WITHOUT_RULE),
        ([rule("none", kinds=["photo"])], [rule("none", kinds=["photo"])], Stored(), Change.AS_NOW),
        ([rule("none", kinds=["photo"])], YEARS, Stored(), Change.FIRST_RULE),
        ([rule("none", kinds=["photo"])], YEARS, Stored(datetime(2090, 1, 1, tzinfo=UTC)), Change.FIRST_RULE),
        ([rule("none", kinds=["photo"])], [rule("ever")], Stored(), Change.FOR_EVER),
        ([rule("none", kinds=["photo"])], YEARS, Stored(None, is_permanent=True), Change.STAYS),
    ],
)
def test_what_becomes_of_an_object(now: list[Rule], then: list[Rule], stored: Stored, change: Change) -> None:
    assert Comparison(now, then, AT).verdict(FILMED, stored).change is change


def test_an_open_case_is_counted_as_if_closed_now() -> None:
    later = datetime(2027, 3, 5, 2, tzinfo=UTC)
    open_case = Facts("footage", AT, categories=frozenset({"penalty"}), closings=(AT, None))
    now = [rule("ten", Period(120), Basis.CASE_CLOSED, filed=True)]
    then = [rule("thirty", Period(360), Basis.CASE_CLOSED, filed=True)]
    verdict = Comparison(now, then, later).verdict(open_case, Stored())
    assert verdict.change is Change.LONGER
    assert verdict.until_now == kept_by(Facts("footage", AT, closings=(later,)), now).until
    assert (verdict.rule_now, verdict.rule, verdict.met) == ("ten", "thirty", ("thirty",))
    assert Comparison(then, now, later).verdict(open_case, Stored()).change is Change.SHORTER


def test_a_clock_beyond_all_dates_is_judged_all_the_same() -> None:
    late = Facts("footage", AT, recorded_at=datetime(9999, 12, 31, 23, tzinfo=UTC))
    counted = [rule("recorded", Period(6), Basis.RECORDED)]
    assert Comparison(YEARS, counted, AT).verdict(late, Stored()).change is Change.LONGER


def test_a_tally_comes_back_from_its_json() -> None:
    from uuid import UUID

    tally, unit = Tally(), UUID(int=7)
    comparison = Comparison(YEARS, [rule("ever", kinds=["footage"]), rule("also")], AT)
    for number in range(9):
        tally.add(UUID(int=number), unit, 100, comparison.verdict(FILMED, Stored(END)))
    assert Tally.of_json(tally.to_json()) == tally
    assert (tally.objects, tally.count(Change.FOR_EVER), tally.size_bytes(Change.FOR_EVER)) == (9, 9, 900)
    assert tally.count(Change.SHORTER) == 0
    assert tally.met == {"also": 9, "ever": 9}
    assert tally.rules == {"also": {"for_ever": 9}}
    assert tally.units == {str(unit): {"for_ever": 9}}
    assert len(tally.examples["for_ever"]) == 5
    example = tally.examples["for_ever"][0]
    assert (example["rule_now"], example["rule"], example["until"]) == ("years", "also", None)
    assert moment_of(example["until_now"]) == END


def test_a_comparison_names_what_was_added_removed_and_changed() -> None:
    before = read_rules([GOOD, {**GOOD, "code": "gone"}, {**GOOD, "code": "same"}])
    after = read_rules([{**GOOD, "code": "same"}, {**GOOD, "months": None, "kinds": []}, {**GOOD, "code": "fresh"}])
    found = {change.code: change for change in compare_rules(before, after)}
    assert set(found) == {"fresh", "gone", "penalty"}
    assert found["fresh"].before is None
    assert found["gone"].after is None
    assert set(found["penalty"].fields) == {"months", "kinds"}
    assert list(compare_rules(after, tuple(reversed(after)))) == []

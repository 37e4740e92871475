"""Correcting cases and acts: what is on record of it, what is refused, and that fsck follows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archive.cases.changes import ActNotFound, update_act, update_case
from archive.cases.filing import CaseNotFound, record_act
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.listings import case_view
from archive.cases.subjects import IdentifierTaken, KnownSubject, NewSubject
from archive.cases.terms import Category, Stage, SubjectKind
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, SubjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import OPERATOR
from tests.integration.cases.test_filing import at_once
from tests.support.archive_home import ArchiveHome

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


def change(home: ArchiveHome, case_id: CaseId, **fields: Any) -> bool:
    vault = home.services.identifiers
    return update_case(home.database, vault, case_id, **fields, by=OPERATOR, at=home.clock.now())


def act_of(home: ArchiveHome, case_id: CaseId, ended_at: Instant | None = None) -> ActId:
    return record_act(
        home.database, case_id, stage=Stage.INSPECTION, place="店内", started_at=START, ended_at=ended_at, by=OPERATOR,
        at=home.clock.now(),
    )  # fmt: skip


def change_act(home: ArchiveHome, case_id: CaseId, act_id: ActId, **fields: Any) -> bool:
    given = {"stage": Stage.INSPECTION, "place": "店内", "started_at": START, "ended_at": None} | fields
    return update_act(home.database, case_id, act_id, **given, by=OPERATOR, at=home.clock.now())


def told(home: ArchiveHome, kind: str) -> list[dict[str, Any]]:
    rows = home.rows("SELECT e.body, d.detail FROM log_entry e JOIN log_detail d ON d.entry_id = e.id ORDER BY e.id")
    return [json.loads(detail) for body, detail in rows if json.loads(body)["type"] == kind]


def sound(home: ArchiveHome) -> None:
    home.sequence()
    home.assert_sound()


def test_a_case_is_corrected_and_says_what_it_was(home: ArchiveHome) -> None:
    case_id = home.case("1", title="无证经营案")
    assert change(home, case_id, title=" 无证经营餐饮案 ", category=Category.PENALTY)
    assert change(home, case_id, category=Category.COERCION)
    assert not change(home, case_id, title="无证经营餐饮案", category=Category.COERCION)
    assert not change(home, case_id)
    assert told(home, "case.updated") == [
        {"title": "无证经营餐饮案", "was": {"title": "无证经营案"}},
        {"category": "coercion", "was": {"category": "penalty"}},
    ]
    with home.database.read() as tx:
        case = case_view(tx, case_id).case
    assert (case.title, case.category) == ("无证经营餐饮案", "coercion")
    with pytest.raises(CaseNotFound):
        change(home, CaseId(new_uuid7()), title="x")
    with pytest.raises(InvalidInput):
        change(home, case_id, title="\n")
    sound(home)


def test_a_case_gets_its_right_subject(home: ArchiveHome) -> None:
    case_id, other = home.case("1", subject="错的"), home.case("2", subject="对的")
    number = Identifier(IdentifierKind.CREDIT_CODE, "91350100M000100Y43")
    with home.database.read() as tx:
        wrong, right = (SubjectId(case_view(tx, found).subject.id) for found in (case_id, other))
    assert change(home, case_id, subject=KnownSubject(right))
    assert not change(home, case_id, subject=KnownSubject(right))
    assert told(home, "case.updated") == [{"subject": str(right), "was": {"subject": str(wrong)}}]
    assert change(home, case_id, subject=NewSubject("第三家", SubjectKind.ORGANISATION, number))
    with pytest.raises(IdentifierTaken):
        change(home, other, subject=KnownSubject(right, number))
    with home.database.read() as tx:
        assert case_view(tx, case_id).subject.name == "第三家"
        assert case_view(tx, other).subject.name == "对的"
    sound(home)


def test_corrections_by_several_at_once_are_all_on_record(home: ArchiveHome) -> None:
    case_id = home.case("1", title="零")
    at_once(*[lambda title=title: change(home, case_id, title=title) for title in "一二三四"])  # type: ignore[misc]
    changes = told(home, "case.updated")
    assert sorted(one["title"] for one in changes) == sorted("一二三四")
    assert [one["was"]["title"] for one in changes] == ["零", *(one["title"] for one in changes[:-1])]
    sound(home)


def test_an_act_is_corrected_and_says_what_it_was(home: ArchiveHome) -> None:
    case_id = home.case()
    act_id = act_of(home, case_id, START + timedelta(hours=1))
    assert change_act(home, case_id, act_id, place=" 后厨 ", ended_at=START + timedelta(hours=1))
    assert change_act(
        home, case_id, act_id, place="后厨", stage=Stage.SAMPLING, started_at=START + timedelta(minutes=5)
    )
    assert not change_act(
        home, case_id, act_id, place="后厨", stage=Stage.SAMPLING, started_at=START + timedelta(minutes=5)
    )
    assert told(home, "case.act_updated") == [
        {"place": "后厨", "was": {"place": "店内"}},
        {
            "stage": "sampling",
            "started_at": "2026-03-02T01:35:00+00:00",
            "ended_at": None,
            "was": {
                "stage": "inspection",
                "started_at": "2026-03-02T01:30:00+00:00",
                "ended_at": "2026-03-02T02:30:00+00:00",
            },
        },
    ]
    entry = next(entry for entry in home.entries() if entry["type"] == "case.act_updated")
    assert entry["case"] == str(case_id)
    sound(home)


def test_what_an_act_cannot_become_is_refused(home: ArchiveHome) -> None:
    case_id, other = home.case("1"), home.case("2")
    act_id = act_of(home, case_id)
    with pytest.raises(ActNotFound):
        change_act(home, other, act_id, place="x")
    with pytest.raises(ActNotFound):
        change_act(home, case_id, ActId(new_uuid7()), place="x")
    with pytest.raises(InvalidInput):
        change_act(home, case_id, act_id, ended_at=START - timedelta(seconds=1))
    with pytest.raises(InvalidInput):
        change_act(home, case_id, act_id, place=" ")
    assert "case.act_updated" not in home.types()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE case_file SET title = '零'",
        "UPDATE case_file SET category = 'penalty'",
        "UPDATE act SET place = '店内'",
        "UPDATE act SET ended_at = started_at",
        "UPDATE act SET ended_at = NULL",
        "UPDATE act SET started_at = '2026-03-02 01:30:01+00:00'",
    ],
)
def test_a_row_that_was_put_back_is_noticed(home: ArchiveHome, sql: str) -> None:
    case_id = home.case("1", title="零")
    act_id = act_of(home, case_id)
    change(home, case_id, title="一", category=Category.COERCION)
    change_act(home, case_id, act_id, place="后厨", ended_at=START + timedelta(hours=1))
    sound(home)
    home.execute(sql)
    assert {fault.code for fault in home.faults()} == {"fsck.row_changed"}


def test_an_erased_detail_is_not_asked_about(home: ArchiveHome) -> None:
    case_id = home.case("1", title="零")
    change(home, case_id, title="一")
    home.sequence()
    assert home.erase(lambda entry: entry["type"] == "case.updated")
    home.execute("UPDATE case_file SET title = '二'")
    assert [fault.code for fault in home.faults() if fault.code.startswith("fsck.row")] == []

"""Drafts: who begins one, saves it, and gives it up; nobody overwrites what somebody else wrote."""

from pathlib import Path
from uuid import uuid4

import pytest

from archive.access.policy import Role
from archive.cases.changes import ActNotFound
from archive.cases.drafting import begin_record, drop_record, save_record
from archive.cases.filing import CaseNotFound, NotLinked, record_act
from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm, Stage
from archive.db.sight import FIRST_UNIT
from archive.documents import templates
from archive.documents.drafts import (
    Amending,
    DraftChanged,
    DraftEnded,
    DraftNotFound,
    DraftState,
    draft,
    drafts_of_case,
    values_of,
)
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, DraftId, ObjectId, UnitId
from archive.ledger.entries import OPERATOR
from archive.organisation.units import record_unit
from tests.support.archive_home import PDF, ArchiveHome, clock, dock, home

__all__ = ["clock", "dock", "home"]

TEMPLATE = (Path(templates.__file__).parent / "inspection_record.toml").read_text("utf-8")


def begin(home: ArchiveHome, case_id: CaseId, **more: object) -> DraftId:
    """A draft of a case."""
    by = home.person(Role.OFFICER, f"o{uuid4().hex[:6]}").actor
    return begin_record(
        home.database, TEMPLATE, case_id=case_id, title="现场检查笔录", values={}, by=by, at=home.clock.now(), **more
    )  # type: ignore[arg-type]


def save(home: ArchiveHome, draft_id: DraftId, revision: int, **values: object) -> int:
    """Save values in place of a revision."""
    at = home.clock.now()
    return save_record(home.database, draft_id, revision=revision, title="笔录", values=values, by=OPERATOR, at=at)


def test_what_is_written_is_kept_and_counted(home: ArchiveHome) -> None:
    case_id = home.case("1")
    draft_id = begin(home, case_id)
    assert save(home, draft_id, 1, place="店内") == 2
    assert save(home, draft_id, 2, place="店内") == 2, "nothing new"
    assert save(home, draft_id, 2, place="店外") == 3
    with home.database.read() as tx:
        found = draft(tx, draft_id)
        assert (found.revision, dict(values_of(found)), found.title) == (3, {"place": "店外"}, "笔录")
        assert [one.id for one in drafts_of_case(tx, case_id)] == [draft_id]
    home.assert_sound()


def test_nobody_overwrites_what_somebody_else_wrote(home: ArchiveHome) -> None:
    draft_id = begin(home, home.case("1"))
    save(home, draft_id, 1, place="甲")
    with pytest.raises(DraftChanged) as refused:
        save(home, draft_id, 1, place="乙")
    assert refused.value.facts["revision"] == 2
    with home.database.read() as tx:
        assert dict(values_of(draft(tx, draft_id))) == {"place": "甲"}


def test_one_that_is_given_up_stays_as_it_was(home: ArchiveHome) -> None:
    case_id = home.case("1")
    draft_id = begin(home, case_id)
    save(home, draft_id, 1, place="甲")
    drop_record(home.database, draft_id, reason="重复", by=OPERATOR, at=home.clock.now())
    for again in (
        lambda: save(home, draft_id, 2, place="乙"),
        lambda: drop_record(home.database, draft_id, reason="重复", by=OPERATOR, at=home.clock.now()),
    ):
        with pytest.raises(DraftEnded):
            again()
    with home.database.read() as tx:
        assert draft(tx, draft_id).state == DraftState.DROPPED
        assert drafts_of_case(tx, case_id) == []
    home.assert_sound()


def test_one_is_of_a_case_an_act_of_it_and_a_record_that_is_filed_there(home: ArchiveHome) -> None:
    case_id, other = home.case("1"), home.case("2")
    at = home.clock.now()
    act_id = record_act(
        home.database, other, stage=Stage.INSPECTION, place="店", started_at=at, ended_at=None, by=OPERATOR, at=at
    )
    record_id = file_text_record(
        home.database, home.services.objects, home.services.signer, case_id=other, form=RecordForm.OTHER,
        title="笔录", name="笔录.pdf", pdf=PDF, by=OPERATOR, at=at,
    )  # fmt: skip
    with pytest.raises(CaseNotFound):
        begin(home, CaseId(uuid4()))
    for act in (act_id, ActId(uuid4())):
        with pytest.raises(ActNotFound):
            begin(home, case_id, act_id=act)
    for record in (record_id, ObjectId(uuid4())):
        with pytest.raises(NotLinked):
            begin(home, case_id, amending=Amending(record, "地点有误"))
    with pytest.raises(InvalidInput):
        begin(home, other, amending=Amending(record_id, " "))
    assert begin(home, other, act_id=act_id, amending=Amending(record_id, "地点有误"))
    home.assert_sound()


def test_what_is_not_there_and_what_is_too_much(home: ArchiveHome) -> None:
    with pytest.raises(DraftNotFound):
        save(home, DraftId(uuid4()), 1)
    with home.database.read() as tx, pytest.raises(DraftNotFound):
        draft(tx, DraftId(uuid4()))
    draft_id = begin(home, home.case("1"))
    with pytest.raises(InvalidInput):
        save(home, draft_id, 1, words="x" * (1024 * 1024))
    with pytest.raises(InvalidInput):
        save(home, draft_id, 1, share=0.5)


def test_who_does_not_see_the_case_does_not_see_its_drafts(home: ArchiveHome) -> None:
    draft_id = begin(home, home.case("1"))
    unit_id = record_unit(
        home.database, parent_id=UnitId(FIRST_UNIT), code="9", name="elsewhere", by=OPERATOR, at=home.clock.now()
    )
    stranger = home.person(Role.CASE_HANDLER, "stranger", unit_id=unit_id)
    with home.database.seen_by(stranger.sight).read() as tx, pytest.raises(DraftNotFound):
        draft(tx, draft_id)

"""Retention marks: set and taken back with a reason and an entry; what they keep is planned anew."""

import pytest
from sqlalchemy import select

from archive.cases.filing import CaseNotFound
from archive.custody.events import ObjectNotFound, custody_trail
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import MarkId, ObjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from retention.holding.marks import AlreadyMarked, Marked, MarkNotFound, mark_on, marks_by_cases, standing_marks
from retention.holding.models import RetentionMark
from retention.holding.terms import MarkedKind
from retention.planning.models import RetentionPlan
from retention.schedules.terms import Mark
from tests.support.archive_home import ArchiveHome
from tests.support.holding_scene import HoldingScene


def set_mark(scene: HoldingScene, on: Marked, mark: Mark = Mark.EVIDENCE, reason: str = "已作证据") -> MarkId:
    home = scene.home
    return home.services.holding.marks.set_mark(home.database, on, mark, reason=reason, by=OPERATOR, at=scene.now)


def is_stale(home: ArchiveHome, object_id: ObjectId) -> bool:
    with home.database.read() as tx:
        return tx.get_one(RetentionPlan, object_id).stale_since is not None


def test_a_mark_of_an_object_has_its_entry_and_has_it_planned_anew(scene: HoldingScene, home: ArchiveHome) -> None:
    item, other = scene.due(), scene.due()
    on = Marked(MarkedKind.OBJECT, item)
    before = len(home.types())
    mark_id = set_mark(scene, on)
    assert home.types()[before:] == ["retention.marked"]
    assert (is_stale(home, item), is_stale(home, other)) == (True, False)
    assert "已作证据" not in str(home.entries())
    with home.database.read() as tx:
        assert [(row.id, row.mark) for row in standing_marks(tx, on)] == [(mark_id, "evidence")]
        assert [line.type for line in custody_trail(tx, item)][-1] == "retention.marked"
        assert mark_on(tx, mark_id) == on
    home.sequence()
    home.assert_sound()


def test_a_mark_of_a_case_has_everything_of_it_planned_anew(scene: HoldingScene, home: ArchiveHome) -> None:
    items = [scene.due(), scene.due()]
    case_id = scene.case(*items)
    mark_id = set_mark(scene, Marked(MarkedKind.CASE, case_id), Mark.MAJOR_INCIDENT)
    assert [is_stale(home, item) for item in items] == [True, True]
    with home.database.read() as tx:
        assert [(found, mark.id) for found, mark in marks_by_cases(tx, items[0])] == [(case_id, mark_id)]
    home.sequence()
    home.assert_sound()


def test_a_mark_stands_once_and_again_after_it_was_taken_back(scene: HoldingScene, home: ArchiveHome) -> None:
    item = scene.due()
    on = Marked(MarkedKind.OBJECT, item)
    mark_id = set_mark(scene, on)
    with pytest.raises(AlreadyMarked):
        set_mark(scene, on)
    set_mark(scene, on, Mark.COMPLEX)
    scene.plan(item)
    back = home.services.holding.marks.take_back(home.database, mark_id, reason="误标", by=OPERATOR, at=scene.now)
    assert back == on
    assert is_stale(home, item)
    with pytest.raises(MarkNotFound):
        home.services.holding.marks.take_back(home.database, mark_id, reason="误标", by=OPERATOR, at=scene.now)
    assert set_mark(scene, on) != mark_id
    with home.database.read() as tx:
        row = tx.get_one(RetentionMark, mark_id)
        assert (row.removed_reason, row.removed_by) == ("误标", OPERATOR.id)
        assert len(tx.scalars(select(RetentionMark)).all()) == 3
        with pytest.raises(MarkNotFound):
            mark_on(tx, mark_id)
    home.sequence()
    home.assert_sound()


def test_what_is_not_there_or_not_seen_is_not_marked(scene: HoldingScene, home: ArchiveHome) -> None:
    item = scene.item()
    case_id, beside = scene.case(item), scene.person("beside", unit=scene.team)
    mark_id = set_mark(scene, Marked(MarkedKind.CASE, case_id))
    database, before = scene.seen_by(beside), len(home.types())
    marks = home.services.holding.marks
    for cause, on in (
        (ObjectNotFound, Marked(MarkedKind.OBJECT, item)), (CaseNotFound, Marked(MarkedKind.CASE, case_id)),
        (ObjectNotFound, Marked(MarkedKind.OBJECT, new_uuid7())),
    ):  # fmt: skip
        with pytest.raises(cause):
            marks.set_mark(database, on, Mark.COMPLEX, reason="x", by=beside.actor, at=scene.now)
    with pytest.raises(MarkNotFound):
        marks.take_back(database, mark_id, reason="x", by=beside.actor, at=scene.now)
    with pytest.raises(InvalidInput):
        set_mark(scene, Marked(MarkedKind.OBJECT, item), reason=" ")
    assert (len(home.types()), home.count("retention_mark")) == (before, 1)

"""What frees something behind the archive's back is found against the log."""

import pytest

from archive.ledger.entries import OPERATOR
from retention.holding.holds import review_hold
from retention.holding.marks import Marked
from retention.holding.terms import HoldScope, MarkedKind
from retention.schedules.terms import Mark
from tests.support.archive_home import ArchiveHome
from tests.support.holding_scene import HoldingScene

CHANGED, MISSING, UNLOGGED = "fsck.row_changed", "fsck.row_missing", "fsck.unlogged"


@pytest.fixture
def kept(scene: HoldingScene, home: ArchiveHome) -> ArchiveHome:
    item, later = scene.due(), scene.due()
    case_id = scene.case(item)
    hold_id = scene.hold(HoldScope.CASE, case_id)
    released = scene.hold(HoldScope.OBJECT, item)
    review_hold(
        home.database, home.services.holding.rules, hold_id, review_on=scene.day(9), reason="x", by=OPERATOR, at=scene.now
    )  # fmt: skip
    scene.release(released, by=scene.person("records").actor)
    scene.link(case_id, later)
    home.services.holding.scans.scan()
    marks = home.services.holding.marks
    for mark in (Mark.EVIDENCE, Mark.COMPLEX):
        on = Marked(MarkedKind.OBJECT, item)
        mark_id = marks.set_mark(home.database, on, mark, reason="x", by=OPERATOR, at=scene.now)
    marks.take_back(home.database, mark_id, reason="y", by=OPERATOR, at=scene.now)
    marks.set_mark(home.database, Marked(MarkedKind.CASE, case_id), mark, reason="x", by=OPERATOR, at=scene.now)
    home.sequence()
    home.assert_sound()
    return home


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE hold SET released_at = placed_at, released_by = placed_by WHERE released_at IS NULL", CHANGED),
        ("UPDATE hold SET released_at = NULL, released_by = NULL, release_reason = NULL", CHANGED),
        ("UPDATE hold SET release_reason = 'z' WHERE released_at IS NOT NULL", CHANGED),
        ("UPDATE hold SET ref_id = NULL", CHANGED),
        ("UPDATE hold SET scope = 'query'", CHANGED),
        ("UPDATE hold SET review_on = '2031-01-01'", CHANGED),
        ("UPDATE hold SET number = number || 'x'", CHANGED),
        ("UPDATE hold_review SET was_on = '2031-01-01'", CHANGED),
        ("UPDATE held_object SET since = '2020-01-01 00:00:00+00'", CHANGED),
        ("DELETE FROM held_object", MISSING),
        ("DELETE FROM hold_review", MISSING),
        ("DELETE FROM retention_mark", MISSING),
        ("UPDATE retention_mark SET mark = 'obstruction' WHERE removed_at IS NOT NULL", CHANGED),
        ("UPDATE retention_mark SET ref_kind = 'case'", CHANGED),
        ("UPDATE retention_mark SET removed_at = set_at, removed_by = set_by, removed_reason = 'x'", CHANGED),
        ("UPDATE retention_mark SET removed_by = NULL", CHANGED),
    ],
)
def test_a_change_is_found(kept: ArchiveHome, statement: str, code: str) -> None:
    if kept.database.is_sqlite:
        statement = statement.replace("+00'", "'")
    assert kept.execute(statement) > 0
    assert {fault.code for fault in kept.faults()} == {code}


def test_rows_that_nobody_wrote_are_found(kept: ArchiveHome) -> None:
    from uuid import uuid4

    fresh = kept.id_value(uuid4())
    columns = "ref_kind, ref_id, mark, reason, set_by, set_at"
    taken = f"SELECT :id, {columns} FROM retention_mark WHERE removed_at IS NOT NULL LIMIT 1"
    assert kept.execute(f"INSERT INTO retention_mark (id, {columns}) {taken}", id=fresh) == 1
    assert {fault.code for fault in kept.faults()} == {UNLOGGED}


def test_what_was_erased_is_not_asked_about(kept: ArchiveHome) -> None:
    kinds = ("hold.placed", "hold.extended", "hold.reviewed", "hold.released", "retention.marked", "retention.unmarked")
    assert kept.erase(lambda entry: entry["type"] in kinds) == 9
    kept.assert_sound()
    assert kept.execute("UPDATE hold SET placed_by = id WHERE released_at IS NULL") == 1
    assert {fault.code for fault in kept.faults()} == {CHANGED}

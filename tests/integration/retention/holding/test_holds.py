"""Holds: placed once, on what is there and what comes later; reviewed; released by a second person."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from archive.access.policy import Role
from archive.cases.filing import CaseNotFound
from archive.cases.merges import merge_subjects, separate_subjects
from archive.cases.restrictions import add_member
from archive.cases.subjects import KnownSubject, NewSubject, SubjectNotFound, record_subject
from archive.cases.terms import Category, SubjectKind
from archive.custody.events import ObjectNotFound, custody_trail
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import HoldId, SubjectId, UnitId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.units import change_unit
from retention.holding import holds
from retention.holding.hold_listings import (
    HoldsOn,
    Review,
    WhichHolds,
    held_objects,
    hold_view,
    holds_on_case,
    holds_on_object,
    holds_on_subject,
    would_cover,
)
from retention.holding.hold_listings import holds as listed
from retention.holding.hold_queries import BadHoldQuery, HoldQuery
from retention.holding.holds import (
    HoldNotFound,
    HoldReleased,
    HoldRequestUsed,
    NewHold,
    NotYourUnit,
    OwnHold,
    ReviewDayImpossible,
    place_hold,
    release_hold,
    review_hold,
)
from retention.holding.models import HeldObject, Hold, HoldReview
from retention.holding.terms import HeldKind, HoldScope
from tests.integration.access.test_sight import work
from tests.support.archive_home import ArchiveHome
from tests.support.holding_scene import PAPER, HoldingScene

CASE, OBJECT, SUBJECT, QUERY = HoldScope.CASE, HoldScope.OBJECT, HoldScope.SUBJECT, HoldScope.QUERY


def row_of(home: ArchiveHome, hold_id: HoldId) -> Hold:
    with home.database.read() as tx:
        return tx.get_one(Hold, hold_id)


def written(home: ArchiveHome, hold_id: HoldId) -> set[Any]:
    with home.database.read() as tx:
        return set(tx.scalars(select(HeldObject.object_id).where(HeldObject.hold_id == hold_id)))


def subject(scene: HoldingScene, name: str = "某某公司") -> SubjectId:
    given = NewSubject(name, SubjectKind.ORGANISATION)
    return record_subject(scene.home.database, scene.home.services.identifiers, given, by=OPERATOR, at=scene.now)


# ---- placing -------------------------------------------------------------------------------------------------------


def test_a_hold_gets_number_entry_and_what_it_covers(scene: HoldingScene, home: ArchiveHome) -> None:
    item = scene.due()
    manager = scene.person("records")
    before = len(home.types())
    hold_id = scene.hold(OBJECT, item, by=manager)
    row = row_of(home, hold_id)
    assert row.number == f"冻〔{scene.day(0).year}〕0001号"
    assert (row.authority, row.placed_by, row.unit_id) == (PAPER, manager.account_id, manager.unit_id)
    assert home.types()[before:] == ["hold.placed"]
    assert scene.held_by(item) == {hold_id}
    with home.database.read() as tx:
        assert [line.type for line in custody_trail(tx, item)][-1] == "hold.placed"
    assert "应诉" not in str(home.entries())
    home.sequence()
    home.assert_sound()


def test_numbers_go_on_within_a_year(scene: HoldingScene, home: ArchiveHome) -> None:
    item = scene.item()
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: scene.hold(OBJECT, item), range(6)))
    year = scene.day(0).year
    assert {row_of(home, found).number for found in ids} == {f"冻〔{year}〕{n:04}号" for n in range(1, 7)}


def test_the_same_request_places_one_hold(scene: HoldingScene, home: ArchiveHome) -> None:
    item, manager = scene.due(), scene.person("records")
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: scene.hold(OBJECT, item, by=manager, request="form 1"), range(6)))
    assert len(ids) == 1
    assert home.types().count("hold.placed") == home.count("hold") == 1
    with pytest.raises(HoldRequestUsed):
        scene.hold(OBJECT, item, by=manager, request="form 1", reason="另一事由")
    assert scene.hold(OBJECT, item, by=scene.person("another"), request="form 1") not in ids


@pytest.mark.parametrize("days", [-1, 366, 4000])
def test_a_review_lies_ahead_and_within_a_year(scene: HoldingScene, home: ArchiveHome, days: int) -> None:
    item = scene.item()
    with pytest.raises(ReviewDayImpossible):
        scene.hold(OBJECT, item, review_in=days)
    hold_id = scene.hold(OBJECT, item, review_in=365)
    with pytest.raises(ReviewDayImpossible):
        review_hold(
            home.database, home.services.holding.rules, hold_id, review_on=scene.day(days), reason="x", by=OPERATOR,
            at=scene.now,
        )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"authority": " "}, {"reason": ""}, {"authority": "x" * 301}, {"reason": "x" * 1001}, {"request": "x" * 101}],
)
def test_words_are_asked_for(scene: HoldingScene, home: ArchiveHome, changes: dict[str, str]) -> None:
    item, before = scene.item(), len(home.types())
    with pytest.raises(InvalidInput):
        scene.hold(OBJECT, item, **changes)
    assert (len(home.types()), home.count("hold"), home.count("hold_count")) == (before, 0, 0)


def test_a_hold_is_on_a_thing_or_on_a_query(scene: HoldingScene) -> None:
    query = HoldQuery(scene.team)
    for wrong in ({"ref_id": None}, {"query": query}, {"scope": QUERY}):
        with pytest.raises(InvalidInput):
            NewHold(**{"scope": CASE, "ref_id": new_uuid7(), "query": None, "authority": "a", "reason": "r",
                          "review_on": scene.day(1), "request": "1", **wrong})  # fmt: skip


def test_what_is_not_seen_is_not_held(scene: HoldingScene) -> None:
    item = scene.item()
    case_id, beside = scene.case(item), scene.person("beside", unit=scene.team)
    subject_id = subject(scene)
    for cause, scope, what in (
        (ObjectNotFound, OBJECT, item), (CaseNotFound, CASE, case_id), (SubjectNotFound, SUBJECT, subject_id),
        (NotYourUnit, QUERY, HoldQuery(scene.other_team)), (NotYourUnit, QUERY, HoldQuery(new_uuid7())),
    ):  # fmt: skip
        with pytest.raises(cause):
            scene.hold(scope, what, by=beside)
    scene.hold(QUERY, HoldQuery(scene.team), by=beside)


# ---- what comes later ----------------------------------------------------------------------------------------------


def test_what_comes_to_a_held_case_is_held_at_once_and_written_down_by_the_scan(
    scene: HoldingScene, home: ArchiveHome
) -> None:
    first, later = scene.due(), scene.due()
    case_id = scene.case(first)
    hold_id = scene.hold(CASE, case_id)
    assert scene.held_by(later) == set()
    scene.link(case_id, later)
    assert scene.held_by(later) == {hold_id}
    assert written(home, hold_id) == {first}
    assert home.services.holding.scans.scan() == 1
    assert home.types()[-1] == "hold.extended"
    assert written(home, hold_id) == {first, later}
    assert home.services.holding.scans.scan() == 0
    scene.unlink(case_id, later)
    assert scene.held_by(later) == {hold_id}
    home.sequence()
    home.assert_sound()


def test_what_was_in_a_held_case_for_a_moment_only_is_held(scene: HoldingScene, home: ArchiveHome) -> None:
    item, before = scene.due(), scene.due()
    case_id = scene.case(before)
    scene.unlink(case_id, before)
    hold_id = scene.hold(CASE, case_id)
    scene.link(case_id, item)
    scene.unlink(case_id, item)
    assert scene.held_by(item) == {hold_id}
    assert scene.held_by(before) == set()
    home.services.holding.scans.scan()
    assert written(home, hold_id) == {item}


def test_every_case_of_a_subject_is_held_with_those_merged_later(scene: HoldingScene, home: ArchiveHome) -> None:
    keep, gone = subject(scene, "甲"), subject(scene, "乙")
    mine, other = scene.due(), scene.due()
    scene.case(mine, subject=KnownSubject(keep))
    scene.case(other, subject=KnownSubject(gone))
    hold_id = scene.hold(SUBJECT, keep)
    assert (scene.held_by(mine), scene.held_by(other)) == ({hold_id}, set())
    merge_subjects(home.database, keep, gone, reason="同一单位", by=OPERATOR, at=scene.now)
    assert scene.held_by(other) == {hold_id}
    late = scene.due()
    scene.case(late, subject=KnownSubject(gone))
    assert scene.held_by(late) == {hold_id}
    home.services.holding.scans.scan()
    separate_subjects(home.database, gone, reason="不是", by=OPERATOR, at=scene.now)
    assert scene.held_by(other) == scene.held_by(late) == {hold_id}
    with home.database.read() as tx:
        assert [row.id for row in holds_on_subject(tx, keep).holds] == [hold_id]
        assert holds_on_subject(tx, gone) == HoldsOn((), 0)


def test_a_hold_on_one_that_was_merged_holds_the_whole_family(scene: HoldingScene, home: ArchiveHome) -> None:
    keep, gone = subject(scene, "甲"), subject(scene, "乙")
    item = scene.due()
    scene.case(item, subject=KnownSubject(keep))
    merge_subjects(home.database, keep, gone, reason="同一单位", by=OPERATOR, at=scene.now)
    hold_id = scene.hold(SUBJECT, gone)
    assert scene.held_by(item) == {hold_id}
    assert written(home, hold_id) == {item}


def test_a_query_holds_what_answers_it_now_and_later(scene: HoldingScene, home: ArchiveHome) -> None:
    team_dock = home.dock("Dock 2", unit_id=scene.team)
    mine, other = scene.due(dock=team_dock), scene.due()
    recorded = HoldQuery(scene.team, device_serial="CAM-0042", kind=HeldKind.OTHER)
    hold_id = scene.hold(QUERY, recorded)
    assert (scene.held_by(mine), scene.held_by(other)) == ({hold_id}, set())
    late = scene.due(dock=team_dock)
    assert scene.held_by(late) == {hold_id}
    assert scene.held_by(scene.due(dock=team_dock, device={"serial": "CAM-7"})) == set()
    assert home.services.holding.scans.scan() == 0
    home.clock.step(timedelta(days=1))
    assert home.services.holding.scans.scan() == 1
    assert written(home, hold_id) == {mine, late}
    above = scene.hold(QUERY, HoldQuery(UnitId(row_of(home, hold_id).unit_id)))
    assert scene.held_by(other) == {above}
    home.sequence()
    home.assert_sound()


def test_a_query_asks_of_cases_by_category_and_beginning_of_the_number(scene: HoldingScene) -> None:
    unit = UnitId(scene.person("records").unit_id)
    inside, outside = scene.due(), scene.due()
    scene.case(inside, number="官综〔2026〕1号")
    scene.case(outside, number="官综执〔2026〕1号")
    hold_id = scene.hold(QUERY, HoldQuery(unit, category=Category.PENALTY, number_prefix="官综〔"))
    assert (scene.held_by(inside), scene.held_by(outside)) == ({hold_id}, set())
    scene.hold(QUERY, HoldQuery(unit, category=Category.PERMISSION, number_prefix="官综〔"))
    assert scene.held_by(inside) == {hold_id}


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"unit":1}', '{"unit":"x"}', '{"unit":"%s","kind":"all"}', '{"unit":"%s","place":"x"}',
     '{"unit":"%s","device":""}', '{"unit":"%s","device":" x"}', '{"kind":"footage","unit":"%s" }'],
)  # fmt: skip
def test_a_query_is_of_its_own_small_vocabulary(scene: HoldingScene, text: str) -> None:
    with pytest.raises(BadHoldQuery):
        HoldQuery.of(text.replace("%s", str(scene.team)))
    query = HoldQuery(
        scene.team, "d", "o", scene.now, scene.now + timedelta(days=1), Category.PENALTY, "n", HeldKind.RECORD
    )
    assert HoldQuery.of(query.text) == query
    with pytest.raises(BadHoldQuery):
        HoldQuery(scene.team, recorded_from=query.recorded_from, recorded_until=query.recorded_from)


def test_a_large_hold_is_written_down_by_the_job_and_holds_from_the_first_moment(
    scene: HoldingScene, home: ArchiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "_MOST_AT_ONCE", 3)
    monkeypatch.setattr(holds, "MOST_TOLD", 2)
    items = [scene.due() for _ in range(7)]
    case_id = scene.case(*items)
    hold_id = scene.hold(CASE, case_id)
    assert len(written(home, hold_id)) == 3
    assert row_of(home, hold_id).scanned_at is None
    assert all(found == {hold_id} for found in map(scene.held_by, items))
    with home.database.read() as tx:
        assert not hold_view(tx, home.services.holding.rules, hold_id, at=scene.now).is_complete
    assert home.services.holding.scans.scan() == 4
    assert written(home, hold_id) == set(items)
    assert home.types()[-3:] == ["hold.placed", "hold.extended", "hold.extended"]
    home.sequence()
    home.assert_sound()


def test_the_job_scans_and_comes_back(scene: HoldingScene, home: ArchiveHome) -> None:
    from archive.jobs.queue import LONG
    from archive.worker.loop import Worker

    case_id = scene.case()
    hold_id = scene.hold(CASE, case_id)
    item = scene.due()
    scene.link(case_id, item)
    home.services.holding.scans.begin()
    worker = Worker(home.database, handlers=home.services.holding.scans.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([LONG]):
        pass
    assert written(home, hold_id) == {item}
    (state,) = home.rows("SELECT state FROM job WHERE key = 'scan_holds'")
    assert state == ("ready",)


# ---- reviewing and releasing ---------------------------------------------------------------------------------------


def test_a_review_moves_the_day_and_keeps_its_reason(scene: HoldingScene, home: ArchiveHome) -> None:
    item = scene.item()
    hold_id = scene.hold(OBJECT, item, review_in=10)
    reviewer = scene.person("records").actor
    review_hold(
        home.database, home.services.holding.rules, hold_id, review_on=scene.day(90), reason="二审中", by=reviewer,
        at=scene.now,
    )  # fmt: skip
    with home.database.read() as tx:
        view = hold_view(tx, home.services.holding.rules, hold_id, at=scene.now)
    (review,) = view.reviews
    assert view.hold.review_on == review.review_on == scene.day(90)
    assert (review.was_on, review.reason, review.by_id) == (scene.day(10), "二审中", reviewer.id)
    home.sequence()
    home.assert_sound()


def test_a_second_person_releases_and_only_once(scene: HoldingScene, home: ArchiveHome) -> None:
    item, one, other = scene.due(), scene.person("one"), scene.person("other")
    hold_id = scene.hold(OBJECT, item, by=one)
    with pytest.raises(OwnHold):
        scene.release(hold_id, by=one.actor)
    with pytest.raises(InvalidInput):
        release_hold(home.database, hold_id, reason=" ", by=other.actor, at=scene.now)
    assert scene.held_by(item) == {hold_id}
    scene.release(hold_id, by=other.actor)
    assert scene.stops(item) == []
    with pytest.raises(HoldReleased):
        scene.release(hold_id, by=other.actor)
    with pytest.raises(HoldReleased):
        review_hold(
            home.database, home.services.holding.rules, hold_id, review_on=scene.day(1), reason="x", by=one.actor,
            at=scene.now,
        )  # fmt: skip
    with home.database.read() as tx:
        assert [line.type for line in custody_trail(tx, item)][-2:] == ["hold.placed", "hold.released"]
        assert tx.scalars(select(HoldReview)).all() == []
    home.sequence()
    home.assert_sound()


def test_releasing_one_of_two_frees_nothing(scene: HoldingScene) -> None:
    item = scene.due()
    case_id, by = scene.case(item), scene.person("other").actor
    scene.close(case_id)
    first, second = scene.hold(OBJECT, item), scene.hold(CASE, case_id)
    scene.release(first, by=by)
    assert scene.held_by(item) == {second}
    scene.release(second, by=by)
    assert scene.stops(item) == []


def test_who_does_not_see_a_hold_neither_reviews_nor_releases_it(scene: HoldingScene, home: ArchiveHome) -> None:
    hold_id = scene.hold(OBJECT, scene.item(), by=scene.person("above"))
    beside = scene.person("beside", unit=scene.team)
    for act in (
        lambda: release_hold(scene.seen_by(beside), hold_id, reason="x", by=beside.actor, at=scene.now),
        lambda: review_hold(
            scene.seen_by(beside), home.services.holding.rules, hold_id, review_on=scene.day(1), reason="x",
            by=beside.actor, at=scene.now,
        ),
    ):  # fmt: skip
        with pytest.raises(HoldNotFound):
            act()


# ---- lists ---------------------------------------------------------------------------------------------------------


def shown(scene: HoldingScene, person: Any, which: WhichHolds = WhichHolds.PLACED) -> list[HoldId]:
    with scene.seen_by(person).read() as tx:
        found, cursor = [], None
        while True:
            page = listed(tx, scene.home.services.holding.rules, which=which, at=scene.now, cursor=cursor, limit=2)
            found += [row.hold.id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                return found


def test_lists_hold_what_is_placed_due_released_as_far_as_it_is_seen(scene: HoldingScene, home: ArchiveHome) -> None:
    above, inside = scene.person("above"), scene.person("inside", unit=scene.team)
    items = [scene.item() for _ in range(3)]
    first, soon, gone = (
        scene.hold(OBJECT, item, by=above, review_in=days) for item, days in zip(items, (200, 10, 5), strict=True)
    )
    scene.release(gone, by=OPERATOR)
    own = scene.hold(QUERY, HoldQuery(scene.team), by=inside)
    assert shown(scene, above) == [own, soon, first]
    assert shown(scene, above, WhichHolds.DUE) == [soon]
    assert shown(scene, above, WhichHolds.RELEASED) == [gone]
    assert shown(scene, above, WhichHolds.ALL) == [own, gone, soon, first]
    assert shown(scene, inside) == [own]
    with scene.seen_by(inside).read() as tx, pytest.raises(HoldNotFound):
        hold_view(tx, home.services.holding.rules, first, at=scene.now)
    home.clock.step(timedelta(days=11))
    with home.database.read() as tx:
        assert hold_view(tx, home.services.holding.rules, soon, at=scene.now).row.review is Review.OVERDUE
        assert hold_view(tx, home.services.holding.rules, gone, at=scene.now).row.review is Review.ENDED
        with pytest.raises(InvalidInput):
            listed(tx, home.services.holding.rules, at=scene.now, cursor="complaints-open~x~y")


def test_a_hold_on_what_is_not_seen_says_nothing_of_why(scene: HoldingScene, home: ArchiveHome) -> None:
    """Somebody placed it who is a member of the case, and others of the same unit are not."""
    item = scene.item()
    member, other = scene.person("member", unit=scene.team), scene.person("other", unit=scene.team)
    add_member(
        home.database, scene.case(item), member.account_id, reason="抽调", until=None,
        by=scene.person("boss", Role.UNIT_HEAD), at=scene.now,
    )  # fmt: skip
    hold_id = scene.hold(OBJECT, item, by=member)
    for person, is_told in ((member, True), (other, False)):
        with scene.seen_by(person).read() as tx:
            view = hold_view(tx, home.services.holding.rules, hold_id, at=scene.now)
            assert view.row.is_told is is_told
            assert (view.row.ref is not None) is is_told
            assert (view.count.objects, len(held_objects(tx, hold_id).rows)) == ((1, 1) if is_told else (0, 0))


def test_what_is_covered_is_counted_before_and_listed_after(scene: HoldingScene, home: ArchiveHome) -> None:
    items = sorted(scene.item() for _ in range(5))
    case_id = scene.case(*items)
    manager, beside = scene.person("records"), scene.person("beside", unit=scene.team)
    with scene.seen_by(manager).read() as tx:
        count = would_cover(tx, CASE, ref_id=case_id, query=None)
    assert (count.objects, count.is_more, count.size_bytes > 0) == (5, False, True)
    with scene.seen_by(beside).read() as tx:
        assert would_cover(tx, CASE, ref_id=case_id, query=None).objects == 0
    hold_id = scene.hold(CASE, case_id, by=manager)
    with scene.seen_by(manager).read() as tx:
        first = held_objects(tx, hold_id, limit=3)
        second = held_objects(tx, hold_id, limit=3, cursor=first.next_cursor)
        assert [row.original.id for row in (*first.rows, *second.rows)] == items
        assert second.next_cursor is None
        for wrong in ("held", "x~y", "held~y"):
            with pytest.raises(InvalidInput):
                held_objects(tx, hold_id, cursor=wrong)
        assert hold_view(tx, home.services.holding.rules, hold_id, at=scene.now).count == count


def test_pages_of_things_tell_of_holds_that_are_not_seen_only_that_there_are(scene: HoldingScene) -> None:
    item = scene.item(dock=scene.home.dock("Dock 2", unit_id=scene.team))
    case_id = scene.case(item)
    seen_by_all = scene.hold(OBJECT, item, by=scene.person("inside", unit=scene.team))
    above = scene.hold(CASE, case_id, by=scene.person("above"))
    with scene.seen_by(scene.home.signed_in("inside")).read() as tx:
        found = holds_on_object(tx, item)
        assert ([row.id for row in found.holds], found.hidden) == ([seen_by_all], 1)
    with scene.seen_by(scene.home.signed_in("above")).read() as tx:
        assert [row.id for row in holds_on_object(tx, item).holds] == [seen_by_all, above]
        assert [row.id for row in holds_on_case(tx, case_id).holds] == [above]


def test_a_hold_goes_with_its_unit(scene: HoldingScene, home: ArchiveHome) -> None:
    other = scene.person("other", unit=scene.other_team)
    hold_id = scene.hold(QUERY, HoldQuery(scene.team), by=scene.person("inside", unit=scene.team))
    assert shown(scene, other) == []
    change_unit(
        home.database, scene.team, code="01", name="一中队", parent_id=scene.other_team, by=OPERATOR, at=scene.now
    )  # fmt: skip
    work(home)
    assert shown(scene, other) == [hold_id]


def test_a_place_is_taken_only_once_a_scheme_is_used_again(scene: HoldingScene, home: ArchiveHome) -> None:
    scene.hold(OBJECT, scene.item())
    assert home.execute("DELETE FROM hold_count") == 1
    with pytest.raises(holds.HoldNumberTaken):
        place_hold(
            home.database, home.services.holding.rules, scene.new_hold(OBJECT, scene.item()), by=OPERATOR, at=scene.now
        )  # fmt: skip

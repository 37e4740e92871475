"""Every stop of every kind, with what it is and until when; and how many questions that takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from archive.access.policy import Role
from archive.cases.filing import link_object
from archive.cases.terms import RecordForm
from archive.complaints.linking import Links
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.rules import ComplaintRules
from archive.complaints.steps import take_step
from archive.complaints.terms import Channel, ComplaintKind, State
from archive.db.base import insert_row
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.requests import Asked, ask, withdraw
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.volumes.models import Volume
from archive.volumes.rules import VolumeKind
from retention.holding.hold_queries import HoldQuery
from retention.holding.stops import stops_of
from retention.holding.terms import HoldScope
from retention.models import ObjectLock
from retention.schedules.algebra import Rule
from retention.stops import Stop, StopKind
from tests.support.archive_home import ArchiveHome
from tests.support.case_files import CHECKED, give_seal, scan
from tests.support.holding_scene import HoldingScene
from tests.support.planned import CASE_FILE, FOR_EVER, LATER, OVER

DAY = timedelta(days=1)


def test_nothing_stops_what_is_due(scene: HoldingScene) -> None:
    assert scene.stops(scene.due()) == []


@pytest.mark.parametrize(
    ("rules", "kinds"),
    [
        ([LATER], [StopKind.NOT_DUE]),
        ([FOR_EVER, CASE_FILE], [StopKind.PERMANENT]),
        ([], [StopKind.NO_RULE]),
        ([CASE_FILE], [StopKind.CLOCK_NOT_BEGUN]),
        ([OVER, CASE_FILE], [StopKind.CLOCK_NOT_BEGUN]),
        ([LATER, CASE_FILE], [StopKind.NOT_DUE, StopKind.CLOCK_NOT_BEGUN]),
    ],
)
def test_what_the_plan_says(scene: HoldingScene, rules: list[Rule], kinds: list[StopKind]) -> None:
    item = scene.item()
    assert scene.stops(item) == [Stop(StopKind.NOT_PLANNED)]
    scene.plan(item, by=tuple(rules))
    found = scene.stops(item)
    assert [stop.kind for stop in found] == kinds
    assert all((stop.until is not None) == (stop.kind is StopKind.NOT_DUE) for stop in found)


def test_a_stale_plan_is_no_plan(scene: HoldingScene) -> None:
    item = scene.due()
    scene.mark_stale(item)
    assert scene.kinds(item) == [StopKind.NOT_PLANNED]


def test_what_no_rule_is_for_any_more_is_kept_until_one_is(scene: HoldingScene) -> None:
    item = scene.due()
    scene.plan(item, by=())
    assert scene.kinds(item) == [StopKind.NO_RULE]
    scene.plan(item)
    assert scene.stops(item) == []


def test_an_end_is_over_at_its_moment(scene: HoldingScene) -> None:
    item = scene.item()
    scene.plan(item, by=(LATER,))
    ((_, _, until),) = [(stop.kind, stop.ref_id, stop.until) for stop in scene.stops(item)]
    assert until is not None
    with scene.home.database.read() as tx:
        assert stops_of(tx, [item], until)[item] == ()
        assert len(stops_of(tx, [item], until - timedelta(seconds=1))[item]) == 1


def test_an_open_case_stops_until_it_is_closed(scene: HoldingScene) -> None:
    item = scene.due()
    one, other = scene.case(item), scene.case(item)
    assert {stop.ref_id for stop in scene.stops(item)} == {one, other}
    assert set(scene.kinds(item)) == {StopKind.OPEN_CASE}
    scene.close(one)
    assert scene.stops(item) == [Stop(StopKind.OPEN_CASE, other)]
    scene.close(other)
    assert scene.stops(item) == []


def test_an_open_complaint_stops_what_it_is_about_and_what_its_case_has(scene: HoldingScene, home: ArchiveHome) -> None:
    straight, by_case, beside = scene.due(), scene.due(), scene.due()
    case_id = scene.case(by_case)
    scene.close(case_id)
    head = scene.person("head", Role.UNIT_HEAD)
    given = NewComplaint(
        ComplaintKind.COMPLAINT, Channel.LETTER, scene.now, "x", FIRST_UNIT, None, Links([case_id], (), [straight])
    )
    complaint_id = register_complaint(
        home.database, home.services.identifiers, ComplaintRules.load(), given, by=head, at=scene.now
    )  # fmt: skip
    expected = [Stop(StopKind.OPEN_COMPLAINT, complaint_id)]
    assert [scene.stops(item) for item in (straight, by_case, beside)] == [expected, expected, []]
    for state in (State.NOT_ACCEPTED, State.CLOSED):
        take_step(home.database, complaint_id, state, text="x", by=head, at=scene.now)
    assert [scene.stops(item) for item in (straight, by_case)] == [[], []]


def test_a_grant_and_a_request_stop_while_they_run(scene: HoldingScene, home: ArchiveHome) -> None:
    item, rules = scene.due(), RetrievalRules.load()
    supervisor, handler = scene.person("supervisor", Role.SUPERVISOR), scene.person("handler", Role.CASE_HANDLER)
    scene.person("head", Role.UNIT_HEAD)
    grant_id = grant_access(
        home.database, item, kind=GrantKind.VIEW, purpose=Purpose("评查", "任务 1"), by=supervisor, rules=rules,
        at=scene.now,
    )  # fmt: skip
    (stop,) = scene.stops(item)
    assert (stop.kind, stop.ref_id) == (StopKind.OPEN_RETRIEVAL, grant_id)
    assert stop.until is not None
    home.clock.step(stop.until - scene.now + timedelta(minutes=1))
    assert scene.stops(item) == []
    request_id = ask(
        home.database, item, Asked(GrantKind.EXPORT, Purpose("出庭", "任务 2"), 3), by=handler, rules=rules, at=scene.now
    )  # fmt: skip
    (stop,) = scene.stops(item)
    assert (stop.kind, stop.ref_id) == (StopKind.OPEN_RETRIEVAL, request_id)
    withdraw(home.database, request_id, by=handler, at=scene.now)
    assert scene.stops(item) == []


def test_the_lock_of_the_store_stops_until_it_ends(scene: HoldingScene, home: ArchiveHome) -> None:
    item = scene.due()
    until = (scene.now + DAY).replace(microsecond=0)
    with home.database.begin() as tx:
        insert_row(tx, ObjectLock, object_id=item, locked_until=until)
    assert scene.stops(item) == [Stop(StopKind.STORE_LOCK, None, until)]
    home.clock.step(2 * DAY)
    assert scene.stops(item) == []


def test_what_is_bound_in_a_volume_is_kept_as_long_as_the_volume(scene: HoldingScene, home: ArchiveHome) -> None:
    give_seal(home.services)
    case_id = scene.case()
    paper = scan(home.services, case_id, RecordForm.PENALTY_DECISION, "决定书")
    scene.close(case_id)
    volume_id = home.services.case_files.closer.close_volume(case_id, VolumeKind.MAIN, CHECKED, by=OPERATOR)
    with home.database.read() as tx:
        volume = tx.get_one(Volume, volume_id)
    bound = ObjectId(volume.object_id) if volume.object_id is not None else None
    assert bound is not None
    home.sequence()
    home.clock.step(32 * DAY)
    scene.plan(paper)
    assert scene.stops(paper) == [Stop(StopKind.BOUND_IN_VOLUME, volume_id)]
    scene.plan(bound)
    assert scene.stops(paper) == scene.stops(bound) == []
    scene.plan(bound, by=(LATER,))
    (stop,) = scene.stops(paper)
    assert stop.kind is StopKind.BOUND_IN_VOLUME
    assert stop.until is not None
    scene.plan(bound, by=(FOR_EVER,))
    assert scene.stops(paper) == [Stop(StopKind.BOUND_IN_VOLUME, volume_id)]
    on_case, on_volume = scene.hold(HoldScope.CASE, case_id), scene.hold(HoldScope.OBJECT, bound)
    assert scene.held_by(paper) == scene.held_by(bound) == {on_case, on_volume}
    home.sequence()
    home.assert_sound()


def test_all_stops_are_told_together_also_to_who_sees_nothing(scene: HoldingScene) -> None:
    item = scene.item()
    case_id = scene.case(item)
    hold_id = scene.hold(HoldScope.CASE, case_id)
    beside = scene.person("beside", unit=scene.team)
    with scene.seen_by(beside).read() as tx:
        found = stops_of(tx, [item], scene.now)
    assert found == {
        item: (Stop(StopKind.NOT_PLANNED), Stop(StopKind.HOLD, hold_id), Stop(StopKind.OPEN_CASE, case_id))
    }


@contextmanager
def counted(home: ArchiveHome) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(home.database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(home.database.engine, "before_cursor_execute", note)


def test_the_number_of_questions_does_not_grow(scene: HoldingScene, home: ArchiveHome) -> None:
    items = [scene.due() for _ in range(6)]
    case_id = scene.case(*items)
    for _ in range(3):
        scene.hold(HoldScope.CASE, case_id)
        scene.hold(HoldScope.QUERY, HoldQuery(scene.team))
    counts = []
    for some in (items[:1], items):
        with home.database.read() as tx, counted(home) as statements:
            stops_of(tx, some, scene.now)
        counts.append(len(statements))
    assert counts[0] == counts[1] < 25


def test_many_are_asked_in_portions(scene: HoldingScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retention.holding.stops._AT_ONCE", 2)
    items = [scene.due() for _ in range(5)]
    case_id = scene.case()
    link_object(scene.home.database, case_id, items[4], act_id=None, reason="x", by=OPERATOR, at=scene.now)
    found = scene.all_stops(items)
    assert [len(found[item]) for item in items] == [0, 0, 0, 0, 1]
    assert scene.all_stops([]) == {}

"""What was destroyed has its tombstone, and is neither planned, nor held, nor locked, nor re-read, nor counted any more."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from archive.custody.events import ObjectDestroyed
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR, Actor
from archive.worker.loop import Worker
from retention.holding.hold_listings import held_objects, hold_view, would_cover
from retention.holding.hold_queries import HoldQuery
from retention.holding.marks import Marked
from retention.holding.terms import HoldScope, MarkedKind
from retention.planning.facts import facts_of
from retention.planning.listings import Keeping, Tally, costs, due_by_month, kept_as, kept_until, overview
from retention.planning.models import RetentionPlan
from retention.planning.planner import RetentionPlanner, mark_stale
from retention.rounds.due import note_copied, turns
from retention.rounds.models import ORIGINALS
from retention.rounds.standing import standings
from retention.schedules.register import save_schedule
from retention.schedules.terms import Mark
from retention.schedules.trials import ask_trial, trial_view
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.disposals import destroy_one
from tests.support.holding_scene import holding_scene
from tests.support.planned import LATER, plan
from tests.support.schedule_in_force import Given, Schedules

KEPT = b"what is kept"
DECADES = timedelta(days=100 * 365)


@pytest.fixture
def gone(home: ArchiveHome, dock: EnrolledDock) -> ObjectId:
    return destroy_one(home, dock)


@pytest.fixture
def kept(home: ArchiveHome, dock: EnrolledDock, gone: ObjectId) -> ObjectId:
    found = home.deliver(dock, KEPT, "kept.mp4")
    plan(home, found, by=(LATER,))
    return found


def plan_of(home: ArchiveHome, object_id: ObjectId) -> RetentionPlan:
    with home.database.read() as tx:
        return tx.get_one(RetentionPlan, object_id)


def test_its_plan_stays_as_it_was(home: ArchiveHome, gone: ObjectId, kept: ObjectId) -> None:
    before = plan_of(home, gone)
    planner = RetentionPlanner(home.database, home.clock, Schedules(Given((LATER,), uuid4())))
    with home.database.read() as tx:
        assert set(facts_of(tx, [gone, kept])) == {kept}
    assert planner.plan_now([gone]) == 0
    while planner.note_changes() or planner.sweep_some():
        pass
    with home.database.begin() as tx:
        mark_stale(tx, [gone, kept], home.clock.now())
    assert planner.plan_stale() == 1, "it is not looked at for ever"
    after = plan_of(home, gone)
    assert (after.entry_id, after.retain_until, after.rule) == (before.entry_id, before.retain_until, before.rule)
    home.sequence()
    home.assert_sound()


def test_it_is_on_no_list_of_what_is_kept(home: ArchiveHome, gone: ObjectId, kept: ObjectId) -> None:
    at = home.clock.now()
    own = Tally(1, len(KEPT))
    certificates = home.count("preserved_object", "kind = 'certificate'")
    with home.database.read() as tx:
        assert due_by_month(tx, at=at)[0] == Tally(0, 0)
        found = kept_until(tx, after=None, until=at + DECADES)
        assert [row.original.id for row in found.rows] == [kept]
        assert gone not in {row.original.id for state in (Keeping.UNPLANNED, Keeping.NO_RULE, Keeping.WAITING)
                            for row in kept_as(tx, state).rows}  # fmt: skip
        assert {row.rule: row.kept for row in costs(tx, at=at)}[LATER.code] == own
        assert sum(row.kept.objects for row in costs(tx, at=at)) == 1 + certificates
        assert overview(tx, at=at).total.objects == 1 + certificates


def test_its_locks_are_waited_for_no_more(home: ArchiveHome, gone: ObjectId) -> None:
    home.execute("UPDATE retention_plan SET lock_due = true")
    with home.database.read() as tx:
        assert home.services.locks.waiting(tx) == (0, None)
    assert home.services.locks.extend_some() == 0


def test_nothing_holds_or_marks_it(home: ArchiveHome, gone: ObjectId, kept: ObjectId) -> None:
    scene, rules = holding_scene(home), home.services.holding.rules
    query = HoldQuery(FIRST_UNIT)
    certificates = home.count("preserved_object", "kind = 'certificate'")
    with home.database.read() as tx:
        assert would_cover(tx, HoldScope.QUERY, ref_id=None, query=query).objects == 1 + certificates
    hold_id = scene.hold(HoldScope.QUERY, query)
    assert home.services.holding.scans.scan() == 0
    with home.database.read() as tx:
        assert gone not in {row.original.id for row in held_objects(tx, hold_id).rows}
        assert hold_view(tx, rules, hold_id, at=scene.now).count.objects == 1 + certificates
    before = home.types()
    with pytest.raises(ObjectDestroyed):
        scene.hold(HoldScope.OBJECT, gone)
    marks = home.services.holding.marks
    with pytest.raises(ObjectDestroyed):
        marks.set_mark(
            home.database, Marked(MarkedKind.OBJECT, gone), Mark.EVIDENCE, reason="x", by=OPERATOR, at=scene.now
        )
    assert home.types() == before


def test_what_a_hold_had_covered_is_counted_no_more(home: ArchiveHome, gone: ObjectId, kept: ObjectId) -> None:
    scene, rules = holding_scene(home), home.services.holding.rules
    hold_id = scene.hold(HoldScope.OBJECT, kept)
    home.execute("UPDATE preserved_object SET destroyed_at = preserved_at WHERE id = :id", id=home.id_value(kept))
    with home.database.read() as tx:
        assert not held_objects(tx, hold_id).rows
        assert hold_view(tx, rules, hold_id, at=scene.now).count.objects == 0
        assert overview(tx, at=scene.now).states[Keeping.HELD] == Tally(0, 0)


def test_a_trial_leaves_it_out(home: ArchiveHome, gone: ObjectId, kept: ObjectId) -> None:
    certificates = home.count("preserved_object", "kind = 'certificate'")
    draft = save_schedule(home.database, "新", [LATER], by=Actor(UUID(int=0xA1)), at=home.clock.now())
    trial_id = ask_trial(home.database, draft, by=OPERATOR, at=home.clock.now())
    worker = Worker(home.database, handlers=home.services.schedule_trials.handlers, clock=home.clock, lease_s=60)
    while worker.run_once(["long"]):
        pass
    with home.database.read() as tx:
        found = trial_view(tx, trial_id)
    assert (found.trial.total, found.tally.objects) == (1 + certificates, 1 + certificates)


def test_no_round_reads_it(home: ArchiveHome, gone: ObjectId, kept: ObjectId) -> None:
    place, period = uuid4(), timedelta(days=home.settings.fixity_days)
    with home.database.begin() as tx:
        note_copied(tx, place, [gone, kept], home.clock.now())  # a copy that was under way when it was destroyed
    home.clock.step(period + timedelta(days=1))
    home.sequence()
    home.services.rounds.go_on(is_whole=True)
    at = home.clock.now()
    with home.database.read() as tx:
        for each in (ORIGINALS, str(place)):
            found = turns(tx, each, at=at + period + timedelta(days=1), period=period, is_even=True)
            assert gone not in {turn.object_id for turn in found}
            assert kept in {turn.object_id for turn in found}
        (copies,) = standings(tx, [str(place)], period=period, at=at)
        assert copies.objects == 1
    assert home.count("fixity_damage") == 0

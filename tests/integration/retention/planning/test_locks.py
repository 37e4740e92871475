"""Locks in the stores are what plans and holds ask for: extended at once, renewed in time, held and released."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from archive.kernel.errors import Unavailable
from archive.kernel.ids import ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobLocked, StoreUnavailable
from archive.worker.loop import Worker
from retention.holding.models import HeldObject, Hold
from retention.locking import MOST_AHEAD, PERMANENT_TERM, Standing
from retention.locks import forget_locks
from retention.models import ObjectLock
from retention.planning.models import RetentionPlan
from retention.planning.planner import RetentionPlanner
from retention.schedules.terms import Basis
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.schedule_in_force import USUAL, Given, Schedules, rule

TERM = timedelta(days=90)
AT = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def home(database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, database_url, clock, copy_folder=tmp_path / "second")
    yield made
    made.services.close()


def ends(home: ArchiveHome, object_id: ObjectId) -> Instant | None:
    """Until when an object is locked, as the store says."""
    return home.services.objects.locked_until(object_id)


def plan(home: ArchiveHome, object_id: UUID) -> RetentionPlan:
    with home.database.read() as tx:
        return tx.get_one(RetentionPlan, object_id)


def noted(home: ArchiveHome, object_id: UUID) -> ObjectLock | None:
    with home.database.read() as tx:
        return tx.get(ObjectLock, object_id)


def delete_anything(home: ArchiveHome, object_id: ObjectId, objects: OcflRoot | None = None) -> None:
    key = (objects or home.services.objects).content_key(object_id, "original/a.mp4")
    store = home.services.stores.originals if objects is None else home.services.copies.target()
    store.delete(key)


def place_hold(home: ArchiveHome, *object_ids: UUID) -> UUID:
    hold_id = new_uuid7()
    at = home.clock.now()
    with home.database.begin() as tx:
        tx.add(
            Hold(
                id=hold_id, number=str(hold_id), scope="object", authority="x", reason="x", review_on=at.date(),
                unit_id=UUID(int=1), placed_by=UUID(int=1), placed_at=at,
            )
        )  # fmt: skip
        tx.flush()
        tx.add_all(HeldObject(hold_id=hold_id, object_id=object_id, since=at) for object_id in object_ids)
    return hold_id


def release_hold(home: ArchiveHome, hold_id: UUID) -> None:
    with home.database.begin() as tx:
        tx.get_one(Hold, hold_id).released_at = home.clock.now()


def keep(home: ArchiveHome) -> int:
    """Do what the jobs of locks do; return how much was done."""
    locks, done = home.services.locks, 0
    done += locks.note_new()
    while more := locks.extend_some() + locks.hold_some() + locks.renew_some():
        done += more
    return done


def test_a_plan_locks_until_its_end(home: ArchiveHome, planner: RetentionPlanner) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    assert home.services.locks.extend_some() == 1
    assert home.services.locks.extend_some() == 0
    until = plan(home, object_id).retain_until
    assert ends(home, object_id) == until
    row = noted(home, object_id)
    assert row is not None
    assert (row.locked_until, row.has_hold) == (until, False)
    assert not plan(home, object_id).lock_due
    with pytest.raises(BlobLocked):
        delete_anything(home, object_id)
    home.sequence()
    home.assert_sound()
    assert home.types().count("retention.extended") == 1


def test_what_has_no_end_yet_is_locked_for_a_rolling_term(home: ArchiveHome, planner: RetentionPlanner) -> None:
    home.case("1")
    object_id = home.deliver(home.dock(), b"film", case="1")
    other = home.deliver(home.dock("2"), b"other")
    planner.plan_now([object_id])
    keep(home)
    first = {each: ends(home, each) for each in (object_id, other)}
    for each, until in first.items():
        assert until is not None, each
        assert TERM - timedelta(minutes=5) < until - home.clock.now() <= TERM + timedelta(seconds=1)
    home.clock.step(timedelta(days=29))
    assert keep(home) == 0, "a third of it is not over"
    home.clock.step(timedelta(days=2))
    assert keep(home) == 2
    for each, until in first.items():
        later = ends(home, each)
        assert later is not None
        assert until is not None
        assert later > until + timedelta(days=30)
    home.sequence()
    assert {fault.code for fault in home.faults()} <= {"fsck.log_time"}


def test_what_is_permanent_is_held_and_its_lock_renewed(
    home: ArchiveHome, planner: RetentionPlanner, schedules: Schedules
) -> None:
    schedules.now = Given((rule("for ever", None, Basis.RECEIVED),))
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    keep(home)
    first = ends(home, object_id)
    assert first is not None
    assert PERMANENT_TERM - timedelta(days=1) < first - home.clock.now() <= PERMANENT_TERM + timedelta(seconds=1)
    assert home.services.objects.is_held(object_id)
    home.clock.step(PERMANENT_TERM * 1 / 3 + timedelta(days=1))
    assert keep(home) == 1
    later = ends(home, object_id)
    assert later is not None
    assert later > first + timedelta(days=100)
    with pytest.raises(BlobLocked):
        delete_anything(home, object_id)
    home.sequence()
    assert {fault.code for fault in home.faults()} <= {"fsck.log_time"}


def test_a_hold_is_a_legal_hold_until_the_last_is_released(home: ArchiveHome, planner: RetentionPlanner) -> None:
    dock = home.dock()
    object_id, other = home.deliver(dock, b"film"), home.deliver(dock, b"other", "b.mp4")
    planner.plan_now([object_id, other])
    keep(home)
    first, second = place_hold(home, object_id), place_hold(home, object_id)
    assert home.services.locks.hold_some() == 1
    assert (home.services.objects.is_held(object_id), home.services.objects.is_held(other)) == (True, False)
    home.clock.step(timedelta(days=800))  # its time is over
    with pytest.raises(BlobLocked):
        delete_anything(home, object_id)
    release_hold(home, first)
    assert home.services.locks.hold_some() == 0
    assert home.services.objects.is_held(object_id)
    release_hold(home, second)
    assert home.services.locks.hold_some() == 1
    assert home.services.locks.hold_some() == 0
    assert not home.services.objects.is_held(object_id)
    told = [entry for entry in home.entries() if entry["type"] == "retention.extended"]
    assert len(told) == 3


def test_what_is_over_is_free(home: ArchiveHome, planner: RetentionPlanner) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    keep(home)
    home.clock.step(timedelta(days=800))
    assert keep(home) == 0
    home.sequence()
    assert {fault.code for fault in home.faults()} <= {"fsck.log_time"}
    if home.settings.store == "files":  # an S3 server goes by its own clock
        delete_anything(home, object_id)


def test_a_longer_plan_extends_a_lock_and_a_change_meanwhile_is_not_lost(
    home: ArchiveHome, planner: RetentionPlanner, schedules: Schedules
) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    keep(home)
    short = ends(home, object_id)
    schedules.now = Given((*USUAL, rule("long", 60, Basis.RECEIVED)))
    planner.plan_now([object_id])
    assert plan(home, object_id).lock_due
    keep(home)
    assert ends(home, object_id) == plan(home, object_id).retain_until
    assert short is not None
    assert plan(home, object_id).retain_until is not None


def test_another_version_is_locked_as_the_first(home: ArchiveHome, planner: RetentionPlanner) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    place_hold(home, object_id)
    keep(home)
    until = ends(home, object_id)
    home.services.objects.add_version(
        object_id, [NewFile.of_bytes("extended/1.txt", b"more")], message="more",
        user=VersionUser("liuhen", "urn:liuhen:archive"), at=home.clock.now(),
    )  # fmt: skip
    assert ends(home, object_id) != until
    with home.database.begin() as tx:
        forget_locks(tx, [object_id], at=home.clock.now())
    keep(home)
    assert ends(home, object_id) == until
    assert home.services.objects.is_held(object_id)


def test_an_object_that_is_missing_keeps_nothing_else_from_its_lock(
    home: ArchiveHome, planner: RetentionPlanner
) -> None:
    dock = home.dock()
    ids = [home.deliver(dock, bytes([number]) * 5) for number in range(3)]
    planner.plan_now(ids)
    gone = home.file_of(ids[0], "original/a.mp4")
    gone.unlink()
    keep(home)
    assert [ends(home, each) for each in ids[1:]] == [plan(home, each).retain_until for each in ids[1:]]
    assert plan(home, ids[0]).lock_due
    assert not plan(home, ids[1]).lock_due


def test_a_store_that_is_away_changes_nothing(
    home: ArchiveHome, planner: RetentionPlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])

    def away(*_: Any) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(OcflRoot, "lock", away)
        with pytest.raises(Unavailable):
            home.services.locks.extend_some()
    assert plan(home, object_id).lock_due
    assert home.services.locks.extend_some() == 1


def test_the_second_copy_is_locked_too(home: ArchiveHome, planner: RetentionPlanner) -> None:
    object_id = home.deliver(home.dock(), b"film")
    home.sequence()
    copies = home.services.copies
    assert copies.copy_some() == 1
    planner.plan_now([object_id])
    keep(home)
    while copies.renew_some():
        pass
    opened = copies.opened()
    assert opened.locked_until(object_id) == plan(home, object_id).retain_until
    with pytest.raises(BlobLocked):
        delete_anything(home, object_id, opened)
    hold_id = place_hold(home, object_id)
    assert copies.renew_some() == 1
    assert copies.renew_some() == 0
    assert opened.is_held(object_id)
    release_hold(home, hold_id)
    assert copies.renew_some() == 1
    assert not opened.is_held(object_id)


def test_the_job_locks_what_was_planned(home: ArchiveHome, planner: RetentionPlanner) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    home.services.locks.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    for _ in range(3):
        worker.run_once(["long"])
    assert ends(home, object_id) == plan(home, object_id).retain_until
    assert home.count("job", "kind IN ('extend_locks', 'renew_locks') AND state = 'ready'") == 2


def test_fsck_finds_locks_that_end_too_soon(home: ArchiveHome, planner: RetentionPlanner, tmp_path: Path) -> None:
    object_id = home.deliver(home.dock(), b"film")
    planner.plan_now([object_id])
    home.sequence()
    with home.database.begin() as tx:
        tx.get_one(RetentionPlan, object_id).lock_due = False
    expected = {"fsck.unlocked"} if home.settings.store == "files" else {"fsck.lock_short"}
    assert {fault.code for fault in home.faults()} == expected
    with home.database.begin() as tx:
        tx.get_one(RetentionPlan, object_id).lock_due = True
    keep(home)
    home.sequence()
    home.assert_sound()
    if home.settings.store == "files":
        for file in (home.path / "store-locks").rglob("*.json"):
            file.unlink()
        assert {fault.code for fault in home.faults()} == {"fsck.unlocked"}


@pytest.mark.parametrize(
    ("plan_of", "locked", "wanted"),
    [
        ((None, False, False), None, TERM),
        ((None, False, False), timedelta(days=61), None),
        ((None, False, False), timedelta(days=59), TERM),
        ((None, False, True), timedelta(days=59), TERM),
        ((timedelta(days=10), False, True), None, TERM),
        ((timedelta(days=400), False, True), timedelta(days=100), timedelta(days=400)),
        ((timedelta(days=400), False, False), timedelta(days=100), timedelta(days=400)),
        ((timedelta(days=400), False, False), timedelta(days=400), None),
        ((timedelta(days=10), False, False), timedelta(days=90), None),
        ((timedelta(days=-1), False, False), timedelta(days=-5), None),
        ((timedelta(days=20_000), False, False), None, MOST_AHEAD),
        ((timedelta(days=20_000), False, False), MOST_AHEAD - timedelta(days=9), None),
        ((timedelta(days=20_000), False, False), MOST_AHEAD / 2, MOST_AHEAD),
        ((None, True, False), timedelta(days=100), PERMANENT_TERM),
        ((None, True, False), timedelta(days=300), None),
    ],
)
def test_how_long(plan_of: tuple[Any, bool, bool], locked: timedelta | None, wanted: timedelta | None) -> None:
    until, is_permanent, is_waiting = plan_of
    standing = Standing(
        object_id=UUID(int=1),
        retain_until=None if until is None else AT + until,
        is_permanent=is_permanent,
        is_waiting=is_waiting,
        planned=None,
        locked_until=None if locked is None else AT + locked,
        has_hold=False,
        is_held=False,
    )
    assert standing.wanted_until(AT, TERM) == (None if wanted is None else AT + wanted)

"""A list of what may go, from its proposal to its certificate; what stops an object meanwhile; who sees what."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from archive.access.accounts import change_account
from archive.access.policy import Role
from archive.access.sessions import SignInRefused
from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.filing import link_object
from archive.custody.events import ObjectDestroyed
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.findings import Outcome
from archive.kernel.ids import AccountId, ObjectId
from archive.ledger.entries import OPERATOR
from archive.ledger.erasure import NotErasable
from archive.packages.building import build_package
from archive.packages.verification.check import Given, check_package
from archive.search.documents import Depth
from archive.search.queries import Filters, found_ids
from archive.worker.loop import Worker
from retention.disposition.confirming import NotConfirmed, confirm
from retention.disposition.deciding import ListMovedOn, PartRefused, withdraw
from retention.disposition.proposing import NothingToDispose, Wanted, candidates, dry_run
from retention.disposition.terms import ItemState, ListState, Opinion
from retention.fixity import check_fixity
from retention.planning.facts import facts_of
from retention.planning.listings import Keeping, Tally, costs, due_by_month, kept_until, overview
from retention.planning.models import RetentionPlan
from retention.planning.stale import mark_stale
from retention.stops import StopKind
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock
from tests.support.disposals import SEASON, Disposal, destroy_one, new_disposal
from tests.support.due import PERIOD, due, hold, planned, recorded_now

Deliver = Callable[..., ObjectId]


@pytest.fixture
def disposal(home: ArchiveHome) -> Disposal:
    return new_disposal(home)


def test_from_proposal_to_certificate(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    gone, kept = deliver(b"one recording", "张三.mp4"), deliver(b"another", "李四.mp4", times=recorded_now(home))
    due(home, gone)
    planned(home, kept)
    with home.database.read() as tx:
        run = dry_run(tx, disposal.rules, Wanted(), at=home.clock.now())
    assert (run.looked_at, run.objects, run.size_bytes) == (1, 1, 13)
    list_id = disposal.propose()
    assert disposal.state(list_id) is ListState.PROPOSED
    disposal.agree(list_id)
    assert disposal.state(list_id) is ListState.WAITING
    home.sequence()
    disposal.work()
    assert disposal.state(list_id) is ListState.WAITING, "the recovery period is not over"
    assert home.services.objects.exists(gone)
    home.clock.step(SEASON)
    disposal.work()
    assert disposal.state(list_id) is ListState.CERTIFIED
    assert not home.services.objects.exists(gone)
    assert list(home.services.stores.originals.keys()) != []
    assert home.services.objects.exists(kept)
    tombstone, row = disposal.tombstone(gone), disposal.row(list_id)
    assert tombstone is not None
    assert row.balance is not None
    assert row.balance["holds"]
    assert row.balance["objects"] == {"before": 1, "destroyed": 1, "left": 0}
    assert tombstone.gone["originals"]["files"] == row.balance["stores"]["originals"]["destroyed"]["files"] > 5
    home.assert_sound()
    home.assert_journal_sound()
    for sql in (
        "SELECT count(*) FROM evidence_item WHERE object_id = :id",
        "SELECT count(*) FROM intake_claim WHERE object_id = :id",
        "SELECT count(*) FROM preserved_object WHERE id = :id AND name <> ''",
        "SELECT count(*) FROM search_document WHERE ref_id = :id",
    ):
        assert home.rows(sql, id=home.id_value(gone))[0][0] == 0, sql
    details = home.rows("SELECT detail FROM log_detail")
    assert not any("张三" in bytes(detail).decode() for (detail,) in details), "its name is in no detail any more"
    assert any("李四" in bytes(detail).decode() for (detail,) in details)
    types = [entry["type"] for entry in home.entries() if entry.get("obj", {}).get("id") == str(gone)]
    assert types[:1] == ["object.preserved"]
    assert [kind for kind in types if kind.startswith("disposal.")] == ["disposal.begun", "disposal.done"]
    with pytest.raises(ObjectDestroyed):
        check_fixity(home.services.fixity, gone, by=OPERATOR)


def test_the_same_bytes_come_in_again_as_something_new(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    """A dock is never told that bytes are safe which were destroyed."""
    gone = deliver(b"once more", "a.mp4")
    due(home, gone)
    disposal.agreed()
    disposal.work()
    again = deliver(b"once more", "a.mp4")
    assert again != gone
    assert home.services.objects.exists(again)
    home.sequence()
    home.assert_sound()


def test_what_is_stopped_does_not_come_onto_a_list(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    held, free, other, unplanned = (deliver(f"{n}".encode(), f"{n}.mp4") for n in range(4))
    early = deliver(b"just now", "early.mp4", times=recorded_now(home))
    due(home, held, free, other)
    planned(home, early)
    hold(home, held)
    link_object(home.database, home.case(), other, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    with home.database.read() as tx:
        found = candidates(tx, disposal.rules, Wanted(), at=home.clock.now(), after=None, limit=10)
    assert {row.object_id: [stop.kind for stop in row.stops] for row in found} == {
        held: [StopKind.HOLD],
        free: [],
        other: [StopKind.OPEN_CASE, StopKind.CLOCK_NOT_BEGUN],
    }, "what it is filed under counts at once, whether it was planned anew or not"
    list_id = disposal.propose()
    assert [item.object_id for item in disposal.items(list_id)] == [free]
    with pytest.raises(NothingToDispose):
        disposal.propose()
    with home.database.read() as tx:
        found = candidates(tx, disposal.rules, Wanted(), at=home.clock.now(), after=None, limit=10)
    assert [stop.kind for row in found if row.object_id == free for stop in row.stops] == [StopKind.IN_DISPOSITION]
    assert all(home.services.objects.exists(each) for each in (held, other, unplanned, early))


def test_what_got_a_stop_meanwhile_is_left_out_and_told(
    home: ArchiveHome, deliver: Deliver, disposal: Disposal
) -> None:
    first, second, third = (deliver(f"{n}".encode(), f"{n}.mp4") for n in range(3))
    due(home, first, second, third)
    list_id = disposal.agreed()
    hold(home, second)
    disposal.work()
    states = {item.object_id: (item.state, item.stops) for item in disposal.items(list_id)}
    assert states == {
        first: (ItemState.DESTROYED.value, None),
        second: (ItemState.LEFT.value, ["hold"]),
        third: (ItemState.DESTROYED.value, None),
    }
    row = disposal.row(list_id)
    assert row.balance is not None
    assert row.balance["objects"] == {"before": 3, "destroyed": 2, "left": 1}
    assert row.balance["stores"]["originals"]["left"]["files"] > 5
    assert home.services.objects.validate(second).outcome is Outcome.VALID
    assert home.types().count("disposal.withdrawn") == 1
    home.assert_sound()


def test_a_stop_in_the_last_moment_is_asked_for_in_the_transaction(
    home: ArchiveHome, deliver: Deliver, disposal: Disposal
) -> None:
    object_id = deliver(b"one", "a.mp4")
    due(home, object_id)
    list_id = disposal.agreed()
    carrier = home.services.dispositions.carrier
    carrier.carry_on(list_id)
    assert disposal.state(list_id) is ListState.DESTROYING
    hold(home, object_id)
    disposal.work()
    assert disposal.state(list_id) is ListState.LAPSED
    assert home.services.objects.validate(object_id).outcome is Outcome.VALID


def test_appraisers_strike_and_one_who_is_against_it_stops_it(
    home: ArchiveHome, deliver: Deliver, disposal: Disposal
) -> None:
    first, second = deliver(b"1", "1.mp4"), deliver(b"2", "2.mp4")
    due(home, first, second)
    list_id = disposal.propose()
    disposal.appraise(list_id, "first", struck={first: "shows the street as it was"})
    disposal.appraise(list_id, "second")
    with pytest.raises(PartRefused) as refused:
        disposal.decide(list_id)
    assert refused.value.facts["why"] == "too_early"
    disposal.appraise(list_id, "third", opinion=Opinion.KEEP)
    with pytest.raises(PartRefused) as refused:
        disposal.decide(list_id)
    assert refused.value.facts["why"] == "opposed"
    disposal.decide(list_id, approves=False)
    assert disposal.state(list_id) is ListState.REFUSED
    again = disposal.propose()
    assert {item.object_id for item in disposal.items(again)} == {first, second}
    disposal.appraise(again, "first", struck={first: "shows the street as it was"})
    for name in ("second", "third"):
        disposal.appraise(again, name)
    disposal.decide(again)
    disposal.supervise(again, "watcher")
    disposal.supervise(again, "archivist")
    home.clock.step(SEASON)
    home.sequence()
    disposal.work()
    assert home.services.objects.exists(first)
    assert not home.services.objects.exists(second)
    home.assert_sound()


def test_a_list_is_taken_back_until_the_period_is_over(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    object_id = deliver(b"1", "1.mp4")
    due(home, object_id)
    list_id = disposal.propose()
    disposal.agree(list_id)
    withdraw(home.database, list_id, reason="a suit is coming", by=disposal.confirmed("first"), at=home.clock.now())
    assert disposal.state(list_id) is ListState.WITHDRAWN
    home.clock.step(SEASON)
    home.sequence()
    disposal.work()
    assert home.services.objects.exists(object_id)
    home.assert_sound()
    other = disposal.agreed()
    disposal.work()
    with pytest.raises(ListMovedOn):
        withdraw(home.database, other, reason="too late", by=disposal.confirmed("first"), at=home.clock.now())


def test_whoever_acts_gives_the_own_password_just_then(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    due(home, deliver(b"1", "1.mp4"))
    caller = home.signed_in("keeper")
    with pytest.raises(SignInRefused):
        confirm(home.services.sign_ins, caller, "not it", at=home.clock.now())
    list_id = disposal.propose()
    old = confirm(home.services.sign_ins, home.signed_in("first"), PASSWORD, at=home.clock.now())
    home.clock.step(timedelta(minutes=6))
    with pytest.raises(NotConfirmed):
        withdraw(home.database, list_id, reason="no", by=old, at=home.clock.now())


def test_roles_that_are_new_give_no_part(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    due(home, deliver(b"1", "1.mp4"))
    list_id = disposal.propose()
    home.person(Role.LEGAL_REVIEWER, "puppet")
    with pytest.raises(PartRefused) as refused:
        disposal.appraise(list_id, "puppet")
    assert refused.value.facts["why"] == "too_new"
    watcher = disposal.people["watcher"]
    change_account(
        home.database,
        AccountId(watcher.account_id),
        display_name="Watcher",
        roles=[Role.LEGAL_REVIEWER],
        unit_id=watcher.unit_id,
        officer_id=None,
        is_enabled=True,
        by=OPERATOR,
        at=home.clock.now(),
    )
    with pytest.raises(PartRefused):
        disposal.appraise(list_id, "watcher")
    home.clock.step(SEASON)
    disposal.appraise(list_id, "puppet")
    home.sequence()
    home.assert_sound()


def test_a_case_package_says_what_was_destroyed(
    home: ArchiveHome, deliver: Deliver, disposal: Disposal, tmp_path: "object"
) -> None:
    case_id = home.case("1")
    gone, kept = deliver(b"1", "1.mp4", case="1"), deliver(b"2", "2.mp4", case="1")
    close_case(home.database, case_id, on=local_day(home.clock.now()), by=OPERATOR, at=home.clock.now())
    home.sequence()
    home.clock.step(PERIOD)
    due(home, gone)
    list_id = disposal.agreed()
    disposal.work()
    assert disposal.row(list_id).trouble is None
    assert not home.services.objects.exists(gone)
    out = home.path.parent / "package"
    build_package(
        home.services.packager, case_id, out, with_renditions=False, by=OPERATOR, purpose="court", report=lambda _: None
    )
    told = (out / "data/case.json").read_text("utf-8")
    assert '"destroyed":[{"destroyed":' in told
    assert str(gone) in told
    assert not (out / f"data/evidence/{gone}").exists()
    assert (out / f"data/evidence/{kept}").exists()
    given = Given(trust=home.services.trust, log=home.path / "log-entries")
    report = check_package(out, given=given, now=home.clock.now())
    assert [found.code for found in report.findings if found.outcome is Outcome.INVALID] == []


def test_the_worker_carries_it_out_by_itself(home: ArchiveHome, deliver: Deliver, disposal: Disposal) -> None:
    object_id = deliver(b"1", "1.mp4")
    due(home, object_id)
    list_id = disposal.agreed()
    for jobs in (home.services.planning, home.services.locks, home.services.dispositions):
        jobs.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    for _ in range(40):
        worker.run_once([PROMPT, LONG])
        home.sequence()
        home.clock.step(timedelta(minutes=6))
        if disposal.state(list_id) is ListState.CERTIFIED:
            break
    assert disposal.state(list_id) is ListState.CERTIFIED
    with home.database.read() as tx:
        ids, _ = found_ids(tx, "1.mp4", filters=Filters(), depth=Depth.CATALOGUE, cursor=None, limit=10)
    assert list(ids) == []


def test_what_was_decided_is_never_erased(home: ArchiveHome, dock: EnrolledDock) -> None:
    destroy_one(home, dock)
    with pytest.raises(NotErasable):
        home.erase(lambda entry: entry["type"].startswith("disposal."))


def test_what_was_destroyed_is_planned_and_counted_no_more(
    home: ArchiveHome, dock: EnrolledDock, deliver: Deliver
) -> None:
    gone = destroy_one(home, dock)
    kept = deliver(b"what is kept", "kept.mp4")
    due(home, kept)
    at = home.clock.now()
    with home.database.begin() as tx:
        mark_stale(tx, [gone, kept], at)
        for object_id in (gone, kept):
            tx.get_one(RetentionPlan, object_id).lock_due = True
    with home.database.read() as tx:
        assert set(facts_of(tx, [gone, kept])) == {kept}
        assert home.services.locks.waiting(tx)[0] == 1
        found = overview(tx, at=at)
        assert found.states[Keeping.DUE] == Tally(1, len(b"what is kept"))
        assert due_by_month(tx, at=at)[0] == Tally(1, len(b"what is kept"))
        assert [row.original.id for row in kept_until(tx, after=None, until=at).rows] == [kept]
        assert sum(row.kept.objects for row in costs(tx, at=at)) == found.total.objects == 2, "with the certificate"
        before = tx.get_one(RetentionPlan, gone).entry_id
    assert home.services.planner.plan_stale() == 1
    assert home.services.planner.plan_stale() == 0
    while home.services.planner.sweep_some():
        pass
    with home.database.read() as tx:
        assert tx.get_one(RetentionPlan, gone).entry_id == before
    home.sequence()
    home.assert_sound()


def test_what_is_locked_until_its_time_is_over_is_destroyed_after_it(
    home: ArchiveHome, deliver: Deliver, disposal: Disposal
) -> None:
    object_id = deliver(b"1", "1.mp4", times=recorded_now(home))
    until = planned(home, object_id)[object_id]
    assert until is not None
    if home.settings.store == "files":  # an S3 server goes by its own clock
        assert home.services.objects.locked_until(object_id) == until
    with pytest.raises(NothingToDispose):
        disposal.propose()
    home.sequence()
    home.clock.step(PERIOD)
    list_id = disposal.agreed()
    disposal.work()
    assert disposal.state(list_id) is ListState.CERTIFIED
    assert not home.services.objects.exists(object_id)
    home.assert_sound()

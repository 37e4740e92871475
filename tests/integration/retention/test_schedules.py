"""The register of retention schedules: two people, days that have come stay as they were, what holds when, its entries."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.filing import link_object
from archive.jobs.models import Job
from archive.jobs.queue import LONG
from archive.kernel.digests import digest_of
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.ids import ScheduleId, TrialId, new_uuid7
from archive.kernel.instants import format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, Actor, EntryType, NewEntry, Target
from archive.worker.loop import Worker
from retention.schedules.algebra import Condition, Facts, Rule
from retention.schedules.content import encode_rules
from retention.schedules.faults import ScheduleInvalid
from retention.schedules.listings import Standing, open_versions, past_versions, schedule_view
from retention.schedules.models import RetentionSchedule, ScheduleTrial
from retention.schedules.register import (
    OwnSchedule,
    ScheduleChanged,
    ScheduleDayRefused,
    ScheduleFixed,
    ScheduleHolds,
    ScheduleNotFound,
    put_in_force,
    rules_in_force,
    save_schedule,
    withdraw_schedule,
)
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.simulation import Change
from retention.schedules.terms import PERMANENT, Basis, Period
from retention.schedules.trials import MOST_KEPT, ScheduleTrials, TrialNotFound, ask_trial, trial_view, trials_of
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.planned import FOR_EVER, LATER, plan

FIRST, SECOND = Actor(UUID(int=0xA1)), Actor(UUID(int=0xA2))
SHIPPED = shipped_schedule(Shipped.DEFAULT).rules


def rules(months: int | None = 120, code: str = "all", since: date | None = None) -> list[Rule]:
    period = PERMANENT if months is None else Period(months)
    return [Rule(code, "全部", Condition(), period, Basis.RECEIVED, "某规定", "All", since)]


def save(
    home: ArchiveHome, given: Sequence[Rule] | None = None, title: str = "二〇二六年", by: Actor = FIRST
) -> ScheduleId:
    return save_schedule(home.database, title, given or rules(), by=by, at=home.clock.now())


def view(home: ArchiveHome, schedule_id: ScheduleId) -> Any:
    with home.database.read() as tx:
        return schedule_view(tx, schedule_id, on=local_day(home.clock.now()))


def force(
    home: ArchiveHome, schedule_id: ScheduleId, days: int = 0, by: Actor = SECOND, seen: str | None = None
) -> None:
    put_in_force(
        home.database,
        schedule_id,
        valid_from=local_day(home.clock.now()) + timedelta(days=days),
        seen=view(home, schedule_id).seen if seen is None else seen,
        by=by,
        at=home.clock.now(),
    )


def withdraw(home: ArchiveHome, schedule_id: ScheduleId, reason: str = "有误", by: Actor = FIRST) -> None:
    withdraw_schedule(home.database, schedule_id, reason=reason, by=by, at=home.clock.now())


def held(home: ArchiveHome, days: int = 0) -> UUID | None:
    with home.database.read() as tx:
        return rules_in_force(tx, local_day(home.clock.now()) + timedelta(days=days)).schedule_id


def types(home: ArchiveHome) -> list[str]:
    return [kind.removeprefix("admin.schedule_") for kind in home.types() if kind.startswith("admin.schedule_")]


def refused(cause: type[LiuhenError], home: ArchiveHome, work: Any) -> LiuhenError:
    """Do what is refused: nothing is written by it."""
    before = (home.rows("SELECT * FROM retention_schedule"), home.types())
    with pytest.raises(cause) as found:
        work()
    assert (home.rows("SELECT * FROM retention_schedule"), home.types()) == before
    return found.value


# ---- two people, and days ----------------------------------------------------------------------------------------------


def test_until_a_version_holds_the_shipped_default_does(home: ArchiveHome) -> None:
    with home.database.read() as tx:
        found = rules_in_force(tx, local_day(home.clock.now()))
    assert found.schedule_id is None
    assert found.rules == SHIPPED


def test_one_person_saves_it_and_another_puts_it_in_force(home: ArchiveHome) -> None:
    schedule_id = save(home)
    refused(OwnSchedule, home, lambda: force(home, schedule_id, by=FIRST))
    assert held(home) is None
    force(home, schedule_id)
    assert held(home) == schedule_id
    with home.database.read() as tx:
        assert list(rules_in_force(tx, local_day(home.clock.now())).rules) == rules()
    assert types(home) == ["saved", "put_in_force"]
    found = view(home, schedule_id).version
    assert (found.standing, found.saved_by, found.put_in_force_by) == (Standing.IN_FORCE, FIRST.id, SECOND.id)
    home.sequence()
    home.assert_sound()


def test_who_saved_it_last_is_who_may_not(home: ArchiveHome) -> None:
    schedule_id = save(home)
    seen = view(home, schedule_id).seen
    save_schedule(home.database, "改", rules(240), schedule_id=schedule_id, seen=seen, by=SECOND, at=home.clock.now())
    refused(OwnSchedule, home, lambda: force(home, schedule_id, by=SECOND))
    force(home, schedule_id, by=FIRST)
    assert types(home) == ["saved", "saved", "put_in_force"]
    home.sequence()
    home.assert_sound()


def test_nobody_puts_in_force_what_they_have_not_seen(home: ArchiveHome) -> None:
    schedule_id = save(home)
    seen = view(home, schedule_id).seen
    save_schedule(home.database, "二", rules(1), schedule_id=schedule_id, seen=seen, by=FIRST, at=home.clock.now())
    refused(ScheduleChanged, home, lambda: force(home, schedule_id, seen=seen))
    refused(ScheduleChanged, home, lambda: force(home, schedule_id, seen=""))
    assert held(home) is None


def test_two_people_who_write_at_once_do_not_overwrite_each_other(home: ArchiveHome) -> None:
    schedule_id = save(home)
    seen = view(home, schedule_id).seen

    def change(title: str, by: Actor) -> None:
        save_schedule(home.database, title, rules(), schedule_id=schedule_id, seen=seen, by=by, at=home.clock.now())

    change("甲", FIRST)
    refused(ScheduleChanged, home, lambda: change("乙", SECOND))
    assert view(home, schedule_id).version.title == "甲"


def test_what_is_done_twice_is_done_once(home: ArchiveHome) -> None:
    schedule_id = save(home)
    for _ in range(2):
        seen = view(home, schedule_id).seen
        assert schedule_id == save_schedule(
            home.database, "二〇二六年", rules(), schedule_id=schedule_id, seen=seen, by=SECOND, at=home.clock.now()
        )
    assert view(home, schedule_id).version.saved_by == FIRST.id, "nothing was changed, so nobody else has saved it"
    for _ in range(2):
        force(home, schedule_id)
    assert types(home) == ["saved", "put_in_force"]
    refused(ScheduleFixed, home, lambda: force(home, schedule_id, 1))
    refused(ScheduleFixed, home, lambda: force(home, schedule_id, by=Actor(uuid4())))
    withdrawn = save(home)
    withdraw(home, withdrawn)
    refused(ScheduleFixed, home, lambda: withdraw(home, withdrawn))
    refused(ScheduleFixed, home, lambda: force(home, withdrawn))


def test_what_was_put_in_force_is_never_changed(home: ArchiveHome) -> None:
    schedule_id = save(home)
    force(home, schedule_id)
    seen = view(home, schedule_id).seen
    refused(
        ScheduleFixed,
        home,
        lambda: save_schedule(
            home.database, "x", rules(), schedule_id=schedule_id, seen=seen, by=FIRST, at=home.clock.now()
        ),
    )
    refused(ScheduleHolds, home, lambda: withdraw(home, schedule_id))
    home.clock.step(timedelta(days=400))
    refused(ScheduleHolds, home, lambda: withdraw(home, schedule_id))
    assert held(home) == schedule_id


def test_days_that_have_passed_are_not_written_anew(home: ArchiveHome) -> None:
    schedule_id = save(home)
    told = refused(ScheduleDayRefused, home, lambda: force(home, schedule_id, -1))
    assert told.facts["earliest"] == local_day(home.clock.now()).isoformat()
    law = local_day(home.clock.now()) + timedelta(days=30)
    later = save(home, rules(since=law))
    told = refused(ScheduleDayRefused, home, lambda: force(home, later, 29))
    assert told.facts["earliest"] == law.isoformat()
    force(home, later, 30)
    assert (held(home, 29), held(home, 30)) == (None, later)


def test_the_newest_day_holds_and_of_one_day_the_later_decision(home: ArchiveHome) -> None:
    first, second, third, fourth = (save(home, title=f"第{number}版") for number in range(4))
    force(home, first)
    force(home, second, 10)
    force(home, third, 5)
    assert [held(home, day) for day in (0, 4, 5, 9, 10, 99)] == [first, first, third, third, second, second]
    home.clock.step(timedelta(hours=1))
    force(home, fourth, 10)
    assert held(home, 10) == fourth
    withdraw(home, fourth)
    assert held(home, 10) == second
    withdraw(home, second)
    assert held(home, 99) == third
    home.clock.step(timedelta(days=7))
    assert held(home) == third
    assert held(home, -7) == first, "what held on a day stays what held on it"
    assert types(home).count("withdrawn") == 2
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize(
    ("title", "given", "cause"),
    [
        ("", rules(), InvalidInput),
        ("x" * 201, rules(), InvalidInput),
        ("a\nb", rules(), InvalidInput),
        ("x", [], ScheduleInvalid),
        ("x", [*rules(), *rules()], ScheduleInvalid),
        ("x", [Rule("A", "a", Condition(), PERMANENT, Basis.RECEIVED, "法")], ScheduleInvalid),
        ("x", [Rule("a", "a", Condition(), Period(1), Basis.CASE_CLOSED, "法")], ScheduleInvalid),
    ],
)
def test_what_is_no_schedule_is_not_saved(
    home: ArchiveHome, title: str, given: list[Rule], cause: type[LiuhenError]
) -> None:
    refused(cause, home, lambda: save_schedule(home.database, title, given, by=FIRST, at=home.clock.now()))


def test_what_is_not_there_is_told(home: ArchiveHome) -> None:
    nothing = ScheduleId(new_uuid7())
    refused(ScheduleNotFound, home, lambda: force(home, nothing, seen="x"))
    refused(ScheduleNotFound, home, lambda: withdraw(home, nothing))
    refused(ScheduleNotFound, home, lambda: ask_trial(home.database, nothing, by=FIRST, at=home.clock.now()))
    draft = save(home)
    refused(InvalidInput, home, lambda: withdraw(home, draft, reason=" "))
    with home.database.read() as tx, pytest.raises(TrialNotFound):
        trial_view(tx, TrialId(new_uuid7()))


def test_lists(home: ArchiveHome) -> None:
    old, now, coming, draft, dropped = (save(home, title=title) for title in ("旧", "现", "新", "稿", "弃"))
    force(home, old)
    home.clock.step(timedelta(days=2))
    force(home, now)
    force(home, coming, 9)
    withdraw(home, dropped)
    on = local_day(home.clock.now())
    with home.database.read() as tx:
        assert [(each.title, each.standing) for each in open_versions(tx, on=on)] == [
            ("现", Standing.IN_FORCE),
            ("新", Standing.SCHEDULED),
            ("稿", Standing.DRAFT),
        ]
        page = past_versions(tx, on=on, limit=1)
        rest = past_versions(tx, on=on, limit=1, cursor=page.next_cursor)
        assert [(each.id, each.standing) for each in (*page.rows, *rest.rows)] == [
            (dropped, Standing.WITHDRAWN),
            (old, Standing.REPLACED),
        ]
        assert rest.next_cursor is None
        with pytest.raises(InvalidInput):
            past_versions(tx, on=on, cursor="cases~x~y")
    assert draft != coming


# ---- trials ----------------------------------------------------------------------------------------------------------


def work(home: ArchiveHome) -> None:
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([LONG]):
        pass


def trial(home: ArchiveHome, schedule_id: ScheduleId) -> TrialId:
    return ask_trial(home.database, schedule_id, by=FIRST, at=home.clock.now())


def counts(home: ArchiveHome, trial_id: TrialId) -> dict[str, int]:
    with home.database.read() as tx:
        return {name: count for name, (count, _) in trial_view(tx, trial_id).tally.changes.items()}


def test_a_trial_says_what_would_change_by_rule_and_unit(home: ArchiveHome, dock: EnrolledDock) -> None:
    case_id = home.case()
    loose, filed, closed, kept = (home.deliver(dock, bytes([number]) * 10) for number in range(4))
    link_object(home.database, case_id, filed, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    other = home.case("2")
    link_object(home.database, other, closed, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    close_case(home.database, other, on=local_day(home.clock.now()), by=OPERATOR, at=home.clock.now())
    plan(home, closed, by=(LATER,))
    plan(home, kept, by=(FOR_EVER,))
    draft = save(
        home,
        [
            Rule("loose", "未归", Condition(filed=False), Period(60), Basis.RECEIVED, "法"),
            Rule("cases", "案卷", Condition(filed=True), Period(24), Basis.CASE_CLOSED, "法"),
        ],
    )
    trial_id = trial(home, draft)
    assert trial(home, draft) == trial_id, "one at a time"
    work(home)
    with home.database.read() as tx:
        found = trial_view(tx, trial_id)
    assert found.trial.done_at is not None
    assert found.tally.objects == 4
    assert counts(home, trial_id) == {"longer": 1, "shorter": 1, "stays": 2}
    assert found.tally.met == {"loose": 2, "cases": 2}
    assert found.tally.rules == {"loose": {"longer": 1, "stays": 1}, "cases": {"shorter": 1, "stays": 1}}
    assert [sum(unit.values()) for unit in found.tally.units.values()] == [4]
    assert found.tally.size_bytes(Change.STAYS) == 20
    (example,) = found.tally.examples["longer"]
    assert (example["object"], example["rule_now"], example["rule"]) == (str(loose), "unfiled_received", "loose")
    assert found.tally.examples["shorter"][0]["object"] == str(filed)
    assert types(home) == ["saved"], "a trial changes nothing"
    home.sequence()
    home.assert_sound()


def test_a_trial_goes_on_where_it_was_stopped_and_asks_in_batches(home: ArchiveHome, dock: EnrolledDock) -> None:
    ids = [home.deliver(dock, bytes([number])) for number in range(7)]
    asked: list[int] = []

    def facts_of(_: Any, object_ids: Sequence[UUID]) -> dict[UUID, Facts]:
        asked.append(len(object_ids))
        return {object_id: Facts("footage", home.clock.now()) for object_id in object_ids if object_id != ids[3]}

    trials = ScheduleTrials(home.database, home.clock, facts_of, batch=2, batches=2)
    trial_id = trial(home, save(home, rules(None)))
    worker = Worker(home.database, handlers=trials.handlers, clock=home.clock, lease_s=60)
    assert worker.run_once([LONG])
    with home.database.read() as tx:
        view_of_half = trial_view(tx, trial_id)
    assert (view_of_half.trial.done_at, view_of_half.trial.total) == (None, 7)
    assert view_of_half.tally.objects == 3, "one of four is gone"
    while worker.run_once([LONG]):
        pass
    assert asked == [2, 2, 2, 1, 0]
    assert counts(home, trial_id) == {"for_ever": 6}
    assert not worker.run_once([LONG])


def test_a_trial_that_breaks_off_counts_nothing_twice(home: ArchiveHome, dock: EnrolledDock) -> None:
    for number in range(4):
        home.deliver(dock, bytes([number]))
    calls = 0

    def facts_of(_: Any, object_ids: Sequence[UUID]) -> dict[UUID, Facts]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError
        return {object_id: Facts("footage", home.clock.now()) for object_id in object_ids}

    trials = ScheduleTrials(home.database, home.clock, facts_of, batch=1, batches=3)
    trial_id = trial(home, save(home, rules(None)))
    worker = Worker(home.database, handlers=trials.handlers, clock=home.clock, lease_s=60)
    for _ in range(5):
        worker.run_once([LONG])
        home.clock.step(timedelta(minutes=11))
    assert counts(home, trial_id) == {"for_ever": 4}


def test_a_trial_whose_job_was_given_up_says_so_and_can_be_asked_for_anew(home: ArchiveHome) -> None:
    draft = save(home)
    first = trial(home, draft)
    with home.database.begin() as tx:
        tx.execute(update(Job).where(Job.kind == "try_schedule").values(state="dead"))
    with home.database.read() as tx:
        assert trial_view(tx, first).is_given_up
    second = trial(home, draft)
    assert second != first
    work(home)
    with home.database.read() as tx:
        assert [each.trial.id for each in trials_of(tx, draft)] == [second, first]


def test_only_the_newest_trials_are_kept(home: ArchiveHome) -> None:
    draft = save(home)
    made = []
    for _ in range(MOST_KEPT + 2):
        made.append(trial(home, draft))
        work(home)
    assert home.count("schedule_trial") == MOST_KEPT
    with home.database.read() as tx:
        assert [each.trial.id for each in trials_of(tx, draft)] == made[:1:-1]
        assert tx.get(ScheduleTrial, made[0]) is None
    gone = trial(home, draft)
    home.execute("DELETE FROM schedule_trial")
    work(home)
    assert gone not in made


def test_a_trial_compares_with_what_was_in_force_when_it_was_asked_for(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.deliver(dock, b"1")
    force(home, save(home, rules(240)))
    trial_id = trial(home, save(home, rules(120)))
    home.clock.step(timedelta(seconds=1))
    force(home, save(home, rules(12)))
    work(home)
    assert counts(home, trial_id) == {"shorter": 1}


# ---- fsck ------------------------------------------------------------------------------------------------------------


def found_out(home: ArchiveHome) -> set[str]:
    home.sequence()
    return {fault.code for fault in home.faults()}


def forge(home: ArchiveHome, schedule_id: ScheduleId, *, by: Actor, days: int = 0, content: str | None = None) -> None:
    """Put a version in force past the use case, row and entry alike: what somebody with a worker's credentials can do."""
    at = home.clock.now()
    with home.database.begin() as tx:
        row = tx.get_one(RetentionSchedule, schedule_id)
        row.state, row.valid_from = "in_force", local_day(at) + timedelta(days=days)
        row.put_in_force_by, row.put_in_force_at = by.id, at
        row.content = row.content if content is None else content
        told = {
            "title": row.title,
            "state": row.state,
            "content": row.content,
            "valid_from": row.valid_from.isoformat(),
            "put_in_force_by": str(by.id),
            "put_in_force_at": format_instant(at),
        }
        digests, kind = digest_of(row.content.encode()), EntryType.ADMIN_SCHEDULE_PUT_IN_FORCE
        append_entry(tx, NewEntry(kind, by, Target("schedule", schedule_id), digests=digests, detail=told), at=at)


def test_what_two_people_did_is_sound_also_when_it_is_written_by_another_hand(home: ArchiveHome) -> None:
    forge(home, save(home), by=SECOND)
    assert found_out(home) == set()


def test_one_person_alone_is_found_in_the_log(home: ArchiveHome) -> None:
    forge(home, save(home), by=FIRST)
    assert found_out(home) == {"fsck.schedule_by_one"}


def test_rules_that_nobody_saved_are_found_in_the_log(home: ArchiveHome) -> None:
    forge(home, save(home), by=SECOND, content=encode_rules(rules(1)))
    assert found_out(home) == {"fsck.schedule_changed"}


def test_a_version_for_days_past_is_found_in_the_log(home: ArchiveHome) -> None:
    forge(home, save(home), by=SECOND, days=-30)
    assert found_out(home) == {"fsck.schedule_backdated"}


@pytest.mark.parametrize(
    "change",
    [
        "content = replace(content, '120', '1')",
        "title = 'x'",
        "state = 'withdrawn'",
        "valid_from = '2020-01-01'",
        "put_in_force_by = saved_by",
        "saved_at = '2020-01-01 00:00:00'",
        "withdrawal_reason = 'x'",
    ],
)
def test_a_row_that_was_changed_is_found(home: ArchiveHome, change: str) -> None:
    force(home, save(home))
    assert found_out(home) == set()
    assert home.execute(f"UPDATE retention_schedule SET {change}") == 1
    assert found_out(home) == {"fsck.row_changed"}


def test_rules_that_were_changed_are_found_also_where_the_details_were_erased(home: ArchiveHome) -> None:
    force(home, save(home))
    assert home.erase(lambda entry: entry["type"].startswith("admin.schedule_")) == 2
    assert found_out(home) == set()
    home.execute("UPDATE retention_schedule SET content = replace(content, '120', '1')")
    assert found_out(home) == {"fsck.row_changed"}

"""Plans: what the schedule asks for, written down with its entry, found stale when something changes, never shrinking."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import DBAPIError

from archive.calendar.days import day_start, local_day
from archive.cases.changes import update_act, update_case
from archive.cases.closing import close_case
from archive.cases.filing import link_object, record_act, unlink_object
from archive.cases.records import file_text_record
from archive.cases.terms import Category, RecordForm, Stage
from archive.evidence.models import EvidenceItem
from archive.jobs.queue import LONG
from archive.kernel.findings import Outcome
from archive.kernel.ids import ActId, CaseId, MarkId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import OPERATOR
from archive.worker.loop import Worker
from retention.holding.marks import Marked
from retention.holding.terms import MarkedKind
from retention.planning.facts import facts_of
from retention.planning.jobs import PLAN_RETENTION, PlanningJobs
from retention.planning.models import RetentionPlan
from retention.planning.planner import RetentionPlanner
from retention.planning.stale import mark_stale
from retention.schedules.algebra import Facts, ends_at, kept_by
from retention.schedules.terms import Basis, Mark, Period
from tests.support.archive_home import PDF, ArchiveHome, EnrolledDock
from tests.support.schedule_in_force import USUAL, Given, Schedules, rule
from tests.support.unguarded import unguarded

Deliver = Callable[..., ObjectId]


def plan(home: ArchiveHome, object_id: UUID) -> RetentionPlan:
    with home.database.read() as tx:
        return tx.get_one(RetentionPlan, object_id)


def plan_all(home: ArchiveHome, planner: RetentionPlanner) -> None:
    home.sequence()
    while planner.note_changes() or planner.plan_stale() or planner.sweep_some():
        pass
    home.sequence()


def entries_of_plans(home: ArchiveHome) -> int:
    return home.types().count("retention.planned")


def close(home: ArchiveHome, case_id: CaseId) -> Instant:
    today = local_day(home.clock.now())
    close_case(home.database, case_id, on=today, by=OPERATOR, at=home.clock.now())
    return day_start(today)


def mark(home: ArchiveHome, kind: str, ref_id: UUID, what: Mark = Mark.EVIDENCE) -> MarkId:
    marked = Marked(MarkedKind(kind), ref_id)
    marks = home.services.holding.marks
    return marks.set_mark(home.database, marked, what, reason="x", by=OPERATOR, at=home.clock.now())


def facts(home: ArchiveHome, object_id: UUID) -> Facts:
    with home.database.read() as tx:
        return facts_of(tx, [object_id])[object_id]


def test_facts(home: ArchiveHome, dock: EnrolledDock, deliver: Deliver) -> None:
    now = home.clock.now()
    first = deliver(b"one", times={"signed": "2026-03-01T08:00:00Z", "recorded": "2026-03-01T07:30:00Z",
                                   "clock_offset_ms": -1500})  # fmt: skip
    found = facts(home, first)
    assert (found.kind, found.marks, found.categories, found.stages, found.closings) == (
        "other", frozenset(), frozenset(), frozenset(), (),
    )  # fmt: skip
    assert found.recorded_at is not None
    assert found.recorded_at.isoformat() == "2026-03-01T07:30:01.500000+00:00", "the clock was behind"
    assert now <= found.received_at <= home.clock.now()
    one, two = home.case("1"), home.case("2")
    act = record_act(
        home.database, one, stage=Stage.INSPECTION, place="x", started_at=now, ended_at=None, by=OPERATOR, at=now
    )
    link_object(home.database, one, first, act_id=act, reason="x", by=OPERATOR, at=now)
    link_object(home.database, two, first, act_id=None, reason="x", by=OPERATOR, at=now)
    ends = close(home, one)
    mark(home, "case", two, Mark.COMPLEX)
    mark(home, "object", first)
    found = facts(home, first)
    assert found.marks == {Mark.COMPLEX, Mark.EVIDENCE}
    assert (found.categories, found.stages) == ({"penalty"}, {"inspection"})
    assert set(found.closings) == {None, ends}
    record = file_text_record(
        home.database, home.services.objects, home.services.signer, case_id=one, form=RecordForm.OTHER, title="笔录",
        name="笔录.pdf", pdf=PDF, by=OPERATOR, at=now,
    )  # fmt: skip
    found = facts(home, record)
    assert (found.kind, found.recorded_at, found.closings) == ("record", None, (ends,))
    with home.database.begin() as tx:
        tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == first).values(recorded_from="file_time"))
    assert facts(home, first).recorded_at is None, "nobody says it exactly"


@contextmanager
def counted(home: ArchiveHome) -> Iterator[list[str]]:
    """The statements that are run meanwhile."""
    found: list[str] = []

    def note(*told: Any) -> None:
        found.append(told[2])

    event.listen(home.database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(home.database.engine, "before_cursor_execute", note)


def test_facts_of_many_cost_as_many_queries_as_those_of_one(home: ArchiveHome, deliver: Deliver) -> None:
    ids = [deliver(bytes([number]) * 9, case="1" if number else None) for number in range(5)]
    mark(home, "object", ids[0])
    counts = []
    for some in (ids[:1], ids):
        with home.database.read() as tx, counted(home) as statements:
            assert set(facts_of(tx, some)) == set(some)
        counts.append(len(statements))
    assert counts[0] == counts[1]
    with home.database.read() as tx:
        assert facts_of(tx, [uuid4()]) == {}
        assert facts_of(tx, []) == {}


def test_what_is_planned_is_what_the_algebra_says(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner
) -> None:
    case_id = home.case("1")
    loose, filed = deliver(b"loose"), deliver(b"filed", case="1")
    assert planner.plan_now([loose, filed]) == 2
    assert planner.plan_now([loose, filed]) == 0
    assert entries_of_plans(home) == 1
    found = facts(home, loose)
    assert plan(home, loose).retain_until == kept_by(found, USUAL).until == ends_at(found.received_at, Period(12))
    assert (plan(home, loose).rule, plan(home, loose).basis) == ("unfiled", "received")
    waiting = plan(home, filed)
    assert (waiting.is_waiting, waiting.waits_for, waiting.rule, waiting.basis) == (
        True, "case-file", "footage", "recorded",
    )  # fmt: skip
    assert waiting.basis_at == facts(home, filed).recorded_at
    ends = close(home, case_id)
    plan_all(home, planner)
    done = plan(home, filed)
    assert (done.is_waiting, done.waits_for, done.rule, done.basis, done.basis_at) == (
        False, None, "case-file", "case_closed", ends,
    )  # fmt: skip
    assert done.retain_until == ends_at(ends, Period(120))
    home.assert_sound()


@pytest.mark.parametrize("change", ["closed", "updated", "linked", "unlinked", "marked", "act", "described"])
def test_changes_are_found_in_the_log(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner, schedules: Schedules, change: str
) -> None:
    schedules.now = Given(
        (
            *USUAL,
            rule("coercion", 360, Basis.RECEIVED, categories=("coercion",)),
            rule("seizure", 480, Basis.RECEIVED, stages=("seizure",)),
        )
    )
    case_id, at = home.case("1"), home.clock.now
    act = record_act(
        home.database, case_id, stage=Stage.INSPECTION, place="x", started_at=at(), ended_at=None, by=OPERATOR, at=at()
    )
    object_id, other = deliver(b"filed", case="1"), deliver(b"other")
    plan_all(home, planner)
    before, untouched = plan(home, object_id), plan(home, other)
    assert before.stale_since is None
    subject: UUID = object_id
    match change:
        case "closed":
            close(home, case_id)
        case "updated":
            update_case(
                home.database, home.services.identifiers, case_id, category=Category.COERCION, by=OPERATOR, at=at()
            )
        case "linked":
            two = home.case("2")
            close(home, two)
            subject = other
            link_object(home.database, two, other, act_id=None, reason="x", by=OPERATOR, at=at())
        case "unlinked":
            unlink_object(home.database, case_id, object_id, reason="x", by=OPERATOR, at=at())
        case "marked":
            mark(home, "case", case_id)
            assert plan(home, object_id).stale_since is not None, "at once"
            attempt(home, "UPDATE retention_plan SET stale_since = NULL")
        case "act":
            unlink_object(home.database, case_id, object_id, reason="x", by=OPERATOR, at=at())
            link_object(home.database, case_id, object_id, act_id=act, reason="x", by=OPERATOR, at=at())
            plan_all(home, planner)
            update_act(
                home.database, case_id, ActId(act), stage=Stage.SEIZURE, place="x", started_at=at(), ended_at=None,
                by=OPERATOR, at=at(),
            )  # fmt: skip
        case "described":
            worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
            worker.run_once(["prompt"])
    home.sequence()
    while planner.note_changes():
        pass
    assert change == "described" or plan(home, subject).stale_since is not None
    plan_all(home, planner)
    after = plan(home, subject)
    assert after.stale_since is None
    told = kept_by(facts(home, subject), schedules.now.rules)
    assert (after.is_waiting, after.is_permanent) == (told.waits, told.is_permanent) or told.is_permanent
    if told.until is not None:
        assert after.retain_until is not None
        assert after.retain_until >= told.until
    if change != "linked":
        assert plan(home, other).entry_id == untouched.entry_id, "what had no part in it stays as it is"
    home.assert_sound()


def test_a_plan_only_grows(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner, schedules: Schedules
) -> None:
    object_id = deliver(b"film")
    schedules.now = Given((rule("long", 240, Basis.RECEIVED),), uuid4())
    planner.plan_now([object_id])
    long = plan(home, object_id)
    schedules.now = Given((rule("short", 1, Basis.RECEIVED),), uuid4())
    assert planner.plan_now([object_id]) == 0
    kept = plan(home, object_id)
    assert (kept.retain_until, kept.rule, kept.schedule_id) == (long.retain_until, "long", long.schedule_id)
    schedules.now = Given((), uuid4())
    assert planner.plan_now([object_id]) == 1
    kept = plan(home, object_id)
    assert (kept.retain_until, kept.is_waiting, kept.waits_for) == (long.retain_until, True, None), "no rule is for it"
    mark_id = mark(home, "object", object_id)
    schedules.now = Given(USUAL, uuid4())
    planner.plan_now([object_id])
    assert plan(home, object_id).is_permanent
    assert plan(home, object_id).retain_until is None
    home.services.holding.marks.take_back(home.database, mark_id, reason="x", by=OPERATOR, at=home.clock.now())
    assert planner.plan_now([object_id]) == 0
    assert plan(home, object_id).is_permanent
    assert plan(home, object_id).rule == "marked"
    home.sequence()
    home.assert_sound()


def test_a_new_schedule_is_asked_of_everything_also_on_the_day_that_it_begins(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner, schedules: Schedules
) -> None:
    ids = [deliver(bytes([number]) * 9) for number in range(7)]
    assert [planner.sweep_some(3) for _ in range(4)] == [3, 3, 1, 0]
    assert entries_of_plans(home) == 3
    tomorrow = local_day(home.clock.now()) + timedelta(days=1)
    schedules.since[tomorrow] = Given((rule("new", 600, Basis.RECEIVED),), uuid4())
    assert planner.sweep_some(3) == 0
    home.clock.step(timedelta(days=1))
    assert planner.sweep_some(3) == 3
    schedules.since[tomorrow] = Given((rule("newer", 700, Basis.RECEIVED),), uuid4())
    assert [planner.sweep_some(3) for _ in range(4)] == [3, 3, 1, 0], "it begins again with the first"
    assert {plan(home, object_id).rule for object_id in ids} == {"newer"}
    before = entries_of_plans(home)
    schedules.since[tomorrow] = Given((rule("newer", 700, Basis.RECEIVED),), uuid4())
    assert planner.sweep_some(10) == 7
    assert entries_of_plans(home) == before, "what is the same under another version is no change"
    home.sequence()
    home.assert_sound()


def test_the_job_plans_what_comes_in(home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner) -> None:
    jobs = PlanningJobs(planner)
    jobs.begin()
    worker = Worker(home.database, handlers={**home.services.handlers, **jobs.handlers}, clock=home.clock, lease_s=15)
    first = deliver(b"before")
    worker.run_once([LONG])
    assert plan(home, first).rule == "unfiled"
    second = deliver(b"after", case=None)
    home.sequence()
    home.clock.step(timedelta(minutes=2))
    for _ in range(4):
        worker.run_once([LONG])
    assert plan(home, second).rule == "unfiled"
    (told,) = home.rows("SELECT state, kind FROM job WHERE kind = :kind", kind=PLAN_RETENTION)
    assert told[0] == "ready"
    home.sequence()
    home.assert_sound()


def test_marks_that_come_while_it_plans_are_not_lost(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner
) -> None:
    object_id = deliver(b"film")
    planner.plan_now([object_id])
    with home.database.begin() as tx:
        mark_stale(tx, select(EvidenceItem.object_id), home.clock.now())
    assert plan(home, object_id).stale_since is not None
    assert planner.plan_stale() == 1
    assert plan(home, object_id).stale_since is None
    assert planner.plan_stale() == 0


def test_a_code_of_any_form_comes_back_as_it_was(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner, schedules: Schedules
) -> None:
    code = 'a\\b\tc\n"d", {e} \\N'
    schedules.now = Given((rule(code, 1, Basis.RECEIVED), rule("z" + code, 2, Basis.CASE_CLOSED, filed=True)))
    home.case("1")
    ids = [deliver(b"one"), deliver(b"two", case="1")]
    assert planner.plan_now(ids) == 2
    assert plan(home, ids[0]).rule == code
    assert plan(home, ids[1]).waits_for == "z" + code
    assert planner.plan_now(ids) == 0, "it is compared as it is"
    schedules.now = Given((rule("2" + code, 2, Basis.RECEIVED),))
    assert planner.plan_now(ids) == 2
    assert plan(home, ids[0]).rule == "2" + code
    home.sequence()
    home.assert_sound()


def attempt(home: ArchiveHome, *statements: str) -> None:
    with home.database.begin() as tx:
        for statement in statements:
            tx.connection().exec_driver_sql(statement)


SHRINKING = {
    "sooner": "UPDATE retention_plan SET retain_until = '2020-01-01 00:00:00.000000'",
    "no end": "UPDATE retention_plan SET retain_until = NULL",
    "not for ever": "UPDATE retention_plan SET is_permanent = false, retain_until = '2020-01-01 00:00:00.000000'",
    "gone": "DELETE FROM retention_plan",
}


@pytest.mark.parametrize("what", SHRINKING)
def test_the_database_refuses_to_shrink_a_plan(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner, what: str
) -> None:
    object_id = deliver(b"film")
    if what == "not for ever":
        mark(home, "object", object_id)
    planner.plan_now([object_id])
    home.sequence()
    with pytest.raises(DBAPIError, match="retention only grows"):
        attempt(home, SHRINKING[what])
    if not home.database.is_sqlite:
        with pytest.raises(DBAPIError, match="retention only grows"):
            attempt(home, "TRUNCATE retention_plan")
    attempt(home, "UPDATE retention_plan SET stale_since = NULL")
    home.assert_sound()
    with unguarded(home.database) as tx:
        tx.execute(text(SHRINKING[what]))
    codes = {found.code for found in home.faults()}
    assert codes == ({"fsck.row_missing"} if what == "gone" else {"fsck.row_changed"})


def test_fsck_tells_of_triggers_that_are_gone_and_of_entries_that_shrink(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner, schedules: Schedules
) -> None:
    object_id = deliver(b"film")
    planner.plan_now([object_id])
    with home.database.begin() as tx:
        on = "" if home.database.is_sqlite else " ON retention_plan"
        tx.execute(text(f"DROP TRIGGER retention_plan_no_shrink{on}"))
        tx.execute(text("DELETE FROM planning_state"))
    home.sequence()
    assert {found.code for found in home.faults()} == {"fsck.trigger_missing"}
    with home.database.begin() as tx:
        tx.execute(text("UPDATE retention_plan SET retain_until = NULL, is_waiting = true"))
    schedules.now = Given((rule("short", 1, Basis.RECEIVED),))
    planner.plan_now([object_id])
    home.sequence()
    codes = {found.code for found in home.faults() if found.outcome is Outcome.INVALID}
    assert codes == {"fsck.trigger_missing", "fsck.plan_shrunk"}


def test_an_object_that_the_planner_looked_past_is_found(
    home: ArchiveHome, deliver: Deliver, planner: RetentionPlanner
) -> None:
    plan_all(home, planner)
    deliver(b"film")
    home.sequence()
    home.assert_sound()
    home.execute("UPDATE planning_state SET scanned = (SELECT max(size) FROM log_checkpoint)")
    assert {found.code for found in home.faults()} == {"fsck.plan_lost"}
    home.execute("UPDATE planning_state SET scanned = 10000")
    assert {found.code for found in home.faults()} == {"fsck.plan_lost", "fsck.row_changed"}

"""Retention schedules of the bureau: one that holds, one that is written and was tried, one that was withdrawn."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import select

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.jobs.models import Job
from archive.jobs.queue import LONG
from archive.kernel.ids import JobId, ScheduleId, TrialId
from archive.ledger.entries import OPERATOR, Actor
from archive.worker.loop import Worker
from retention.schedules.listings import schedule_view
from retention.schedules.models import RetentionSchedule, ScheduleTrial
from retention.schedules.register import put_in_force, save_schedule, withdraw_schedule
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.terms import Period
from retention.schedules.trials import TRY_SCHEDULE, ask_trial
from tests.support.seed import PASSWORD, Bureau

HELD, WRITTEN, DROPPED = (
    "官渡区综合行政执法局保管期限表（2026年）",
    "保管期限表（2027年修订稿）",
    "保管期限表（旧草稿）",
)


def keep_schedules(bureau: Bureau) -> dict[str, UUID]:
    """Make the schedules, once; return the ids of the one that holds, the written one, and its trial."""
    database = bureau.services.database
    with database.read() as tx:
        rows = {row.title: row.id for row in tx.execute(select(RetentionSchedule.title, RetentionSchedule.id))}
    if HELD not in rows:
        _make(bureau)
        return keep_schedules(bureau)
    with database.read() as tx:
        trial_id = tx.scalars(select(ScheduleTrial.id)).one()
    return {"held": rows[HELD], "written": rows[WRITTEN], "trial": trial_id}


def _make(bureau: Bureau) -> None:
    services = bureau.services
    keeper = bureau.people[Role.RECORDS_MANAGER]
    second = Actor(
        create_account(
            services.database,
            username="records2",
            display_name="高岚",
            roles=[Role.RECORDS_MANAGER],
            password=PASSWORD,
            by=OPERATOR,
            at=bureau.now(),
        )
    )
    rules = list(shipped_schedule(Shipped.DEFAULT).rules)
    held = save_schedule(services.database, HELD, rules, by=keeper, at=bureau.now())
    _force(bureau, held, second)
    dropped = save_schedule(services.database, DROPPED, rules[:3], by=second, at=bureau.now())
    withdraw_schedule(services.database, dropped, reason="由修订稿代替", by=second, at=bureau.now())
    longer = [replace(rule, period=Period(24)) if rule.code == "unfiled" else rule for rule in rules]
    longer = [replace(rule, period=Period(180)) if rule.code == "case_30_years" else rule for rule in longer]
    longer = [rule for rule in longer if rule.code != "unfiled_received"]
    longer += shipped_schedule(Shipped.POLICE).rules
    written = save_schedule(services.database, WRITTEN, longer, by=second, at=bureau.now())
    trial_id = ask_trial(services.database, written, by=second, at=bureau.now())
    work_out(bureau, trial_id)


def work_out(bureau: Bureau, trial_id: TrialId) -> None:
    """Do the job of a trial, and no other of the bureau."""
    services = bureau.services
    with services.database.read() as tx:
        job_id = JobId(tx.scalars(select(Job.id).where(Job.key == f"{TRY_SCHEDULE}:{trial_id}")).one())
    worker = Worker(services.database, handlers=services.schedule_trials.handlers, clock=services.clock, lease_s=60)
    while worker.run_once([LONG], job_id):
        pass


def _force(bureau: Bureau, schedule_id: ScheduleId, by: Actor) -> None:
    today = local_day(bureau.now())
    with bureau.services.database.read() as tx:
        seen = schedule_view(tx, schedule_id, on=today).seen
    put_in_force(bureau.services.database, schedule_id, valid_from=today, seen=seen, by=by, at=bureau.now())

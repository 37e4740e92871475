"""Trials: what a version would change, counted over all objects by a job that goes on where it was stopped.

A run looks at so many objects in batches, writes down how far it is and what it counted, and is due again at once: the
memory that it takes does not grow with the archive, and a worker that is to stop does not wait for all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.db.sight import unbound
from archive.jobs.models import Job
from archive.jobs.queue import LONG, ClaimedJob, add_job, finish_job, repeat_job
from archive.kernel.errors import NotFound
from archive.kernel.ids import ScheduleId, TrialId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.ports.clock import Clock
from retention.planning.models import RetentionPlan
from retention.schedules.algebra import Facts, Rule
from retention.schedules.content import decode_rules
from retention.schedules.models import RetentionSchedule, ScheduleTrial
from retention.schedules.register import ScheduleNotFound, rules_in_force
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.simulation import Comparison, Stored, Tally

TRY_SCHEDULE: Final = "try_schedule"
MOST_KEPT: Final = 10
"""Trials of one version that are kept; older ones are forgotten."""
_BATCH: Final = 1000
_BATCHES: Final = 20
_IS_THERE: Final = PreservedObject.destroyed_at.is_(None)

FactsOf = Callable[[Session, Sequence[UUID]], Mapping[UUID, Facts]]
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class TrialNotFound(NotFound):
    """There is no such trial; old ones are forgotten."""

    code = "retention.trial_not_found"


class TrialView(NamedTuple):
    """A trial as it stands. `is_given_up`: its job ended without coming to the end."""

    trial: ScheduleTrial
    tally: Tally
    is_given_up: bool

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that were tried."""
        return decode_rules(self.trial.content)


def ask_trial(database: Database, schedule_id: ScheduleId, *, by: Actor, at: Instant) -> TrialId:
    """Have it worked out what a version would change, against what is in force today; return the trial.

    Idempotent: while a trial of the same rules is under way, it is that one. Raises: ScheduleNotFound.
    """
    with database.begin() as tx, unbound(tx):
        row = tx.scalar(select(RetentionSchedule).where(RetentionSchedule.id == schedule_id).with_for_update())
        if row is None:
            raise ScheduleNotFound(schedule_id=schedule_id)
        for known in trials_of(tx, schedule_id):
            if known.trial.done_at is None and not known.is_given_up and known.trial.content == row.content:
                return TrialId(known.trial.id)
        trial_id = TrialId(new_uuid7())
        insert_row(
            tx,
            ScheduleTrial,
            id=trial_id,
            schedule_id=schedule_id,
            now_id=rules_in_force(tx, local_day(at)).schedule_id,
            content=row.content,
            asked_by=by.id,
            asked_at=at,
            total=tx.scalar(select(func.count()).select_from(PreservedObject).where(_IS_THERE)) or 0,
            tally=Tally().to_json(),
        )
        add_job(tx, TRY_SCHEDULE, {"trial": str(trial_id)}, at=at, queue=LONG, key=_key(trial_id))
        kept = select(ScheduleTrial.id).where(ScheduleTrial.schedule_id == schedule_id)
        kept = kept.order_by(ScheduleTrial.id.desc()).limit(MOST_KEPT)
        newest = tx.scalars(kept).all()
        older = (ScheduleTrial.schedule_id == schedule_id, ScheduleTrial.id.not_in(newest))
        tx.execute(delete(ScheduleTrial).where(*older))
    return trial_id


def trial_view(tx: Session, trial_id: TrialId) -> TrialView:
    """Return a trial. Raises: TrialNotFound."""
    row = tx.get(ScheduleTrial, trial_id)
    if row is None:
        raise TrialNotFound(trial_id=trial_id)
    return _views(tx, [row])[0]


def trials_of(tx: Session, schedule_id: ScheduleId) -> Sequence[TrialView]:
    """Return the trials of a version, newest first."""
    rows = select(ScheduleTrial).where(ScheduleTrial.schedule_id == schedule_id).order_by(ScheduleTrial.id.desc())
    return _views(tx, tx.scalars(rows).all())


@dataclass(frozen=True, slots=True)
class ScheduleTrials:
    """The job that works trials out; `facts_of` finds what is known of objects in few queries."""

    database: Database
    clock: Clock
    facts_of: FactsOf
    batch: int = _BATCH
    batches: int = _BATCHES

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {TRY_SCHEDULE: self._work}

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        with self.database.read() as tx:
            row = tx.get(ScheduleTrial, UUID(job.args["trial"]))
            now = () if row is None else self._rules_now(tx, row)
        if row is None or row.done_at is not None:
            with self.database.begin() as tx:
                finish_job(tx, job, at=self.clock.now())
            return
        comparison = Comparison(now, decode_rules(row.content), row.asked_at)
        tally, position, is_done = Tally.of_json(row.tally), row.position, False
        for _ in range(self.batches):
            with self.database.read() as tx:
                last = self._count(tx, comparison, tally, position)
            is_done = last is None
            if last is None:
                break
            position = last
            report(min(999, tally.objects * 1000 // max(1, row.total)))
        at = self.clock.now()
        values = {"position": position, "tally": tally.to_json(), "done_at": at if is_done else None}
        with self.database.begin() as tx:
            tx.execute(update(ScheduleTrial).where(ScheduleTrial.id == row.id).values(**values))
            if is_done:
                finish_job(tx, job, at=at)
            else:
                repeat_job(tx, job, until=at)

    def _rules_now(self, tx: Session, row: ScheduleTrial) -> Sequence[Rule]:
        if row.now_id is None:
            return shipped_schedule(Shipped.DEFAULT).rules
        return decode_rules(tx.get_one(RetentionSchedule, row.now_id).content)

    def _count(self, tx: Session, comparison: Comparison, tally: Tally, after: UUID | None) -> UUID | None:
        """Count the next batch; return its last object, None where there is none."""
        query = (
            select(
                PreservedObject.id,
                PreservedObject.unit_id,
                PreservedObject.size_bytes,
                RetentionPlan.retain_until,
                RetentionPlan.is_permanent,
            )
            .outerjoin(RetentionPlan, RetentionPlan.object_id == PreservedObject.id)
            .where(_IS_THERE)
            .order_by(PreservedObject.id)
            .limit(self.batch)
        )
        if after is not None:
            query = query.where(PreservedObject.id > after)
        rows = tx.execute(query).all()
        facts = self.facts_of(tx, [row.id for row in rows])
        for row in rows:
            if row.id not in facts:  # gone meanwhile
                continue
            stored = Stored(row.retain_until, bool(row.is_permanent))
            tally.add(row.id, row.unit_id, row.size_bytes, comparison.verdict(facts[row.id], stored))
        return rows[-1].id if rows else None


def _key(trial_id: UUID) -> str:
    return f"{TRY_SCHEDULE}:{trial_id}"


def _views(tx: Session, rows: Sequence[ScheduleTrial]) -> Sequence[TrialView]:
    keys = [_key(row.id) for row in rows if row.done_at is None]
    dead = set(tx.scalars(select(Job.key).where(Job.key.in_(keys), Job.state == "dead"))) if keys else set()
    return [TrialView(row, Tally.of_json(row.tally), _key(row.id) in dead) for row in rows]

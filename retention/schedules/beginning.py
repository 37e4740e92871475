"""The day of a version comes: the plans of all objects are made anew from then on, by a job that looks each hour."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.calendar.days import day_start, local_day
from archive.db.database import Database
from archive.jobs.queue import ClaimedJob, renew_job, repeat_job
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from retention.planning.models import RetentionPlan
from retention.schedules.models import RetentionSchedule
from retention.schedules.terms import ScheduleState

BEGIN_SCHEDULES: Final = "begin_schedules"
_EVERY: Final = timedelta(hours=1)

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


def make_all_stale(tx: Session, at: Instant) -> None:
    """Mark every plan as one that is to be made anew."""
    tx.execute(update(RetentionPlan).where(RetentionPlan.stale_since.is_(None)).values(stale_since=at))


@dataclass(frozen=True, slots=True)
class ScheduleBeginnings:
    """The job that has all objects planned anew once a version holds; `make_stale` marks them."""

    database: Database
    clock: Clock
    make_stale: Callable[[Session, Instant], None] = make_all_stale

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {BEGIN_SCHEDULES: self._work}

    def begin(self) -> None:
        """Make sure that versions are taken up from now on. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, BEGIN_SCHEDULES, {}, at=self.clock.now(), key=BEGIN_SCHEDULES)

    def take_up(self, tx: Session, at: Instant) -> int:
        """Have all objects planned anew where the day of a version has come; return how many versions that were."""
        come = select(RetentionSchedule.id).where(
            RetentionSchedule.state == ScheduleState.IN_FORCE.value,
            RetentionSchedule.valid_from <= local_day(at),
            RetentionSchedule.applied_at.is_(None),
        )
        found = tx.scalars(come.with_for_update()).all()
        if found:
            self.make_stale(tx, at)
            tx.execute(update(RetentionSchedule).where(RetentionSchedule.id.in_(found)).values(applied_at=at))
        return len(found)

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        del report
        at = self.clock.now()
        with self.database.begin() as tx:
            self.take_up(tx, at)
            repeat_job(tx, job, until=min(at + _EVERY, day_start(local_day(at) + timedelta(days=1))))

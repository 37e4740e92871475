"""The job that keeps plans up to date: each minute it looks for what changed, and after a new schedule at everything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from archive.jobs.queue import LONG, ClaimedJob, hasten_job, renew_job, repeat_job
from retention.locks import EXTEND_LOCKS
from retention.planning.planner import RetentionPlanner
from retention.planning.sweeping import Sweep

PLAN_RETENTION: Final = "plan_retention"
_EVERY: Final = timedelta(minutes=1)
_BATCHES: Final = 20
"""Batches of one run, so that a worker that is to stop does not wait for a whole archive."""

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class PlanningJobs:
    """The job, in a worker."""

    planner: RetentionPlanner

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {PLAN_RETENTION: self._work}

    def begin(self) -> None:
        """Make sure that plans are kept up to date from now on. Idempotent; for the worker's start."""
        with self.planner.database.begin() as tx:
            renew_job(tx, PLAN_RETENTION, {}, at=self.planner.clock.now(), queue=LONG, key=PLAN_RETENTION)

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        planner, moved = self.planner, 0
        for batch in range(_BATCHES):
            done = planner.note_changes() or planner.plan_stale()
            if not done:
                done = Sweep(planner).run(_BATCHES)
            if not done:
                break
            moved += done
            report(batch)
        else:
            batch = _BATCHES
        at = planner.clock.now()
        with planner.database.begin() as tx:
            if moved:
                hasten_job(tx, EXTEND_LOCKS, at=at)
            repeat_job(tx, job, until=at + (timedelta(0) if batch == _BATCHES else _EVERY))

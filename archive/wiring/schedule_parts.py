"""Putting together what works on retention schedules: trials of what one would change, and their beginning."""

from collections.abc import Mapping
from dataclasses import dataclass

from archive.db.database import Database
from archive.ports.clock import Clock
from ingest.workshop import Handler
from retention.planning.facts import facts_of
from retention.schedules.beginning import ScheduleBeginnings
from retention.schedules.trials import ScheduleTrials


@dataclass(frozen=True, slots=True)
class Schedules:
    """The jobs of retention schedules."""

    trials: ScheduleTrials
    beginnings: ScheduleBeginnings

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {**self.trials.handlers, **self.beginnings.handlers}

    def begin(self) -> None:
        """Make sure that versions are taken up from now on. Idempotent; for the worker's start."""
        self.beginnings.begin()


def schedules(database: Database, clock: Clock) -> Schedules:
    """Return the jobs of retention schedules."""
    return Schedules(ScheduleTrials(database, clock, facts_of), ScheduleBeginnings(database, clock))

"""Putting together what works on retention schedules."""

from archive.db.database import Database
from archive.ports.clock import Clock
from retention.planning.facts import facts_of
from retention.schedules.trials import ScheduleTrials


def trials(database: Database, clock: Clock) -> ScheduleTrials:
    """Return what works out what a schedule would change."""
    return ScheduleTrials(database, clock, facts_of)

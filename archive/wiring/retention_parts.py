"""Putting planning together: by which schedule objects are planned."""

from archive.db.database import Database
from archive.ports.clock import Clock
from retention.planning.planner import RetentionPlanner
from retention.schedules.register import rules_in_force


def planner(database: Database, clock: Clock) -> RetentionPlanner:
    """Return what plans by the schedule that is in force."""
    return RetentionPlanner(database, clock, rules_in_force)

"""Putting retention together: which schedule objects are planned by."""

from datetime import date

from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.ports.clock import Clock
from retention.planning.planner import InForce, RetentionPlanner


def planner(database: Database, clock: Clock) -> RetentionPlanner:
    """Return what plans by the schedule that is in force."""
    return RetentionPlanner(database, clock, _in_force)


def _in_force(tx: Session, day: date) -> InForce:
    from retention.schedules.register import rules_in_force

    return rules_in_force(tx, day)

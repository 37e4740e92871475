"""Putting retention together: which schedule objects are planned by, and what stops their disposition."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from retention.planning.planner import InForce, RetentionPlanner
from retention.stops import Stop


def planner(database: Database, clock: Clock) -> RetentionPlanner:
    """Return what plans by the schedule that is in force."""
    return RetentionPlanner(database, clock, _in_force)


def stops(tx: Session, object_ids: Sequence[UUID], at: Instant) -> Mapping[UUID, tuple[Stop, ...]]:
    """Return everything that stops the disposition of objects."""
    from retention.holding.stops import stops_of

    found: Mapping[UUID, tuple[Stop, ...]] = stops_of(tx, object_ids, at)
    return found


def _in_force(tx: Session, day: date) -> InForce:
    from retention.schedules.register import rules_in_force

    found: InForce = rules_in_force(tx, day)
    return found

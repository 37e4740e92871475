"""Putting together what marks and holds: what keeps objects beyond their schedule."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, func, update
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from archive.settings import Settings
from retention.holding.hold_scans import HoldScans
from retention.holding.marks import Marks
from retention.holding.rules import HoldRules
from retention.holding.sweeping import HoldJobs
from retention.planning.models import RetentionPlan


def hold_jobs(settings: Settings, database: Database, clock: Clock) -> HoldJobs:
    """Return what watches over the reviews of holds, with the rules of holds. Raises: HoldRulesInvalid."""
    return HoldJobs(database, clock, HoldRules.load(settings.hold_rules))


def hold_scans(database: Database, clock: Clock) -> HoldScans:
    """Return what writes down what holds cover by now."""
    return HoldScans(database, clock)


def marks() -> Marks:
    """Return what sets retention marks and takes them back."""
    return Marks(_mark_stale)


def _mark_stale(tx: Session, object_ids: Collection[UUID] | Select[UUID], at: Instant) -> None:
    these = RetentionPlan.object_id.in_(object_ids)
    tx.execute(update(RetentionPlan).where(these).values(stale_since=func.coalesce(RetentionPlan.stale_since, at)))

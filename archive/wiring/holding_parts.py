"""Putting together what marks and holds: what keeps objects beyond their schedule."""

from collections.abc import Mapping
from dataclasses import dataclass

from archive.db.database import Database
from archive.ports.clock import Clock
from archive.settings import Settings
from retention.holding.hold_scans import Handler, HoldScans
from retention.holding.marks import Marks
from retention.holding.rules import HoldRules
from retention.holding.sweeping import HoldJobs
from retention.planning.stale import mark_stale


@dataclass(frozen=True, slots=True)
class Holding:
    """What marks, what scans for what holds cover by now, and what watches over their reviews."""

    marks: Marks
    scans: HoldScans
    jobs: HoldJobs

    @property
    def rules(self) -> HoldRules:
        """The rules of holds."""
        return self.jobs.rules

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {**self.scans.handlers, **self.jobs.handlers}

    def begin(self) -> None:
        """Make sure that its jobs come back from now on. Idempotent; for the worker's start."""
        self.scans.begin()
        self.jobs.begin()


def holding(settings: Settings, database: Database, clock: Clock) -> Holding:
    """Return what keeps objects beyond their schedule. Raises: HoldRulesInvalid."""
    rules = HoldRules.load(settings.hold_rules)
    return Holding(Marks(mark_stale), HoldScans(database, clock), HoldJobs(database, clock, rules))

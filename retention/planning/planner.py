"""Planning: until when each object is kept, from what is known of it and the schedule that is in force.

Objects are planned in batches, each in one transaction: facts, the algebra, the rows that are different, one log entry.
What makes a plan stale is marked by whoever changes it (`mark_stale`), found in the log (`retention.planning.changes`),
or is a schedule that came into force, after which every object is looked at once more (`retention.planning.sweeping`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.db.database import Database
from archive.kernel.canonical import canonical_json
from archive.kernel.instants import Instant
from archive.ledger.entries import ARCHIVE, Actor
from archive.ports.clock import Clock
from retention.planning.changes import log_size, note_changes
from retention.planning.deciding import Decider
from retention.planning.driver import Driver, Which
from retention.planning.models import PlanningState, RetentionPlan
from retention.planning.readings import read
from retention.planning.stale import mark_stale
from retention.planning.writing import PlannedMeanwhile, decided, present_plans, write_batch
from retention.schedules.algebra import Rule

__all__ = ["BATCH", "InForce", "RetentionPlanner", "RulesOfDay", "mark_stale", "named", "taken"]

BATCH: Final = 5_000
"""Objects that are planned in one transaction, with one log entry."""
_ONLY: Final = 1
_TRIES: Final = 5


class InForce(Protocol):
    """The schedule that is in force on a day; `schedule_id` is None for the one that is shipped."""

    @property
    def schedule_id(self) -> UUID | None:
        """Its version."""

    @property
    def rules(self) -> Sequence[Rule]:
        """Its rules."""


RulesOfDay = Callable[[Session, date], InForce]


@dataclass(frozen=True, slots=True)
class RetentionPlanner:
    """Plans until when objects are kept. `rules` tells which schedule is in force on a local day."""

    database: Database
    clock: Clock
    rules: RulesOfDay

    def plan_now(self, object_ids: Sequence[UUID], *, by: Actor = ARCHIVE) -> int:
        """Plan these objects; return of how many the plan is new or different. Idempotent.

        Guarantees: on return each has its plan, with its log entry.
        """
        return sum(
            self._planned(lambda _, some=object_ids[start : start + BATCH]: some, by=by)[1]
            for start in range(0, len(object_ids), BATCH)
        )

    def plan_stale(self, limit: int = BATCH) -> int:
        """Plan up to `limit` objects whose plan is stale, the longest so first; return how many were looked at."""
        stale = select(RetentionPlan.object_id).where(RetentionPlan.stale_since.is_not(None))
        oldest = stale.order_by(RetentionPlan.stale_since).limit(limit)
        return self._planned(lambda tx: tx.scalars(oldest).all())[0]

    def note_changes(self) -> int:
        """Look through the log for what changes plans: plan what is new, mark what is stale; return how far it went.

        One call looks at some thousand entries. Units: entries.
        """
        looked_at = 0

        def fresh(tx: Session) -> Sequence[UUID]:
            nonlocal looked_at
            state = taken(tx)
            noted = note_changes(tx, state.scanned, at=self.clock.now())
            state.scanned, looked_at = noted.scanned, noted.looked_at
            return noted.fresh

        self._planned(fresh)
        return looked_at

    def rules_at(self, tx: Session, at: Instant) -> Sequence[Rule]:
        """Return the rules that are in force at a moment."""
        return self.rules(tx, local_day(at)).rules

    def in_force(self, tx: Session) -> InForce:
        """Return the schedule that is in force now."""
        return self.rules(tx, local_day(self.clock.now()))

    def plan_some(self, tx: Session, which: Which, in_force: InForce, *, by: Actor = ARCHIVE) -> int:
        """Plan objects in the caller's transaction, which has taken the state; return how many plans are different.

        Raises: PlannedMeanwhile.
        """
        driver = Driver(tx)
        present = present_plans(driver, which)
        schedule_id = None if in_force.schedule_id is None else driver.key(in_force.schedule_id)
        decider = Decider(in_force.rules, driver.texts)
        batch = decided(decider, read(driver, which), present, schedule_id)
        write_batch(tx, driver, batch, by=by, at=self.clock.now())
        return batch.size

    def _planned(self, which: Callable[[Session], Sequence[UUID]], *, by: Actor = ARCHIVE) -> tuple[int, int]:
        """Plan the objects that are asked for in the transaction; return how many, and of how many plans differ.

        A mark that comes while they are planned has them planned once more.
        """
        for left in reversed(range(_TRIES)):
            try:
                with self.database.begin() as tx:
                    taken(tx)
                    object_ids = which(tx)
                    driver = Driver(tx)
                    keys = [driver.key(object_id) for object_id in object_ids]
                    changed = self.plan_some(tx, Which(keys=keys), self.in_force(tx), by=by) if keys else 0
            except PlannedMeanwhile:
                if not left:
                    raise
            else:
                return len(object_ids), changed
        raise AssertionError


def named(in_force: InForce) -> str:
    """Return a name for what a schedule asks for: another one for other rules, also where the shipped one changed."""
    told = [
        [
            rule.code,
            rule.period.months,
            rule.basis.value,
            rule.condition.filed,
            *(sorted(part) for part in (rule.condition.kinds, rule.condition.marks, rule.condition.categories)),
            sorted(rule.condition.stages),
        ]
        for rule in sorted(in_force.rules, key=lambda rule: rule.code)
    ]
    version = None if in_force.schedule_id is None else str(in_force.schedule_id)
    return hashlib.sha256(canonical_json([version, told])).hexdigest()


def taken(tx: Session) -> PlanningState:
    """Return the state, held until the transaction ends: one plans at a time."""
    found = tx.get(PlanningState, _ONLY, with_for_update=True)
    if found is None:
        insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
        # What is there already is swept, so that the log is looked at from here on.
        tx.execute(insert(PlanningState).values(id=_ONLY, scanned=log_size(tx)).on_conflict_do_nothing())
        found = tx.get_one(PlanningState, _ONLY, with_for_update=True)
    return found

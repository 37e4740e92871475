"""Planning: until when each object is kept, from what is known of it and the schedule that is in force.

Objects are planned in batches, each in one transaction: facts, the algebra, the rows that are different, one log entry.
What makes a plan stale is marked by whoever changes it (`mark_stale`), found in the log (`retention.planning.changes`),
or is a schedule that came into force, after which every object is looked at once more: that sweep goes on where it
broke off.
"""

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.kernel.canonical import canonical_json
from archive.kernel.instants import Instant
from archive.ledger.entries import ARCHIVE, Actor
from archive.ports.clock import Clock
from retention.planning.changes import log_size, note_changes
from retention.planning.deciding import Decider
from retention.planning.models import PlanningState, RetentionPlan
from retention.planning.readings import Driver, Texts, Which, read
from retention.planning.stale import mark_stale
from retention.planning.writing import Plan, grown, present_plans, write_plans
from retention.schedules.algebra import Rule

__all__ = ["BATCH", "InForce", "RetentionPlanner", "RulesOfDay", "mark_stale", "named"]

BATCH: Final = 5_000
"""Objects that are planned in one transaction, with one log entry."""
_ONLY: Final = 1
_FEW: Final = 500
_NOTHING: Final[tuple[Plan | None, str | None]] = (None, None)
_NEXT: Final = "SELECT id FROM preserved_object WHERE id > ? ORDER BY id LIMIT ?"
_NEXT_POSTGRES: Final = "SELECT id::text FROM preserved_object WHERE id > %s::uuid ORDER BY id LIMIT %s"


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
        changed = 0
        for start in range(0, len(object_ids), BATCH):
            with self.database.begin() as tx:
                _taken(tx)
                changed += self._plan_these(tx, object_ids[start : start + BATCH], by=by)
        return changed

    def plan_stale(self, limit: int = BATCH) -> int:
        """Plan up to `limit` objects whose plan is stale, the longest so first; return how many were looked at."""
        with self.database.begin() as tx:
            _taken(tx)
            stale = select(RetentionPlan.object_id).where(RetentionPlan.stale_since.is_not(None))
            stale = stale.join(PreservedObject, PreservedObject.id == RetentionPlan.object_id)
            stale = stale.where(PreservedObject.destroyed_at.is_(None))  # the plan of what is gone stays as it was
            found = tx.scalars(stale.order_by(RetentionPlan.stale_since).limit(limit)).all()
            self._plan_these(tx, found)
        return len(found)

    def note_changes(self) -> int:
        """Look through the log for what changes plans: plan what is new, mark what is stale; return how far it went.

        One call looks at some thousand entries. Units: entries.
        """
        with self.database.begin() as tx:
            state = _taken(tx)
            noted = note_changes(tx, state.scanned, at=self.clock.now())
            state.scanned = noted.scanned
            self._plan_these(tx, noted.fresh)
        return noted.looked_at

    def sweep_some(self, limit: int = BATCH) -> int:
        """Plan the next objects by a schedule by which not all of them were planned yet; return how many, 0 at the end.

        Which that is, is asked each time: where another came into force meanwhile, it begins again with the first.
        """
        with self.database.begin() as tx:
            state, in_force = _taken(tx), self._in_force(tx)
            name = named(in_force)
            if state.swept == name:
                return 0
            if state.sweeping != name:
                state.sweeping, state.swept_to = name, None
            driver, after = Driver(tx), state.swept_to or UUID(int=0)
            keys = driver.rows(_NEXT, _NEXT_POSTGRES, driver.key(after), limit)
            if keys:
                which = Which(after=driver.key(after), until=keys[-1][0])
                self._plan(tx, driver, which, in_force, is_many=len(keys) > _FEW)
            if len(keys) < limit:
                state.swept, state.sweeping, state.swept_to = name, None, None
            else:
                state.swept_to = UUID(keys[-1][0])
        return len(keys)

    def rules_at(self, tx: Session, at: Instant) -> Sequence[Rule]:
        """Return the rules that are in force at a moment."""
        return self.rules(tx, local_day(at)).rules

    def _in_force(self, tx: Session) -> InForce:
        return self.rules(tx, local_day(self.clock.now()))

    def _plan_these(self, tx: Session, object_ids: Sequence[UUID], *, by: Actor = ARCHIVE) -> int:
        """Plan objects in the caller's transaction, which has taken the state; return how many plans are different."""
        if not object_ids:
            return 0
        driver = Driver(tx)
        which = Which(keys=[driver.key(object_id) for object_id in object_ids])
        return self._plan(tx, driver, which, self._in_force(tx), is_many=len(object_ids) > _FEW, by=by)

    def _plan(
        self, tx: Session, driver: Driver, which: Which, in_force: InForce, *, is_many: bool, by: Actor = ARCHIVE
    ) -> int:
        schedule_id = None if in_force.schedule_id is None else driver.key(in_force.schedule_id)
        new: list[tuple[str, Plan]] = []
        changed: list[tuple[str, Plan, str | None]] = []
        settled: list[tuple[str, str]] = []
        with _undisturbed(is_many=is_many):
            present = present_plans(driver, which)
            reading, decide = read(driver, which), _decider(in_force, driver.texts).decide
            marks = reading.marks
            for thing in reading.things:
                key = thing[0]
                before, stale = present.get(key, _NOTHING)
                plan = grown(decide(thing, marks.get(key)), schedule_id, before)
                if before is None:
                    new.append((key, plan))
                elif plan != before:
                    changed.append((key, plan, stale))
                elif stale is not None:
                    settled.append((key, stale))
            write_plans(tx, driver, new, changed, settled, by=by, at=self.clock.now())
        return len(new) + len(changed)


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


def _taken(tx: Session) -> PlanningState:
    """Return the state, held until the transaction ends: one plans at a time."""
    found = tx.get(PlanningState, _ONLY, with_for_update=True)
    if found is None:
        insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
        # What is there already is swept, so that the log is looked at from here on.
        tx.execute(insert(PlanningState).values(id=_ONLY, scanned=log_size(tx)).on_conflict_do_nothing())
        found = tx.get_one(PlanningState, _ONLY, with_for_update=True)
    return found


_last: tuple[tuple[str, type[Texts]], Decider] | None = None


def _decider(in_force: InForce, texts: Texts) -> Decider:
    """Return what decides by a schedule; what it learnt is kept for the next batch."""
    global _last  # noqa: PLW0603 - a cache of one
    name = named(in_force), type(texts)
    if _last is None or _last[0] != name:
        _last = (name, Decider(in_force.rules, texts))
    return _last[1]


@contextmanager
def _undisturbed(*, is_many: bool) -> Iterator[None]:
    """Keep the collector of garbage away from a batch: it finds none among tuples, and takes a third of the time."""
    is_on = gc.isenabled() and is_many
    if is_on:
        gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()

"""How long the locks of an object last in a store, held against what its plan and holds ask for, and brought there.

* A plan with an end locks until that, at once; what ends in more than thirty years in steps of thirty years, since
  nobody can take a lock back, and stores have their own limits.
* Where nobody knows the end yet (no plan, no rule, a clock that has not begun) the lock is for one rolling term.
* What is permanent has a rolling lock of a year and a legal hold.
* What a hold (冻结) covers is under legal hold until the last one is released.

A rolling lock is renewed when a third of it is over.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.kernel.errors import NotFound
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import StoreBroken
from retention.holding.models import HeldObject, Hold
from retention.planning.models import RetentionPlan

PERMANENT_TERM: Final = timedelta(days=365)
MOST_AHEAD: Final = timedelta(days=30 * 365)


def _whole(at: Instant) -> Instant:
    """Return the first whole second that is not before a moment: what stores keep."""
    return at + timedelta(microseconds=-at.microsecond % 1_000_000)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an object's plan and holds ask for, and how it is locked in a store as far as that was noted.

    `planned` is the log entry that the plan is of, `retain_until` None where it has no end, or there is none.
    """

    object_id: UUID
    retain_until: Instant | None
    is_permanent: bool
    is_waiting: bool
    planned: UUID | None
    locked_until: Instant | None
    has_hold: bool
    is_held: bool

    @property
    def wants_hold(self) -> bool:
        """Whether it must be under legal hold."""
        return self.is_permanent or self.is_held

    def wanted_until(self, at: Instant, term: timedelta) -> Instant | None:
        """Return until when it is to be locked now; None where its lock lasts as long as it must."""
        ends = [self._rolling(at, self._term(term))]
        if self.retain_until is not None and not self.is_permanent:
            ends.append(self._fixed(at, self.retain_until))
        return max((end for end in ends if end is not None), default=None)

    def _term(self, term: timedelta) -> timedelta | None:
        if self.is_permanent:
            return max(PERMANENT_TERM, term)
        return term if self.is_waiting or self.retain_until is None else None

    def _rolling(self, at: Instant, term: timedelta | None) -> Instant | None:
        if term is None or (self.locked_until is not None and self.locked_until >= at + term * 2 / 3):
            return None
        return _whole(at + term)

    def _fixed(self, at: Instant, until: Instant) -> Instant | None:
        is_long_enough = self.locked_until is not None and self.locked_until >= min(until, at + MOST_AHEAD * 2 / 3)
        return None if until <= at or is_long_enough else _whole(min(until, at + MOST_AHEAD))


@dataclass(frozen=True, slots=True)
class Brought:
    """How an object is locked now, as it was read back; what changed is not None."""

    standing: Standing
    until: Instant | None
    hold: bool | None

    @property
    def locked_until(self) -> Instant | None:
        """Until when it is locked."""
        return self.standing.locked_until if self.until is None else self.until

    @property
    def has_hold(self) -> bool:
        """Whether it is under legal hold."""
        return self.standing.has_hold if self.hold is None else self.hold


def bring(objects: OcflRoot, found: Sequence[Standing], *, at: Instant, term: timedelta) -> Sequence[Brought]:
    """Lock objects for as long as they must be, and put them under legal hold or take it off; return how they are.

    What the store does not have, or does not lock, is left out: fixity and `fsck` tell of it, and the next call tries
    again. Raises: StoreUnavailable.
    """
    done = []
    for standing in found:
        object_id, until = ObjectId(standing.object_id), standing.wanted_until(at, term)
        hold = None if standing.wants_hold == standing.has_hold else standing.wants_hold
        try:
            if until is not None:
                objects.lock(object_id, until)
            # A lock that is new may be of files that are: those have no hold yet either.
            if hold is True or (standing.wants_hold and until is not None):
                objects.hold(object_id)
            elif hold is False:
                objects.release_hold(object_id)
        except (NotFound, StoreBroken):
            continue
        done.append(Brought(standing, until, hold))
    return done


def told(done: Sequence[Brought]) -> Mapping[str, Any] | None:
    """Return what the log says of what was changed; None where nothing was."""
    ends: dict[Instant, list[str]] = defaultdict(list)
    holds: dict[bool, list[str]] = {True: [], False: []}
    for each in done:
        if each.until is not None:
            ends[each.until].append(str(each.standing.object_id))
        if each.hold is not None:
            holds[each.hold].append(str(each.standing.object_id))
    if not ends and not any(holds.values()):
        return None
    return {
        "locks": [{"until": format_instant(until), "objects": objects} for until, objects in sorted(ends.items())],
        "held": holds[True],
        "released": holds[False],
    }


def standings(
    tx: Session, which: Sequence[UUID], noted: Select[UUID, Any, bool], first: Callable[[Instant], Instant | None]
) -> Sequence[Standing]:
    """Return how objects stand. `noted` selects object, end and hold of a store's locks of all objects.

    `first` tells until when an object is locked of which nothing was noted, by when it was preserved.
    """
    lock = noted.subquery("noted")
    held = exists().where(
        HeldObject.object_id == PreservedObject.id, Hold.id == HeldObject.hold_id, Hold.released_at.is_(None)
    )
    rows = (
        select(
            PreservedObject.id,
            PreservedObject.preserved_at,
            RetentionPlan.retain_until,
            RetentionPlan.is_permanent,
            RetentionPlan.is_waiting,
            RetentionPlan.entry_id,
            lock.c.locked_until,
            lock.c.has_hold,
            held.label("is_held"),
        )
        .outerjoin(RetentionPlan, RetentionPlan.object_id == PreservedObject.id)
        .outerjoin(lock, lock.c.object_id == PreservedObject.id)
        .where(PreservedObject.id.in_(which))
    )
    return [
        Standing(
            row.id,
            row.retain_until,
            bool(row.is_permanent),
            bool(row.is_waiting),
            row.entry_id,
            first(row.preserved_at) if row.locked_until is None else row.locked_until,
            bool(row.has_hold),
            bool(row.is_held),
        )
        for row in tx.execute(rows)
    ]


def ends_too_soon(locked_until: Any, at: Instant, term: timedelta) -> ColumnElement[bool]:
    """Return the condition that a lock is to be renewed or extended, for a query that outer joins the plan."""
    rolling = or_(RetentionPlan.object_id.is_(None), RetentionPlan.is_waiting)
    return and_(
        locked_until < at + max(PERMANENT_TERM, term) * 2 / 3,
        or_(
            and_(rolling, locked_until < at + term * 2 / 3),
            RetentionPlan.is_permanent,
            and_(RetentionPlan.retain_until > at, RetentionPlan.retain_until > locked_until),
        ),
    )


def wants_hold_now() -> Select[UUID]:
    """Return the query for the objects that a hold covers now."""
    return select(HeldObject.object_id).join(Hold, Hold.id == HeldObject.hold_id).where(Hold.released_at.is_(None))


def was_released() -> Select[UUID]:
    """Return the query for the objects that holds covered, and none covers any more; nor are they permanent."""
    still = wants_hold_now().subquery("still")
    permanent = select(RetentionPlan.object_id).where(RetentionPlan.is_permanent)
    return (
        select(HeldObject.object_id)
        .join(Hold, Hold.id == HeldObject.hold_id)
        .where(
            Hold.released_at.is_not(None),
            ~exists().where(still.c.object_id == HeldObject.object_id),
            ~permanent.where(RetentionPlan.object_id == HeldObject.object_id).exists(),
        )
    )

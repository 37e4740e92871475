"""What disposition asks others: what stops an object, and until when it is kept by what is known now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from archive.db.sight import unbound
from archive.kernel.instants import Instant
from retention.disposition.stopping import copies_out_of_reach
from retention.schedules.algebra import Kept
from retention.stops import Stop, StopKind

KeptNow = Callable[[Session, Sequence[UUID], Instant], Mapping[UUID, Kept]]
"""Counts anew, from facts and the schedule in force, what keeps each of these objects."""


class StopsOf(Protocol):
    """Finds everything that stops the disposition of objects (`retention.holding.stops`)."""

    def __call__(
        self, tx: Session, object_ids: Sequence[UUID], at: Instant, *, leave_out: UUID | None = None
    ) -> Mapping[UUID, tuple[Stop, ...]]:
        """Return every stop of each object; `leave_out` is the list that asks."""
        ...


@dataclass(frozen=True, slots=True)
class DisposalRules:
    """What lists are made and carried out by, put together by wiring.

    `period` is the recovery period, `key` what decisions are vouched with, `copy_place` where the second copy is, empty
    for none. With `kept_now` plans are counted anew: whoever can write the table of plans destroys nothing by it.
    """

    stops_of: StopsOf
    period: timedelta
    key: bytes = field(repr=False)
    copy_place: str = ""
    kept_now: KeptNow | None = None

    def stops(
        self, tx: Session, object_ids: Sequence[UUID], at: Instant, *, leave_out: UUID | None = None
    ) -> Mapping[UUID, tuple[Stop, ...]]:
        """Return every stop of each object, whoever asks; also those that a plan does not know of."""
        with unbound(tx):
            found = dict(self.stops_of(tx, object_ids, at, leave_out=leave_out))
            if self.kept_now is not None:
                kept = self.kept_now(tx, object_ids, at)
                found = {each: _with_kept(found[each], kept.get(each), at) for each in object_ids}
            for object_id, stop in copies_out_of_reach(tx, object_ids, place=self.copy_place):
                found[object_id] = (*found[object_id], stop)
        return found


def _with_kept(told: tuple[Stop, ...], kept: Kept | None, at: Instant) -> tuple[Stop, ...]:
    if kept is None:
        return (*told, Stop(StopKind.NOT_PLANNED))
    more = [] if kept.reasons else [Stop(StopKind.NO_RULE)]
    if kept.is_permanent:
        more.append(Stop(StopKind.PERMANENT))
    if kept.waits:
        more.append(Stop(StopKind.CLOCK_NOT_BEGUN))
    if kept.until is not None and kept.until > at:
        more.append(Stop(StopKind.NOT_DUE, until=kept.until))
    kinds = {stop.kind for stop in told}
    return (*told, *(stop for stop in more if stop.kind not in kinds))

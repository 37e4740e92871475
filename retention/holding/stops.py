"""Everything that keeps objects from being disposed of now, told with what it is and when it ends by itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from archive.db.sight import unbound
from archive.kernel.instants import Instant
from retention.holding.sources import SOURCES, Asked
from retention.stops import Stop, StopKind

_AT_ONCE: Final = 1_000
_ORDER: Final = {kind: place for place, kind in enumerate(StopKind)}


def stops_of(
    tx: Session, object_ids: Sequence[UUID], at: Instant, *, leave_out: UUID | None = None
) -> Mapping[UUID, tuple[Stop, ...]]:
    """Return every stop of each of these objects at a moment; an empty tuple means that nothing stops it.

    Whoever asks: also what the transaction does not see. The number of queries is the same for each 1,000 objects.
    `leave_out` is the disposition list that asks, whose own hand on its objects is not told. Whoever is about to
    destroy asks in the transaction that says so, with the rows of the objects locked (`FOR UPDATE`): a hold that is
    placed at the same moment then waits, or is told.
    """
    found: dict[UUID, set[Stop]] = {object_id: set() for object_id in object_ids}
    with unbound(tx):
        for some in _some(list(found)):
            for source in SOURCES:
                for object_id, stop in source(tx, Asked(some, at, leave_out)):
                    found[object_id].add(stop)
    return {object_id: tuple(sorted(stops, key=_place)) for object_id, stops in found.items()}


def _place(stop: Stop) -> tuple[int, str, str]:
    return _ORDER[stop.kind], str(stop.ref_id or ""), "" if stop.until is None else stop.until.isoformat()


def _some(object_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for first in range(0, len(object_ids), _AT_ONCE):
        yield object_ids[first : first + _AT_ONCE]

"""What disposition itself stops: an object stands on one list at a time, and what is gone is not destroyed again."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from retention.disposition.models import DispositionItem, DispositionList, Tombstone
from retention.disposition.terms import OPEN_STATES, ItemState
from retention.models import CopyPlace, ObjectCopy
from retention.stops import Stop, StopKind

_ON_LIST = (ItemState.LISTED.value, ItemState.BEGUN.value)


def disposition_stops(
    tx: Session, object_ids: Sequence[UUID], *, leave_out: UUID | None = None
) -> Iterator[tuple[UUID, Stop]]:
    """Yield the list that each object stands on, but for the one that asks; and the list that a tombstone is of."""
    listed = (
        select(DispositionItem.object_id, DispositionItem.list_id)
        .join(DispositionList, DispositionList.id == DispositionItem.list_id)
        .where(
            DispositionItem.object_id.in_(object_ids),
            DispositionItem.state.in_(_ON_LIST),
            DispositionList.state.in_([state.value for state in OPEN_STATES]),
        )
    )
    gone = select(Tombstone.object_id, Tombstone.list_id).where(Tombstone.object_id.in_(object_ids))
    for query in (listed, gone):
        for object_id, list_id in tx.execute(query):
            if list_id != leave_out:
                yield object_id, Stop(StopKind.IN_DISPOSITION, list_id)


def copies_out_of_reach(tx: Session, object_ids: Sequence[UUID], *, place: str) -> Iterator[tuple[UUID, Stop]]:
    """Yield the objects of which there is a copy in a place that is not the one in use now: nobody could delete it."""
    elsewhere = (
        select(ObjectCopy.object_id)
        .join(CopyPlace, CopyPlace.id == ObjectCopy.place_id)
        .where(ObjectCopy.object_id.in_(object_ids), ObjectCopy.head > 0, CopyPlace.place != place[:300])
        .distinct()
    )
    yield from ((object_id, Stop(StopKind.COPY_OUT_OF_REACH)) for object_id in tx.scalars(elsewhere))

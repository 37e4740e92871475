"""What a move keeps from being disposed of: all that two places hold at once."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.kernel.instants import Instant
from retention.moving.models import MovedObject, StoreMove
from retention.moving.terms import UNDER_WAY, MoveState
from retention.stops import Stop, StopKind


def being_moved(tx: Session, object_ids: Sequence[UUID], at: Instant) -> Mapping[UUID, Stop]:
    """Return the stop of each object that a move keeps; those that it does not keep are left out.

    Until a move has switched and the old place is released, or it is given up and its copies are gone, what would be
    destroyed in one place would live on in the other.
    """
    del at
    move = tx.execute(select(StoreMove.id, StoreMove.state).where(StoreMove.state.in_(UNDER_WAY))).first()
    if move is None:
        return {}
    stop, kept = Stop(StopKind.BEING_MOVED, move.id), set(object_ids)
    if move.state in {MoveState.RELEASING, MoveState.ABANDONING}:
        left = select(MovedObject.object_id).where(
            MovedObject.move_id == move.id,
            MovedObject.object_id.in_(list(object_ids)),
            MovedObject.cleared_at.is_(None),
        )
        kept = set(tx.scalars(left))
    return dict.fromkeys(kept, stop)

"""Beginning a move, and giving one up before it has switched."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update

from archive.db.base import insert_row
from archive.kernel.canonical import canonical_json
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import new_uuid7
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.proofs import head
from archive.ocfl.layout import ROOT_FILES
from retention.moving.models import StoreMove
from retention.moving.parts import MoveParts, Side, move_in
from retention.moving.terms import UNDER_WAY, MoveState, MoveUnderWay, PlaceTaken

KIND = "store_move"


def begin_move(parts: MoveParts, to_settings: Mapping[str, Any], *, keep_days: int, by: Actor) -> UUID:
    """Begin to move everything from the store in use to the one that these settings name; return the move's id.

    The storage root is made there, nothing is copied yet.
    Raises: MoveUnderWay; InvalidInput for the place that is in use; PlaceTaken where something lies there that no
        earlier move of this archive has put there; StoreUnavailable, StorageFull, SettingsInvalid.
    """
    at, move_id = parts.clock.now(), new_uuid7()
    with parts.alone():
        target = parts.open_side(to_settings)
        try:
            if target.place == parts.place:
                raise InvalidInput("This is the place of the store in use", place=target.place)
            with parts.database.read() as tx:
                if tx.scalar(select(StoreMove.id).where(StoreMove.state.in_(UNDER_WAY))) is not None:
                    raise MoveUnderWay
                ours = or_(StoreMove.from_place == target.place, StoreMove.to_place == target.place)
                is_ours = tx.scalar(select(StoreMove.id).where(ours).limit(1)) is not None
            if not is_ours and _is_taken(target):
                raise PlaceTaken(place=target.place)
            target.objects.prepare()
        finally:
            target.close()
        facts = {
            "from_place": parts.place,
            "to_place": target.place,
            "from_settings": canonical_json(dict(parts.settings)).decode(),
            "to_settings": canonical_json(dict(to_settings)).decode(),
            "keep_days": keep_days,
        }
        with parts.database.begin() as tx:
            newest = head(tx)
            insert_row(
                tx,
                StoreMove,
                id=move_id,
                state=MoveState.COPYING.value,
                begun_by=by.id,
                begun_at=at,
                scanned=0 if newest is None else newest.size,
                journal_size=0,
                **facts,
            )
            append_entry(tx, NewEntry(EntryType.STORE_MOVE_BEGUN, by, Target(KIND, move_id), detail=facts), at=at)
    return move_id


def give_up(parts: MoveParts, *, by: Actor) -> None:
    """Give up the move that has not switched; what was copied is removed by `clear_given_up`. Idempotent.

    Raises: NoMove, MoveNotReady once it has switched.
    """
    at = parts.clock.now()
    with parts.alone(), parts.database.begin() as tx:
        move = move_in(tx, MoveState.COPYING, MoveState.ABANDONING)
        if move.state == MoveState.ABANDONING:
            return
        detail = {"step": "begun", "place": move.to_place}
        append_entry(tx, NewEntry(EntryType.STORE_MOVE_ABANDONED, by, Target(KIND, move.id), detail=detail), at=at)
        tx.execute(update(StoreMove).where(StoreMove.id == move.id).values(state=MoveState.ABANDONING.value))


def _is_taken(side: Side) -> bool:
    """Return whether anything but the files of a storage root lies in a place."""
    stores = (side.originals, side.quarantine, side.drafts, side.renditions, side.journal)
    return any(key not in ROOT_FILES for store in stores for key in store.keys(""))

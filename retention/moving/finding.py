"""What a move has still to copy: objects of the catalogue that it does not know, and later versions, by the log.

As with the second copy, entries are looked at by their index, so that what commits late is not passed by. While a move
switches, entries without an index count too.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, select, update
from sqlalchemy.orm import Session

from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import insert_rows
from archive.ledger.models import LogLeaf, LogPending
from archive.ledger.proofs import head
from retention.copies import ADDING
from retention.moving.models import MovedObject, StoreMove
from retention.moving.parts import MoveParts
from retention.moving.terms import ObjectState

_AT_ONCE: Final = 10_000
_PER_STATEMENT: Final = 500


def note_due(parts: MoveParts, move_id: UUID) -> None:
    """Write down what is to be moved and was not known, in the catalogue's order, then what the log tells of."""
    last = UUID(int=0)
    while True:
        with parts.database.begin() as tx:
            fresh = unknown_objects(move_id, parts.tombstones).where(PreservedObject.id > last)
            found = list(tx.scalars(fresh.order_by(PreservedObject.id).limit(_AT_ONCE)))
            add_objects(tx, move_id, found)
        if len(found) < _AT_ONCE:
            break
        last = found[-1]
    while not _scan(parts, move_id):
        pass


def unknown_objects(move_id: UUID, tombstones: Select[UUID] | None) -> Select[UUID]:
    """Return the query for the objects of the catalogue that a move does not know yet."""
    known = exists().where(MovedObject.move_id == move_id, MovedObject.object_id == PreservedObject.id)
    query = select(PreservedObject.id).where(~known)
    return query if tombstones is None else query.where(PreservedObject.id.not_in(tombstones))


def add_objects(tx: Session, move_id: UUID, object_ids: Sequence[UUID]) -> None:
    """Write down objects that are to be moved."""
    due = {"move_id": move_id, "state": ObjectState.DUE.value, "head": 0, "is_held": False}
    for start in range(0, len(object_ids), _PER_STATEMENT):
        rows = [{**due, "object_id": each} for each in object_ids[start : start + _PER_STATEMENT]]
        insert_rows(tx, MovedObject, rows)


def make_due(tx: Session, move_id: UUID, object_ids: Sequence[UUID]) -> None:
    """Have objects looked at again, which may have a later version."""
    for start in range(0, len(object_ids), _PER_STATEMENT):
        these = MovedObject.object_id.in_(object_ids[start : start + _PER_STATEMENT])
        known = update(MovedObject).where(MovedObject.move_id == move_id, these)
        tx.execute(known.values(state=ObjectState.DUE.value, tried_at=None))


def later_versions(tx: Session, since: int, until: int) -> Sequence[UUID]:
    """Return the objects that entries with these indices tell a version of."""
    placed = _events(LogLeaf.index >= since, LogLeaf.index < until).join(
        LogLeaf, LogLeaf.entry_id == CustodyEvent.entry_id
    )
    return list(dict.fromkeys(tx.scalars(placed)))


def unplaced_versions(tx: Session) -> Sequence[UUID]:
    """Return the objects that entries without an index tell a version of."""
    pending = _events().join(LogPending, LogPending.entry_id == CustodyEvent.entry_id)
    return list(dict.fromkeys(tx.scalars(pending)))


def log_size(tx: Session) -> int:
    """Return how many entries of the log have an index."""
    newest = head(tx)
    return 0 if newest is None else newest.size


def _events(*conditions: ColumnElement[bool]) -> Select[UUID]:
    return select(CustodyEvent.object_id).where(CustodyEvent.type.in_(ADDING), *conditions)


def _scan(parts: MoveParts, move_id: UUID) -> bool:
    """Look through some of the log; return whether that was all of it."""
    with parts.database.begin() as tx:
        move = tx.get_one(StoreMove, move_id, with_for_update=True)
        size = log_size(tx)
        ends = min(size, move.scanned + _AT_ONCE)
        make_due(tx, move_id, later_versions(tx, move.scanned, ends))
        move.scanned = ends
    return ends == size

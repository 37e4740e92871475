"""The store in use under another name: its server is called otherwise, its folder lies elsewhere. Nothing moves."""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.store_guard import hold_store, store_in_use
from archive.kernel.canonical import canonical_json
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import ObjectId, new_uuid7
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.blobs import StoreBroken
from retention.moving.beginning import KIND
from retention.moving.models import StoreMove
from retention.moving.parts import MoveParts, Side
from retention.moving.terms import UNDER_WAY, MoveState, MoveUnderWay, NotThisStore

_AT_ONCE: Final = 1_000


def rename_store(parts: MoveParts, *, by: Actor) -> UUID:
    """Take the place that the settings name for the store in use, once it shows every object of the catalogue.

    Inventories are read and held against the catalogue, not the bytes of originals: those are for fixity.
    Raises: InvalidInput where the name is the one that is known, or none is; MoveUnderWay, MoverBusy; NotThisStore;
        StoreUnavailable.
    """
    with parts.alone():
        with parts.database.read() as tx:
            used = store_in_use(tx)
            if tx.scalar(select(StoreMove.id).where(StoreMove.state.in_(UNDER_WAY))) is not None:
                raise MoveUnderWay
        if used is None or used == parts.place:
            raise InvalidInput("The store in use has this name, or was never moved and has none", place=parts.place)
        side = parts.open_side(parts.settings)
        try:
            _require_all(parts, side)
        finally:
            side.close()
        return _write(parts, used, by=by)


def _require_all(parts: MoveParts, side: Side) -> None:
    last = UUID(int=0)
    while True:
        with parts.database.read() as tx:
            found = _some(tx, parts, last)
        for row in found:
            try:
                inventory = side.objects.read_inventory(ObjectId(row.id))
            except (NotFound, StoreBroken) as exc:
                raise NotThisStore(place=side.place, object_id=str(row.id)) from exc
            if inventory.manifest.get(f"v1/content/{row.content_path}") != row.sha512:
                raise NotThisStore(place=side.place, object_id=str(row.id))
        if len(found) < _AT_ONCE:
            return
        last = found[-1].id


def _some(tx: Session, parts: MoveParts, last: UUID) -> list[PreservedObject]:
    query = select(PreservedObject).where(PreservedObject.id > last)
    if parts.tombstones is not None:
        query = query.where(PreservedObject.id.not_in(parts.tombstones))
    return list(tx.scalars(query.order_by(PreservedObject.id).limit(_AT_ONCE)))


def _write(parts: MoveParts, used: str, *, by: Actor) -> UUID:
    at, move_id = parts.clock.now(), new_uuid7()
    settings = canonical_json(dict(parts.settings)).decode()
    facts = {
        "from_place": used,
        "to_place": parts.place,
        "from_settings": settings,
        "to_settings": settings,
        "keep_days": 0,
    }
    with parts.database.begin() as tx:
        hold_store(tx)
        insert_row(
            tx,
            StoreMove,
            id=move_id,
            state=MoveState.RENAMED.value,
            begun_by=by.id,
            begun_at=at,
            scanned=0,
            journal_size=0,
            switched_at=at,
            **facts,
        )
        target = Target(KIND, move_id)
        append_entry(tx, NewEntry(EntryType.STORE_MOVE_BEGUN, by, target, detail=facts), at=at)
        told = {"step": "renamed", "from_place": used, "to_place": parts.place}
        append_entry(tx, NewEntry(EntryType.STORE_MOVE_SWITCHED, by, target, detail=told), at=at)
    return move_id

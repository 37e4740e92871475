"""Switching to the new place in one short stop: what came last is brought, the report balances, and one row says so.

All in one transaction that every other change of the archive waits for. A process that is killed in it leaves the old
place in use and nothing to undo; one that is killed after it leaves the new one in use, and `settle` to go on with.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.db.store_guard import hold_store
from archive.kernel.errors import NotFound
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.ocfl.files import version_keys
from retention.models import ObjectLock
from retention.moving.beginning import KIND
from retention.moving.blobs import bring_segment, copy_blobs, copy_renditions, segments
from retention.moving.copying import Done, move_one, tell_verified, verify, wanted_locks
from retention.moving.finding import (
    add_objects,
    later_versions,
    log_size,
    make_due,
    unknown_objects,
    unplaced_versions,
)
from retention.moving.models import MovedObject, StoreMove
from retention.moving.parts import BATCH, MoveParts, Sides, move_in
from retention.moving.reporting import Balance, Report, balance, keep_report, make_report
from retention.moving.running import Progress, copy_everything
from retention.moving.terms import MoveNotReady, MoveState, MoveUnbalanced, ObjectState, TooMuchCameIn, UploadsInBucket

_LONGEST_S: Final = 20.0
"""Less than other changes wait for their turn (30 s), so that none of them fails for a switch."""
_MOST_IN_STOP: Final = 100


def switch_move(parts: MoveParts, *, by: Actor, progress: Progress = lambda _: None) -> Balance:
    """Bring all that waits, make the report, and take the new place into use; return how it stood at that moment.

    Guarantees: on return every later change of the archive needs the settings of the new place, and every object is
        verified there. `settle_move` is to be called next, by a process that has them or by this one.
    Raises: NoMove, MoveNotReady, MoverBusy, UploadsInBucket; MoveUnbalanced where anything is missing or different;
        TooMuchCameIn, BlobDiffers, StorageFull, StoreUnavailable; nothing was switched then.
    """
    with parts.alone():
        with parts.database.read() as tx:
            move = move_in(tx, MoveState.COPYING)
        with parts.sides(move) as sides:
            copy_everything(parts, sides, move, by=by, progress=progress)
            report = make_report(parts, move, "before-switch")
            if report.balance.faults:
                raise MoveUnbalanced(missing=report.balance.missing, different=report.balance.different)
            found = _stop_and_switch(parts, sides, move, report, by=by)
        parts.database.write_for(move.to_place)
    return found


def settle_move(parts: MoveParts, *, by: Actor, progress: Progress = lambda _: None) -> Balance:
    """Do what follows a switch, and make the report of it; return how it stands. Idempotent.

    The old place stays locked for as long as it is kept, locks in the new one are written down, renditions that were
    made last are brought, and every object is put first in line for the checks of fixity.
    Raises: NoMove, MoveNotReady, MoverBusy; StorageFull, StoreUnavailable.
    """
    with parts.alone():
        with parts.database.read() as tx:
            move = move_in(tx, MoveState.SWITCHED)
            if move.settled_at is not None:
                return balance(tx, move, parts.tombstones)
        with parts.sides(move) as sides:
            copy_renditions(sides.source.renditions, sides.target.renditions, removes=False)
            count = 0
            while settled := _settle_some(parts, sides, move):
                count += settled
                progress(count)
        report = make_report(parts, move, "switch")
        with parts.database.begin() as tx:
            at = parts.clock.now()
            told = {"step": "settled", **keep_report(tx, move, report)}
            tx.execute(update(StoreMove).where(StoreMove.id == move.id).values(settled_at=at))
            append_entry(tx, NewEntry(EntryType.STORE_MOVE_SWITCHED, by, Target(KIND, move.id), detail=told), at=at)
    return report.balance


# ---- the stop --------------------------------------------------------------------------------------------------------


def _stop_and_switch(parts: MoveParts, sides: Sides, move: StoreMove, report: Report, *, by: Actor) -> Balance:
    ends = time.monotonic() + _LONGEST_S
    with parts.database.begin() as tx:
        hold_store(tx)
        row = tx.get_one(StoreMove, move.id, with_for_update=True)
        if row.state != MoveState.COPYING:
            raise MoveNotReady(state=row.state)
        if waiting := parts.uploads(tx):
            raise UploadsInBucket(uploads=waiting)
        at = parts.clock.now()
        done = _bring_last(tx, parts, sides, row, ends=ends, at=at)
        tell_verified(tx, row, done, by=by, at=at)
        found = balance(tx, row, parts.tombstones)
        if not found.balances:
            raise MoveUnbalanced(missing=found.missing, different=found.different, waiting=found.waiting)
        row.state, row.switched_at, row.keep_until = (
            MoveState.SWITCHED.value,
            at,
            at + timedelta(days=row.keep_days),
        )
        told = {
            "step": "switched",
            "from_place": row.from_place,
            "to_place": row.to_place,
            "keep_until": format_instant(row.keep_until),
            "verified": found.verified,
            "brought_last": len(done.rows),
            **keep_report(tx, row, report),
        }
        append_entry(tx, NewEntry(EntryType.STORE_MOVE_SWITCHED, by, Target(KIND, row.id), detail=told), at=at)
        _require_time(ends)
    return found


def _bring_last(tx: Session, parts: MoveParts, sides: Sides, move: StoreMove, *, ends: float, at: Instant) -> Done:
    """Bring what came since the last round, while nothing else comes. Raises: TooMuchCameIn; what stores raise."""
    fresh = list(tx.scalars(unknown_objects(move.id, parts.tombstones).limit(_MOST_IN_STOP + 1)))
    if len(fresh) > _MOST_IN_STOP:
        raise TooMuchCameIn
    add_objects(tx, move.id, fresh)
    size = log_size(tx)
    make_due(tx, move.id, [*later_versions(tx, move.scanned, size), *unplaced_versions(tx)])
    move.scanned = size
    waiting = (
        select(MovedObject, PreservedObject)
        .join(PreservedObject, PreservedObject.id == MovedObject.object_id)
        .where(MovedObject.move_id == move.id, MovedObject.state != ObjectState.VERIFIED.value)
        .order_by(MovedObject.object_id)
        .limit(_MOST_IN_STOP + 1)
    )
    if parts.tombstones is not None:
        waiting = waiting.where(MovedObject.object_id.not_in(parts.tombstones))
    rows = tx.execute(waiting).all()
    if len(rows) > _MOST_IN_STOP:
        raise TooMuchCameIn
    locks, done = wanted_locks(tx, sides.target, [row.object_id for row, _ in rows], at=at), Done()
    for row, original in rows:
        _require_time(ends)
        values, size_bytes = move_one(sides, row, locks[row.object_id], at=at)
        _set(row, values)
        if row.state == ObjectState.MOVED:
            values = verify(sides, row, original, at=at)
            _set(row, values)
        done.take(row.object_id, values, size_bytes)
    for name, source in sides.source.blobs.items():
        copy_blobs(source, sides.target.blobs[name], rereads=False)
        _require_time(ends)
    for segment, sha256 in segments(tx, move.journal_size):
        bring_segment(sides, segment, sha256)
        move.journal_size = segment.new_size
        _require_time(ends)
    tx.flush()
    return done


def _set(row: MovedObject, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _require_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise TooMuchCameIn


# ---- after it --------------------------------------------------------------------------------------------------------


def _settle_some(parts: MoveParts, sides: Sides, move: StoreMove) -> int:
    """Settle up to 100 objects; return how many."""
    here = MovedObject.move_id == move.id
    with parts.database.read() as tx:
        is_there = MovedObject.state == ObjectState.VERIFIED.value
        due = select(MovedObject.object_id).where(here, is_there, MovedObject.settled_at.is_(None))
        ids = list(tx.scalars(due.order_by(MovedObject.object_id).limit(BATCH)))
    for object_id in ids:
        _keep_old(sides, ObjectId(object_id), move.keep_until)
    at = parts.clock.now()
    with parts.database.begin() as tx:
        if sides.target.term:
            _write_locks(tx, move, ids, at=at)
        parts.recheck(tx, ids, at)
        tx.execute(update(MovedObject).where(here, MovedObject.object_id.in_(ids)).values(settled_at=at))
    return len(ids)


def _keep_old(sides: Sides, object_id: ObjectId, until: Instant | None) -> None:
    """Keep an object locked in the old place for as long as that is kept, where it has locks."""
    if not sides.source.term or until is None:
        return
    try:
        inventory = sides.source.objects.read_inventory(object_id)
        for number in range(1, inventory.head + 1):
            sides.source.originals.lock(version_keys(inventory, number), until)
    except NotFound:
        return  # what the old place has lost since is in the new one


def _write_locks(tx: Session, move: StoreMove, object_ids: list[UUID], *, at: Instant) -> None:
    """Write down until when objects are locked in the store that is in use now, with the entry that tells it."""
    rows = tx.execute(
        select(MovedObject.object_id, MovedObject.locked_until).where(
            MovedObject.move_id == move.id, MovedObject.object_id.in_(object_ids)
        )
    )
    locked = {object_id: until for object_id, until in rows if until is not None}
    if not locked:
        return
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = insert(ObjectLock).values([{"object_id": each, "locked_until": until} for each, until in locked.items()])
    now = {"locked_until": added.excluded.locked_until}
    tx.execute(added.on_conflict_do_update(index_elements=[ObjectLock.object_id], set_=now))
    until = format_instant(min(locked.values()))
    told = {"until": until, "place": move.to_place, "objects": [str(each) for each in locked]}
    append_entry(tx, NewEntry(EntryType.RETENTION_EXTENDED, ARCHIVE, detail=told), at=at)

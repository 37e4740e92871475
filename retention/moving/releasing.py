"""Giving up a place: the one that was left, once all is read again in the new one; or the new one of a move given up.

Nothing goes while anything is missing or different. An object goes whole or not at all; what a lock holds stays, and is
told until the lock has ended. Each step goes on from where it was killed: what is gone already is found gone.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.db.store_guard import store_in_use
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.layout import ROOT_FILES
from retention.moving.beginning import KIND
from retention.moving.blobs import check_segment, require_same, segments
from retention.moving.clearing import clear_object, delete_keys, last_lock
from retention.moving.copying import NO_FAULT, Done, read_whole, write_down
from retention.moving.models import MovedObject, StoreMove
from retention.moving.parts import BATCH, BATCH_BYTES, MoveParts, Side, move_in
from retention.moving.reporting import keep_report, make_report
from retention.moving.running import MoveStanding, Progress, standing
from retention.moving.terms import MoveKept, MoveNotReady, MoveState, MoveUnbalanced, ObjectState

_ENDED: Final = {MoveState.RELEASING: MoveState.RELEASED, MoveState.ABANDONING: MoveState.ABANDONED}
_TYPES: Final = {
    MoveState.RELEASING: EntryType.STORE_MOVE_RELEASED,
    MoveState.ABANDONING: EntryType.STORE_MOVE_ABANDONED,
}


def release_move(
    parts: MoveParts, *, by: Actor, leaves: bool = False, progress: Progress = lambda _: None
) -> MoveStanding:
    """Release the place that was left, as far as its locks let it; return how it stands.

    First every object is read whole once more in the store in use, and what lies beside the originals is held against
    what the old place has; the report must balance before anything goes. With `leaves` nothing is taken away there:
    for a place that is lost, or kept by others.
    Raises: NoMove, MoverBusy; MoveNotReady before the switch is settled; MoveKept while it is to be kept;
        MoveUnbalanced, BlobDiffers; StorageFull, StoreUnavailable.
    """
    with parts.alone():
        with parts.database.read() as tx:
            move = move_in(tx, MoveState.SWITCHED, MoveState.RELEASING)
        if move.state == MoveState.SWITCHED:
            _require_over(move, parts.clock.now())
            with parts.opened(move.to_settings) as target:
                _check_again(parts, target, move, progress)
                if not leaves:
                    with parts.opened(move.from_settings) as source:
                        for name, store in source.blobs.items():
                            require_same(store, target.blobs[name])
            _begin_release(parts, move, by=by)
        return _clear(parts, MoveState.RELEASING, by=by, leaves=leaves, progress=progress)


def clear_given_up(
    parts: MoveParts, *, by: Actor, leaves: bool = False, progress: Progress = lambda _: None
) -> MoveStanding:
    """Take away what a move that was given up has copied, as far as locks let it; return how it stands.

    With `leaves` nothing is taken away, as in `release_move`.
    Raises: NoMove, MoveNotReady before it is given up, MoverBusy; StoreUnavailable.
    """
    with parts.alone():
        return _clear(parts, MoveState.ABANDONING, by=by, leaves=leaves, progress=progress)


# ---- before anything goes --------------------------------------------------------------------------------------------


def _require_over(move: StoreMove, at: Instant) -> None:
    if move.settled_at is None or move.keep_until is None:
        raise MoveNotReady("The switch is not settled yet: run `liuhen move switch` again", state=move.state)
    if at < move.keep_until:
        raise MoveKept(until=format_instant(move.keep_until))


def _check_again(parts: MoveParts, target: Side, move: StoreMove, progress: Progress) -> None:
    began, count = parts.clock.now(), 0
    while checked := _recheck_some(parts, target, move, began=began):
        count += checked
        progress(count)
    with parts.database.read() as tx:
        found = segments(tx, 0)
    for segment, sha256 in found:
        check_segment(target.journal, segment, sha256)


def _recheck_some(parts: MoveParts, target: Side, move: StoreMove, *, began: Instant) -> int:
    """Read up to 100 objects again that were not since the switch, or were found damaged; return how many."""
    is_damaged = (MovedObject.state != ObjectState.VERIFIED.value) & (MovedObject.tried_at < began)
    with parts.database.read() as tx:
        rows = tx.execute(
            select(MovedObject, PreservedObject)
            .join(PreservedObject, PreservedObject.id == MovedObject.object_id)
            .where(MovedObject.move_id == move.id, or_(MovedObject.rechecked_at.is_(None), is_damaged))
            .order_by(MovedObject.object_id)
            .limit(BATCH)
        ).all()
    done = Done()
    for row, original in rows:
        at = parts.clock.now()
        fault = read_whole(target, original, at=at)
        sound = {"state": ObjectState.VERIFIED.value, **NO_FAULT}
        values = {**(sound if fault is None else fault), "verified_at": row.verified_at, "rechecked_at": at}
        done.take(row.object_id, values, original.size_bytes)
        if done.size_bytes >= BATCH_BYTES:
            break
    with parts.database.begin() as tx:
        write_down(tx, move, done)
    return len(done.rows)


def _begin_release(parts: MoveParts, move: StoreMove, *, by: Actor) -> None:
    report = make_report(parts, move, "release")
    if not report.balance.balances:
        raise MoveUnbalanced(missing=report.balance.missing, different=report.balance.different)
    at = parts.clock.now()
    with parts.database.begin() as tx:
        told = {"step": "begun", "place": move.from_place, **keep_report(tx, move, report)}
        append_entry(tx, NewEntry(EntryType.STORE_MOVE_RELEASED, by, Target(KIND, move.id), detail=told), at=at)
        tx.execute(update(StoreMove).where(StoreMove.id == move.id).values(state=MoveState.RELEASING.value))


# ---- giving up a place -----------------------------------------------------------------------------------------------


def _clear(parts: MoveParts, state: MoveState, *, by: Actor, leaves: bool, progress: Progress) -> MoveStanding:
    with parts.database.read() as tx:
        move, used = move_in(tx, state), store_in_use(tx)
    place, settings = (
        (move.from_place, move.from_settings) if state is MoveState.RELEASING else (move.to_place, move.to_settings)
    )
    if place in {used, parts.place}:
        raise MoveNotReady("The place that is to be given up is the one in use", place=place)
    kept = 0
    if not leaves:
        with parts.opened(settings) as side:
            kept = _clear_place(parts, side, move, by=by, progress=progress)
    if not kept:
        _end(parts, move, state, by=by)
    with parts.database.read() as tx:
        return standing(tx, parts, move.id)


def _clear_place(parts: MoveParts, side: Side, move: StoreMove, *, by: Actor, progress: Progress) -> int:
    """Take away what is not locked; return how much is."""
    count = 0
    while cleared := _clear_some(parts, side, move, by=by):
        count += cleared
        progress(count)
    with parts.database.read() as tx:
        left = len(tx.scalars(_left(move).limit(BATCH)).all())
    return left or _clear_beside(side, at=parts.clock.now())


def _end(parts: MoveParts, move: StoreMove, state: MoveState, *, by: Actor) -> None:
    """Write down that the place is given up, and how many objects it still holds, where these were left there."""
    at, ended = parts.clock.now(), _ENDED[state]
    column = "released_at" if ended is MoveState.RELEASED else "abandoned_at"
    with parts.database.begin() as tx:
        left = int(tx.scalar(select(func.count()).select_from(_left(move).subquery())) or 0)
        tx.execute(update(StoreMove).where(StoreMove.id == move.id).values({"state": ended.value, column: at}))
        told = {"step": "done", "left": left}
        append_entry(tx, NewEntry(_TYPES[state], by, Target(KIND, move.id), detail=told), at=at)


def _left(move: StoreMove) -> Any:
    return select(MovedObject.object_id).where(MovedObject.move_id == move.id, MovedObject.cleared_at.is_(None))


def _clear_some(parts: MoveParts, side: Side, move: StoreMove, *, by: Actor) -> int:
    """Take up to 100 objects away, or write down until when a lock keeps them; return how many were looked at."""
    at = parts.clock.now()
    due = _left(move).where(or_(MovedObject.kept_until.is_(None), MovedObject.kept_until <= at))
    with parts.database.read() as tx:
        ids = list(tx.scalars(due.order_by(MovedObject.object_id).limit(BATCH)))
    gone, kept = list[UUID](), dict[UUID, Instant]()
    for object_id in ids:
        until = clear_object(side.originals, ObjectId(object_id), at=at)
        if until is None:
            gone.append(object_id)
        else:
            kept[object_id] = until
    with parts.database.begin() as tx:
        _write_cleared(tx, move, side, gone, kept, by=by, at=at)
    return len(ids)


def _write_cleared(
    tx: Session,
    move: StoreMove,
    side: Side,
    gone: list[UUID],
    kept: dict[UUID, Instant],
    *,
    by: Actor,
    at: Instant,
) -> None:
    here = MovedObject.move_id == move.id
    for object_id, until in kept.items():
        tx.execute(update(MovedObject).where(here, MovedObject.object_id == object_id).values(kept_until=until))
    if gone:
        tx.execute(update(MovedObject).where(here, MovedObject.object_id.in_(gone)).values(cleared_at=at))
        told = {"step": "cleared", "place": side.place, "objects": [str(each) for each in gone]}
        entry = NewEntry(_TYPES[MoveState(move.state)], by, Target(KIND, move.id), detail=told)
        append_entry(tx, entry, at=at)


def _clear_beside(side: Side, *, at: Instant) -> int:
    """Take away what lies beside the originals, then the files of the storage root; return how much is locked."""
    kept = 0
    for store in (side.quarantine, side.drafts, side.journal, side.renditions):
        for key in list(store.keys()):
            until = last_lock(store, [key])
            if until is not None and until > at:
                kept += 1
            else:
                delete_keys(store, [key])
    if not kept:
        # Whatever else lies there was never written down by the archive, and is not its to delete.
        delete_keys(side.originals, [key for key in ROOT_FILES if side.originals.exists(key)])
    return kept

"""Copying until nothing waits, while the archive goes on; and saying how far it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from retention.moving.blobs import copy_blobs, copy_journal, copy_renditions
from retention.moving.clearing import clear_object
from retention.moving.copying import move_some, verify_some
from retention.moving.finding import note_due
from retention.moving.models import MovedObject, StoreMove
from retention.moving.parts import MoveParts, Sides, move_in, move_under_way
from retention.moving.reporting import Balance, balance, lingering_copies
from retention.moving.terms import MoveState, NoMove, ObjectState

_MOST_FAULTS: Final = 100
Progress = Callable[[int], None]


class MoveFault(NamedTuple):
    """An object that could not be moved: what it is in the report, the code of why, and the key of the file."""

    object_id: UUID
    state: str
    code: str
    key: str


@dataclass(frozen=True, slots=True)
class MoveStanding:
    """Where a move stands. Units: bytes of originals that are verified.

    `cleared` objects are gone from the place that is given up; `locked` are kept there by a lock, the last of which
    ends at `locked_until`.
    """

    move: StoreMove
    balance: Balance
    verified_bytes: int
    faults: Sequence[MoveFault]
    rechecked: int
    cleared: int
    locked: int
    locked_until: Instant | None


def run_move(parts: MoveParts, *, by: Actor, progress: Progress = lambda _: None) -> Balance:
    """Copy and verify all that waits, and what comes meanwhile; return how it stands then.

    What has failed is tried once more by each call. Goes on from where the last call ended, however it ended.
    Raises: NoMove, MoveNotReady once it has switched, MoverBusy; BlobDiffers, StorageFull, StoreUnavailable.
    """
    with parts.alone():
        with parts.database.read() as tx:
            move = move_in(tx, MoveState.COPYING)
        with parts.sides(move) as sides:
            copy_everything(parts, sides, move, by=by, progress=progress)
        with parts.database.read() as tx:
            return balance(tx, move, parts.tombstones)


def copy_everything(
    parts: MoveParts, sides: Sides, move: StoreMove, *, by: Actor, progress: Progress = lambda _: None
) -> None:
    """Do one round after the other until none finds anything; the caller holds the place of the one mover.

    Raises: as `run_move`.
    """
    sides.target.objects.prepare()
    began, count = parts.clock.now(), 0
    while True:
        note_due(parts, move.id)
        copied = move_some(parts, sides, move, began=began)
        verified = 0 if copied else verify_some(parts, sides, move, by=by)
        count += verified
        progress(count)
        if not copied and not verified:
            break
    if parts.tombstones is not None:
        _clear_destroyed(parts, sides, move, parts.tombstones)
    for name, source in sides.source.blobs.items():
        copy_blobs(source, sides.target.blobs[name], rereads=True)
    copy_journal(parts, sides, move.id)
    copy_renditions(sides.source.renditions, sides.target.renditions, removes=True)


def _clear_destroyed(parts: MoveParts, sides: Sides, move: StoreMove, tombstones: Select[UUID]) -> None:
    """Take the copies of what was destroyed away, as far as their locks let it: nothing comes to life by a move."""
    with parts.database.read() as tx:
        found = list(tx.scalars(lingering_copies(move.id, tombstones)))
    for object_id in found:
        at = parts.clock.now()
        until = clear_object(sides.target.originals, ObjectId(object_id), at=at)
        this = update(MovedObject).where(MovedObject.move_id == move.id, MovedObject.object_id == object_id)
        with parts.database.begin() as tx:
            tx.execute(this.values(kept_until=until) if until else this.values(head=0, state=ObjectState.DUE.value))


def newest_move(tx: Session) -> StoreMove:
    """Return the move that is under way, else the newest. Raises: NoMove."""
    try:
        return move_under_way(tx)
    except NoMove:
        newest = tx.scalar(select(StoreMove).order_by(StoreMove.id.desc()).limit(1))
        if newest is None:
            raise
        return newest


def standing(tx: Session, parts: MoveParts, move_id: UUID | None = None) -> MoveStanding:
    """Return where a move stands, by default that of `newest_move`. Raises: NoMove."""
    move = newest_move(tx) if move_id is None else tx.get_one(StoreMove, move_id)
    here = MovedObject.move_id == move.id
    verified = select(func.coalesce(func.sum(PreservedObject.size_bytes), 0)).join(
        MovedObject, MovedObject.object_id == PreservedObject.id
    )
    kept = here & MovedObject.cleared_at.is_(None) & MovedObject.kept_until.is_not(None)
    figures = select(
        func.count(MovedObject.rechecked_at),
        func.count(MovedObject.cleared_at),
        select(func.count()).where(kept).scalar_subquery(),
        select(func.max(MovedObject.kept_until)).where(kept).scalar_subquery(),
    ).where(here)
    rechecked, cleared, locked, until = tx.execute(figures).one()
    return MoveStanding(
        move=move,
        balance=balance(tx, move, parts.tombstones),
        verified_bytes=int(tx.scalar(verified.where(here, MovedObject.state == ObjectState.VERIFIED.value)) or 0),
        faults=faults_of(tx, move.id),
        rechecked=rechecked,
        cleared=cleared,
        locked=locked,
        locked_until=until,
    )


def faults_of(tx: Session, move_id: UUID) -> Sequence[MoveFault]:
    """Return up to 100 objects that could not be moved."""
    rows = (
        select(MovedObject.object_id, MovedObject.state, MovedObject.fault, MovedObject.fault_at)
        .where(MovedObject.move_id == move_id, MovedObject.fault.is_not(None))
        .order_by(MovedObject.object_id)
        .limit(_MOST_FAULTS)
    )
    return [MoveFault(row[0], row[1], row[2] or "", row[3] or "") for row in tx.execute(rows)]

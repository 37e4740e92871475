"""Copying and verifying object by object: what was done is written down with its log entry, what failed with its cause.

Each step goes on from where the last one was killed. Copying checks what it reads and reads back what it puts
(`archive.ocfl.copying`); verifying reads the whole object in the new place once more, after others were copied, and
holds it against its inventory, the catalogue, the version that the old place shows, and its lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.kernel.errors import NotFound, StorageFull, Unavailable
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.copying import copy_object
from archive.ocfl.files import version_keys
from archive.ocfl.inventory import Inventory
from archive.ocfl.layout import first_content_key
from archive.ports.blobs import BlobMissing, LockableBlobStore, StoreBroken, StoreUnavailable
from retention.holding.models import HeldObject, Hold
from retention.models import ObjectLock
from retention.moving.beginning import KIND
from retention.moving.clearing import clear_object
from retention.moving.models import MovedObject, StoreMove
from retention.moving.parts import BATCH, BATCH_BYTES, MoveParts, Side, Sides
from retention.moving.terms import ObjectState
from retention.planning.models import RetentionPlan

_TO_COPY: Final = (ObjectState.DUE, ObjectState.MISSING, ObjectState.DIFFERENT)
NO_FAULT: Final = {"fault": None, "fault_at": None, "tried_at": None}
_AT_TARGET: Final = "target."
"""What the codes of faults begin with that were found in the new place, where nothing is in use yet."""


@dataclass(frozen=True, slots=True)
class WantedLock:
    """How an object is to be locked in the new place: at least until then, and without end where it is held."""

    until: Instant | None
    is_held: bool


@dataclass(slots=True)
class Done:
    """What came of some objects: new values of their rows, by object."""

    rows: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)
    size_bytes: int = 0
    stopped: Unavailable | StorageFull | None = None

    def take(self, object_id: UUID, values: Mapping[str, Any], size_bytes: int) -> None:
        """Note what came of an object, and how many bytes that moved."""
        self.rows[object_id] = values
        self.size_bytes += size_bytes


def move_some(parts: MoveParts, sides: Sides, move: StoreMove, *, began: Instant) -> int:
    """Copy up to 100 objects, or 1 GiB, that wait or have failed before `began`; return how many were tried.

    Raises: StorageFull, StoreUnavailable; what was copied before that is written down.
    """
    with parts.database.read() as tx:
        due = tx.scalars(
            select(MovedObject)
            .where(
                MovedObject.move_id == move.id,
                MovedObject.state.in_(_TO_COPY),
                or_(MovedObject.tried_at.is_(None), MovedObject.tried_at < began),
                *([] if parts.tombstones is None else [MovedObject.object_id.not_in(parts.tombstones)]),
            )
            .order_by(MovedObject.state, MovedObject.object_id)
            .limit(BATCH)
        ).all()
        locks = wanted_locks(tx, sides.target, [row.object_id for row in due], at=parts.clock.now())
    done = Done()
    for row in due:
        try:
            done.take(row.object_id, *move_one(sides, row, locks[row.object_id], at=parts.clock.now()))
        except (Unavailable, StorageFull) as exc:
            done.stopped = exc
            break
        if done.size_bytes >= BATCH_BYTES:
            break
    with parts.database.begin() as tx:
        write_down(tx, move, done)
    if done.stopped is not None:
        raise done.stopped
    return len(done.rows)


def move_one(sides: Sides, row: MovedObject, lock: WantedLock, *, at: Instant) -> tuple[Mapping[str, Any], int]:
    """Copy one object and lock it in the new place; return the new values of its row, and the bytes that were put.

    Raises: StorageFull, StoreUnavailable.
    """
    object_id, target = ObjectId(row.object_id), sides.target
    try:
        if row.fault is not None and row.fault.startswith(_AT_TARGET):
            # Nobody reads there yet: what came out wrong is taken away and copied once more, unless a lock holds it.
            clear_object(target.originals, object_id, at=at)
        made = copy_object(sides.source.originals, target.originals, object_id)
        set_lock(target.originals, target.objects.read_inventory(object_id), lock)
    except (StoreBroken, NotFound) as exc:
        is_gone = isinstance(exc, NotFound) or isinstance(exc.__cause__, BlobMissing)
        state = ObjectState.MISSING if is_gone else ObjectState.DIFFERENT
        return _fault(state, exc.code, str(exc.facts.get("key", "")), at), 0
    is_known = made.head == row.head and row.verified_at is not None and row.fault is None
    return {
        "state": (ObjectState.VERIFIED if is_known else ObjectState.MOVED).value,
        "head": made.head,
        "locked_until": None if lock.until is None else lock.until.replace(microsecond=0),
        "is_held": lock.is_held,
        "tried_at": at,
        "fault": None,
        "fault_at": None,
    }, made.size_bytes


def verify_some(parts: MoveParts, sides: Sides, move: StoreMove, *, by: Actor) -> int:
    """Read up to 100 copied objects whole in the new place; return how many. As `move_some`."""
    with parts.database.read() as tx:
        rows = tx.execute(
            select(MovedObject, PreservedObject)
            .join(PreservedObject, PreservedObject.id == MovedObject.object_id)
            .where(MovedObject.move_id == move.id, MovedObject.state == ObjectState.MOVED.value)
            .order_by(MovedObject.object_id)
            .limit(BATCH)
        ).all()
    done = Done()
    for row, original in rows:
        try:
            values = verify(sides, row, original, at=parts.clock.now())
            done.take(row.object_id, values, original.size_bytes)
        except (Unavailable, StorageFull) as exc:
            done.stopped = exc
            break
        if done.size_bytes >= BATCH_BYTES:
            break
    at = parts.clock.now()
    with parts.database.begin() as tx:
        write_down(tx, move, done)
        tell_verified(tx, move, done, by=by, at=at)
    if done.stopped is not None:
        raise done.stopped
    return len(done.rows)


def wanted_locks(tx: Session, target: Side, object_ids: Sequence[UUID], *, at: Instant) -> Mapping[UUID, WantedLock]:
    """Return how objects are to be locked: no shorter than now, and held where they are permanent or frozen (冻结)."""
    ids = list(object_ids)
    locked = tx.execute(select(ObjectLock.object_id, ObjectLock.locked_until).where(ObjectLock.object_id.in_(ids)))
    until = dict(locked.tuples().all())
    permanent = select(RetentionPlan.object_id).where(RetentionPlan.object_id.in_(ids), RetentionPlan.is_permanent)
    frozen = (
        select(HeldObject.object_id)
        .join(Hold, Hold.id == HeldObject.hold_id)
        .where(HeldObject.object_id.in_(ids), Hold.released_at.is_(None))
    )
    held = {*tx.scalars(permanent), *tx.scalars(frozen)}
    least = at + target.term
    has_locks = bool(target.term)
    return {
        each: WantedLock(max(until.get(each, least), least) if has_locks else None, has_locks and each in held)
        for each in ids
    }


def set_lock(store: LockableBlobStore, inventory: Inventory, lock: WantedLock) -> None:
    """Lock every version of an object, and hold it where that is wanted; each file is read back by the store.

    Raises: BlobMissing, StoreBroken, StoreUnavailable.
    """
    if lock.until is None:
        return
    for number in range(1, inventory.head + 1):
        keys = version_keys(inventory, number)
        store.lock(keys, lock.until)
        if lock.is_held:
            store.hold(keys)


def verify(sides: Sides, row: MovedObject, original: PreservedObject, *, at: Instant) -> Mapping[str, Any]:
    """Read an object whole in the new place, and return the new values of its row.

    1. `read_whole` holds.   2. The old place shows no later version.   3. The original is locked as it was asked for.
    Raises: StoreUnavailable where it cannot be read.
    """
    object_id, target = ObjectId(row.object_id), sides.target
    fault = read_whole(target, original, at=at)  # 1
    if fault is not None:
        return fault
    head = target.objects.read_inventory(object_id).head
    if sides.source.objects.read_inventory(object_id).head != head:  # 2
        return {"state": ObjectState.DUE.value, "tried_at": None}
    if row.locked_until is not None:  # 3
        kept = target.originals.locked_until(first_content_key(object_id, original.content_path))
        if kept is None or kept < row.locked_until:
            return _fault(ObjectState.DIFFERENT, _AT_TARGET + "not_locked", original.content_path, at)
    return {"state": ObjectState.VERIFIED.value, "head": head, "verified_at": at, **NO_FAULT}


def read_whole(side: Side, original: PreservedObject, *, at: Instant) -> Mapping[str, Any] | None:
    """Read an object whole in a place; return the values of a row that tell what is wrong, None for nothing.

    1. Every file has the digests of its inventory.   2. The original has size and digests of the catalogue.
    Raises: StoreUnavailable where it cannot be read.
    """
    object_id = ObjectId(original.id)
    for found in side.objects.validate(object_id).findings:  # 1
        if found.outcome is Outcome.INVALID:
            is_gone = found.code in {"ocfl.object_missing", "ocfl.content_missing"}
            state = ObjectState.MISSING if is_gone else ObjectState.DIFFERENT
            return _fault(state, _AT_TARGET + found.code, found.where, at)
        if found.outcome is Outcome.INDETERMINATE:
            raise StoreUnavailable("An object cannot be read whole in the new place", code=found.code)
    inventory, path = side.objects.read_inventory(object_id), f"v1/content/{original.content_path}"
    size_bytes = side.originals.size_bytes(first_content_key(object_id, original.content_path))
    told = (inventory.manifest.get(path), inventory.sha256.get(path), size_bytes)
    if told != (original.sha512, original.sha256, original.size_bytes):  # 2
        return _fault(ObjectState.DIFFERENT, _AT_TARGET + "catalogue_differs", original.content_path, at)
    return None


def write_down(tx: Session, move: StoreMove, done: Done) -> None:
    """Write what came of objects, in the caller's transaction."""
    for object_id, values in done.rows.items():
        this = update(MovedObject).where(MovedObject.move_id == move.id, MovedObject.object_id == object_id)
        tx.execute(this.values(**values))


def tell_verified(tx: Session, move: StoreMove, done: Done, *, by: Actor, at: Instant) -> None:
    """Write the log entry of the objects that were verified, in the caller's transaction; none for none."""
    verified = {
        object_id: values["head"]
        for object_id, values in done.rows.items()
        if values["state"] == ObjectState.VERIFIED and "verified_at" in values
    }
    if verified:
        these = update(MovedObject).where(MovedObject.move_id == move.id, MovedObject.object_id.in_(verified))
        tx.execute(these.values(verified_at=at))
        told = {"place": move.to_place, "objects": {str(each): number for each, number in verified.items()}}
        append_entry(tx, NewEntry(EntryType.STORE_MOVED, by, Target(KIND, move.id), detail=told), at=at)


def _fault(state: ObjectState, code: str, where: str, at: Instant) -> Mapping[str, Any]:
    return {"state": state.value, "fault": code[:64], "fault_at": where[:1100], "tried_at": at, "verified_at": None}

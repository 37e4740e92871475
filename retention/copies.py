"""The second copy: every version of every object in another place, found by the log's own order.

An entry that preserves or extends an object makes it due. Entries are looked at by their index, which the sequencer
gives once they are committed: what committed late comes later, and is not missed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Row, Select, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.jobs.queue import COPY, ClaimedJob, finish_job, hasten_job, renew_job, repeat_job
from archive.kernel.errors import NotFound, StorageFull, Unavailable
from archive.kernel.ids import ObjectId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry
from archive.ledger.models import LogLeaf, LogPending
from archive.ledger.proofs import head
from archive.ocfl.copying import Copied, copy_object
from archive.ocfl.layout import ROOT_FILES
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobStore, LockableBlobStore, StoreBroken
from archive.ports.clock import Clock
from retention.models import CopyPlace, ObjectCopy

COPY_OBJECTS: Final = "copy_objects"
ADDING: Final = (
    "object.preserved", "record.filed", "volume.closed", "record.extended", "volume.checked", "object.renewed",
)  # fmt: skip
"""Types of entries that come with a version of an object."""
_EVERY: Final = timedelta(minutes=1)
_AGAIN: Final = timedelta(minutes=5)
_FAULTY_AGAIN: Final = timedelta(hours=1)
_SCANNED_AT_ONCE: Final = 10_000
_BATCH: Final = 100
_BATCH_BYTES: Final = 1 << 30

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class CopyAway(Unavailable):
    """The place of the copy holds nothing of what was copied; see that it is mounted and the right one."""

    code = "copy.away"


class NoCopyConfigured(NotFound):
    """There is no second copy: set copy_folder or copy_s3_bucket."""

    code = "copy.not_configured"


@dataclass(frozen=True, slots=True)
class CopyStanding:
    """How far the copy is. Units: bytes of originals. `oldest` is since when the longest waits, None for nothing."""

    place: str
    waiting: int
    waiting_bytes: int
    oldest: Instant | None
    faults: int
    trouble: str | None
    trouble_at: Instant | None


class CopyFault(NamedTuple):
    """An object that cannot be copied: the code of why, the key of the file, and when it was tried."""

    object_id: UUID
    code: str
    key: str
    tried_at: Instant


@dataclass(frozen=True, slots=True)
class Copies:
    """The job that copies. `place` names where to, empty for nowhere; locks there last for `term`."""

    database: Database
    source: BlobStore
    target: Callable[[], LockableBlobStore]
    place: str
    clock: Clock
    term: timedelta

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {COPY_OBJECTS: self._work}

    def opened(self) -> OcflRoot:
        """Return the copy as a storage root. Raises: NoCopyConfigured, CopyAway, StoreUnavailable."""
        if not self.place:
            raise NoCopyConfigured
        target, here = self.target(), CopyPlace.place == self.place[:300]
        made = select(ObjectCopy.object_id).join(CopyPlace, CopyPlace.id == ObjectCopy.place_id)
        with self.database.read() as tx:
            is_used = tx.scalar(made.where(here, ObjectCopy.head > 0).limit(1)) is not None
        if is_used and not target.exists(list(ROOT_FILES)[-1]):
            raise CopyAway(place=self.place)
        return OcflRoot(target)

    def begin(self) -> None:
        """Make sure that objects are copied from now on. Idempotent; for the worker's start."""
        if self.place:
            now = self.clock.now()
            with self.database.begin() as tx:
                renew_job(tx, COPY_OBJECTS, {}, at=now, queue=COPY, key=COPY_OBJECTS)
                hasten_job(tx, COPY_OBJECTS, at=now)

    def copy_some(self, *, by: Actor = ARCHIVE) -> int:
        """Copy up to 100 objects, or 1 GiB, that are due and were not tried in vain in the last hour; return how many.

        Guarantees: on return what was copied is written down with its log entry, what failed with its cause.
        Raises: NoCopyConfigured, CopyAway, StorageFull, StoreUnavailable.
        """
        place_id = self._prepare()
        self._note_due(place_id)
        began, done, faults, stopped = self.clock.now(), dict[UUID, tuple[int, Copied]](), {}, None
        due, size_bytes = self._due(place_id, began), 0
        for row in due:
            try:
                made = copy_object(self.source, self.target(), ObjectId(row.object_id))
            except (StoreBroken, NotFound) as exc:
                faults[row.object_id] = (exc.code, str(exc.facts.get("key", ""))[:1100])
                continue
            except (Unavailable, StorageFull) as exc:
                stopped = exc
                break
            done[row.object_id] = (row.due_index, made)
            size_bytes += made.size_bytes
            if size_bytes >= _BATCH_BYTES:
                break
        self._write_down(place_id, done, faults, began=began, by=by)
        if stopped is not None:
            raise stopped
        return len(done) + len(faults)

    def renew_some(self) -> int:
        """Renew the locks of up to 100 copies whose turn it is; return how many. As `retention.locks`."""
        if not self.term:
            return 0
        at, place_id = self.clock.now(), self._prepare()
        here = ObjectCopy.place_id == place_id
        with self.database.read() as tx:
            ends_soon = select(ObjectCopy.object_id).where(here, ObjectCopy.locked_until < at + self.term * 2 / 3)
            due = list(tx.scalars(ends_soon.order_by(ObjectCopy.locked_until).limit(_BATCH)))
        objects = OcflRoot(self.target())
        for object_id in due:
            objects.lock(ObjectId(object_id))
        if due:
            until = (at + self.term).replace(microsecond=0)
            told = {"until": format_instant(until), "place": self.place, "objects": [str(each) for each in due]}
            with self.database.begin() as tx:
                renewed = update(ObjectCopy).where(here, ObjectCopy.object_id.in_(due))
                tx.execute(renewed.values(locked_until=until))
                append_entry(tx, NewEntry(EntryType.RETENTION_EXTENDED, ARCHIVE, detail=told), at=at)
        return len(due)

    def ask_again(self, object_ids: Sequence[ObjectId]) -> None:
        """Make objects due that were copied or tried in vain, so that the next call looks at each file again.

        Raises: NoCopyConfigured, CopyAway; StoreUnavailable.
        """
        place_id, at = self._prepare(), self.clock.now()
        with self.database.begin() as tx:
            size = _size(tx)
            for object_id in object_ids:
                _make_due(tx, place_id, [(object_id, max(size - 1, 0), at)])
            these = update(ObjectCopy).where(ObjectCopy.place_id == place_id, ObjectCopy.object_id.in_(object_ids))
            tx.execute(these.values(tried_at=None))

    def standing(self, tx: Session) -> CopyStanding | None:
        """Return how far the copy is, also of entries that nobody has looked at yet; None where there is none."""
        if not self.place:
            return None
        place = tx.scalar(select(CopyPlace).where(CopyPlace.place == self.place[:300]))
        place = place or CopyPlace(id=UUID(int=0), scanned=0, trouble=None, trouble_at=None)
        due = (ObjectCopy.place_id == place.id, ObjectCopy.due_index.is_not(None))
        figures = (
            func.count(),
            func.coalesce(func.sum(PreservedObject.size_bytes), 0),
            func.min(ObjectCopy.due_since),
            func.count(ObjectCopy.fault),
        )
        noted = select(*figures).select_from(ObjectCopy)
        noted = noted.join(PreservedObject, PreservedObject.id == ObjectCopy.object_id).where(*due)
        count, size_bytes, oldest, faults = tx.execute(noted).one()
        fresh = self._fresh(tx, place.scanned)
        if fresh:
            for object_id in tx.scalars(select(ObjectCopy.object_id).where(*due, ObjectCopy.object_id.in_(fresh))):
                del fresh[object_id]
        if fresh:
            sizes = select(func.sum(PreservedObject.size_bytes)).where(PreservedObject.id.in_(fresh))
            count, size_bytes = count + len(fresh), size_bytes + (tx.scalar(sizes) or 0)
            oldest = min([*fresh.values(), *([] if oldest is None else [oldest])])
        return CopyStanding(
            self.place, int(count), int(size_bytes), oldest, int(faults), place.trouble, place.trouble_at
        )

    def faults(self, tx: Session) -> Sequence[CopyFault]:
        """Return up to 100 objects that cannot be copied, the oldest first."""
        rows = select(ObjectCopy.object_id, ObjectCopy.fault, ObjectCopy.fault_at, ObjectCopy.tried_at)
        rows = rows.join(CopyPlace, CopyPlace.id == ObjectCopy.place_id).where(
            CopyPlace.place == self.place[:300], ObjectCopy.due_index.is_not(None), ObjectCopy.fault.is_not(None)
        )
        return [CopyFault._make(row) for row in tx.execute(rows.order_by(ObjectCopy.due_since).limit(_BATCH))]

    # ---- steps -----------------------------------------------------------------------------------------------------

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Do one batch, so that a worker that is to stop does not wait for a whole store."""
        if not self.place:
            with self.database.begin() as tx:
                finish_job(tx, job, at=self.clock.now())
            return
        wait, trouble = timedelta(0), None
        try:
            moved = self.copy_some() + self.renew_some()
            wait = timedelta(0) if moved else _EVERY
        except (Unavailable, StorageFull) as exc:
            wait, trouble = _AGAIN, exc.code
        report(900)
        at = self.clock.now()
        with self.database.begin() as tx:
            here = CopyPlace.place == self.place[:300]
            if trouble is None:
                tx.execute(update(CopyPlace).where(here).values(trouble=None, trouble_at=None))
            else:
                begun = here & or_(CopyPlace.trouble.is_(None), CopyPlace.trouble != trouble)
                tx.execute(update(CopyPlace).where(begun).values(trouble=trouble, trouble_at=at))
            repeat_job(tx, job, until=at + wait)

    def _fresh(self, tx: Session, scanned: int) -> dict[UUID, Instant]:
        """Return what nobody has looked at yet, each with the time of its oldest entry: at most 10,000 objects."""
        placed = _adding().with_only_columns(CustodyEvent.object_id, CustodyEvent.at).where(LogLeaf.index >= scanned)
        pending = (
            select(CustodyEvent.object_id, CustodyEvent.at)
            .join(LogPending, LogPending.entry_id == CustodyEvent.entry_id)
            .where(CustodyEvent.type.in_(ADDING))
        )
        found: dict[UUID, Instant] = {}
        for query in (placed, pending):
            for object_id, at in tx.execute(query.limit(_SCANNED_AT_ONCE)):
                found[object_id] = min(found.get(object_id, at), at)
        return found

    def _prepare(self) -> UUID:
        """Return the place's id; its storage root is there. Raises: NoCopyConfigured, CopyAway, StoreUnavailable."""
        self.opened().prepare()
        with self.database.begin() as tx:
            found = tx.scalar(select(CopyPlace.id).where(CopyPlace.place == self.place[:300]))
            if found is None:
                found = new_uuid7()
                insert_row(tx, CopyPlace, id=found, place=self.place[:300], scanned=0)
        return found

    def _note_due(self, place_id: UUID) -> None:
        """Make due what the log tells beyond what was looked at."""
        while True:
            with self.database.begin() as tx:
                place = tx.get_one(CopyPlace, place_id, with_for_update=True)
                size = _size(tx)
                ends = min(size, place.scanned + _SCANNED_AT_ONCE)
                found = tx.execute(_adding().where(LogLeaf.index >= place.scanned, LogLeaf.index < ends)).all()
                _make_due(tx, place_id, [(row.object_id, row.leaf, row.at) for row in found])
                place.scanned = ends
            if ends == size:
                return

    def _due(self, place_id: UUID, at: Instant) -> Sequence[Row[UUID, int | None]]:
        due = select(ObjectCopy.object_id, ObjectCopy.due_index).where(
            ObjectCopy.place_id == place_id,
            ObjectCopy.due_index.is_not(None),
            or_(ObjectCopy.tried_at.is_(None), ObjectCopy.tried_at < at - _FAULTY_AGAIN),
        )
        with self.database.read() as tx:
            return tx.execute(due.order_by(ObjectCopy.due_since, ObjectCopy.object_id).limit(_BATCH)).all()

    def _write_down(
        self,
        place_id: UUID,
        done: Mapping[UUID, tuple[int | None, Copied]],
        faults: Mapping[UUID, tuple[str, str]],
        *,
        began: Instant,
        by: Actor,
    ) -> None:
        at = self.clock.now()
        locked_until = (began + self.term).replace(microsecond=0) if self.term else None
        with self.database.begin() as tx:
            for object_id, (code, key) in faults.items():
                this = (ObjectCopy.place_id == place_id, ObjectCopy.object_id == object_id)
                tx.execute(update(ObjectCopy).where(*this).values(tried_at=at, fault=code, fault_at=key))
            for object_id, (due_index, made) in done.items():
                this = (ObjectCopy.place_id == place_id, ObjectCopy.object_id == object_id)
                fresh = {"head": made.head, "copied_at": at, "locked_until": locked_until}
                # Another may have copied a later version at the same time.
                newest = update(ObjectCopy).where(*this, ObjectCopy.head <= made.head)
                tx.execute(newest.values(**fresh, tried_at=None, fault=None, fault_at=None))
                # What became due meanwhile stays so.
                tx.execute(
                    update(ObjectCopy)
                    .where(*this, ObjectCopy.due_index == due_index)
                    .values(due_index=None, due_since=None)
                )
            if done:
                told = {
                    "place": self.place[:300],
                    "place_id": str(place_id),
                    "bytes": sum(made.size_bytes for _, made in done.values()),
                    "objects": {str(object_id): made.head for object_id, (_, made) in done.items()},
                }
                append_entry(tx, NewEntry(EntryType.STORE_COPIED, by, detail=told), at=at)


def _adding() -> Select[int, UUID, Instant]:
    """Return the query for the entries that come with a version, in the order of the log."""
    return (
        select(LogLeaf.index.label("leaf"), CustodyEvent.object_id, CustodyEvent.at)
        .join(CustodyEvent, CustodyEvent.entry_id == LogLeaf.entry_id)
        .where(CustodyEvent.type.in_(ADDING))
        .order_by(LogLeaf.index)
    )


def _size(tx: Session) -> int:
    newest = head(tx)
    return 0 if newest is None else newest.size


def _make_due(tx: Session, place_id: UUID, found: Sequence[tuple[UUID, int, Instant]]) -> None:
    rows: dict[UUID, dict[str, Any]] = {}
    for object_id, index, at in found:
        row = rows.setdefault(object_id, {"due_since": at})
        row |= {"place_id": place_id, "object_id": object_id, "head": 0, "due_index": index}
    if not rows:
        return
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = list(rows.values())
    for start in range(0, len(values), _BATCH):  # a statement takes so many values only
        added = insert(ObjectCopy).values(values[start : start + _BATCH])
        later = {
            "due_index": added.excluded.due_index,
            "due_since": func.coalesce(ObjectCopy.due_since, added.excluded.due_since),
        }
        keys = [ObjectCopy.place_id, ObjectCopy.object_id]
        tx.execute(added.on_conflict_do_update(index_elements=keys, set_=later))

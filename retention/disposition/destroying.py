"""Destroying one object of a list: step by step, each of which may be the last before a crash, and is gone on with.

(a) One transaction asks once more for everything that stops it, writes `disposal.begun`, and from then on nobody is
    shown its content.
(b) The second copy goes, (c) then the original with all its versions. These can refuse: a lock that nobody was told of.
    While the original is whole that is rolled back, and the object stays; the copy is made again from it.
(d) What was made from it, and what it was made from: nothing here can refuse, and without an original it is worth
    nothing, so it goes after what can.
(e) The details that name it are erased in the journal.
(f) Nothing is left in any store: looked at once more, since a worker may have been at work on it until just now.
(g) One transaction takes its rows out of the catalogue, puts up the tombstone and writes `disposal.done`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from archive.cases.indexing import index_objects
from archive.custody.events import digests_of, record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.evidence.grouping import RecordingRules
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import EntryId, ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry, Target
from archive.ledger.erasure import ErasedBefore, NotInJournalYet, erase_detail
from archive.ledger.journal import Journal
from archive.ledger.proofs import head
from archive.ocfl.destroying import Extent
from archive.ocfl.errors import ObjectLocked, ObjectNotGone
from archive.ports.clock import Clock
from retention.disposition.models import DispositionItem, DispositionList, Tombstone
from retention.disposition.remains import (
    DisposalStores,
    as_told,
    forget_rows,
    naming_entries,
    revive_jobs,
    stop_jobs,
)
from retention.disposition.rules import DisposalRules
from retention.disposition.terms import ItemState, ListState, Step
from retention.models import ObjectCopy
from retention.planning.stale import mark_stale
from retention.rounds.due import come_back, leave
from retention.stops import Stop, StopKind

SOON: Final = timedelta(seconds=5)
"""How long an object waits for the sequencer, whose next round puts its entries into the journal."""
_ORDER: Final = tuple(Step)


class OnDiskElsewhere(LiuhenError):
    """An object of the list has other digests than when the list was frozen; nothing was destroyed."""

    code = "disposition.digests_differ"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Destroyer:
    """What destroys objects, put together by wiring. `drop_packages` takes back packages that hold an object."""

    database: Database
    clock: Clock
    journal: Journal
    stores: DisposalStores
    rules: DisposalRules
    recording_rules: RecordingRules
    drop_packages: Callable[[Session, ObjectId, Instant], None]

    def destroy_object(self, list_id: UUID, object_id: ObjectId) -> Instant | None:
        """Bring an object of a list to its end: destroyed, or left out with the reason. Or say when to go on.

        Idempotent: yes, from every step. The list is being carried out, and was proven to be agreed to.
        Raises: StoreUnavailable, CopyAway, Unavailable.
        """
        item = self._item(list_id, object_id)
        if item.state == ItemState.LISTED.value:
            found = self.stores.extents(object_id)
            if not self._begin(list_id, object_id, found, self._locks(object_id)):
                return None
        elif item.state != ItemState.BEGUN.value:
            return None
        return self._go_on(list_id, object_id)

    # ---- (a) -------------------------------------------------------------------------------------------------------

    def _begin(self, list_id: UUID, object_id: ObjectId, found: Mapping[str, Extent], locks: Sequence[Stop]) -> bool:
        at = self.clock.now()
        with self.database.begin() as tx:
            # Whoever files, links, grants or lists it waits here, or comes before and is seen.
            row = tx.scalar(select(PreservedObject).where(PreservedObject.id == object_id).with_for_update())
            held = tx.scalar(select(DispositionList).where(DispositionList.id == list_id).with_for_update())
            item = self._locked_item(tx, list_id, object_id)
            if row is None or held is None or held.state != ListState.DESTROYING.value:
                return False
            if item.state != ItemState.LISTED.value:
                return item.state == ItemState.BEGUN.value
            if (row.sha256, row.sha512, row.size_bytes) != (item.sha256, item.sha512, item.size_bytes):
                raise OnDiskElsewhere(object_id=str(object_id))
            stops = [*self.rules.stops(tx, [object_id], at, leave_out=list_id)[object_id], *locks]
            if stops:
                leave_out(tx, row, list_id, stops, at=at)
                return False
            told = as_told(found)
            detail = {
                "list": str(list_id),
                "list_sha256": held.sha256,
                "before": item.before,
                "found": told,
            }
            _record(tx, row, EntryType.DISPOSAL_BEGUN, detail, at=at)
            values = {"state": ItemState.BEGUN.value, "step": Step.BEGUN.value, "state_at": at, "found": told}
            _change(tx, list_id, object_id, **values)
            tx.execute(update(PreservedObject).where(PreservedObject.id == object_id).values(destroyed_at=at))
            stop_jobs(tx, object_id, at=at)
            leave(tx, [object_id])
            self.drop_packages(tx, object_id, at)
            index_objects(tx, [object_id])
        return True

    def _locks(self, object_id: ObjectId) -> Sequence[Stop]:
        """Ask the stores themselves: what they lock nobody could delete half of."""
        at, copy = self.clock.now(), self.stores.copy()
        locks = [root.last_lock(object_id) for root in (self.stores.originals, *([] if copy is None else [copy]))]
        return [Stop(StopKind.STORE_LOCK, until=lock.until) for lock in locks if lock is not None and lock.holds(at)]

    # ---- (b) to (g) ------------------------------------------------------------------------------------------------

    def _go_on(self, list_id: UUID, object_id: ObjectId) -> Instant | None:
        copy = self.stores.copy()
        try:
            if copy is not None:  # (b)
                copy.destroy(object_id, at=self.clock.now())
            self._done(list_id, object_id, Step.COPIES)
            self.stores.originals.destroy(object_id, at=self.clock.now())  # (c)
        except ObjectLocked as exc:
            return self._refused(list_id, object_id, exc)
        self._done(list_id, object_id, Step.ORIGINAL)
        self.stores.delete_derived(object_id)  # (d)
        self._done(list_id, object_id, Step.DERIVED)
        try:
            self._erase(list_id, object_id)  # (e)
        except NotInJournalYet:
            return self.clock.now() + SOON
        self._done(list_id, object_id, Step.DETAILS)
        if any(each.files for each in self.stores.extents(object_id).values()):  # (f)
            raise ObjectNotGone(object_id=str(object_id))
        self._finish(list_id, object_id)  # (g)
        self.database.forget_deleted()
        return None

    def _refused(self, list_id: UUID, object_id: ObjectId, refusal: ObjectLocked) -> Instant | None:
        """Roll back where the original is whole; else nothing is left to keep, and the rest goes when its lock ends."""
        at, until = self.clock.now(), refusal.facts.get("until")
        if not self.stores.originals.is_whole(object_id):
            return max(until, at + SOON) if isinstance(until, Instant) else at + SOON
        with self.database.begin() as tx:
            row = tx.scalars(select(PreservedObject).where(PreservedObject.id == object_id).with_for_update()).one()
            if self._locked_item(tx, list_id, object_id).state != ItemState.BEGUN.value:
                return None
            leave_out(tx, row, list_id, [Stop(StopKind.STORE_LOCK, until=until)], at=at)
            tx.execute(update(PreservedObject).where(PreservedObject.id == object_id).values(destroyed_at=None))
            _copy_again(tx, object_id, at=at)
            revive_jobs(tx, object_id, at=at)
            come_back(tx, [object_id], at)
            mark_stale(tx, [object_id], at)  # planning has looked past it meanwhile
            index_objects(tx, [object_id])
        return None

    def _erase(self, list_id: UUID, object_id: ObjectId) -> None:
        with self.database.read() as tx:
            entries: Sequence[EntryId] = naming_entries(tx, object_id)
            row = tx.get_one(DispositionList, list_id)
            reason, authority = f"{row.number}: {object_id}", f"{row.number} {row.sha256}"
        for entry_id in entries:
            try:
                erase_detail(
                    self.database,
                    self.journal,
                    entry_id,
                    reason=reason,
                    authority=authority,
                    by=ARCHIVE,
                    at=self.clock.now(),
                )
            except ErasedBefore:
                continue

    def _finish(self, list_id: UUID, object_id: ObjectId) -> None:
        at = self.clock.now()
        with self.database.begin() as tx:
            row = tx.scalars(select(PreservedObject).where(PreservedObject.id == object_id).with_for_update()).one()
            held = tx.scalars(select(DispositionList).where(DispositionList.id == list_id).with_for_update()).one()
            item = self._locked_item(tx, list_id, object_id)
            if item.state != ItemState.BEGUN.value or item.state_at is None:
                return
            facts = {
                "kind": row.kind,
                "preserved_at": row.preserved_at,
                "retain_until": item.retain_until,
                "rule": item.rule,
                "gone": item.found or {},
                "begun_at": item.state_at,
            }
            times = {name: format_instant(each) for name, each in facts.items() if isinstance(each, Instant)}
            detail = {**facts, **times, "list": str(list_id), "list_sha256": held.sha256}
            entry_id = _record(tx, row, EntryType.DISPOSAL_DONE, detail, at=at)
            digests = {"size_bytes": row.size_bytes, "sha256": row.sha256, "sha512": row.sha512, "sm3": row.sm3}
            insert_row(
                tx,
                Tombstone,
                object_id=object_id,
                list_id=list_id,
                destroyed_at=at,
                entry_id=entry_id,
                **facts,
                **digests,
            )
            _change(tx, list_id, object_id, state=ItemState.DESTROYED.value, step=None, state_at=at)
            forget_rows(tx, row, rules=self.recording_rules, at=at)

    # ---- rows ------------------------------------------------------------------------------------------------------

    def _item(self, list_id: UUID, object_id: ObjectId) -> DispositionItem:
        with self.database.read() as tx:
            return tx.get_one(DispositionItem, (list_id, object_id))

    def _locked_item(self, tx: Session, list_id: UUID, object_id: ObjectId) -> DispositionItem:
        return tx.get_one(DispositionItem, (list_id, object_id), with_for_update=True)

    def _done(self, list_id: UUID, object_id: ObjectId, step: Step) -> None:
        """Note how far it is, for who looks; what is gone on with is asked of the stores."""
        with self.database.begin() as tx:
            this = (
                DispositionItem.list_id == list_id,
                DispositionItem.object_id == object_id,
                DispositionItem.state == ItemState.BEGUN.value,
                DispositionItem.step.in_([each.value for each in _ORDER[: _ORDER.index(step)]]),
            )
            tx.execute(update(DispositionItem).where(*this).values(step=step.value))


def leave_out(tx: Session, row: PreservedObject, list_id: UUID, stops: Sequence[Stop], *, at: Instant) -> None:
    """Leave an object out of a list for what stops it, with its entry, in the caller's transaction."""
    told = [
        {
            "kind": stop.kind.value,
            "ref": None if stop.ref_id is None else str(stop.ref_id),
            "until": None if stop.until is None else format_instant(stop.until),
        }
        for stop in stops
    ]
    _record(tx, row, EntryType.DISPOSAL_WITHDRAWN, {"list": str(list_id), "stops": told}, at=at)
    kinds = sorted({stop.kind.value for stop in stops})
    _change(tx, list_id, ObjectId(row.id), state=ItemState.LEFT.value, step=None, stops=kinds, state_at=at)


def _record(tx: Session, row: PreservedObject, kind: EntryType, detail: Mapping[str, Any], *, at: Instant) -> EntryId:
    target = Target(row.kind, row.id)
    entry = NewEntry(kind, ARCHIVE, target, digests=digests_of(row), detail=detail)
    return record_event(tx, ObjectId(row.id), entry, at=at)


def _change(tx: Session, list_id: UUID, object_id: ObjectId, **values: Any) -> None:
    this = (DispositionItem.list_id == list_id, DispositionItem.object_id == object_id)
    tx.execute(update(DispositionItem).where(*this).values(**values))


def _copy_again(tx: Session, object_id: ObjectId, *, at: Instant) -> None:
    """Make the copy of an object due: it may be gone already."""
    newest = head(tx)
    last = 0 if newest is None else max(newest.size - 1, 0)
    due = {
        "due_index": func.coalesce(ObjectCopy.due_index, last),
        "due_since": func.coalesce(ObjectCopy.due_since, at),
        "tried_at": None,
    }
    tx.execute(update(ObjectCopy).where(ObjectCopy.object_id == object_id).values(**due))

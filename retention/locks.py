"""Keeping originals locked: each lock is renewed long before it ends.

For now every object is kept for one rolling term; schedules of retention set the term of each instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.jobs.queue import LONG, ClaimedJob, finish_job, renew_job, repeat_job
from archive.kernel.ids import ObjectId
from archive.kernel.instants import format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from retention.models import ObjectLock

RENEW_LOCKS: Final = "renew_locks"
_EVERY: Final = timedelta(days=1)
_BATCH: Final = 100
_MOST_NOTED: Final = 1000

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class LockRenewals:
    """The job that renews locks when a third of their `term` is over; a store without locks has no term."""

    database: Database
    objects: OcflRoot
    clock: Clock
    term: timedelta

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {RENEW_LOCKS: self._renew}

    def begin(self) -> None:
        """Make sure that locks are renewed from now on. Idempotent; for the worker's start."""
        if self.term:
            with self.database.begin() as tx:
                renew_job(tx, RENEW_LOCKS, {}, at=self.clock.now(), queue=LONG, key=RENEW_LOCKS)

    def note_new(self) -> None:
        """Note the first lock of objects that came since the last call: they were locked as they came."""
        last = UUID(int=0)
        while True:
            fresh = select(PreservedObject.id, PreservedObject.preserved_at).where(
                PreservedObject.id > last,
                PreservedObject.destroyed_at.is_(None),
                ~exists().where(ObjectLock.object_id == PreservedObject.id),
            )
            with self.database.begin() as tx:
                found = tx.execute(fresh.order_by(PreservedObject.id).limit(_MOST_NOTED)).all()
                _write(tx, [{"object_id": row.id, "locked_until": row.preserved_at + self.term} for row in found])
            if len(found) < _MOST_NOTED:
                return
            last = found[-1].id

    def renew_some(self) -> int:
        """Renew the locks of up to 100 objects whose turn it is; return how many. On return each was read back.

        Raises: StoreUnavailable, StoreBroken; what was renewed before that is renewed again by the next call.
        """
        at = self.clock.now()
        with self.database.read() as tx:
            gone = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))
            ends_soon = select(ObjectLock.object_id).where(
                ObjectLock.locked_until < at + self.term * 2 / 3, ObjectLock.object_id.not_in(gone)
            )
            due = list(tx.scalars(ends_soon.order_by(ObjectLock.locked_until).limit(_BATCH)))
        for object_id in due:
            self.objects.lock(ObjectId(object_id))
        if due:
            until = (at + self.term).replace(microsecond=0)
            detail = {"until": format_instant(until), "objects": [str(object_id) for object_id in due]}
            with self.database.begin() as tx:
                _write(tx, [{"object_id": object_id, "locked_until": until} for object_id in due])
                append_entry(tx, NewEntry(EntryType.RETENTION_EXTENDED, ARCHIVE, detail=detail), at=at)
        return len(due)

    def _renew(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        if not self.term:
            with self.database.begin() as tx:
                finish_job(tx, job, at=self.clock.now())
            return
        self.note_new()
        while self.renew_some():
            report(0)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)


def _write(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = insert(ObjectLock).values(list(rows))
    longer = {"locked_until": added.excluded.locked_until}
    tx.execute(added.on_conflict_do_update(index_elements=[ObjectLock.object_id], set_=longer))

"""Keeping originals locked: as long as their plans say, and where nobody knows how long, for a term that is renewed.

What is asked for is in `retention.locking`; here is when it is looked at. A plan that is new or different is held
against the locks within a minute, as holds are; locks that end are looked for each day.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Select, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.jobs.queue import LONG, ClaimedJob, finish_job, hasten_job, renew_job, repeat_job
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from retention.locking import Brought, bring, ends_too_soon, standings, told, wants_hold_now, was_released
from retention.models import ObjectCopy, ObjectLock
from retention.planning.models import RetentionPlan

RENEW_LOCKS: Final = "renew_locks"
EXTEND_LOCKS: Final = "extend_locks"
_EVERY: Final = timedelta(days=1)
_SOON: Final = timedelta(minutes=1)
_BATCH: Final = 100
_GONE: Final = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOTED: Final = select(ObjectLock.object_id, ObjectLock.locked_until, ObjectLock.has_hold)

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class LockRenewals:
    """The jobs that keep locks: `term` is the rolling one, nothing for a store that is to lock nothing.

    `locks_as_it_comes`: what is preserved is locked for the term by whoever writes it.
    """

    database: Database
    objects: OcflRoot
    clock: Clock
    term: timedelta
    locks_as_it_comes: bool = True

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {RENEW_LOCKS: self._renew, EXTEND_LOCKS: self._extend}

    def begin(self) -> None:
        """Make sure that locks are kept from now on. Idempotent; for the worker's start."""
        if self.term:
            with self.database.begin() as tx:
                now = self.clock.now()
                renew_job(tx, RENEW_LOCKS, {}, at=now, queue=LONG, key=RENEW_LOCKS)
                renew_job(tx, EXTEND_LOCKS, {}, at=now, queue=LONG, key=EXTEND_LOCKS)

    def note_new(self) -> int:
        """Note the first lock of objects that have none noted, and make it where it is not there yet; return how many.

        What has a plan was looked at with it. Raises: StoreUnavailable.
        """
        return sum(map(len, self._batches(self._unnoted)))

    def extend_some(self) -> int:
        """Hold up to 100 plans that are new or different against the locks of their objects; return how many.

        Guarantees: on return each lock lasts as long as its plan says, as it was read back.
        Raises: StoreUnavailable; what was locked before that is found locked by the next call.
        """
        return len(next(self._batches(self._due), ()))

    def hold_some(self) -> int:
        """Put up to 100 objects under legal hold that a hold covers, or take it off; return how many."""
        return len(next(self._batches(self._to_hold), ())) + len(next(self._batches(self._to_release), ()))

    def renew_some(self) -> int:
        """Renew or extend up to 100 locks that end too soon; return how many. As `extend_some`."""
        return len(next(self._batches(self._ending), ()))

    def waiting(self, tx: Session) -> tuple[int, Instant | None]:
        """Return how many plans were not held against the locks of their objects yet, and when the oldest was made."""
        due = select(func.count(), func.min(RetentionPlan.planned_at))
        due = due.where(RetentionPlan.lock_due, RetentionPlan.object_id.not_in(_GONE))
        count, oldest = tx.execute(due).one()
        return int(count), oldest

    # ---- which -------------------------------------------------------------------------------------------------------

    def _unnoted(self, after: UUID) -> Select[UUID]:
        has_none = ~exists().where(ObjectLock.object_id == PreservedObject.id)
        is_looked_at = exists().where(RetentionPlan.object_id == PreservedObject.id, RetentionPlan.lock_due)
        return select(PreservedObject.id).where(PreservedObject.id > after, has_none, ~is_looked_at)

    def _due(self, after: UUID) -> Select[UUID]:
        return select(RetentionPlan.object_id).where(RetentionPlan.lock_due, RetentionPlan.object_id > after)

    def _ending(self, after: UUID) -> Select[UUID]:
        joined = select(ObjectLock.object_id).outerjoin(RetentionPlan, RetentionPlan.object_id == ObjectLock.object_id)
        is_soon = ends_too_soon(ObjectLock.locked_until, self.clock.now(), self.term)
        return joined.where(ObjectLock.object_id > after, is_soon)

    def _to_hold(self, after: UUID) -> Select[UUID]:
        wanted = wants_hold_now().subquery("wanted")
        has_it = exists().where(ObjectLock.object_id == wanted.c.object_id, ObjectLock.has_hold)
        return select(wanted.c.object_id).distinct().where(wanted.c.object_id > after, ~has_it)

    def _to_release(self, after: UUID) -> Select[UUID]:
        gone = was_released().subquery("gone")
        has_it = exists().where(ObjectLock.object_id == gone.c.object_id, ObjectLock.has_hold)
        return select(gone.c.object_id).distinct().where(gone.c.object_id > after, has_it)

    def _batches(self, which: Callable[[UUID], Select[UUID]]) -> Iterator[Sequence[Brought]]:
        """Bring one batch after the other of the objects that a query finds, in the order of their ids."""
        last = UUID(int=0)
        while True:
            at = self.clock.now()
            with self.database.read() as tx:
                found = which(last)
                object_id = found.selected_columns[0]
                ids = list(tx.scalars(found.where(object_id.not_in(_GONE)).order_by(object_id).limit(_BATCH)))
                standing = standings(tx, ids, _NOTED, self._first)
            done = bring(self.objects, standing, at=at, term=self.term)
            with self.database.begin() as tx:
                self._write(tx, done, at)
            if ids:
                yield done
            if len(ids) < _BATCH:
                return
            last = ids[-1]

    def _first(self, preserved_at: Instant) -> Instant | None:
        return preserved_at + self.term if self.locks_as_it_comes else None

    def _write(self, tx: Session, done: Sequence[Brought], at: Instant) -> None:
        """Note locks as they are now, with one log entry for what was changed."""
        if (detail := told(done)) is not None:
            append_entry(tx, NewEntry(EntryType.RETENTION_EXTENDED, ARCHIVE, detail=detail), at=at)
        rows = [
            {"object_id": each.standing.object_id, "locked_until": each.locked_until or at, "has_hold": each.has_hold}
            for each in done
            if each.locked_until is not None or each.hold is not None
        ]
        if rows:
            insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
            added = insert(ObjectLock).values(rows)
            now = {name: added.excluded[name] for name in ("locked_until", "has_hold")}
            tx.execute(added.on_conflict_do_update(index_elements=[ObjectLock.object_id], set_=now))
        for planned, ids in _by_entry(done).items():
            # What was planned anew meanwhile is looked at again.
            is_that = RetentionPlan.entry_id.is_(None) if planned is None else RetentionPlan.entry_id == planned
            these = RetentionPlan.object_id.in_(ids), is_that, RetentionPlan.lock_due
            if tx.execute(update(RetentionPlan).where(*these).values(lock_due=False)).rowcount:  # type: ignore[attr-defined]
                tx.execute(update(ObjectCopy).where(ObjectCopy.object_id.in_(ids)).values(lock_due=True))

    # ---- jobs --------------------------------------------------------------------------------------------------------

    def _extend(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self._work(job, report, (self._due, self._to_hold, self._to_release), every=_SOON)

    def _renew(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self._work(job, report, (self._unnoted, self._ending), every=_EVERY)

    def _work(
        self,
        job: ClaimedJob,
        report: Callable[[int], None],
        passes: Sequence[Callable[[UUID], Select[UUID]]],
        *,
        every: timedelta,
    ) -> None:
        if not self.term:
            with self.database.begin() as tx:
                finish_job(tx, job, at=self.clock.now())
            return
        for which in passes:
            for _ in self._batches(which):
                report(0)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + every)


def forget_locks(tx: Session, object_ids: Sequence[UUID], *, at: Instant) -> None:
    """Have the locks of objects looked at anew, in the caller's transaction: something was put that has none yet.

    For a new version, for bytes that were repaired, and for objects that were moved to another store.
    """
    for start in range(0, len(object_ids), _BATCH):
        ids = object_ids[start : start + _BATCH]
        tx.execute(update(ObjectLock).where(ObjectLock.object_id.in_(ids)).values(locked_until=_NEVER))
        tx.execute(update(RetentionPlan).where(RetentionPlan.object_id.in_(ids)).values(lock_due=True))
        tx.execute(update(ObjectCopy).where(ObjectCopy.object_id.in_(ids)).values(lock_due=True))
    hasten_job(tx, EXTEND_LOCKS, at=at)


def _by_entry(done: Sequence[Brought]) -> Mapping[UUID | None, list[UUID]]:
    found: dict[UUID | None, list[UUID]] = {}
    for each in done:
        found.setdefault(each.standing.planned, []).append(each.standing.object_id)
    return found

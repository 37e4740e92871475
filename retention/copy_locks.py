"""Keeping the second copy locked, as `retention.locks` keeps the first: as long as plans and holds ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, select, update

from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry
from archive.ocfl.root import OcflRoot
from retention.locking import Brought, bring, ends_too_soon, standings, told, wants_hold_now, was_released
from retention.models import ObjectCopy
from retention.planning.models import RetentionPlan

_BATCH = 100


@dataclass(frozen=True, slots=True)
class CopyLocks:
    """Which copies: those in a place, whose rolling locks last for `term`."""

    place_id: UUID
    place: str
    term: timedelta


def keep_some(database: Database, objects: OcflRoot, locks: CopyLocks, *, at: Instant) -> int:
    """Bring the locks of up to 100 copies to what is asked for; return how many. Raises: StoreUnavailable."""
    gone = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))
    here = (ObjectCopy.place_id == locks.place_id, ObjectCopy.head > 0, ObjectCopy.object_id.not_in(gone))
    noted = select(ObjectCopy.object_id, ObjectCopy.locked_until, ObjectCopy.has_hold).where(*here)
    for which in _due(at, locks.term):
        last = UUID(int=0)
        while True:
            with database.read() as tx:
                of_these = which.where(*here, ObjectCopy.object_id > last).order_by(ObjectCopy.object_id)
                found = tx.scalars(of_these.limit(_BATCH)).all()
                standing = standings(tx, found, noted, lambda _: None)
            if not found:
                break
            if done := bring(objects, standing, at=at, term=locks.term):
                _note(database, locks, done, at)
                return len(done)
            last = found[-1]  # what cannot be locked keeps nothing else from it
    return 0


def _due(at: Instant, term: timedelta) -> Sequence[Select[UUID]]:
    """Return the queries for the copies whose locks are not what is asked for, as far as that was noted."""
    copies = select(ObjectCopy.object_id)
    planned = copies.outerjoin(RetentionPlan, RetentionPlan.object_id == ObjectCopy.object_id)
    return (
        copies.where(ObjectCopy.lock_due),
        copies.where(~ObjectCopy.has_hold, ObjectCopy.object_id.in_(wants_hold_now())),
        copies.where(ObjectCopy.has_hold, ObjectCopy.object_id.in_(was_released())),
        planned.where(ends_too_soon(ObjectCopy.locked_until, at, term)),
    )


def _note(database: Database, locks: CopyLocks, done: Sequence[Brought], at: Instant) -> None:
    with database.begin() as tx:
        for each in done:
            this = (ObjectCopy.place_id == locks.place_id, ObjectCopy.object_id == each.standing.object_id)
            now = {"locked_until": each.locked_until, "has_hold": each.has_hold, "lock_due": False}
            tx.execute(update(ObjectCopy).where(*this).values(**now))
        if (changed := told(done)) is not None:
            detail = {"place": locks.place, **changed}
            append_entry(tx, NewEntry(EntryType.RETENTION_EXTENDED, ARCHIVE, detail=detail), at=at)

"""Whose turn it is: what was put to the front, then the oldest check. And what comes under rounds, and what leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, bindparam, case, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import Base, insert_row
from archive.db.database import Database
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ledger.models import LogLeaf
from archive.ledger.proofs import head
from retention.models import CopyPlace, ObjectCopy
from retention.rounds.models import ORIGINALS, FixityCheck, FixityDamage, FixityPlace
from retention.rounds.pacing import LEAST_WEIGHT_BYTES, Credit

PRESERVING: Final = ("object.preserved", "record.filed", "volume.closed")
"""Types of entries that an object comes in with."""
_SCANNED_AT_ONCE: Final = 10_000
_NOTED_AT_ONCE: Final = 1000
_AT_ONCE: Final = 100
_AGAIN: Final = timedelta(hours=1)
_GONE: Final = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))


@dataclass(frozen=True, slots=True)
class Turn:
    """An object whose turn it is, with the newest version that it had.

    `is_asked`: it was put to the front; `is_late`: its period is over.
    """

    row: PreservedObject
    head: int
    is_asked: bool
    is_late: bool

    @property
    def object_id(self) -> ObjectId:
        """Which object it is."""
        return ObjectId(self.row.id)


@dataclass(frozen=True, slots=True)
class Read:
    """An object that was read and is whole: its newest version, how many bytes were read, and when that began."""

    object_id: UUID
    head: int
    size_bytes: int
    began: Instant


def recheck(tx: Session, object_ids: Sequence[UUID], at: Instant, *, place: str = ORIGINALS) -> None:
    """Put objects to the front of a place's round, in the caller's transaction: the newest of all such is read first.

    For what was just moved, and for whatever is in doubt. What is not re-read any more stays so.
    """
    for start in range(0, len(object_ids), _AT_ONCE):
        some = object_ids[start : start + _AT_ONCE]
        if place == ORIGINALS:  # nobody may have looked at its entry yet
            known = select(PreservedObject.id, PreservedObject.preserved_at).where(PreservedObject.id.in_(some))
            _come_in(tx, place, [{"object_id": row.id, "since": row.preserved_at} for row in tx.execute(known)])
        these = (FixityCheck.place == place, FixityCheck.object_id.in_(some), FixityCheck.since.is_not(None))
        tx.execute(update(FixityCheck).where(*these).values(asked_at=at, read_at=None, read_bytes=None, tried_at=None))


def leave(tx: Session, object_ids: Sequence[UUID]) -> None:
    """Have objects not re-read any more, in any place, in the caller's transaction: they are about to be destroyed."""
    for start in range(0, len(object_ids), _AT_ONCE):
        some = object_ids[start : start + _AT_ONCE]
        _come_in(tx, ORIGINALS, [{"object_id": each, "since": None} for each in some])  # nobody may have looked yet
        these = FixityCheck.object_id.in_(some)
        gone = {"since": None, "asked_at": None, "read_at": None, "read_bytes": None}
        tx.execute(update(FixityCheck).where(these).values(**gone))


def come_back(tx: Session, object_ids: Sequence[UUID], at: Instant) -> None:
    """Have objects that had left re-read again, in the caller's transaction: they stay after all.

    Their time counts from where it would without that: from the last check, or from when they came in.
    """
    came_in = select(PreservedObject.preserved_at).where(PreservedObject.id == FixityCheck.object_id).scalar_subquery()
    for start in range(0, len(object_ids), _AT_ONCE):
        these = (FixityCheck.object_id.in_(object_ids[start : start + _AT_ONCE]), FixityCheck.since.is_(None))
        for is_here, since in ((FixityCheck.place == ORIGINALS, came_in), (FixityCheck.place != ORIGINALS, at)):
            values = {"since": func.coalesce(FixityCheck.checked_at, since)}
            tx.execute(update(FixityCheck).where(*these, is_here).values(**values))


def note_copied(tx: Session, place_id: UUID, object_ids: Sequence[UUID], at: Instant) -> None:
    """Have objects that were copied re-read there too, each from its first copy on; in the caller's transaction."""
    gone = set(tx.scalars(_GONE.where(PreservedObject.id.in_(object_ids))))  # while it was copied
    _come_in(tx, str(place_id), [{"object_id": each, "since": None if each in gone else at} for each in object_ids])


def note_new(database: Database, *, at: Instant) -> None:
    """Have what the log tells of since the last look re-read: each object from its coming in on."""
    while True:
        with database.begin() as tx:
            place = place_row(tx, ORIGINALS, at=at)
            newest = head(tx)
            size = 0 if newest is None else newest.size
            ends = min(size, place.scanned + _SCANNED_AT_ONCE)
            found = tx.execute(_preserved().where(LogLeaf.index >= place.scanned, LogLeaf.index < ends)).all()
            _come_in(tx, ORIGINALS, [{"object_id": row.object_id, "since": row.preserved_at} for row in found])
            place.scanned = ends
        if ends == size:
            return


def note_old_copies(database: Database) -> None:
    """Have every copy re-read that nobody noted when it was made; for the worker's start."""
    with database.read() as tx:
        places = list(tx.scalars(select(CopyPlace.id)))
    for place_id in places:
        known = exists().where(FixityCheck.object_id == ObjectCopy.object_id, FixityCheck.place == str(place_id))
        made = select(ObjectCopy.object_id, ObjectCopy.copied_at).where(
            ObjectCopy.place_id == place_id, ObjectCopy.head > 0, ~known, ObjectCopy.object_id.not_in(_GONE)
        )
        while True:
            with database.begin() as tx:
                missing = tx.execute(made.order_by(ObjectCopy.object_id).limit(_NOTED_AT_ONCE)).all()
                rows = [{"object_id": row.object_id, "since": row.copied_at} for row in missing]
                _come_in(tx, str(place_id), rows)
            if len(missing) < _NOTED_AT_ONCE:
                break


def turns(
    tx: Session, place: str, *, at: Instant, period: timedelta, is_even: bool, limit: int = 100
) -> Sequence[Turn]:
    """Return whose turn it is: what was put to the front, the newest first, then the oldest check first.

    Without credit for the even pace (`is_even`) only what is late. What was tried in vain waits for an hour; what is
    damaged is for its repair.
    """
    is_damaged = exists().where(
        FixityDamage.object_id == FixityCheck.object_id,
        FixityDamage.place == FixityCheck.place,
        FixityDamage.repaired_at.is_(None),
    )
    rows = (
        select(FixityCheck, PreservedObject)
        .join(PreservedObject, PreservedObject.id == FixityCheck.object_id)
        .where(
            FixityCheck.place == place,
            FixityCheck.read_at.is_(None),
            FixityCheck.since.is_not(None),
            PreservedObject.destroyed_at.is_(None),
            ~is_damaged,
            or_(FixityCheck.tried_at.is_(None), FixityCheck.tried_at < at - _AGAIN),
        )
        .limit(limit)
    )
    asked = rows.where(FixityCheck.asked_at.is_not(None)).order_by(FixityCheck.object_id.desc())
    found = [_turn(row, original, at - period) for row, original in tx.execute(asked)]
    bound = at if is_even else at - period
    oldest = rows.where(FixityCheck.since <= bound, FixityCheck.asked_at.is_(None))
    oldest = oldest.order_by(FixityCheck.since, FixityCheck.object_id)
    if len(found) < limit:
        found += [_turn(row, original, at - period) for row, original in tx.execute(oldest)]
    return found[:limit]


def note_read(tx: Session, place: str, found: Sequence[Read], *, at: Instant) -> None:
    """Note that objects were read and are whole: the next entry tells so. What was put to the front since, was not."""
    table = Base.metadata.tables[FixityCheck.__tablename__]
    fresh = or_(table.c.asked_at.is_(None), table.c.asked_at <= bindparam("began"))
    changed = (
        update(table)
        .where(table.c.object_id == bindparam("id_of"), table.c.place == place, table.c.since.is_not(None), fresh)
        .values(read_at=at, read_bytes=bindparam("bytes_of"), read_head=bindparam("head_of"))
    )
    rows = [
        {"id_of": each.object_id, "bytes_of": each.size_bytes, "head_of": each.head, "began": each.began}
        for each in found
    ]
    tx.connection().execute(changed, rows)


def note_unread(tx: Session, place: str, object_id: UUID, *, code: str, at: Instant) -> int:
    """Note that an object could not be judged; return how often in a row that is now."""
    this = (FixityCheck.object_id == object_id, FixityCheck.place == place)
    changed = update(FixityCheck).where(*this).values(tries=FixityCheck.tries + 1, tried_at=at, trouble=code[:64])
    return int(tx.scalar(changed.returning(FixityCheck.tries)) or 0)


def place_row(tx: Session, place: str, *, at: Instant) -> FixityPlace:
    """Return the row of a place, locked; made where there is none."""
    row = tx.get(FixityPlace, place, with_for_update=True)
    if row is None:
        insert_row(tx, FixityPlace, place=place, scanned=0, credit_bytes=0, credited_at=at, size_bytes=0)
        row = tx.get_one(FixityPlace, place, with_for_update=True)
    return row


def credit_of(row: FixityPlace) -> Credit:
    """Return the credit that a row keeps."""
    return Credit(row.credit_bytes, row.credited_at)


def _preserved() -> Select[UUID, Instant]:
    return (
        select(CustodyEvent.object_id, PreservedObject.preserved_at)
        .join(LogLeaf, LogLeaf.entry_id == CustodyEvent.entry_id)
        .join(PreservedObject, PreservedObject.id == CustodyEvent.object_id)
        .where(CustodyEvent.type.in_(PRESERVING))
        .order_by(LogLeaf.index)
    )


def _turn(row: FixityCheck, original: PreservedObject, bound: Instant) -> Turn:
    is_late = row.since is not None and row.since <= bound
    return Turn(original, row.head, row.asked_at is not None, is_late)


def _come_in(tx: Session, place: str, rows: Sequence[dict[str, Any]]) -> None:
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = [{"place": place, "head": 0, "tries": 0, **row} for row in rows]
    for start in range(0, len(values), _AT_ONCE):
        tx.execute(insert(FixityCheck).values(values[start : start + _AT_ONCE]).on_conflict_do_nothing())


def weight_of(tx: Session, place: str) -> tuple[int, int]:
    """Return what one round through a place costs, and how large its originals are together. Units: bytes."""
    size = PreservedObject.size_bytes
    each = case((size < LEAST_WEIGHT_BYTES, LEAST_WEIGHT_BYTES), else_=size)
    rows = select(func.sum(each), func.sum(size)).select_from(FixityCheck)
    rows = rows.join(PreservedObject, PreservedObject.id == FixityCheck.object_id)
    weight, size_bytes = tx.execute(rows.where(FixityCheck.place == place, FixityCheck.since.is_not(None))).one()
    return int(weight or 0), int(size_bytes or 0)

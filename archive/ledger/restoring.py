"""The journal and the database, each made whole out of the other: segments that are missing, details that were lost.

For the sequencer's start (`fill_journal`) and for the operator (`restore_details`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from archive.db.base import insert_row, insert_rows
from archive.db.database import Database
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import EntryId
from archive.ledger.entries import commitment
from archive.ledger.erasure import forget_rows
from archive.ledger.faults import SequencerFault
from archive.ledger.journal import Detail, Journal, KeptDetail, State
from archive.ledger.models import LogCheckpoint, LogDetail, LogEntry, LogErasure, LogLeaf, LogSegment
from archive.ledger.segments import SegmentMalformed, SegmentName
from archive.ports.blobs import BlobMissing

SEGMENT_ENTRIES: Final = 4096
"""How many entries a segment that is written afterwards holds at most, where the log's checkpoints allow it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the details: `written` ones came back, `erased` ones stay away, `lost` ones are nowhere.

    `unreadable_segments` are the keys of those that do not open at all.
    """

    there: int = 0
    written: int = 0
    erased: int = 0
    lost: int = 0
    unreadable_segments: tuple[str, ...] = ()


def segment_row(name: SegmentName, sha256: bytes) -> Mapping[str, Any]:
    """Return the values of the row that a committed segment has."""
    return {"size": name.new_size, "previous_size": name.old_size, "sha256": sha256}


def require_no_later_journal(database: Database, journal: Journal, *, size: int) -> None:
    """Make sure that the database is not an older copy than the journal.

    A round that broke off is of entries that wait in the database; a round of entries that it does not know was
    committed, in a database that this one was taken from before.

    Raises: SequencerFault.
    """
    journal.require_not_beyond(size)
    for name in journal.beginning_at(size):
        ids = journal.entry_ids(name)
        with database.read() as tx:
            known = tx.scalar(select(func.count()).select_from(LogEntry).where(LogEntry.id.in_(ids)))
        if known != len(ids):
            raise SequencerFault(
                "The journal holds entries that the database does not know: is this an old copy of it?", stored=size
            )


def fill_journal(database: Database, journal: Journal) -> int:
    """Write the segments that the log should have and the journal has not been given; return how many.

    For archives from before there was a journal. A segment that a killed run of this has left is taken as it is.
    For the sequencer's thread. Raises: SequencerFault, StorageFull, StoreUnavailable, and what a missing key raises.
    """
    written = 0
    while True:
        with database.begin() as tx:
            name = _next_missing(tx)
            if name is None:
                return written
            details = _details(tx, name)
            found = _adopted(tx, journal, name, details)
            if found is None:
                journal.drop_keys_without_segment(name.old_size)
                found = name, journal.write(name, details)
            insert_row(tx, LogSegment, **segment_row(*found))
        written += 1


def read_details(database: Database, journal: Journal) -> Iterator[KeptDetail]:
    """Yield the detail of every entry that a segment holds, in the order of the log, with its state.

    What is yielded as kept opens the entry's commitment; what does not is UNREADABLE.
    Raises: BlobMissing, SegmentMalformed, StoreUnavailable, and what a missing key-encryption key raises.
    """
    for name in _names(database):
        with database.read() as tx:
            yield from _committed(journal, name, _bodies(tx, name))


def restore_details(database: Database, journal: Journal) -> Restored:
    """Write the details that the database has lost and the journal holds. Those that were erased stay so.

    No entry is written: a row comes back with the very bytes that its entry commits to, or not at all.
    Raises: StorageFull, StoreUnavailable, and what a missing key-encryption key raises.
    """
    there = written = erased = 0
    unreadable = []
    for name in _names(database):
        with database.begin() as tx:
            bodies = _bodies(tx, name)
            ids = [entry_id for entry_id, _ in bodies]
            present = set(tx.scalars(select(LogDetail.entry_id).where(LogDetail.entry_id.in_(ids))))
            gone = set(tx.scalars(select(LogErasure.entry_id).where(LogErasure.entry_id.in_(ids))))
            there, erased = there + len(present - gone), erased + len(gone)
            missing = set(ids) - present - gone
            if not missing:
                continue
            try:
                kept = [found for found in _committed(journal, name, bodies) if found.entry_id in missing]
            except (BlobMissing, SegmentMalformed):
                unreadable.append(name.key)
                continue
            rows = [
                {"entry_id": found.entry_id, "salt": found.salt, "detail": found.detail}
                for found in kept
                if found.state is State.KEPT
            ]
            insert_rows(tx, LogDetail, rows)
            written += len(rows)
        if rows:
            with database.begin() as tx:
                forget_rows(tx, ids)
    with database.read() as tx:
        lost = tx.scalar(_LOST) or 0
    return Restored(there, written, erased, lost, tuple(unreadable))


_LOST: Final = (
    select(func.count())
    .select_from(LogEntry)
    .outerjoin(LogDetail, LogDetail.entry_id == LogEntry.id)
    .outerjoin(LogErasure, LogErasure.entry_id == LogEntry.id)
    .where(LogDetail.entry_id.is_(None), LogErasure.entry_id.is_(None))
)
"""Details that are missing and were not erased, also those of entries that wait for their index."""


def _names(database: Database) -> Sequence[SegmentName]:
    with database.read() as tx:
        rows = tx.execute(
            select(LogSegment.previous_size, LogSegment.size, LogCheckpoint.root)
            .join(LogCheckpoint, LogCheckpoint.size == LogSegment.size)
            .order_by(LogSegment.size)
        ).all()
    return [SegmentName(*row) for row in rows]


def _bodies(tx: Session, name: SegmentName) -> Sequence[tuple[EntryId, bytes]]:
    rows = tx.execute(
        select(LogEntry.id, LogEntry.body)
        .join(LogLeaf, LogLeaf.entry_id == LogEntry.id)
        .where(LogLeaf.index >= name.old_size, LogLeaf.index < name.new_size)
        .order_by(LogLeaf.index)
    )
    return [(EntryId(entry_id), body) for entry_id, body in rows]


def _committed(journal: Journal, name: SegmentName, bodies: Sequence[tuple[EntryId, bytes]]) -> Iterator[KeptDetail]:
    """Yield what a segment holds of these entries; a detail that its entry does not commit to counts as unreadable."""
    for found, (entry_id, body) in zip(journal.read(name), bodies, strict=True):
        is_its_own = found.entry_id == entry_id and (
            found.state is not State.KEPT
            or commitment(found.salt, found.detail) == parse_canonical(body).get("detail_c")
        )
        yield found if is_its_own else KeptDetail(found.index, entry_id, State.UNREADABLE)


def _next_missing(tx: Session) -> SegmentName | None:
    """Return the first segment that the log's rows do not have; None when they are without gap up to the head."""
    before = aliased(LogSegment)
    gap_end = tx.scalar(
        select(func.min(LogSegment.previous_size))
        .outerjoin(before, before.size == LogSegment.previous_size)
        .where(LogSegment.previous_size > 0, before.size.is_(None))
    )
    end = tx.scalar(select(func.max(LogCheckpoint.size))) if gap_end is None else gap_end
    covered = select(func.max(LogSegment.size)).where(LogSegment.size < (end or 0) + (gap_end is None))
    start = tx.scalar(covered) or 0
    if not end or start >= end:
        return None
    sizes = select(LogCheckpoint.size, LogCheckpoint.root).where(LogCheckpoint.size > start, LogCheckpoint.size <= end)
    row = tx.execute(
        sizes.where(LogCheckpoint.size <= start + SEGMENT_ENTRIES).order_by(LogCheckpoint.size.desc()).limit(1)
    ).one_or_none()
    if row is None:
        row = tx.execute(sizes.order_by(LogCheckpoint.size).limit(1)).one()
    return SegmentName(start, *row)


def _details(tx: Session, name: SegmentName) -> Sequence[Detail]:
    rows = tx.execute(
        select(LogLeaf.entry_id, LogDetail.salt, LogDetail.detail)
        .outerjoin(LogDetail, LogDetail.entry_id == LogLeaf.entry_id)
        .where(LogLeaf.index >= name.old_size, LogLeaf.index < name.new_size)
        .order_by(LogLeaf.index)
    )
    return [Detail(EntryId(entry_id), salt, detail) for entry_id, salt, detail in rows]


def _adopted(
    tx: Session, journal: Journal, name: SegmentName, details: Sequence[Detail]
) -> tuple[SegmentName, bytes] | None:
    """Return the segment that is there without a row, if it holds what it should.

    Raises: SequencerFault where one is there that does not: it may be the last copy of what the database has lost.
    """
    there = journal.beginning_at(name.old_size)
    for other in there:
        checkpoint = tx.get(LogCheckpoint, other.new_size)
        if checkpoint is None or checkpoint.root != other.root or other.new_size > name.new_size:
            continue
        wanted = {detail.entry_id for detail in details if detail.detail is not None}
        try:
            kept = list(_committed(journal, other, _bodies(tx, other)))
        except LiuhenError as exc:
            raise SequencerFault(f"A segment of the journal cannot be read: {exc.message}", key=other.key) from exc
        if not any(found.state is State.UNREADABLE or _is_less(found, wanted) for found in kept):
            return other, journal.digest(other)
    if there:
        raise SequencerFault("The journal has another segment here than the log", key=there[0].key)
    return None


def _is_less(found: KeptDetail, wanted: set[EntryId]) -> bool:
    return found.state is not State.KEPT and found.entry_id in wanted

"""Erasing one detail: its row goes, then its key in the journal; the entry and every proof of it stay valid.

The transaction that deletes the row writes the entry that tells of it, and is the intent: whoever was killed before the
key was erased has that done by the sequencer, at the next round or the next start.

Source: docs/adr/0014; docs/formats/journal.md.
"""

import contextlib
from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database, overwrite_deleted, unique_or
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from archive.kernel.ids import CaseId, EntryId, parse_uuid
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.journal import Journal
from archive.ledger.models import LogCheckpoint, LogDetail, LogEntry, LogErasure, LogLeaf, LogSegment
from archive.ledger.remainder import remainder
from archive.ledger.segments import SegmentName
from archive.ports.blobs import BlobMissing

ENTRY_KIND: Final = "entry"
"""What a `detail.erased` is about where the erased entry was about nothing; `ver` names that entry always."""
_STAYS: Final = {EntryType.DETAIL_ERASED} | {each for each in EntryType if each.startswith("disposal.")}
_MOST_TEXT: Final = 2000


class ErasureUnexplained(InvalidInput):
    """Erasing needs a reason and the authority that it is done on, neither of them empty or over 2,000 characters."""

    code = "ledger.erasure_unexplained"


class EntryUnknown(NotFound):
    """The log has no entry of this index or id."""

    code = "ledger.entry_unknown"


class NotErasable(InvalidInput):
    """This detail says why something was erased or destroyed, and by whose right; it stays."""

    code = "ledger.not_erasable"


class ErasedBefore(Conflict):
    """This detail was erased before; its key is gone as well now."""

    code = "ledger.erased_before"


class NotInJournalYet(Unavailable):
    """No segment of the journal holds this entry yet: the sequencer must run (`liuhen serve`); try again."""

    code = "ledger.not_in_journal_yet"


def find_entry(tx: Session, which: str) -> EntryId:
    """Return the id of the entry that is named by its index or its id. Raises: EntryUnknown, InvalidInput."""
    if which.isascii() and which.isdigit() and len(which) < 19:
        found = tx.scalar(select(LogLeaf.entry_id).where(LogLeaf.index == int(which)))
    else:
        found = tx.scalar(select(LogEntry.id).where(LogEntry.id == parse_uuid(which)))
    if found is None:
        raise EntryUnknown(entry=which)
    return EntryId(found)


def erase_detail(
    database: Database, journal: Journal, entry_id: EntryId, *, reason: str, authority: str, by: Actor, at: Instant
) -> EntryId:
    """Erase the detail of an entry, from the table and from the journal; return the entry that tells of it.

    Guarantees: on return neither this database nor the journal opens the detail any more. Copies that were made of
        them before, case packages for one, are not touched; docs/formats/journal.md says what devices keep.
    Raises: ErasureUnexplained, EntryUnknown, NotErasable, ErasedBefore, NotInJournalYet, StoreUnavailable.
    Idempotent: yes; the second call raises ErasedBefore, with the key gone for certain.
    """
    reason, authority = reason.strip(), authority.strip()
    if not all(0 < len(text) <= _MOST_TEXT for text in (reason, authority)):
        raise ErasureUnexplained
    try:
        with unique_or(ErasedBefore), database.begin() as tx:
            told_by = _erase_row(tx, entry_id, reason=reason, authority=authority, by=by, at=at)
    except ErasedBefore:
        _finish(database, journal, entry_id)
        raise
    _finish(database, journal, entry_id)
    database.forget_deleted()
    return told_by


def finish_erasures(database: Database, journal: Journal, *, from_index: int | None = None) -> int:
    """Finish every erasure that was committed, or those that the log tells of from an index on; return how many.

    Raises: StoreUnavailable.
    """
    told = select(LogErasure.entry_id)
    if from_index is not None:
        told = told.join(LogLeaf, LogLeaf.entry_id == LogErasure.told_by).where(LogLeaf.index >= from_index)
    with database.read() as tx:
        erased = tx.scalars(told).all()
    for entry_id in erased:
        _finish(database, journal, EntryId(entry_id))
    return len(erased)


def forget_rows(tx: Session, entry_ids: Sequence[EntryId]) -> None:
    """Delete the rows of those of the details that were erased, if there are any.

    Whoever has erased or restored one calls it after the commit: of two that do so at the same time on PostgreSQL,
    neither sees the other before.
    """
    erased = select(LogErasure.entry_id).where(LogErasure.entry_id.in_(entry_ids))
    if tx.scalar(select(LogDetail.entry_id).where(LogDetail.entry_id.in_(erased)).limit(1)) is not None:
        overwrite_deleted(tx)
        tx.execute(delete(LogDetail).where(LogDetail.entry_id.in_(erased)))


def _erase_row(tx: Session, entry_id: EntryId, *, reason: str, authority: str, by: Actor, at: Instant) -> EntryId:
    entry = tx.get(LogEntry, entry_id)
    if entry is None:
        raise EntryUnknown(entry=entry_id)
    if tx.get(LogErasure, entry_id) is not None:
        raise ErasedBefore(entry=entry_id)
    if _place(tx, entry_id) is None:
        raise NotInJournalYet(entry=entry_id)
    fields = parse_canonical(entry.body)
    if fields["type"] in _STAYS:
        raise NotErasable(entry=entry_id)
    # About what the erased entry is about, so that whoever must be told of that is told of this.
    about = fields.get("obj") or {"kind": ENTRY_KIND, "id": str(entry_id)}
    case = fields.get("case")
    kept = tx.get(LogDetail, entry_id)
    rest = {} if kept is None else remainder(parse_canonical(kept.detail))
    told_by = append_entry(
        tx,
        NewEntry(
            EntryType.DETAIL_ERASED,
            by,
            target=Target(about["kind"], parse_uuid(about["id"]), str(entry_id)),
            case=None if case is None else CaseId(parse_uuid(case)),
            detail={"type": fields["type"], "reason": reason, "authority": authority, "rest": rest},
        ),
        at=at,
    )
    insert_row(tx, LogErasure, entry_id=entry_id, told_by=told_by)
    overwrite_deleted(tx)
    tx.execute(delete(LogDetail).where(LogDetail.entry_id == entry_id))
    return told_by


def _finish(database: Database, journal: Journal, entry_id: EntryId) -> None:
    with database.begin() as tx:
        forget_rows(tx, [entry_id])
        place = _place(tx, entry_id)
    if place is not None:
        # A key that is not there opens nothing; that its file is not as it should be is told by fsck.
        with contextlib.suppress(BlobMissing, InvalidInput):
            journal.erase(*place)


def _place(tx: Session, entry_id: EntryId) -> tuple[SegmentName, int] | None:
    """Return segment and index of an entry; None as long as no segment holds it."""
    index = tx.scalar(select(LogLeaf.index).where(LogLeaf.entry_id == entry_id))
    if index is None:
        return None
    row = tx.execute(
        select(LogSegment.previous_size, LogSegment.size, LogCheckpoint.root)
        .join(LogCheckpoint, LogCheckpoint.size == LogSegment.size)
        .where(LogSegment.size > index)
        .order_by(LogSegment.size)
        .limit(1)
    ).one_or_none()
    if row is None or row.previous_size > index:
        return None
    return SegmentName(row.previous_size, row.size, row.root), index

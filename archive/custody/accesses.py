"""Looks: whoever sees, copies or is told what is kept from others leaves a row that the agency and the auditor read."""

from typing import Final

from sqlalchemy.orm import Session

from archive.custody.models import AccessRecord
from archive.db.base import insert_row
from archive.kernel.ids import EntryId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry

COPIES: Final = (
    EntryType.ACCESS_EXPORT,
    EntryType.ACCESS_PRINT,
    EntryType.ACCESS_LIST_EXPORTED,
    EntryType.ACCESS_DRAFT_COPIED,
)
"""Entries that tell of a copy that left the archive."""
ACCESSES: Final = (
    EntryType.ACCESS_VIEW,
    EntryType.ACCESS_RENEWED,
    EntryType.ACCESS_BREAK_GLASS,
    EntryType.ACCESS_IDENTIFIER,
    EntryType.ACCESS_DRAFT,
    *COPIES,
)
"""Entries that tell of an access. Each has its row, whoever writes it."""


def record_access(tx: Session, entry: NewEntry, *, at: Instant) -> EntryId:
    """Write the entry of an access and its row, in the caller's transaction. Raises: ValueError for another entry."""
    entry_id = append_entry(tx, entry, at=at)
    note_access(tx, entry, entry_id, at=at)
    return entry_id


def note_access(tx: Session, entry: NewEntry, entry_id: EntryId, *, at: Instant) -> None:
    """Write the row of an access whose entry is written already. Raises: ValueError for another entry."""
    if entry.type not in ACCESSES:
        raise ValueError(f"{entry.type} tells of no access")
    target = entry.target
    insert_row(
        tx,
        AccessRecord,
        entry_id=entry_id,
        type=entry.type.value,
        actor_id=entry.actor.id,
        ref_kind=None if target is None else target.kind,
        ref_id=None if target is None else target.id,
        at=at,
        is_judged=False,
    )

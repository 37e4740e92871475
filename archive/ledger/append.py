"""Appending to the log within the caller's transaction: no change without its entry, no entry without its change."""

from typing import Final

from sqlalchemy import insert
from sqlalchemy.orm import Session

from archive.db.base import Base
from archive.kernel.ids import EntryId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import NewEntry, encode_entry
from archive.ledger.models import LogDetail, LogEntry, LogPending

_ENTRY: Final = insert(Base.metadata.tables[LogEntry.__tablename__])
_DETAIL: Final = insert(Base.metadata.tables[LogDetail.__tablename__])
_PENDING: Final = insert(Base.metadata.tables[LogPending.__tablename__])
"""Statements on the tables, past the mapper: every change in the archive goes through here."""


def append_entry(tx: Session, entry: NewEntry, *, at: Instant) -> EntryId:
    """Write an entry that becomes durable with the caller's transaction.

    Returns the entry's id. Its index exists once the sequencer has seen it: `archive.ledger.proofs.find_index`.
    """
    encoded = encode_entry(entry, entry_id=EntryId(new_uuid7()), at=at)
    connection = tx.connection()
    connection.execute(_ENTRY, {"id": encoded.id, "body": encoded.body})
    connection.execute(_DETAIL, {"entry_id": encoded.id, "salt": encoded.salt, "detail": encoded.detail})
    connection.execute(_PENDING, {"entry_id": encoded.id})
    return encoded.id

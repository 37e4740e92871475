"""Appending to the log within the caller's transaction: no change without its entry, no entry without its change."""

from sqlalchemy import insert
from sqlalchemy.orm import Session

from archive.kernel.ids import EntryId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import NewEntry, encode_entry
from archive.ledger.models import LogDetail, LogEntry, LogPending


def append_entry(tx: Session, entry: NewEntry, *, at: Instant) -> EntryId:
    """Write an entry that becomes durable with the caller's transaction.

    Returns the entry's id. Its index exists once the sequencer has seen it: `archive.ledger.proofs.find_index`.
    """
    encoded = encode_entry(entry, entry_id=EntryId(new_uuid7()), at=at)
    tx.execute(insert(LogEntry).values(id=encoded.id, body=encoded.body))
    tx.execute(insert(LogDetail).values(entry_id=encoded.id, salt=encoded.salt, detail=encoded.detail))
    tx.execute(insert(LogPending).values(entry_id=encoded.id))
    return encoded.id

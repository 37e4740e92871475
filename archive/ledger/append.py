"""Appending to the log within the caller's transaction: no change without its entry, no entry without its change."""

from typing import Final

from sqlalchemy import bindparam, insert
from sqlalchemy.orm import Session

from archive.db.base import Base
from archive.kernel.ids import EntryId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import NewEntry, encode_entry
from archive.ledger.models import LogDetail, LogEntry, LogPending

_ENTRY: Final = insert(Base.metadata.tables[LogEntry.__tablename__]).values(
    id=bindparam("entry_id"), body=bindparam("body")
)
_DETAIL: Final = insert(Base.metadata.tables[LogDetail.__tablename__]).values(
    entry_id=bindparam("entry_id"), salt=bindparam("salt"), detail=bindparam("detail")
)
_PENDING: Final = insert(Base.metadata.tables[LogPending.__tablename__]).values(entry_id=bindparam("entry_id"))
"""Statements on the tables, past the mapper: every change in the archive goes through here."""
_AT_ONCE: Final = _PENDING.add_cte(_ENTRY.cte("entry"), _DETAIL.cte("detail"))
"""All three in one round trip, where the database knows that."""


def append_entry(tx: Session, entry: NewEntry, *, at: Instant) -> EntryId:
    """Write an entry that becomes durable with the caller's transaction.

    Returns the entry's id. Its index exists once the sequencer has seen it: `archive.ledger.proofs.find_index`.
    """
    encoded = encode_entry(entry, entry_id=EntryId(new_uuid7()), at=at)
    values = {"entry_id": encoded.id, "body": encoded.body, "salt": encoded.salt, "detail": encoded.detail}
    connection = tx.connection()
    for statement in (_ENTRY, _DETAIL, _PENDING) if connection.dialect.name == "sqlite" else (_AT_ONCE,):
        connection.execute(statement, values)
    return encoded.id

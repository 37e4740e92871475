"""Appending to the log within the caller's transaction: no change without its entry, no entry without its change."""

from typing import Final

from sqlalchemy import bindparam, insert
from sqlalchemy.orm import Session

from archive.db.base import Base
from archive.db.database import now_of, run_bare
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
_AT_ONCE: Final = _PENDING.add_cte(_ENTRY.cte("entry"), _DETAIL.cte("detail"))
"""PostgreSQL: all three rows in one round trip. Every change in the archive goes through here."""


def append_entry(tx: Session, entry: NewEntry, *, at: Instant) -> EntryId:
    """Write an entry that becomes durable with the caller's transaction.

    Returns the entry's id, whose time is when it is written by the clock that all hosts share: of two entries about one
    row, which wait for each other, the later one has the greater id. Its index exists once the sequencer has seen it:
    `archive.ledger.proofs.find_index`.
    """
    encoded = encode_entry(entry, entry_id=EntryId(new_uuid7(at=now_of(tx))), at=at)
    connection = tx.connection()
    if connection.dialect.name == "sqlite":
        key = encoded.id.hex
        run_bare(connection, "INSERT INTO log_entry (id, body) VALUES (?, ?)", (key, encoded.body))
        run_bare(
            connection,
            "INSERT INTO log_detail (entry_id, salt, detail) VALUES (?, ?, ?)",
            (key, encoded.salt, encoded.detail),
        )
        run_bare(connection, "INSERT INTO log_pending (entry_id) VALUES (?)", (key,))
    else:
        values = {"entry_id": encoded.id, "body": encoded.body, "salt": encoded.salt, "detail": encoded.detail}
        connection.execute(_AT_ONCE, values)
    return encoded.id

"""Entries of the log, verbatim."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.kernel.ids import EntryId
from archive.ledger.models import LogEntry, LogLeaf


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry with its place; `body` is the bytes whose hash is the leaf."""

    index: int
    entry_id: EntryId
    body: bytes


def newest_entries(tx: Session, *, before: int | None = None, limit: int = 50) -> Sequence[LoggedEntry]:
    """Return entries that a checkpoint covers, newest first, with an index below `before`."""
    query = (
        select(LogLeaf.index, LogLeaf.entry_id, LogEntry.body)
        .join(LogEntry, LogEntry.id == LogLeaf.entry_id)
        .order_by(LogLeaf.index.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(LogLeaf.index < before)
    return [LoggedEntry(index, EntryId(entry_id), body) for index, entry_id, body in tx.execute(query)]


def entries_from(tx: Session, index: int, *, limit: int = 1000) -> Sequence[LoggedEntry]:
    """Return entries that a checkpoint covers, from an index on."""
    query = (
        select(LogLeaf.index, LogLeaf.entry_id, LogEntry.body)
        .join(LogEntry, LogEntry.id == LogLeaf.entry_id)
        .where(LogLeaf.index >= index)
        .order_by(LogLeaf.index)
        .limit(limit)
    )
    return [LoggedEntry(at, EntryId(entry_id), body) for at, entry_id, body in tx.execute(query)]

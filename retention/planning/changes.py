"""What the log tells that plans depend on: the domains below know nothing of retention, and their entries say enough.

Entries are looked at by their index, which the sequencer gives once they are committed: what committed late comes
later, and is not missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.cases.models import CaseLink
from archive.kernel.canonical import parse_json
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType
from archive.ledger.models import LogEntry, LogLeaf
from archive.ledger.proofs import head
from archive.volumes.models import Volume
from retention.locks import forget_locks
from retention.planning.stale import mark_stale

_AT_ONCE: Final = 5_000
_TYPE: Final = b'"type":"'
"""Quotes within a text of canonical JSON are escaped, so that this stands before the type alone."""
_ADDING: Final = frozenset(
    {EntryType.OBJECT_PRESERVED.value, EntryType.RECORD_FILED.value, EntryType.VOLUME_CLOSED.value}
)
_OF_CASES: Final = frozenset(
    {
        EntryType.CASE_OPENED.value,
        EntryType.CASE_UPDATED.value,
        EntryType.CASE_CLOSED.value,
        EntryType.CASE_ACT.value,
        EntryType.CASE_ACT_UPDATED.value,
    }
)
_OF_OBJECTS: Final = frozenset(
    {
        EntryType.CASE_LINK.value,
        EntryType.CASE_UNLINK.value,
        EntryType.ITEM_DESCRIBED.value,
        EntryType.RETENTION_MARKED.value,
        EntryType.RETENTION_UNMARKED.value,
    }
)
_EXTENDING: Final = frozenset({EntryType.RECORD_EXTENDED.value, EntryType.VOLUME_CHECKED.value})
"""What comes with another version of an object, whose files have no lock but that of the term."""
_LOOKED_AT: Final = _ADDING | _OF_CASES | _OF_OBJECTS | _EXTENDING
_CASE: Final = "case"


@dataclass(frozen=True, slots=True)
class Noted:
    """How many entries were looked at, up to which index, and which objects came with them."""

    scanned: int
    looked_at: int
    fresh: Sequence[UUID]


def log_size(tx: Session) -> int:
    """Return how many entries have their place in the log."""
    newest = head(tx)
    return 0 if newest is None else newest.size


def note_changes(tx: Session, scanned: int, *, at: Instant) -> Noted:
    """Look at some thousand entries after the first `scanned`; mark the plans stale that they have a say in."""
    ends = min(log_size(tx), scanned + _AT_ONCE)
    if ends <= scanned:
        return Noted(scanned, 0, ())
    fresh: set[UUID] = set()
    objects: set[UUID] = set()
    extended: set[UUID] = set()
    cases: set[UUID] = set()
    bodies = select(LogEntry.body).join(LogLeaf, LogLeaf.entry_id == LogEntry.id)
    for body in tx.scalars(bodies.where(LogLeaf.index >= scanned, LogLeaf.index < ends)):
        kind = _type_of(body)
        if kind not in _LOOKED_AT:
            continue
        told = parse_json(body)
        about = told.get("obj") or {}
        if kind in _OF_CASES or about.get("kind") == _CASE:
            cases.add(UUID(told["case"] if "case" in told else about["id"]))
        elif "id" in about:
            found = fresh if kind in _ADDING else extended if kind in _EXTENDING else objects
            found.add(UUID(about["id"]))
    if objects:
        mark_stale(tx, sorted(objects), at)
    if cases:
        mark_stale(tx, select(CaseLink.object_id).where(CaseLink.case_id.in_(cases)), at)
        mark_stale(tx, select(Volume.object_id).where(Volume.case_id.in_(cases), Volume.object_id.is_not(None)), at)
    if extended:
        forget_locks(tx, sorted(extended), at=at)
    return Noted(ends, ends - scanned, sorted(fresh))


def _type_of(body: bytes) -> str:
    start = body.rfind(_TYPE) + len(_TYPE)
    return body[start : body.find(b'"', start)].decode("ascii", "replace")

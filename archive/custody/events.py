"""Writing and reading custody events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.accesses import ACCESSES, note_access
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import insert_row
from archive.kernel.canonical import parse_json
from archive.kernel.digests import Digest, DigestSet
from archive.kernel.errors import LiuhenError, NotFound
from archive.kernel.ids import EntryId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import NewEntry
from archive.ledger.models import LogDetail, LogLeaf


class ObjectNotFound(NotFound):
    """There is no such item or record, or it is not yours to see."""

    code = "custody.object_not_found"


class ObjectDestroyed(LiuhenError):
    """This was destroyed when its time was over; its tombstone stays."""

    code = "custody.object_destroyed"
    exit_code = 66


@dataclass(frozen=True, slots=True)
class TrailRow:
    """One line of a custody trail. `log_index` is None until the entry is sequenced."""

    entry_id: EntryId
    type: str
    actor_id: UUID
    at: Instant
    log_index: int | None
    detail: Mapping[str, Any] | None


def record_event(tx: Session, object_id: ObjectId, entry: NewEntry, *, at: Instant) -> EntryId:
    """Write a custody event of an object and its log entry, in the caller's transaction; an access has its row too."""
    entry_id = append_entry(tx, entry, at=at)
    if entry.type in ACCESSES:
        note_access(tx, entry, entry_id, at=at)
    insert_row(
        tx,
        CustodyEvent,
        entry_id=entry_id,
        object_id=object_id,
        case_id=entry.case,
        type=entry.type.value,
        actor_id=entry.actor.id,
        at=at,
    )
    return entry_id


def custody_trail(tx: Session, object_id: ObjectId) -> Sequence[TrailRow]:
    """Return every custody event of an object, oldest first, with its place in the log."""
    rows = tx.execute(
        select(CustodyEvent, LogLeaf.index, LogDetail.detail)
        .outerjoin(LogLeaf, LogLeaf.entry_id == CustodyEvent.entry_id)
        .outerjoin(LogDetail, LogDetail.entry_id == CustodyEvent.entry_id)
        .where(CustodyEvent.object_id == object_id)
        .order_by(CustodyEvent.at, CustodyEvent.entry_id)
    )
    return [
        TrailRow(
            entry_id=EntryId(event.entry_id),
            type=event.type,
            actor_id=event.actor_id,
            at=event.at,
            log_index=index,
            detail=parse_json(detail) if detail else None,
        )
        for event, index, detail in rows
    ]


def preserved_object(tx: Session, object_id: ObjectId) -> PreservedObject:
    """Return the row of a preserved object. Raises: ObjectNotFound."""
    row = tx.get(PreservedObject, object_id)
    if row is None:
        raise ObjectNotFound(object_id=object_id)
    return row


def kept_object(tx: Session, object_id: ObjectId) -> PreservedObject:
    """Return the row of an object whose content is there. Raises: ObjectNotFound, ObjectDestroyed."""
    row = preserved_object(tx, object_id)
    if row.destroyed_at is not None:
        raise ObjectDestroyed(object_id=object_id)
    return row


def object_to_file(tx: Session, object_id: ObjectId) -> PreservedObject:
    """Return the row of an object whose content is there and stays to the end of the transaction.

    Whoever is about to destroy it waits, and then sees what was written here. Raises: ObjectNotFound, ObjectDestroyed.
    """
    this = select(PreservedObject).where(PreservedObject.id == object_id).with_for_update(read=True, key_share=True)
    tx.scalar(this.execution_options(populate_existing=True))
    return kept_object(tx, object_id)


def digests_of(row: PreservedObject) -> DigestSet:
    """Return the digests that the catalogue holds for an original."""
    return DigestSet(
        size_bytes=row.size_bytes,
        sha256=Digest.from_hex("sha256", row.sha256),
        sha512=Digest.from_hex("sha512", row.sha512),
        sm3=None if row.sm3 is None else Digest.from_hex("sm3", row.sm3),
    )

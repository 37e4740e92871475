"""What came in through which dock, what is in quarantine, and when a dock was last heard of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.access.listings import account_names
from archive.access.models import ApiKey
from archive.custody.models import CustodyEvent
from archive.kernel.canonical import parse_json
from archive.kernel.ids import AccountId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType
from archive.ledger.models import LogEntry, LogLeaf
from archive.organisation.models import Unit
from ingest.manifest import parse_manifest
from ingest.models import Dock, QuarantineItem, Upload


@dataclass(frozen=True, slots=True)
class DockRow:
    """A dock and its unit, when its last upload ended, how many were accepted, and when its key was made."""

    dock: Dock
    last_upload_at: Instant | None
    accepted_count: int
    unit: str | None = None
    key_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Reception:
    """One upload that was accepted as an item. `log_index` is None until a checkpoint covers it.

    `sender_name` and `note` stand where a person sent it through the archive's own door.
    """

    upload: Upload
    dock_name: str
    log_index: int | None
    dock_kind: str = "station"
    sender_name: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class SentRow:
    """An upload that a person began, and what the file is called. Units: bytes."""

    upload: Upload
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """Something in quarantine, and the dock that sent it."""

    item: QuarantineItem
    dock_name: str


def dock_choices(tx: Session) -> Sequence[tuple[UUID, str]]:
    """Return docks with their names in the order of their enrolment."""
    rows = tx.execute(select(Dock.id, Dock.name).order_by(Dock.enrolled_at, Dock.id))
    return [(row.id, row.name) for row in rows]


def dock_rows(tx: Session) -> Sequence[DockRow]:
    """Return every dock, in order of enrolment, with its last upload."""
    finished = (
        select(
            Upload.dock_id,
            func.max(Upload.finished_at).label("last_upload_at"),
            func.count().label("accepted_count"),
        )
        .where(Upload.state == "accepted")
        .group_by(Upload.dock_id)
        .subquery()
    )
    keys = (
        select(ApiKey.holder_id, func.max(ApiKey.created_at).label("key_at"))
        .where(ApiKey.revoked_at.is_(None))
        .group_by(ApiKey.holder_id)
        .subquery()
    )
    counted = func.coalesce(finished.c.accepted_count, 0)
    rows = tx.execute(
        select(Dock, finished.c.last_upload_at, counted, Unit.name, keys.c.key_at)
        .outerjoin(finished, finished.c.dock_id == Dock.id)
        .outerjoin(Unit, Unit.id == Dock.unit_id)
        .outerjoin(keys, keys.c.holder_id == Dock.id)
        .order_by(Dock.enrolled_at, Dock.id)
    )
    return [DockRow(*row) for row in rows]


def dock_names(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the name of each of these ids that is a dock."""
    if not ids:
        return {}
    return dict(tx.execute(select(Dock.id, Dock.name).where(Dock.id.in_(ids))).all())


def door_kinds(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return which of these ids are doors of the archive, and their kinds."""
    if not ids:
        return {}
    return dict(tx.execute(select(Dock.id, Dock.kind).where(Dock.id.in_(ids), Dock.kind != "station")).all())


def receptions(tx: Session, object_id: ObjectId) -> Sequence[Reception]:
    """Return every accepted upload of an item, oldest first: the same recording may have come more than once."""
    entries = tx.execute(
        select(LogEntry.body, LogLeaf.index)
        .join(CustodyEvent, CustodyEvent.entry_id == LogEntry.id)
        .outerjoin(LogLeaf, LogLeaf.entry_id == LogEntry.id)
        .where(CustodyEvent.object_id == object_id, CustodyEvent.type == EntryType.INGEST_RECEIVED.value)
        .order_by(CustodyEvent.at, CustodyEvent.entry_id)
    )
    # The entry names its upload; so no upload has to be looked for by its object.
    indexes = {UUID(parse_json(body)["req"]): index for body, index in entries}
    rows = tx.execute(
        select(Upload, Dock.name, Dock.kind).join(Dock, Dock.id == Upload.dock_id).where(Upload.id.in_(indexes))
    ).all()
    names = account_names(tx, {upload.sender_id for upload, _, _ in rows if upload.sender_id is not None})
    found = {
        upload.id: _reception(upload, name, kind, index=indexes[upload.id], names=names) for upload, name, kind in rows
    }
    return [found[upload_id] for upload_id in indexes if upload_id in found]


def _reception(upload: Upload, dock_name: str, kind: str, *, index: int | None, names: Mapping[UUID, str]) -> Reception:
    if upload.sender_id is None:
        return Reception(upload, dock_name, index, kind)
    tags = parse_manifest(upload.manifest).fields.get("tags") or {}
    return Reception(upload, dock_name, index, kind, names.get(upload.sender_id), tags.get("note"))


def sent_by(tx: Session, account_id: AccountId, *, limit: int = 20) -> Sequence[SentRow]:
    """Return what a person has sent through the archive's own door, newest first."""
    rows = tx.scalars(
        select(Upload)
        .where(Upload.sender_id == account_id, Upload.state != "terminated")
        .order_by(Upload.created_at.desc(), Upload.id.desc())
        .limit(limit)
    )
    told = [(upload, parse_manifest(upload.manifest)) for upload in rows]
    return [SentRow(upload, manifest.name, manifest.digests.sha256.hex) for upload, manifest in told]


def quarantine(tx: Session, *, limit: int = 50) -> Sequence[QuarantineRow]:
    """Return what is in quarantine, newest first."""
    rows = tx.execute(
        select(QuarantineItem, Dock.name)
        .join(Upload, Upload.id == QuarantineItem.upload_id)
        .join(Dock, Dock.id == Upload.dock_id)
        .order_by(QuarantineItem.quarantined_at.desc(), QuarantineItem.upload_id.desc())
        .limit(limit)
    )
    return [QuarantineRow(*row) for row in rows]

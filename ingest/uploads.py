"""The life of an upload: created, grown, finished, terminated, expired. Bytes are `ingest.receiving`'s."""

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select, update

from archive.db.base import insert_row
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId, UploadId, new_uuid7, parse_uuid
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.meters import meters
from ingest.axis.models import AxisObject
from ingest.context import Intake
from ingest.errors import (
    EmptyFile,
    HeldBack,
    ManifestMalformed,
    OffsetConflict,
    TooLarge,
    UploadFinished,
    UploadGone,
    UploadNotFound,
)
from ingest.manifest import parse_manifest
from ingest.models import DirectUpload, Upload
from ingest.pressure import require_within
from ingest.staged_lock import StagedLock
from ingest.staging import create_staged, remove_staged
from ingest.waiting import note_begun

_ABANDONED_S: Final = 3600.0
_UNFINISHED: Final = ("receiving", "direct")


@dataclass(frozen=True, slots=True)
class UploadState:
    """Where an upload stands. Units: bytes."""

    id: UploadId
    dock_id: UUID
    size_bytes: int
    offset_bytes: int
    state: str
    metadata_header: str
    expires_at: Instant
    refusal: str | None
    place: str = ""

    @property
    def is_open(self) -> bool:
        """Whether bytes can still be added."""
        return self.state == "receiving"


def create_upload(
    intake: Intake,
    *,
    dock_id: UUID,
    credential: str,
    size_bytes: int,
    metadata_header: str,
    manifest: bytes,
    manifest_signature: bytes,
    sender_id: UUID | None = None,
    announced: str | None = None,
) -> UploadState:
    """Open an upload for one file; on return its row and its empty staged file are durable.

    `sender_id` is the account of a person who sends through the archive's own door; `announced` is what
    the dock called the recording when it announced it.
    Raises: EmptyFile, TooLarge, ManifestMalformed, StorageFull; DockQuota, DockUploads.
    """
    require_acceptable_size(intake, size_bytes)
    if parse_manifest(manifest).digests.size_bytes != size_bytes:
        raise ManifestMalformed("The manifest names another size than the upload")
    upload_id, now = UploadId(new_uuid7()), intake.clock.now()
    intake.require_room(size_bytes)
    create_staged(intake.staging, upload_id)
    try:
        with intake.database.begin() as tx:
            require_within(tx, intake, dock_id, size_bytes=size_bytes, at=now)
            insert_row(
                tx,
                Upload,
                id=upload_id,
                dock_id=dock_id,
                sender_id=sender_id,
                credential=credential,
                size_bytes=size_bytes,
                offset_bytes=0,
                metadata_header=metadata_header,
                manifest=manifest,
                manifest_signature=manifest_signature,
                state="receiving",
                object_id=ObjectId(new_uuid7()),
                created_at=now,
                expires_at=now + intake.upload_lifetime,
                place=intake.place,
            )
            if announced is not None:
                note_begun(tx, dock_id, announced, upload_id=upload_id)
    except HeldBack:
        remove_staged(intake.staging, upload_id)
        raise
    return upload_state(intake, upload_id, dock_id=dock_id, sender_id=sender_id)


def require_acceptable_size(intake: Intake, size_bytes: int) -> None:
    """Refuse a size that this archive never takes. Raises: EmptyFile, TooLarge."""
    if size_bytes == 0:
        raise EmptyFile
    if size_bytes > intake.max_size_bytes:
        raise TooLarge(most_bytes=intake.max_size_bytes)


def upload_state(intake: Intake, upload_id: UploadId, *, dock_id: UUID, sender_id: UUID | None = None) -> UploadState:
    """Return where this dock's, or this sender's, upload stands. Raises: UploadNotFound, UploadGone."""
    with intake.database.read() as tx:
        row = tx.scalar(select(Upload).where(*own_upload(upload_id, dock_id=dock_id, sender_id=sender_id)))
    if row is None:
        raise UploadNotFound
    if row.state in {"terminated", "expired"}:
        raise UploadGone(state=row.state)
    return UploadState(
        id=UploadId(row.id),
        dock_id=row.dock_id,
        size_bytes=row.size_bytes,
        offset_bytes=row.offset_bytes,
        state=row.state,
        metadata_header=row.metadata_header,
        expires_at=row.expires_at,
        refusal=row.refusal,
        place=row.place,
    )


def record_offset(intake: Intake, upload_id: UploadId, *, offset_bytes: int) -> None:
    """Store how many bytes are durable; with the last one the upload is complete.

    The caller has made the bytes durable before. Raises: OffsetConflict when the upload is not open any more or the
    offset would go back.
    """
    now = intake.clock.now()
    with intake.database.begin() as tx:
        changed = tx.execute(
            update(Upload)
            .where(
                Upload.id == upload_id,
                Upload.state == "receiving",
                Upload.offset_bytes <= offset_bytes,
                Upload.size_bytes >= offset_bytes,
            )
            .values(offset_bytes=offset_bytes, expires_at=now + intake.upload_lifetime)
            .returning(Upload.size_bytes)
        ).scalar_one_or_none()
        if changed is None:
            raise OffsetConflict
        if changed == offset_bytes:
            tx.execute(update(Upload).where(Upload.id == upload_id).values(state="complete"))


def terminate_upload(intake: Intake, upload_id: UploadId, *, dock_id: UUID, sender_id: UUID | None = None) -> None:
    """Drop an unfinished upload at the sender's wish, who still has the recording.

    Raises: UploadNotFound, UploadGone, UploadFinished: what is in the archive stays.
    """
    if upload_state(intake, upload_id, dock_id=dock_id, sender_id=sender_id).state not in _UNFINISHED:
        raise UploadFinished
    with intake.database.begin() as tx:
        changed = tx.execute(
            update(Upload)
            .where(Upload.id == upload_id, Upload.state.in_(_UNFINISHED))
            .values(state="terminated", finished_at=intake.clock.now())
            .returning(Upload.id)
        ).scalar_one_or_none()
    if changed is None:  # it was finished, or ended, between the two looks
        raise UploadFinished
    meters().uploads.labels("terminated").inc()
    _drop_bytes(intake, upload_id)


def expire_uploads(intake: Intake) -> list[UploadId]:
    """Drop unfinished uploads whose time is over; return which."""
    now = intake.clock.now()
    with intake.database.begin() as tx:
        expired = tx.scalars(
            update(Upload)
            .where(Upload.state.in_(_UNFINISHED), Upload.expires_at <= now)
            .values(state="expired", finished_at=now)
            .returning(Upload.id)
        ).all()
    for upload_id in expired:
        meters().uploads.labels("expired").inc()
        _drop_bytes(intake, UploadId(upload_id))
    return [UploadId(upload_id) for upload_id in expired]


def sweep_staging(intake: Intake) -> int:
    """Remove staged files whose upload has ended: a process died before it could; return how many.

    A file without an upload is kept while it is fresh: its row is being written. One that somebody feeds is kept.
    """
    removed = 0
    with intake.database.read() as tx:
        in_transfer = set(tx.scalars(select(AxisObject.id).where(AxisObject.state == "staged")))
    for path in list(intake.staging.iterdir()):
        try:
            upload_id = UploadId(parse_uuid(path.name))
        except InvalidInput:
            continue
        with intake.database.read() as tx:
            state = tx.scalar(select(Upload.state).where(Upload.id == upload_id))
        if state in {"receiving", "complete"} or upload_id in in_transfer:
            continue
        lock = StagedLock(path)
        with suppress(FileNotFoundError), closing(lock):
            if not lock.begin_alone():
                continue
            if state is not None or time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
                removed += 1
    return removed


def complete_uploads(intake: Intake) -> list[UploadId]:
    """Return uploads whose bytes are all staged, here, but that are neither accepted nor quarantined yet."""
    is_direct = exists().where(DirectUpload.upload_id == Upload.id)  # a job sees to those
    query = select(Upload.id).where(Upload.state == "complete", Upload.place.in_(("", intake.place)), ~is_direct)
    with intake.database.read() as tx:
        return [UploadId(upload_id) for upload_id in tx.scalars(query)]


def _drop_bytes(intake: Intake, upload_id: UploadId) -> None:
    """Remove what has come of an upload that ended: staged bytes, or parts in the bucket."""
    remove_staged(intake.staging, upload_id)
    with intake.database.read() as tx:
        direct = tx.get(DirectUpload, upload_id)
    if direct is not None and intake.direct is not None:
        intake.direct.store.abort_parts(direct.key, direct.name)
        with intake.database.begin() as tx:
            tx.execute(update(DirectUpload).where(DirectUpload.upload_id == upload_id).values(key=""))


def own_upload(
    upload_id: UploadId, *, dock_id: UUID, sender_id: UUID | None = None
) -> tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions under which an upload is this dock's or, through a door, this sender's."""
    return Upload.id == upload_id, Upload.dock_id == dock_id, Upload.sender_id.is_not_distinct_from(sender_id)


def upload_actor(row: Upload) -> Actor:
    """Return who acts in what an upload causes: the person who sends through a door, else the dock."""
    return Actor(row.sender_id or row.dock_id, row.credential)

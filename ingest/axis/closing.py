"""The end of a transfer: a recording that is whole becomes items, and only when it is one is the system told so."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import unique_or
from archive.jobs.queue import LONG, renew_job
from archive.kernel.digests import digest_of
from archive.kernel.ids import EntryId, ObjectId, UploadId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.cosigning import settled_inclusion
from ingest.axis.errors import ContainerNotFound, ObjectQuarantined, RecordingClosing
from ingest.axis.models import AxisContainer, AxisObject
from ingest.axis.naming import ObjectKind, kind_of, spelled
from ingest.axis.recording import SHEET_NAME, Recording, Signed, user_of
from ingest.axis.systems import AxisSystem
from ingest.context import Intake
from ingest.doors import DockKind, Doors
from ingest.follow_ups import READ_TRACK
from ingest.manifest import parse_manifest
from ingest.models import Upload
from ingest.staging import create_staged, staged_path, sync, write_all


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording is: what must still be taken in, and whether all of it stands in the log."""

    unfinished: list[UploadId]
    is_durable: bool


def begin_closing(intake: Intake, doors: Doors, system: AxisSystem, name: str) -> None:
    """Turn what waits into uploads that are complete; from now on every process finishes them.

    Guarantees: on return each object with bytes has its upload, under the object's id, or none has.
    Idempotent: yes, by container. Raises: ContainerNotFound, StorageFull.
    """
    with intake.database.read() as tx:
        found = _container(tx, system, name)
        if found.state != "transferring":
            return
        recording = _recording(tx, system, found)
    # Written before the transaction, since it cannot take a file back; without its row it is swept later.
    sheet = recording.sheet()
    sheet_id = None if sheet is None else _staged_sheet(intake, sheet)
    sheet_sha256 = None if sheet is None else digest_of(sheet).sha256
    key, now = doors.key(DockKind.AXIS), intake.clock.now()
    with unique_or(RecordingClosing), intake.database.begin() as tx:
        found = _container(tx, system, name, is_locked=True)
        if found.state != "transferring":
            return
        recording = _recording(tx, system, found)
        if recording.sheet() != sheet:
            raise RecordingClosing  # something came in between; the next request sees it
        for entry in recording.with_bytes:
            signed = recording.sign(entry, key, at=now, sheet=sheet_sha256)
            _open_upload(tx, intake, system, UploadId(entry.id), entry.size_bytes, signed, place=entry.place, at=now)
        if sheet is not None and sheet_id is not None:
            _write_sheet(tx, found, sheet_id, sheet, at=now)
            signed = recording.sign_sheet(sheet, key, at=now)
            _open_upload(tx, intake, system, sheet_id, len(sheet), signed, place=intake.place, at=now)
        tx.execute(
            update(AxisObject)
            .where(AxisObject.container_id == found.id, AxisObject.state == "staged")
            .values(state="delivered")
        )
        tx.execute(update(AxisContainer).where(AxisContainer.id == found.id).values(state="closing", changed_at=now))


def closing_progress(intake: Intake, system: AxisSystem, name: str) -> Progress:
    """Return what is left to be done. Raises: ContainerNotFound, ObjectQuarantined."""
    with intake.database.read() as tx:
        found = _container(tx, system, name)
        if found.state == "complete":
            return Progress([], is_durable=True)
        uploads = tx.scalars(
            select(Upload).join(AxisObject, AxisObject.id == Upload.id).where(AxisObject.container_id == found.id)
        ).all()
        if any(upload.state == "quarantined" for upload in uploads):
            raise ObjectQuarantined
        # Clips last: what is looked at in them refers to the others.
        uploads = sorted(uploads, key=lambda upload: kind_of(parse_manifest(upload.manifest).name) is ObjectKind.CLIP)
        unfinished = [UploadId(upload.id) for upload in uploads if upload.state != "accepted"]
        is_durable = not unfinished and all(_is_settled(tx, intake, upload) for upload in uploads)
    return Progress(unfinished, is_durable)


def _is_settled(tx: Session, intake: Intake, upload: Upload) -> bool:
    return (
        upload.entry_id is not None
        and settled_inclusion(tx, EntryId(upload.entry_id), policy=intake.policy) is not None
    )


def end_closing(intake: Intake, system: AxisSystem, name: str) -> None:
    """Write down that a recording is complete; its items and their entries are under a checkpoint. Idempotent."""
    now = intake.clock.now()
    with intake.database.begin() as tx:
        found = _container(tx, system, name, is_locked=True)
        if found.state == "closing":
            _have_trails_read(tx, found, at=now)
            tx.execute(
                update(AxisContainer)
                .where(AxisContainer.id == found.id)
                .values(state="complete", meta={**found.meta, "status": "Complete"}, changed_at=now, completed_at=now)
            )


def _have_trails_read(tx: Session, container: AxisContainer, *, at: Instant) -> None:
    """Have clips looked at again whose location trail came in after them, maybe."""
    names = dict(
        tx.execute(
            select(AxisObject.name, Upload.object_id)
            .join(Upload, Upload.id == AxisObject.id)
            .where(AxisObject.container_id == container.id)
        ).all()
    )
    if any(kind_of(name) is ObjectKind.TRAIL for name in names):
        for name, object_id in names.items():
            if kind_of(name) is ObjectKind.CLIP:
                args = {"object_id": str(object_id)}
                renew_job(tx, READ_TRACK, args, at=at, queue=LONG, key=f"track:{object_id}")


def _container(tx: Session, system: AxisSystem, name: str, *, is_locked: bool = False) -> AxisContainer:
    query = select(AxisContainer).where(AxisContainer.dock_id == system.dock_id, AxisContainer.name == name)
    found = tx.scalar(query.with_for_update() if is_locked else query)
    if found is None:
        raise ContainerNotFound
    return found


def _recording(tx: Session, system: AxisSystem, container: AxisContainer) -> Recording:
    objects = tx.scalars(
        select(AxisObject).where(AxisObject.container_id == container.id).order_by(AxisObject.name)
    ).all()
    return Recording(system, container, objects, _registered_user(tx, system, container))


def _registered_user(tx: Session, system: AxisSystem, container: AxisContainer) -> dict[str, str] | None:
    """Return what the system has registered of the user, as it is now: the name may change later."""
    user = user_of(container)
    found = (
        None
        if user is None
        else tx.scalar(
            select(AxisObject)
            .join(AxisContainer, AxisContainer.id == AxisObject.container_id)
            .where(AxisContainer.dock_id == system.dock_id, AxisContainer.name == "Users", AxisObject.name == user)
        )
    )
    return None if found is None else spelled(found.meta)


def _open_upload(
    tx: Session,
    intake: Intake,
    system: AxisSystem,
    upload_id: UploadId,
    size_bytes: int,
    signed: Signed,
    *,
    place: str,
    at: Instant,
) -> None:
    insert_row(
        tx,
        Upload,
        id=upload_id,
        dock_id=system.dock_id,
        credential=system.credential,
        size_bytes=size_bytes,
        offset_bytes=size_bytes,
        metadata_header="",
        manifest=signed.manifest,
        manifest_signature=signed.signature,
        state="complete",
        object_id=ObjectId(new_uuid7()),
        created_at=at,
        expires_at=at + intake.upload_lifetime,
        place=place,
    )


def _staged_sheet(intake: Intake, sheet: bytes) -> UploadId:
    sheet_id = UploadId(new_uuid7())
    intake.require_room(len(sheet))
    create_staged(intake.staging, sheet_id)
    fd = os.open(staged_path(intake.staging, sheet_id), os.O_WRONLY | os.O_CLOEXEC)
    try:
        write_all(fd, [sheet], at_byte=0)
        sync(fd)
    finally:
        os.close(fd)
    return sheet_id


def _write_sheet(tx: Session, container: AxisContainer, sheet_id: UploadId, sheet: bytes, *, at: Instant) -> None:
    digests = digest_of(sheet)
    values: dict[str, Any] = {
        "id": sheet_id,
        "container_id": container.id,
        "name": SHEET_NAME,
        "content_type": "application/json",
        "meta": {},
        "size_bytes": len(sheet),
        "md5": hashlib.md5(sheet, usedforsecurity=False).hexdigest(),
        "sha256": digests.sha256.hex,
        "sha512": digests.sha512.hex,
        "state": "staged",
        "stored_at": at,
    }
    insert_row(tx, AxisObject, **values)

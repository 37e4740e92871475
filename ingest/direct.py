"""Uploads whose bytes go straight to the bucket: the archive hands out addresses, and reads what came before it counts.

The parts become the original of an object that is not there yet, unlocked. A job reads it, compares it with the signed
manifest, and finishes it as any other upload; what does not match goes to quarantine and away from there.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.jobs.queue import INTAKE, ClaimedJob, add_job, finish_job
from archive.kernel.digests import Digest, hash_stream
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId, UploadId, new_uuid7, parse_uuid
from archive.kernel.names import safe_file_name
from archive.ocfl.layout import first_content_key, object_root
from archive.ports.blobs import BlobMissing
from archive.ports.direct import PartAddress
from ingest.accept import finish_upload
from ingest.context import DirectParts, Intake
from ingest.errors import (
    DirectNotOffered,
    HeldBack,
    ManifestMalformed,
    Quarantined,
    UploadFinished,
    UploadGone,
    UploadNotFound,
)
from ingest.manifest import parse_manifest
from ingest.models import DirectUpload, Dock, Upload
from ingest.pressure import dock_limits, note_pace, require_pace, require_within
from ingest.uploads import own_upload, require_acceptable_size
from ingest.waiting import note_begun
from ingest.workshop import Handler, Report

TAKE_DIRECT: Final = "take_direct"
GOOD_FOR: Final = timedelta(minutes=15)
MOST_ADDRESSES: Final = 100
OPEN: Final = "direct"
"""The state of an upload whose parts are still coming."""


@dataclass(frozen=True, slots=True)
class DirectState:
    """Where a direct upload stands. Units: bytes; `stored` are the numbers of the parts that are there."""

    id: UploadId
    state: str
    size_bytes: int
    part_size_bytes: int
    stored: Sequence[int]

    @property
    def parts(self) -> int:
        """How many parts there are in all."""
        return -(-self.size_bytes // self.part_size_bytes)


def begin_direct(
    intake: Intake,
    *,
    dock_id: UUID,
    credential: str,
    size_bytes: int,
    manifest: bytes,
    manifest_signature: bytes,
    announced: str | None = None,
) -> DirectState:
    """Open an upload whose parts go to the bucket; on return its row is durable.

    Raises: DirectNotOffered, EmptyFile, TooLarge, ManifestMalformed, HeldBack, StoreUnavailable.
    """
    store = _parts(intake).store
    require_acceptable_size(intake, size_bytes)
    told = parse_manifest(manifest)
    if told.digests.size_bytes != size_bytes:
        raise ManifestMalformed("The manifest names another size than the upload")
    upload_id, object_id, now = UploadId(new_uuid7()), ObjectId(new_uuid7()), intake.clock.now()
    key = first_content_key(object_id, f"original/{safe_file_name(told.name)}")
    part_size, name = store.part_size(size_bytes), store.begin_parts(key)
    try:
        with intake.database.begin() as tx:
            require_within(tx, intake, dock_id, size_bytes=size_bytes, at=now)
            insert_row(
                tx,
                Upload,
                id=upload_id,
                dock_id=dock_id,
                sender_id=None,
                credential=credential,
                size_bytes=size_bytes,
                offset_bytes=0,
                metadata_header="",
                manifest=manifest,
                manifest_signature=manifest_signature,
                state=OPEN,
                object_id=object_id,
                created_at=now,
                expires_at=now + intake.upload_lifetime,
            )
            insert_row(tx, DirectUpload, upload_id=upload_id, key=key, name=name, part_size_bytes=part_size)
            if announced is not None:
                note_begun(tx, dock_id, announced, upload_id=upload_id)
    except HeldBack:
        store.abort_parts(key, name)
        raise
    return DirectState(upload_id, OPEN, size_bytes, part_size, ())


def direct_state(intake: Intake, upload_id: UploadId, *, dock_id: UUID) -> DirectState:
    """Return where this dock's upload stands, and which parts are there.

    Raises: UploadNotFound, UploadGone, StoreUnavailable.
    """
    with intake.database.read() as tx:
        upload, direct = _own(tx, upload_id, dock_id=dock_id)
    stored = _parts(intake).store.stored_parts(direct.key, direct.name) if upload.state == OPEN else ()
    return DirectState(upload_id, upload.state, upload.size_bytes, direct.part_size_bytes, stored)


def part_addresses(
    intake: Intake, upload_id: UploadId, wanted: Mapping[int, Digest], *, dock_id: UUID
) -> Sequence[PartAddress]:
    """Return where to send these parts, each with its digest; the addresses are good for 15 minutes.

    Raises: UploadNotFound, UploadGone, UploadFinished, DockPace; InvalidInput for a part that there is not, or too
        many.
    """
    with intake.database.read() as tx:
        upload, direct = _own(tx, upload_id, dock_id=dock_id)
        per_s = dock_limits(intake, tx.get_one(Dock, dock_id)).bytes_per_s
    if upload.state != OPEN:
        raise UploadFinished
    parts = DirectState(upload_id, OPEN, upload.size_bytes, direct.part_size_bytes, ()).parts
    if len(wanted) > MOST_ADDRESSES or not all(1 <= number <= parts for number in wanted):
        raise InvalidInput(f"Up to {MOST_ADDRESSES} parts are asked for at once, by their numbers", parts=parts)
    if per_s:
        with intake.database.begin() as tx:
            now, asked = intake.clock.now(), len(wanted) * direct.part_size_bytes
            require_pace(tx, dock_id, per_s=per_s, at=now)
            note_pace(tx, dock_id, size_bytes=asked, per_s=per_s, at=now)
    store = _parts(intake).store
    return [
        store.part_address(direct.key, direct.name, number, sha256, good_for=GOOD_FOR)
        for number, sha256 in sorted(wanted.items())
    ]


def complete_direct(intake: Intake, upload_id: UploadId, sha256s: Sequence[Digest], *, dock_id: UUID) -> DirectState:
    """Take the word of the dock that every part was sent, each with its digest; a job completes, reads and compares.

    Idempotent: yes. On return the job is durable; only the receipt says that the recording is.
    Raises: UploadNotFound, UploadGone, PartsMissing, StoreUnavailable; InvalidInput for another number of parts.
    """
    with intake.database.read() as tx:
        upload, direct = _own(tx, upload_id, dock_id=dock_id)
    state = DirectState(upload_id, upload.state, upload.size_bytes, direct.part_size_bytes, ())
    if upload.state != OPEN:
        return state
    if len(sha256s) != state.parts:
        raise InvalidInput("Each part has one digest", parts=state.parts)
    _parts(intake).store.complete_parts(direct.key, direct.name, sha256s)
    with intake.database.begin() as tx:
        changed = tx.execute(
            update(Upload)
            .where(Upload.id == upload_id, Upload.state == OPEN)
            .values(state="complete", expires_at=intake.clock.now() + intake.upload_lifetime)
            .returning(Upload.id)
        ).scalar_one_or_none()
        if changed is not None:
            args, key = {"upload_id": str(upload_id)}, f"direct:{upload_id}"
            add_job(tx, TAKE_DIRECT, args, at=intake.clock.now(), queue=INTAKE, key=key)
    return DirectState(upload_id, "complete", upload.size_bytes, direct.part_size_bytes, ())


@dataclass(frozen=True, slots=True)
class DirectJobs:
    """The job that takes in what came straight to the bucket."""

    intake: Intake

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job; none where nothing comes that way."""
        return {} if self.intake.direct is None else {TAKE_DIRECT: self.take_direct}

    def take_direct(self, job: ClaimedJob, report: Report) -> None:
        """Read the bytes anew, hold them against the manifest, and finish the upload.

        Raises: IntakeBusy, StorageFull, StoreUnavailable; LeaseLost.
        """
        upload_id = UploadId(parse_uuid(job.args["upload_id"]))
        with self.intake.database.read() as tx:
            upload, key = tx.get_one(Upload, upload_id), tx.get_one(DirectUpload, upload_id).key
        if upload.state == "complete":
            with _parts(self.intake).blobs.open(key) as stored:
                digests = hash_stream(stored, algorithms=self.intake.algorithms)
            report(900)
            with suppress(Quarantined):
                finish_upload(self.intake, upload_id, digests=digests)
        is_original = self._is_original(upload_id, key)
        if not is_original and key:
            with suppress(BlobMissing):
                _parts(self.intake).blobs.delete(key)
        with self.intake.database.begin() as tx:
            if not is_original:
                tx.execute(update(DirectUpload).where(DirectUpload.upload_id == upload_id).values(key=""))
            finish_job(tx, job, at=self.intake.clock.now())

    def _is_original(self, upload_id: UploadId, key: str) -> bool:
        """Whether the bytes became an original: the archive may have had them, or they went to quarantine."""
        with self.intake.database.read() as tx:
            upload = tx.get_one(Upload, upload_id)
        return upload.state == "accepted" and key.startswith(f"{object_root(ObjectId(upload.object_id))}/")


def _own(tx: Session, upload_id: UploadId, *, dock_id: UUID) -> tuple[Upload, DirectUpload]:
    upload = tx.scalar(select(Upload).where(*own_upload(upload_id, dock_id=dock_id)))
    direct = None if upload is None else tx.get(DirectUpload, upload_id)
    if upload is None or direct is None:
        raise UploadNotFound
    if upload.state in {"terminated", "expired"}:
        raise UploadGone(state=upload.state)
    return upload, direct


def _parts(intake: Intake) -> DirectParts:
    if intake.direct is None:
        raise DirectNotOffered
    return intake.direct

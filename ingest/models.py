"""Tables of intake: docks, enrolment codes, uploads, quarantine."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.db.sight import FIRST_UNIT


class Dock(Base):
    """A docking station and its public key, or a door of the archive itself (docs/formats/dock-manifest.md).

    `kind` is station, browser or axis; the key of the last two is the archive's own. `firmware` is what the station
    told last, if it did.
    """

    __tablename__ = "dock"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16), server_default="station")
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    enrolled_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    unit_id: Mapped[uuid.UUID] = mapped_column(server_default=FIRST_UNIT.hex)
    firmware: Mapped[str | None] = mapped_column(String(100))
    most_bytes_per_day: Mapped[int | None] = mapped_column(BigInt)
    most_bytes_per_s: Mapped[int | None] = mapped_column(BigInt)
    most_uploads: Mapped[int | None]


class DockPacing(Base):
    """How far a dock that has a rate is ahead of it: so many bytes at that moment."""

    __tablename__ = "dock_pace"

    dock_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("dock.id"), primary_key=True)
    ahead_bytes: Mapped[int] = mapped_column(BigInt)
    at: Mapped[datetime] = mapped_column(Moment)


class WaitingRecording(Base):
    """A recording that a dock has and has announced, and whether somebody asked for it before all others.

    `key` is what the dock calls it. It has left when the dock did not announce it any more; `upload_id` is the upload
    that brings it.
    """

    __tablename__ = "waiting_recording"
    __table_args__ = (UniqueConstraint("dock_id", "key"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    dock_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("dock.id"))
    key: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(1024))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    device_serial: Mapped[str | None] = mapped_column(String(128))
    begins_at: Mapped[datetime | None] = mapped_column(Moment)
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    announced_at: Mapped[datetime] = mapped_column(Moment)
    left_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    upload_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("upload.id"), index=True)
    wished_at: Mapped[datetime | None] = mapped_column(Moment)
    wished_by: Mapped[uuid.UUID | None]


class EnrolmentCode(Base):
    """A one-time code for enrolling a dock, kept as its SHA-256."""

    __tablename__ = "enrolment_code"

    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    unit_id: Mapped[uuid.UUID] = mapped_column(server_default=FIRST_UNIT.hex)


class Upload(Base):
    """One upload, by tus or straight to the bucket.

    `state` is receiving, direct (its parts go to the bucket), complete (every byte is durable), accepted, quarantined,
    terminated or expired. `offset_bytes` is what is durable here: bytes beyond it in the staged file do not count.
    `object_id` is chosen at creation, so that finishing after a crash makes the same object. `sender_id` is the account
    of a person who sends through the archive's own door; a dock sends for itself. `place` is where the staged bytes lie
    (`ingest.places`).
    """

    __tablename__ = "upload"
    __table_args__ = (Index(None, "dock_id", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    dock_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("dock.id"))
    sender_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    credential: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    offset_bytes: Mapped[int] = mapped_column(BigInt)
    metadata_header: Mapped[str] = mapped_column(Text)
    manifest: Mapped[bytes] = mapped_column(LargeBinary)
    manifest_signature: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(16), index=True)
    object_id: Mapped[uuid.UUID]
    entry_id: Mapped[uuid.UUID | None]
    refusal: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    place: Mapped[str] = mapped_column(String(32), server_default=text("''"))


class DirectUpload(Base):
    """Of an upload whose bytes go straight to the bucket: the key that they are put under, and the upload in parts.

    The key is empty once nothing is left there: the bytes became no original.
    """

    __tablename__ = "direct_upload"

    upload_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("upload.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(1024))
    name: Mapped[str] = mapped_column(Text)
    part_size_bytes: Mapped[int] = mapped_column(BigInt)


class KeptJudgement(Base):
    """A judgement on a signed file that somebody asked for, and the report on it once one was made; for an hour."""

    __tablename__ = "kept_judgement"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID]
    made_at: Mapped[datetime] = mapped_column(Moment, index=True)
    size_bytes: Mapped[int]
    judgement: Mapped[bytes] = mapped_column(LargeBinary)
    report: Mapped[bytes | None] = mapped_column(LargeBinary)


class IntakeClaim(Base):
    """Which upload turns these bytes into an object; a second upload of the same bytes waits for it.

    Holds the item manifest and its signature, so that finishing after a crash writes the same object to the byte.
    """

    __tablename__ = "intake_claim"

    sha512: Mapped[str] = mapped_column(String(128), primary_key=True)
    upload_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("upload.id"))
    object_id: Mapped[uuid.UUID]
    item_manifest: Mapped[bytes] = mapped_column(LargeBinary)
    item_signature: Mapped[bytes] = mapped_column(LargeBinary)


class QuarantineItem(Base):
    """Bytes that did not match a trusted manifest: kept, listed, never evidence."""

    __tablename__ = "quarantine_item"

    upload_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("upload.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(1024))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    quarantined_at: Mapped[datetime] = mapped_column(Moment)


class RoomSample(Base):
    """How much room a disk had; kept for some weeks, so that its growth can be told."""

    __tablename__ = "room_sample"

    place: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    free_bytes: Mapped[int] = mapped_column(BigInt)

"""Tables of evidence items and renditions."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    String,
    Text,
    UniqueConstraint,
    exists,
)
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.db.sight import Reached, Sees


class EvidenceItem(Reached, Base):
    """A preserved original that came from a dock, and what is known of its content.

    `play_state` is pending, playable, damaged (playable with known damage) or unplayable; `play_reason` is a finding
    code. The sha512 is unique: the same recording twice is one item. `source_kind` and `recorded_from` are of
    `archive.evidence.terms`; with a `series`, `sequence` numbers the chapters of one recording, else it is a running
    number of the device.
    """

    reached_by = "object_id"
    __tablename__ = "evidence_item"
    __table_args__ = (
        Index("ix_evidence_item_device_serial_recorded_at", "device_serial", "recorded_at"),
        Index("ix_evidence_item_officer_number_recorded_at", "officer_number", "recorded_at"),
    )

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    sha512: Mapped[str] = mapped_column(String(128), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    dock_id: Mapped[uuid.UUID] = mapped_column(index=True)
    device_serial: Mapped[str | None] = mapped_column(String(128))
    source_kind: Mapped[str | None] = mapped_column(String(16))
    officer_number: Mapped[str | None] = mapped_column(String(32))
    channel: Mapped[str | None] = mapped_column(String(32))
    series: Mapped[str | None] = mapped_column(String(128))
    sequence: Mapped[int | None] = mapped_column(BigInt)
    recorded_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    recorded_from: Mapped[str | None] = mapped_column(String(16))
    clock_offset_ms: Mapped[int | None] = mapped_column(BigInt)
    received_at: Mapped[datetime] = mapped_column(Moment, index=True)
    duration_ms: Mapped[int | None] = mapped_column(BigInt)
    probe: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    essence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    play_state: Mapped[str] = mapped_column(String(16))
    play_reason: Mapped[str | None] = mapped_column(String(64))
    play_note: Mapped[str | None] = mapped_column(String(500))


class Rendition(Reached, Base):
    """A derived copy for viewing, always re-creatable. `recipe` holds tool, version and arguments."""

    reached_by = "object_id"
    __tablename__ = "rendition"
    __table_args__ = (UniqueConstraint("object_id", "kind"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evidence_item.object_id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(300))
    media_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    sha256: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class LiveEncoding(Reached, Base):
    """An encode under way whose segments can be played already, and for a while after.

    `state` is written by the encoder (`ingest.media.live.LiveState`); `wanted`, the segment that somebody waits for,
    and `viewed_at` by whoever serves segments. `finished_at`: the playable rendition is there, and the segments are
    kept for those who still watch them.
    """

    reached_by = "object_id"
    __tablename__ = "live_encoding"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evidence_item.object_id"), primary_key=True)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    wanted: Mapped[int | None]
    viewed_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)


class ItemLook(Reached, Base):
    """What one look into an item found: times, places, gaps, damage. `tool` looked; `sha256` is of `found`, canonical.

    `look` names the look (`keyframes`, `damage`, `track`, ...); a newer look of the same name stands in its place.
    """

    reached_by = "object_id"
    __tablename__ = "item_look"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evidence_item.object_id"), primary_key=True)
    look: Mapped[str] = mapped_column(String(32), primary_key=True)
    found: Mapped[dict[str, Any]] = mapped_column(JSON)
    sha256: Mapped[str] = mapped_column(String(64))
    tool: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Moment)


class Recording(Reached, Base):
    """One recording of one device: one or more clips that follow each other. Everything here follows from its clips.

    `device_key` is a digest of what the clips have in common (`DeviceKey`). Times are corrected by the clock's offset
    where it is known. `duration_ms` is that of the clips without what is between them.
    """

    __tablename__ = "recording"
    __table_args__ = (Index("ix_recording_device_key_ended_at", "device_key", "ended_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    device_key: Mapped[str] = mapped_column(String(64))
    device_serial: Mapped[str | None] = mapped_column(String(128), index=True)
    source_kind: Mapped[str | None] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(Moment, index=True)
    ended_at: Mapped[datetime] = mapped_column(Moment)
    clip_count: Mapped[int]
    duration_ms: Mapped[int] = mapped_column(BigInt)

    @classmethod
    def seen_if(cls, sees: Sees, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that any of its clips is seen."""
        clip = Clip.__table__.alias("clip_seen")
        return exists().where(clip.c.recording_id == table.c.id, sees(clip.c.object_id))


class Clip(Reached, Base):
    """An item as a part of a recording. Positions count from 1.

    `gap_before_ms` is the time between the end of the clip before and the start of this one, negative where they
    overlap; None for the first clip and where it is not known.
    """

    reached_by = "object_id"
    __tablename__ = "clip"
    __table_args__ = (UniqueConstraint("recording_id", "position"),)

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evidence_item.object_id"), primary_key=True)
    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recording.id"))
    position: Mapped[int]
    starts_at: Mapped[datetime] = mapped_column(Moment)
    duration_ms: Mapped[int | None] = mapped_column(BigInt)
    gap_before_ms: Mapped[int | None] = mapped_column(BigInt)

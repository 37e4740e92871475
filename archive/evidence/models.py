"""Tables of evidence items and renditions."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment


class EvidenceItem(Base):
    """A preserved original that came from a dock, and what is known of its content.

    `play_state` is pending, playable, damaged (playable with known damage) or unplayable; `play_reason` is a finding
    code. The sha512 is unique: the same recording twice is one item.
    """

    __tablename__ = "evidence_item"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    sha512: Mapped[str] = mapped_column(String(128), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    dock_id: Mapped[uuid.UUID] = mapped_column(index=True)
    device_serial: Mapped[str | None] = mapped_column(String(128), index=True)
    recorded_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    clock_offset_ms: Mapped[int | None] = mapped_column(BigInt)
    received_at: Mapped[datetime] = mapped_column(Moment, index=True)
    duration_ms: Mapped[int | None] = mapped_column(BigInt)
    probe: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    essence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    play_state: Mapped[str] = mapped_column(String(16))
    play_reason: Mapped[str | None] = mapped_column(String(64))
    play_note: Mapped[str | None] = mapped_column(String(500))


class Rendition(Base):
    """A derived copy for viewing, always re-creatable. `recipe` holds tool, version and arguments."""

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

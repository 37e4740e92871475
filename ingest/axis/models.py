"""Tables of the Axis door: tokens of systems, and what is in transfer."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment


class AxisToken(Base):
    """What a system shows with each request instead of its key; kept as its SHA-256."""

    __tablename__ = "axis_token"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    dock_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("dock.id"), index=True)
    key_prefix: Mapped[str] = mapped_column(String(16))
    expires_at: Mapped[datetime] = mapped_column(Moment)


class AxisContainer(Base):
    """A recording in transfer, or one of the registers (System, Users, Devices).

    `state` is transferring, closing (the system says it is whole, its items are being made) or complete. `meta` is what
    the system said of it, decoded.
    """

    __tablename__ = "axis_container"
    __table_args__ = (UniqueConstraint("dock_id", "name"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    dock_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("dock.id"))
    name: Mapped[str] = mapped_column(String(256))
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    completed_at: Mapped[datetime | None] = mapped_column(Moment)


class AxisObject(Base):
    """An object of a container. Its id becomes the id of its upload.

    `state` is staged (its bytes lie in staging), kept (its few bytes are `body`) or delivered (it has its upload).
    `place` is where staged bytes lie (`ingest.places`).
    """

    __tablename__ = "axis_object"
    __table_args__ = (UniqueConstraint("container_id", "name"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    container_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("axis_container.id"))
    name: Mapped[str] = mapped_column(String(1024))
    content_type: Mapped[str] = mapped_column(String(200))
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    size_bytes: Mapped[int] = mapped_column(BigInt)
    md5: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    sm3: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    stored_at: Mapped[datetime] = mapped_column(Moment)
    place: Mapped[str] = mapped_column(String(32), server_default=text("''"))

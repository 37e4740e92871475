"""Tables of moves to another store, and of what became of each object."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment


class StoreMove(Base):
    """A move of all objects from one place to another; the newest that has switched names the store in use.

    `from_settings` and `to_settings` are the settings of the two stores, canonical JSON without secrets. `scanned`
    entries of the log were looked at for later versions, the journal is copied up to `journal_size` entries.
    After switching the old place is kept until `keep_until`; `settled_at` is when all was done that follows a switch.
    `report` is the newest signed report (canonical JSON).
    """

    __tablename__ = "store_move"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    from_place: Mapped[str] = mapped_column(String(300))
    to_place: Mapped[str] = mapped_column(String(300))
    from_settings: Mapped[str] = mapped_column(Text)
    to_settings: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    keep_days: Mapped[int]
    begun_by: Mapped[uuid.UUID]
    begun_at: Mapped[datetime] = mapped_column(Moment)
    scanned: Mapped[int] = mapped_column(BigInt)
    journal_size: Mapped[int] = mapped_column(BigInt)
    switched_at: Mapped[datetime | None] = mapped_column(Moment)
    keep_until: Mapped[datetime | None] = mapped_column(Moment)
    settled_at: Mapped[datetime | None] = mapped_column(Moment)
    released_at: Mapped[datetime | None] = mapped_column(Moment)
    abandoned_at: Mapped[datetime | None] = mapped_column(Moment)
    report: Mapped[bytes | None] = mapped_column(LargeBinary)
    report_signature: Mapped[bytes | None] = mapped_column(LargeBinary)


class MovedObject(Base):
    """What became of an object in a move: its newest version in the new place, 0 for none.

    `fault` is the code of why it could not be moved, `fault_at` the key of the file. `locked_until` and `is_held` are
    what was set in the new place and read back. `rechecked_at`: it was read whole once more before anything old went.
    `cleared_at`: the place that was given up holds nothing of it any more; `kept_until` is when a lock there ends.
    """

    __tablename__ = "moved_object"
    __table_args__ = (
        Index("ix_moved_object_state", "move_id", "state", "object_id"),
        Index("ix_moved_object_object_id", "object_id"),
    )

    move_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("store_move.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    head: Mapped[int]
    fault: Mapped[str | None] = mapped_column(String(64))
    fault_at: Mapped[str | None] = mapped_column(String(1100))
    tried_at: Mapped[datetime | None] = mapped_column(Moment)
    verified_at: Mapped[datetime | None] = mapped_column(Moment)
    locked_until: Mapped[datetime | None] = mapped_column(Moment)
    is_held: Mapped[bool] = mapped_column(default=False, server_default=false())
    settled_at: Mapped[datetime | None] = mapped_column(Moment)
    rechecked_at: Mapped[datetime | None] = mapped_column(Moment)
    cleared_at: Mapped[datetime | None] = mapped_column(Moment)
    kept_until: Mapped[datetime | None] = mapped_column(Moment)

"""The tables of locks and their probe, of the second copy, and of the drills that show what it is worth."""

import uuid
from datetime import datetime
from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment

_HAS_HOLD: Final = text("has_hold")
_LOCK_DUE: Final = text("lock_due")


class WormProbeRun(Base):
    """One try to get rid of what is locked. `findings` is canonical JSON."""

    __tablename__ = "worm_probe"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(String(300))
    outcome: Mapped[str] = mapped_column(String(16))
    findings: Mapped[str] = mapped_column(Text)
    probed_at: Mapped[datetime] = mapped_column(Moment)


class ObjectLock(Base):
    """Until when every version of an object is locked in the store, as it was read back; `has_hold`: under legal hold."""

    __tablename__ = "object_lock"
    __table_args__ = (
        Index("ix_object_lock_has_hold", "object_id", sqlite_where=_HAS_HOLD, postgresql_where=_HAS_HOLD),
    )

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    locked_until: Mapped[datetime] = mapped_column(Moment, index=True)
    has_hold: Mapped[bool] = mapped_column(default=False, server_default=false())


class CopyPlace(Base):
    """A place that a second copy was ever made in. `scanned` entries of the log were looked at for what to copy.

    `trouble` is the code of what keeps it from being written now, since `trouble_at`.
    """

    __tablename__ = "copy_place"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(String(300), unique=True)
    scanned: Mapped[int] = mapped_column(BigInt)
    trouble: Mapped[str | None] = mapped_column(String(64))
    trouble_at: Mapped[datetime | None] = mapped_column(Moment)


class ObjectCopy(Base):
    """An object's copy in one place: its newest version there, 0 for none.

    It is due while `due_index` is the place in the log of an entry that was not copied; `due_since` is the time of the
    oldest of these. `fault` is the code of why the last try failed, `fault_at` the key of the file. `has_hold`: it is
    under legal hold there; `lock_due`: its locks were not held against its plan yet.
    """

    __tablename__ = "object_copy"
    __table_args__ = (
        Index(
            "ix_object_copy_due",
            "place_id",
            "due_since",
            sqlite_where=text("due_index IS NOT NULL"),
            postgresql_where=text("due_index IS NOT NULL"),
        ),
        Index("ix_object_copy_place_id_locked_until", "place_id", "locked_until"),
        Index("ix_object_copy_has_hold", "place_id", "object_id", sqlite_where=_HAS_HOLD, postgresql_where=_HAS_HOLD),
        Index("ix_object_copy_lock_due", "place_id", "object_id", sqlite_where=_LOCK_DUE, postgresql_where=_LOCK_DUE),
    )

    place_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("copy_place.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    head: Mapped[int]
    copied_at: Mapped[datetime | None] = mapped_column(Moment)
    locked_until: Mapped[datetime | None] = mapped_column(Moment)
    due_index: Mapped[int | None] = mapped_column(BigInt)
    due_since: Mapped[datetime | None] = mapped_column(Moment)
    tried_at: Mapped[datetime | None] = mapped_column(Moment)
    fault: Mapped[str | None] = mapped_column(String(64))
    fault_at: Mapped[str | None] = mapped_column(String(1100))
    has_hold: Mapped[bool] = mapped_column(default=False, server_default=false())
    lock_due: Mapped[bool] = mapped_column(default=False, server_default=false())


class RestoreDrill(Base):
    """One drill: objects and a case that were restored from the copy alone.

    `result` is canonical JSON, `signature` the archive's detached CAdES signature over it.
    """

    __tablename__ = "restore_drill"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(String(300))
    outcome: Mapped[str] = mapped_column(String(16))
    drilled_at: Mapped[datetime] = mapped_column(Moment)
    result: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)

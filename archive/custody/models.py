"""Tables of preserved objects and their custody events."""

import uuid
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, ForeignKey, FromClause, Index, SmallInteger, String, false, or_, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.db.sight import FIRST_UNIT, Reached, Sees

_IS_COPY: Final = text("type IN ('access.export', 'access.print', 'access.list_exported', 'access.draft_copied')")
"""`archive.custody.accesses.COPIES`; copies are few among accesses."""


class PreservedObject(Reached, Base):
    """One OCFL object: an evidence item or a text record, with the digests of its original, and the unit that has it.

    `classes` are the restricted classes that were set on it, as bits.
    """

    reached_by = "id"

    __tablename__ = "preserved_object"
    __table_args__ = (Index("ix_preserved_object_preserved_at", "preserved_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(1024))
    content_path: Mapped[str] = mapped_column(String(300))
    media_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    sha512: Mapped[str] = mapped_column(String(128), index=True)
    sm3: Mapped[str | None] = mapped_column(String(64))
    preserved_at: Mapped[datetime] = mapped_column(Moment)
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True, server_default=FIRST_UNIT.hex)
    classes: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")


class CustodyEvent(Reached, Base):
    """Who held or touched a preserved object, when; its words stand in the log entry's detail."""

    reached_by = "object_id"

    __tablename__ = "custody_event"
    __table_args__ = (Index("ix_custody_event_object_id_at", "object_id", "at"),)

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"))
    case_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    type: Mapped[str] = mapped_column(String(40))
    actor_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)


class AccessRecord(Reached, Base):
    """That somebody saw, copied or was told something that is kept from others; its words stand in the entry's detail.

    `ref_id` is what was looked at, None for a list that was taken away.
    `is_judged`: it was held against the rules of what is unusual.
    """

    __tablename__ = "access_record"
    __table_args__ = (
        Index("ix_access_record_actor_id_at", "actor_id", "at"),
        Index("ix_access_record_at", "at", "entry_id"),
        Index("ix_access_record_ref_id_at", "ref_id", "at"),
        Index("ix_access_record_copies", "at", "entry_id", sqlite_where=_IS_COPY, postgresql_where=_IS_COPY),
        Index(
            "ix_access_record_not_judged",
            "at",
            sqlite_where=text("NOT is_judged"),
            postgresql_where=text("NOT is_judged"),
        ),
    )

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    type: Mapped[str] = mapped_column(String(40))
    actor_id: Mapped[uuid.UUID]
    ref_kind: Mapped[str | None] = mapped_column(String(16))
    ref_id: Mapped[uuid.UUID | None]
    at: Mapped[datetime] = mapped_column(Moment)
    is_judged: Mapped[bool] = mapped_column(default=False, server_default=false())

    @classmethod
    def seen_if(cls, sees: Sees, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that what was looked at is seen. Lists are narrowed by whoever reads the trace."""
        return or_(table.c.ref_id.is_(None), sees(table.c.ref_id))


class PreservationIntent(Base):
    """An object that somebody began to preserve; gone with the transaction that makes it known.

    What is left after a crash was never acknowledged: `liuhen fsck` names it instead of calling it a stranger.
    """

    __tablename__ = "preservation_intent"

    object_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime] = mapped_column(Moment)

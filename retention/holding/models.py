"""Tables of retention marks and of holds."""

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached

_IS_PLACED = text("released_at IS NULL")
_STANDS = text("removed_at IS NULL")


class RetentionMark(Reached, Base):
    """That an object or everything of a case is what a schedule asks about (`retention.schedules.terms.Mark`).

    `ref_kind` is object or case. A mark that was taken back keeps its row; what it kept stays kept.
    """

    reached_by = "ref_id"
    __tablename__ = "retention_mark"
    __table_args__ = (
        Index("ix_retention_mark_ref_id", "ref_id"),
        Index(
            "uq_retention_mark_standing",
            "ref_id",
            "mark",
            unique=True,
            sqlite_where=_STANDS,
            postgresql_where=_STANDS,
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    ref_kind: Mapped[str] = mapped_column(String(16))
    ref_id: Mapped[uuid.UUID]
    mark: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(500))
    set_by: Mapped[uuid.UUID]
    set_at: Mapped[datetime] = mapped_column(Moment)
    removed_by: Mapped[uuid.UUID | None]
    removed_at: Mapped[datetime | None] = mapped_column(Moment)
    removed_reason: Mapped[str | None] = mapped_column(String(500))


class Hold(Reached, Base):
    """A hold (冻结): what it covers is not disposed of until it is released.

    `scope` is object, case, subject or query; `ref_id` names the first three, `query` is canonical JSON of the last.
    `authority` is who asked for it and by what paper (依据), `review_on` when it is looked at again: nothing ends by
    itself. What a case, subject or query covers later is held from then on. `scanned_at` is when everything that it
    covered had its row; None while a large one is being written down.
    """

    reached_by = "id"
    __tablename__ = "hold"
    __table_args__ = (
        Index("ix_hold_ref_id", "ref_id"),
        Index("ix_hold_review_on", "review_on", sqlite_where=_IS_PLACED, postgresql_where=_IS_PLACED),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(16))
    ref_id: Mapped[uuid.UUID | None]
    query: Mapped[str | None] = mapped_column(Text)
    authority: Mapped[str] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(1000))
    review_on: Mapped[date]
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True)
    placed_by: Mapped[uuid.UUID]
    placed_at: Mapped[datetime] = mapped_column(Moment)
    scanned_at: Mapped[datetime | None] = mapped_column(Moment)
    released_by: Mapped[uuid.UUID | None]
    released_at: Mapped[datetime | None] = mapped_column(Moment)
    release_reason: Mapped[str | None] = mapped_column(String(1000))


class HeldObject(Reached, Base):
    """That a hold covers an object. The row stays when the hold is released."""

    reached_by = "object_id"
    __tablename__ = "held_object"

    hold_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hold.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True, index=True)
    since: Mapped[datetime] = mapped_column(Moment)


class HoldReview(Reached, Base):
    """That a hold was looked at again and kept: why, and from which day of review to which."""

    reached_by = "hold_id"
    __tablename__ = "hold_review"
    __table_args__ = (Index("ix_hold_review_hold_id_at", "hold_id", "at"),)

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    hold_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hold.id"))
    reason: Mapped[str] = mapped_column(String(1000))
    was_on: Mapped[date]
    review_on: Mapped[date]
    by_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)


class HoldCount(Base):
    """How many numbers of a series were given: the row that two transactions wait at, so that each has its number."""

    __tablename__ = "hold_count"

    series: Mapped[str] = mapped_column(String(64), primary_key=True)
    last: Mapped[int]


class HoldAlarm(Base):
    """That people were told of a review: `level` is due or overdue. Each is told once."""

    __tablename__ = "hold_alarm"

    hold_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hold.id"), primary_key=True)
    review_on: Mapped[date] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(String(8), primary_key=True)

"""Tables of fixity rounds: what was read when, what was told of it, damage and its repair, reports.

A place is `originals`, or the id of the place of a second copy (`retention.models.CopyPlace`) as text.
"""

import uuid
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, Text, and_, or_, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment

ORIGINALS: Final = "originals"
PLACE_NOT_IN_USE: Final = "fixity.place_not_in_use"
"""Why damage is not repaired in a place that nothing is copied to any more: it counts for nothing, and stays told."""
_IS_ASKED: Final = text("asked_at IS NOT NULL")
_IS_READ: Final = text("read_at IS NOT NULL")
_IS_UNREAD: Final = text("tries > 0")
_IS_OPEN: Final = text("repaired_at IS NULL")
_IS_UNTOLD: Final = text("told_at IS NULL")


class FixityPlace(Base):
    """How far rounds are in a place: `scanned` entries of the log were looked at for new objects.

    `credit_bytes` is what may be read by the even pace as of `credited_at`; less than nothing where more was read.
    `size_bytes` is how large all originals there were within the last hour.
    `trouble` is the code of what keeps the place from being read now, since `trouble_at`.
    """

    __tablename__ = "fixity_place"

    place: Mapped[str] = mapped_column(String(36), primary_key=True)
    scanned: Mapped[int] = mapped_column(BigInt)
    credit_bytes: Mapped[int] = mapped_column(BigInt)
    credited_at: Mapped[datetime] = mapped_column(Moment)
    size_bytes: Mapped[int] = mapped_column(BigInt, default=0)
    trouble: Mapped[str | None] = mapped_column(String(64))
    trouble_at: Mapped[datetime | None] = mapped_column(Moment)


class FixityCheck(Base):
    """When an object was last re-read in a place, and where the log tells of it (`entry_id`).

    Its period runs from `since`: that check, else its coming in; None for what is not re-read any more. `asked_at`: it
    is to be read before all others. `read_at`: it was read and is whole, `read_bytes` and `read_head` of it, and the
    next entry tells so. `head` is the newest version that it had. `tries` in vain, the last at `tried_at`, came after
    the last check; `trouble` is the code of why.
    """

    __tablename__ = "fixity_check"
    __table_args__ = (
        Index("ix_fixity_check_since", "place", "since", "object_id", "checked_at"),
        Index("ix_fixity_check_unread", "place", sqlite_where=_IS_UNREAD, postgresql_where=_IS_UNREAD),
        Index("ix_fixity_check_asked", "place", "object_id", sqlite_where=_IS_ASKED, postgresql_where=_IS_ASKED),
        Index("ix_fixity_check_read", "place", "read_at", sqlite_where=_IS_READ, postgresql_where=_IS_READ),
    )

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    place: Mapped[str] = mapped_column(String(36), primary_key=True)
    since: Mapped[datetime | None] = mapped_column(Moment)
    asked_at: Mapped[datetime | None] = mapped_column(Moment)
    read_at: Mapped[datetime | None] = mapped_column(Moment)
    read_bytes: Mapped[int | None] = mapped_column(BigInt)
    read_head: Mapped[int | None]
    head: Mapped[int] = mapped_column(default=0)
    checked_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[str | None] = mapped_column(String(16))
    entry_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("log_entry.id"))
    tries: Mapped[int] = mapped_column(default=0)
    tried_at: Mapped[datetime | None] = mapped_column(Moment)
    trouble: Mapped[str | None] = mapped_column(String(64))


class FixityBatch(Base):
    """An entry that tells of objects that were re-read and are whole: how many, and how many bytes."""

    __tablename__ = "fixity_batch"
    __table_args__ = (Index("ix_fixity_batch_place_at", "place", "at"),)

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    place: Mapped[str] = mapped_column(String(36))
    at: Mapped[datetime] = mapped_column(Moment)
    objects: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInt)


class FixityDamage(Base):
    """That an object was found damaged in a place. `state` is found, quarantined or repaired.

    `findings` is canonical JSON of codes and of the folders that they are about, without names of files. `good_place`
    is where the good bytes come from; None for a repair that others made. `trouble` is the code of why it is not
    repaired, `tried_at` when that was last tried. `told_at`: when people were told, `told_trouble` what of it.
    """

    __tablename__ = "fixity_damage"
    __table_args__ = (
        Index(
            "ix_fixity_damage_open",
            "object_id",
            "place",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
        Index("ix_fixity_damage_found_at", "found_at", "id"),
        Index("ix_fixity_damage_untold", "found_at", sqlite_where=_IS_UNTOLD, postgresql_where=_IS_UNTOLD),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), index=True)
    place: Mapped[str] = mapped_column(String(36))
    state: Mapped[str] = mapped_column(String(16))
    findings: Mapped[str] = mapped_column(Text)
    found_at: Mapped[datetime] = mapped_column(Moment)
    quarantined_at: Mapped[datetime | None] = mapped_column(Moment)
    good_place: Mapped[str | None] = mapped_column(String(36))
    repaired_at: Mapped[datetime | None] = mapped_column(Moment)
    trouble: Mapped[str | None] = mapped_column(String(64))
    tried_at: Mapped[datetime | None] = mapped_column(Moment)
    told_at: Mapped[datetime | None] = mapped_column(Moment)
    told_trouble: Mapped[str | None] = mapped_column(String(64))


def counts() -> ColumnElement[bool]:
    """Return the condition that damage counts: it is not repaired, and its place is in use."""
    return and_(
        FixityDamage.repaired_at.is_(None),
        or_(FixityDamage.trouble.is_(None), FixityDamage.trouble != PLACE_NOT_IN_USE),
    )


class FixityMend(Base):
    """The version of a blob that readers get since it was mended, in a place whose store keeps what was damaged."""

    __tablename__ = "fixity_mend"

    place: Mapped[str] = mapped_column(String(36), primary_key=True)
    key: Mapped[str] = mapped_column(String(1100), primary_key=True)
    version: Mapped[str] = mapped_column(String(1024))
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))


class FixityReport(Base):
    """The report of a month (`2026-11`, of the bureau's calendar).

    `result` is canonical JSON, `signature` the archive's detached CAdES signature over it.
    """

    __tablename__ = "fixity_report"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(String(7), unique=True)
    made_at: Mapped[datetime] = mapped_column(Moment)
    result: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)

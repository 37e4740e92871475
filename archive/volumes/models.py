"""Tables of the case file: volumes, their lines, what people chose instead of the rules, checks."""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached


class Volume(Reached, Base):
    """A volume of a case file (案卷) that is closed, or one that was opened after another of its kind was closed.

    The first volume of a kind has a row since it was closed. `object_id` is the object that a closed one is kept in,
    `serial` counts the file numbers of a `year`, `file_by` is the last day on which it was filed in time. `reason` is
    why another one was opened, `retention` the words on the cover.
    """

    reached_by = "case_id"
    __tablename__ = "volume"
    __table_args__ = (
        UniqueConstraint("case_id", "kind", "sequence"),
        UniqueConstraint("file_number"),
        UniqueConstraint("year", "serial"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"))
    kind: Mapped[str] = mapped_column(String(8))
    sequence: Mapped[int]
    state: Mapped[str] = mapped_column(String(8))
    opened_at: Mapped[datetime] = mapped_column(Moment)
    opened_by: Mapped[uuid.UUID]
    reason: Mapped[str | None] = mapped_column(String(500))
    object_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("preserved_object.id"), unique=True)
    file_number: Mapped[str | None] = mapped_column(String(100))
    year: Mapped[int | None]
    serial: Mapped[int | None]
    closed_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    closed_by: Mapped[uuid.UUID | None]
    file_by: Mapped[date | None]
    lines: Mapped[int | None]
    pages: Mapped[int | None]
    root: Mapped[str | None] = mapped_column(String(64))
    index_sha256: Mapped[str | None] = mapped_column(String(64))
    retention: Mapped[str | None] = mapped_column(String(20))


class VolumeLine(Base):
    """A line of the catalogue of a closed volume: what its index says, for queries."""

    __tablename__ = "volume_line"

    volume_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("volume.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), index=True)
    section: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(1024))
    first_page: Mapped[int | None]
    last_page: Mapped[int | None]


class VolumePlace(Reached, Base):
    """That somebody put a paper of a case elsewhere than the rules would; the newest row of a paper counts.

    `kind` is the volume and `place` the number there, None where the rules say it.
    """

    reached_by = "case_id"
    __tablename__ = "volume_place"
    __table_args__ = (Index("ix_volume_place_case_id_object_id", "case_id", "object_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"))
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"))
    kind: Mapped[str | None] = mapped_column(String(8))
    place: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(500))
    by_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)


class VolumeClosing(Base):
    """A volume that is being closed; gone with the transaction that closes it, or with the one that gives it up.

    `object_id` is what it will be kept in, `remarks` and `inspector` stand on its last sheet. `until` is how long the
    present attempt has it for itself; None where none goes on.
    """

    __tablename__ = "volume_closing"
    __table_args__ = (UniqueConstraint("case_id", "kind"), UniqueConstraint("year", "serial"))

    volume_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"))
    kind: Mapped[str] = mapped_column(String(8))
    object_id: Mapped[uuid.UUID]
    year: Mapped[int]
    serial: Mapped[int]
    remarks: Mapped[str] = mapped_column(String(1000))
    inspector: Mapped[str] = mapped_column(String(100))
    begun_by: Mapped[uuid.UUID]
    begun_at: Mapped[datetime] = mapped_column(Moment)
    until: Mapped[datetime | None] = mapped_column(Moment)


class VolumeCheck(Base):
    """A four-nature check (四性检测) of a closed volume: what was found, and the report beside it in its object.

    `findings` are the named checks in their order, with nature and outcome.
    """

    __tablename__ = "volume_check"

    volume_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("volume.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16))
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    path: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    by_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)

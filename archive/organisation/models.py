"""Tables of agencies, units, supervision and officers."""

import uuid
from datetime import date, datetime
from typing import Final

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import FIRST_UNIT

__all__ = ["FIRST_UNIT", "Agency", "Officer", "Supervision", "Unit"]
FIRST_AGENCY: Final = uuid.UUID("00000000-0000-7000-8000-0000000000a0")
"""The agency that every archive begins with; its root is `FIRST_UNIT`."""


class Agency(Base):
    """An enforcement body (执法机关). Its units form a tree, whose root stands for the agency as a whole."""

    __tablename__ = "agency"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    root_unit_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    recorded_at: Mapped[datetime] = mapped_column(Moment)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)


class Unit(Base):
    """A department of an agency (机构). The tree decides who sees what: a unit sees what those below it see."""

    __tablename__ = "unit"
    __table_args__ = (UniqueConstraint("agency_id", "code"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    agency_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agency.id"))
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("unit.id"), index=True)
    code: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(200))
    recorded_at: Mapped[datetime] = mapped_column(Moment)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)


class Supervision(Base):
    """That an agency supervises another one (监督), or all of them where `supervised_id` is None."""

    __tablename__ = "supervision"
    __table_args__ = (UniqueConstraint("supervisor_id", "supervised_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    supervisor_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agency.id"))
    supervised_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agency.id"), index=True)
    basis: Mapped[str] = mapped_column(String(300))
    set_at: Mapped[datetime] = mapped_column(Moment)


class Officer(Base):
    """A person who enforces, by the number of the enforcement certificate (执法证号).

    `agency` and `unit` are as they were told; `unit_id` is the unit of ours that was found under these names. A
    suspended certificate, or one that is not valid on the day, keeps its holder from acting.
    """

    __tablename__ = "officer"
    __table_args__ = (Index("ix_officer_unit_id", "unit_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_number: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    agency: Mapped[str] = mapped_column(String(200))
    unit: Mapped[str] = mapped_column(String(200))
    unit_id: Mapped[uuid.UUID | None]
    categories: Mapped[list[str]] = mapped_column(JSON)
    area: Mapped[str | None] = mapped_column(String(200))
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    suspended_at: Mapped[datetime | None] = mapped_column(Moment)
    suspension_reason: Mapped[str | None] = mapped_column(String(500))
    recorded_at: Mapped[datetime] = mapped_column(Moment)

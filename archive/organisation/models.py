"""Tables of agencies, units, supervision, officers with what is kept of them, reviewers and lawyers."""

import uuid
from datetime import date, datetime
from typing import Final

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import FIRST_UNIT

__all__ = [
    "FIRST_UNIT",
    "Agency",
    "LegalStaff",
    "Officer",
    "OfficerPhoto",
    "OfficerRecord",
    "StaffEvent",
    "Supervision",
    "Unit",
]
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


class OfficerPhoto(Base):
    """The portrait of an officer: a JPEG of ours, sealed by the vault of the subjects' numbers.

    `sha256` is that of the JPEG, `size_bytes` its size.
    """

    __tablename__ = "officer_photo"

    officer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("officer.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    key_id: Mapped[str] = mapped_column(String(16), index=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    set_at: Mapped[datetime] = mapped_column(Moment)


class OfficerRecord(Base):
    """A training or an examination of an officer. Rows are added and withdrawn, never changed.

    Units: tenths of an hour, tenths of a point. `replaces_id` is the withdrawn row in whose place this one stands.
    """

    __tablename__ = "officer_record"
    __table_args__ = (Index("ix_officer_record_officer_id_held_on", "officer_id", "held_on"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    officer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("officer.id"))
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(200))
    held_on: Mapped[date]
    hours_tenths: Mapped[int | None]
    score_tenths: Mapped[int | None]
    result: Mapped[str | None] = mapped_column(String(8))
    organiser: Mapped[str] = mapped_column(String(200))
    certificate_number: Mapped[str] = mapped_column(String(64))
    valid_until: Mapped[date | None]
    replaces_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("officer_record.id"), unique=True)
    recorded_at: Mapped[datetime] = mapped_column(Moment)
    recorded_by: Mapped[uuid.UUID]
    withdrawn_at: Mapped[datetime | None] = mapped_column(Moment)
    withdrawal_reason: Mapped[str | None] = mapped_column(String(500))


class LegalStaff(Base):
    """A legal reviewer (法制审核人员), government lawyer (公职律师) or legal adviser (法律顾问) of an agency.

    `number` is the bureau's own of the person. `qualification_number` is that of the national legal professional
    qualification (法律职业资格), `licence_number` of the lawyer's licence. Agency and unit are as those of an officer.
    """

    __tablename__ = "legal_staff"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(24))
    agency: Mapped[str] = mapped_column(String(200))
    unit: Mapped[str] = mapped_column(String(200))
    unit_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    qualification_number: Mapped[str | None] = mapped_column(String(64))
    qualified_on: Mapped[date | None]
    licence_number: Mapped[str | None] = mapped_column(String(64))
    since: Mapped[date]
    until: Mapped[date | None]
    end_reason: Mapped[str | None] = mapped_column(String(500))
    account_id: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    recorded_at: Mapped[datetime] = mapped_column(Moment)


class StaffEvent(Base):
    """That a log entry is about an officer or one of the legal staff; its words stand in the entry's detail."""

    __tablename__ = "staff_event"
    __table_args__ = (Index("ix_staff_event_person_id_entry_id", "person_id", "entry_id"),)

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    person_id: Mapped[uuid.UUID]
    type: Mapped[str] = mapped_column(String(40))
    actor_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)

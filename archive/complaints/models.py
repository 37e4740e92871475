"""Tables of complaints and reports, what they are about, and how they are handled."""

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached


class Complaint(Reached, Base):
    """A complaint (投诉) or a report (举报), and the unit that handles it.

    Who made it is encrypted, or not known at all. `accept_by` and `answer_by` were set by the rules that held since
    `rules_from`; `due_at` is the one of them that is waited for, None when neither is. `classes` are restricted classes
    as bits.
    """

    reached_by = "id"
    __tablename__ = "complaint"
    __table_args__ = (Index("ix_complaint_state_due_at", "state", "due_at"), Index("ix_complaint_due_at", "due_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(100), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    channel: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[datetime] = mapped_column(Moment)
    says: Mapped[str] = mapped_column(Text)
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True)
    classes: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(String(16))
    accept_by: Mapped[datetime] = mapped_column(Moment)
    answer_by: Mapped[datetime] = mapped_column(Moment)
    due_at: Mapped[datetime | None] = mapped_column(Moment)
    rules_from: Mapped[date]
    responsible_id: Mapped[uuid.UUID | None]
    registered_at: Mapped[datetime] = mapped_column(Moment)
    registered_by: Mapped[uuid.UUID]
    key_id: Mapped[str | None] = mapped_column(String(16), index=True)
    name_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    contact_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)


class ComplaintCase(Base):
    """A case that a complaint is about."""

    __tablename__ = "complaint_case"

    complaint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("complaint.id"), primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), primary_key=True, index=True)


class ComplaintOfficer(Base):
    """An officer whom a complaint is about, and who therefore does not handle it."""

    __tablename__ = "complaint_officer"

    complaint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("complaint.id"), primary_key=True)
    officer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("officer.id"), primary_key=True, index=True)


class ComplaintObject(Base):
    """Footage or a text record that a complaint is about."""

    __tablename__ = "complaint_object"

    complaint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("complaint.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True, index=True)


class ComplaintStep(Reached, Base):
    """One step of handling: what was done, in words, and its log entry. `kind` is a state, or note or assigned."""

    reached_by = "complaint_id"
    __tablename__ = "complaint_step"
    __table_args__ = (Index("ix_complaint_step_complaint_id_at", "complaint_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    complaint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("complaint.id"))
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    by_id: Mapped[uuid.UUID]
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))


class ComplaintCount(Base):
    """How many numbers of a series were given: the row that two transactions wait at, so that each has its number."""

    __tablename__ = "complaint_count"

    series: Mapped[str] = mapped_column(String(100), primary_key=True)
    last: Mapped[int]


class ComplaintAlarm(Base):
    """That people were told of a deadline: `level` is due or overdue. Each is told once."""

    __tablename__ = "complaint_alarm"

    complaint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("complaint.id"), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    level: Mapped[str] = mapped_column(String(8), primary_key=True)

"""Tables of subjects, cases, acts and of what is filed under a case."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment


class Subject(Base):
    """A person or organisation that enforcement concerns (执法对象)."""

    __tablename__ = "subject"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)


class Case(Base):
    """One enforcement matter."""

    __tablename__ = "case_file"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(100), unique=True)
    title: Mapped[str] = mapped_column(String(300))
    category: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    opened_at: Mapped[datetime] = mapped_column(Moment, index=True)
    opened_by: Mapped[uuid.UUID]


class Act(Base):
    """One dated act inside a case: what footage must cover."""

    __tablename__ = "act"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), index=True)
    stage: Mapped[str] = mapped_column(String(40))
    place: Mapped[str] = mapped_column(String(300))
    started_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class CaseLink(Base):
    """A preserved object filed under a case, and under an act of it where that is known."""

    __tablename__ = "case_link"

    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True, index=True)
    act_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("act.id"))
    linked_by: Mapped[uuid.UUID]
    linked_at: Mapped[datetime] = mapped_column(Moment)

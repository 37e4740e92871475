"""Tables of subjects, cases, acts and of what is filed under a case."""

import uuid
from datetime import datetime
from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import FIRST_UNIT, Reached

_IN_VOLUME: Final = text("volume_id IS NOT NULL")


class Subject(Reached, Base):
    """A person or organisation that enforcement concerns (执法对象), as it was recorded.

    One that turned out to be the same as another keeps its row and its cases; `SubjectMerge` says whom it stands under.
    """

    reached_by = "id"
    __tablename__ = "subject"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True, server_default=FIRST_UNIT.hex)


class SubjectIdentifier(Reached, Base):
    """A number that a subject is known by: encrypted, and found again through blind indexes only.

    `whole_index` is unique, so the same number is never two subjects. `key_id` names the key of ciphertext and indexes.
    """

    reached_by = "subject_id"
    __tablename__ = "subject_identifier"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    key_id: Mapped[str] = mapped_column(String(16))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    whole_index: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    last_index: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    recorded_at: Mapped[datetime] = mapped_column(Moment)


class SubjectMerge(Base):
    """A subject (`gone_id`) that was found to be the same as another one (`keep_id`); deleted when they are separated.

    `root_id` is where it leads in the end, kept up by every merge and separation: no query follows a chain.
    """

    __tablename__ = "subject_merge"

    gone_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    keep_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"))
    root_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))
    merged_by: Mapped[uuid.UUID]
    merged_at: Mapped[datetime] = mapped_column(Moment)


class Case(Reached, Base):
    """One enforcement matter, and the unit that has it. `classes` are the restricted classes set on it, as bits.

    `closed_at` is the beginning of the day on which it was closed (结案).
    """

    reached_by = "id"
    __tablename__ = "case_file"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(100), unique=True)
    title: Mapped[str] = mapped_column(String(300))
    category: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    opened_at: Mapped[datetime] = mapped_column(Moment, index=True)
    opened_by: Mapped[uuid.UUID]
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True, server_default=FIRST_UNIT.hex)
    classes: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    closed_at: Mapped[datetime | None] = mapped_column(Moment)


class CaseMember(Base):
    """An account that sees a case and what is filed under it whatever its unit and clearance, until a moment if any."""

    __tablename__ = "case_member"

    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True, index=True)
    reason: Mapped[str] = mapped_column(String(500))
    added_at: Mapped[datetime] = mapped_column(Moment)
    until: Mapped[datetime | None] = mapped_column(Moment)


class Act(Reached, Base):
    """One dated act inside a case: what footage must cover."""

    reached_by = "case_id"
    __tablename__ = "act"
    __table_args__ = (Index("ix_act_started_at_ended_at", "started_at", "ended_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), index=True)
    stage: Mapped[str] = mapped_column(String(40))
    place: Mapped[str] = mapped_column(String(300))
    started_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class ActOfficer(Base):
    """An officer who takes part in an act."""

    __tablename__ = "act_officer"

    act_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("act.id"), primary_key=True)
    officer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("officer.id"), primary_key=True, index=True)


class CaseLink(Reached, Base):
    """A preserved object filed under a case, and under an act of it where that is known.

    `volume_id` is the closed volume that it is bound in; it stays there for good.
    """

    reached_by = "case_id"
    __tablename__ = "case_link"
    __table_args__ = (
        # Without what is in no volume: SQLite would begin there for the few such links of one case.
        Index("ix_case_link_volume_id", "volume_id", sqlite_where=_IN_VOLUME, postgresql_where=_IN_VOLUME),
    )

    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True, index=True)
    act_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("act.id"))
    linked_by: Mapped[uuid.UUID]
    linked_at: Mapped[datetime] = mapped_column(Moment)
    volume_id: Mapped[uuid.UUID | None]

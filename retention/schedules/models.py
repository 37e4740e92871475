"""The table of versions of the retention schedule (保管期限表)."""

import uuid
from datetime import date, datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment


class RetentionSchedule(Base):
    """A version of the schedule: `content` is canonical JSON of its rules.

    `state` is draft, in_force or withdrawn. In force on a day is the version put in force with the newest `valid_from`
    up to that day; of two with the same one the later put in force. Nobody puts in force what they saved themselves.
    """

    __tablename__ = "retention_schedule"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    valid_from: Mapped[date | None]
    content: Mapped[str] = mapped_column(Text)
    saved_by: Mapped[uuid.UUID]
    saved_at: Mapped[datetime] = mapped_column(Moment)
    put_in_force_by: Mapped[uuid.UUID | None]
    put_in_force_at: Mapped[datetime | None] = mapped_column(Moment)

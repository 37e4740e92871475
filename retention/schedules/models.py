"""The tables of versions of the retention schedule (保管期限表), and of trials of what one would change."""

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment


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
    withdrawn_by: Mapped[uuid.UUID | None]
    withdrawn_at: Mapped[datetime | None] = mapped_column(Moment)
    withdrawal_reason: Mapped[str | None] = mapped_column(String(500))


class ScheduleTrial(Base):
    """What a version would change, as it was worked out: `content` are the rules that were tried.

    `now_id` is the version that it is compared with, None for the shipped default. `position` is the last object that
    was looked at, `tally` canonical JSON of what was counted so far, `total` how many objects there were at the start.
    """

    __tablename__ = "schedule_trial"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    schedule_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("retention_schedule.id"), index=True)
    now_id: Mapped[uuid.UUID | None]
    content: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[uuid.UUID]
    asked_at: Mapped[datetime] = mapped_column(Moment)
    total: Mapped[int] = mapped_column(BigInt)
    position: Mapped[uuid.UUID | None]
    tally: Mapped[str] = mapped_column(Text)
    done_at: Mapped[datetime | None] = mapped_column(Moment)

"""The tables of what was planned: until when each object is kept, by which rule, counted from what; and how far that is."""

import uuid
from datetime import datetime

from sqlalchemy import Index, SmallInteger, String, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.db.sight import Reached

_IS_STALE = text("stale_since IS NOT NULL")
_IS_LOCK_DUE = text("lock_due")


class RetentionPlan(Reached, Base):
    """Until when an object is kept: it only grows.

    `rule`, `basis` and `basis_at` are of the reason that made it what it is; `schedule_id` is the version of the
    schedule that the rule stands in. `retain_until` is None for ever (`is_permanent`) and while no period has begun.
    `is_waiting`: the clock of some rule has not begun (`waits_for`), or there is no rule for it. `stale_since`:
    something that schedules ask about changed since it was planned. `entry_id` is the log entry that told of the newest
    change, at `planned_at`. `lock_due`: the locks in the stores were not held against it yet.
    """

    reached_by = "object_id"
    __tablename__ = "retention_plan"
    __table_args__ = (
        Index("ix_retention_plan_retain_until", "retain_until", "object_id"),
        Index("ix_retention_plan_stale", "stale_since", sqlite_where=_IS_STALE, postgresql_where=_IS_STALE),
        Index("ix_retention_plan_lock_due", "object_id", sqlite_where=_IS_LOCK_DUE, postgresql_where=_IS_LOCK_DUE),
        {"sqlite_with_rowid": False},
    )

    # No foreign key: held against a million rows it takes as long as all else. Each is read from the objects.
    object_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    retain_until: Mapped[datetime | None] = mapped_column(Moment)
    is_permanent: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_waiting: Mapped[bool] = mapped_column(default=False, server_default=false())
    rule: Mapped[str | None] = mapped_column(String(64))
    basis: Mapped[str | None] = mapped_column(String(16))
    basis_at: Mapped[datetime | None] = mapped_column(Moment)
    schedule_id: Mapped[uuid.UUID | None]
    planned_at: Mapped[datetime] = mapped_column(Moment)
    stale_since: Mapped[datetime | None] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID | None]
    waits_for: Mapped[str | None] = mapped_column(String(64))
    lock_due: Mapped[bool] = mapped_column(default=True, server_default=true())


class PlanningState(Base):
    """How far planning is: one row.

    `scanned` entries of the log were looked at for what changes plans. `swept` names the rules by which every object
    was planned, `sweeping` those by which they are being planned now, up to the object `swept_to`.
    """

    __tablename__ = "planning_state"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    scanned: Mapped[int] = mapped_column(BigInt)
    swept: Mapped[str | None] = mapped_column(String(64))
    sweeping: Mapped[str | None] = mapped_column(String(64))
    swept_to: Mapped[uuid.UUID | None]

"""The table of jobs."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment

_IS_RUNG = "rung_at IS NOT NULL"


class Job(Base):
    """One piece of work. `state` is ready, running, done or dead; a running job is only as alive as its lease.

    `rung_at` is when a worker was last told of it through a broker; empty whenever somebody took it since.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_queue_state_not_before", "queue", "state", "not_before"),
        Index("ix_job_rung", "queue", sqlite_where=text(_IS_RUNG), postgresql_where=text(_IS_RUNG)),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(16))
    key: Mapped[str | None] = mapped_column(String(128), unique=True)
    args: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    not_before: Mapped[datetime] = mapped_column(Moment)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    progress_permille: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Text)
    rung_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)

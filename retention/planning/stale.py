"""Marking plans stale: something changed that schedules ask about."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from archive.db.base import Base
from archive.kernel.instants import Instant
from retention.planning.models import RetentionPlan

_AT_ONCE: Final = 5_000


def mark_stale(tx: Session, object_ids: Sequence[UUID] | Select[Any], at: Instant) -> None:
    """Say in the caller's transaction that something changed that schedules ask about these objects.

    They are planned again soon. What has no plan yet gets one anyway. Nothing is narrowed to what the transaction sees.
    """
    tx.flush()
    if isinstance(object_ids, Select):
        _mark(tx, object_ids, at)
        return
    for start in range(0, len(object_ids), _AT_ONCE):
        _mark(tx, object_ids[start : start + _AT_ONCE], at)


def _mark(tx: Session, which: Sequence[UUID] | Select[Any], at: Instant) -> None:
    plan = Base.metadata.tables[RetentionPlan.__tablename__].c
    # In the order in which the planner takes them, so that the two never wait for each other.
    taken = select(plan.object_id).where(plan.object_id.in_(which)).order_by(plan.object_id).with_for_update()
    marked = update(Base.metadata.tables[RetentionPlan.__tablename__]).where(plan.object_id.in_(taken))
    # Plain tables: of an object that the caller does not see, the plan is stale all the same.
    tx.connection().execute(marked.values(stale_since=at))

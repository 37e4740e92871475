"""Everything that keeps objects from being disposed of now, told with what it is and when it ends by itself."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.cases.models import Case, CaseLink
from archive.db.sight import unbound
from archive.kernel.instants import Instant
from retention.disposition.stopping import disposition_stops
from retention.holding.models import HeldObject, Hold
from retention.models import ObjectLock
from retention.planning.models import RetentionPlan
from retention.stops import Stop, StopKind


def stops_of(
    tx: Session, object_ids: Sequence[UUID], at: Instant, *, leave_out: UUID | None = None
) -> Mapping[UUID, tuple[Stop, ...]]:
    """Return every stop of each of these objects at a moment; an empty tuple means that nothing stops it."""
    found: dict[UUID, list[Stop]] = {object_id: [] for object_id in object_ids}
    with unbound(tx):
        plans = {
            plan.object_id: plan
            for plan in tx.scalars(select(RetentionPlan).where(RetentionPlan.object_id.in_(object_ids)))
        }
        for object_id in object_ids:
            plan = plans.get(object_id)
            if plan is None or plan.stale_since is not None:
                found[object_id].append(Stop(StopKind.NOT_PLANNED))
            elif plan.is_permanent:
                found[object_id].append(Stop(StopKind.PERMANENT))
            elif plan.is_waiting or plan.retain_until is None:
                found[object_id].append(Stop(StopKind.CLOCK_NOT_BEGUN))
            elif plan.retain_until > at:
                found[object_id].append(Stop(StopKind.NOT_DUE, until=plan.retain_until))
        held = select(HeldObject.object_id, Hold.id).join(Hold, Hold.id == HeldObject.hold_id)
        for object_id, hold_id in tx.execute(
            held.where(HeldObject.object_id.in_(object_ids), Hold.released_at.is_(None))
        ):
            found[object_id].append(Stop(StopKind.HOLD, hold_id))
        filed = select(CaseLink.object_id, Case.id).join(Case, Case.id == CaseLink.case_id)
        for object_id, case_id in tx.execute(filed.where(CaseLink.object_id.in_(object_ids), Case.closed_at.is_(None))):
            found[object_id].append(Stop(StopKind.OPEN_CASE, case_id))
        locks = select(ObjectLock.object_id, ObjectLock.locked_until)
        for object_id, until in tx.execute(
            locks.where(ObjectLock.object_id.in_(object_ids), ObjectLock.locked_until > at)
        ):
            found[object_id].append(Stop(StopKind.STORE_LOCK, None, until))
        for object_id, stop in disposition_stops(tx, object_ids, leave_out=leave_out):
            found[object_id].append(stop)
    return {object_id: tuple(stops) for object_id, stops in found.items()}

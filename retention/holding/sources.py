"""Where stops come from: one small function for each kind, asked for up to 1,000 objects at once.

Each asks a constant number of questions whatever the number of objects, and names what stops one. A part that stops
disposition adds its own function to `SOURCES`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from archive.cases.models import Case, CaseLink
from archive.complaints.models import Complaint, ComplaintCase, ComplaintObject
from archive.complaints.terms import State
from archive.kernel.instants import Instant
from archive.retrieval.models import Grant, RetrievalRequest
from archive.retrieval.requests import RequestState
from archive.volumes.models import Volume
from retention.disposition.stopping import disposition_stops
from retention.holding.hold_coverage import filed_under, holding
from retention.models import ObjectLock
from retention.planning.models import RetentionPlan
from retention.rounds.stops import damaged
from retention.stops import Stop, StopKind


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: which objects, at which moment, and which disposition list is not to be told."""

    object_ids: Sequence[UUID]
    at: Instant
    leave_out: UUID | None = None


Found = Iterator[tuple[UUID, Stop]]
Source = Callable[[Session, Asked], Found]


def plans(tx: Session, asked: Asked) -> Found:
    """Yield what stands in the plan of each object: it is kept, for ever, nothing is known yet, or no rule is for it.

    `ref_id` is the version of the schedule that the rule stands in, None for the default that is shipped.
    """
    rows = tx.scalars(select(RetentionPlan).where(RetentionPlan.object_id.in_(asked.object_ids)))
    plans = {plan.object_id: plan for plan in rows}
    for object_id in asked.object_ids:
        plan = plans.get(object_id)
        if plan is None:
            yield object_id, Stop(StopKind.NOT_PLANNED)
            continue
        if plan.stale_since is not None:
            yield object_id, Stop(StopKind.NOT_PLANNED)
        if plan.is_permanent:
            yield object_id, Stop(StopKind.PERMANENT, plan.schedule_id)
        elif plan.is_waiting and plan.waits_for is None:  # also where one was for it before
            yield object_id, Stop(StopKind.NO_RULE)
        elif plan.is_waiting or plan.retain_until is None:
            yield object_id, Stop(StopKind.CLOCK_NOT_BEGUN, plan.schedule_id)
        if plan.retain_until is not None and plan.retain_until > asked.at:
            yield object_id, Stop(StopKind.NOT_DUE, plan.schedule_id, plan.retain_until)


def holds(tx: Session, asked: Asked) -> Found:
    """Yield every hold that covers an object now, whether a scan has written it down or not. None ends by itself."""
    for object_id, hold_ids in holding(tx, asked.object_ids).items():
        yield from ((object_id, Stop(StopKind.HOLD, hold_id)) for hold_id in hold_ids)


def open_cases(tx: Session, asked: Asked) -> Found:
    """Yield every case that an object is filed under, or is a volume of, and that is not closed."""
    filed = filed_under(asked.object_ids)
    cases = select(filed.c.object_id, Case.id).join(Case, Case.id == filed.c.case_id).where(Case.closed_at.is_(None))
    yield from ((object_id, Stop(StopKind.OPEN_CASE, case_id)) for object_id, case_id in tx.execute(cases))


def open_complaints(tx: Session, asked: Asked) -> Found:
    """Yield every complaint that is not ended, about an object or about a case that it is filed under."""
    filed = filed_under(asked.object_ids)
    straight = select(ComplaintObject.object_id, Complaint.id).join(
        Complaint, Complaint.id == ComplaintObject.complaint_id
    )
    by_case = (
        select(filed.c.object_id, Complaint.id)
        .join(ComplaintCase, ComplaintCase.case_id == filed.c.case_id)
        .join(Complaint, Complaint.id == ComplaintCase.complaint_id)
    )
    for query in (straight.where(ComplaintObject.object_id.in_(asked.object_ids)), by_case):
        rows = tx.execute(query.where(Complaint.state != State.CLOSED.value))
        yield from ((object_id, Stop(StopKind.OPEN_COMPLAINT, complaint_id)) for object_id, complaint_id in rows)


def open_retrievals(tx: Session, asked: Asked) -> Found:
    """Yield every request that waits or is granted, and every grant that has not ended, with its end."""
    request = RetrievalRequest
    waits = (request.state == RequestState.WAITING.value) & (request.decide_by > asked.at)
    granted = (request.state == RequestState.APPROVED.value) & (request.until > asked.at)
    requests = select(request.object_id, request.id, request.state, request.decide_by, request.until)
    for row in tx.execute(requests.where(request.object_id.in_(asked.object_ids), or_(waits, granted))):
        until = row.decide_by if row.state == RequestState.WAITING.value else row.until
        yield row.object_id, Stop(StopKind.OPEN_RETRIEVAL, row.id, until)
    grants = select(Grant.object_id, Grant.id, Grant.expires_at)
    running = tx.execute(grants.where(Grant.object_id.in_(asked.object_ids), Grant.expires_at > asked.at))
    yield from ((object_id, Stop(StopKind.OPEN_RETRIEVAL, grant_id, until)) for object_id, grant_id, until in running)


def bound_in_volumes(tx: Session, asked: Asked) -> Found:
    """Yield every closed volume that an object is bound in and that is itself kept longer: a volume stays whole."""
    plan = aliased(RetentionPlan)
    rows: Any = tx.execute(
        select(CaseLink.object_id, Volume.id, plan)
        .join(Volume, Volume.id == CaseLink.volume_id)
        .outerjoin(plan, plan.object_id == Volume.object_id)
        .where(CaseLink.object_id.in_(asked.object_ids))
    )
    for object_id, volume_id, found in rows:
        if found is None or found.stale_since is not None or found.is_permanent or found.is_waiting:
            yield object_id, Stop(StopKind.BOUND_IN_VOLUME, volume_id)
        elif found.retain_until is None or found.retain_until > asked.at:
            yield object_id, Stop(StopKind.BOUND_IN_VOLUME, volume_id, found.retain_until)


def store_locks(tx: Session, asked: Asked) -> Found:
    """Yield until when the store itself keeps an object from being deleted."""
    locks = select(ObjectLock.object_id, ObjectLock.locked_until)
    rows = tx.execute(locks.where(ObjectLock.object_id.in_(asked.object_ids), ObjectLock.locked_until > asked.at))
    yield from ((object_id, Stop(StopKind.STORE_LOCK, None, until)) for object_id, until in rows)


def dispositions(tx: Session, asked: Asked) -> Found:
    """Yield the disposition list that an object stands on, and that of what was destroyed."""
    yield from disposition_stops(tx, asked.object_ids, leave_out=asked.leave_out)


def damage(tx: Session, asked: Asked) -> Found:
    """Yield every damage of an object that was found and is not repaired, in any place."""
    yield from ((object_id, stop) for object_id, stops in damaged(tx, asked.object_ids).items() for stop in stops)


SOURCES: Final[tuple[Source, ...]] = (
    plans,
    holds,
    open_cases,
    open_complaints,
    open_retrievals,
    bound_in_volumes,
    store_locks,
    dispositions,
    damage,
)
"""Every source of stops; all are asked."""

"""Lists of requests: one's own, and those that wait for somebody's decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.custody.models import PreservedObject
from archive.kernel.instants import Instant
from archive.retrieval.models import RetrievalRequest
from archive.retrieval.requests import RequestState

MOST_ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request and what it is for."""

    request: RetrievalRequest
    original: PreservedObject


def own_requests(tx: Session, account_id: UUID) -> Sequence[RequestRow]:
    """Return somebody's newest requests for what is still seen, up to 200."""
    query = _rows().where(RetrievalRequest.account_id == account_id)
    return _read(tx, query.order_by(RetrievalRequest.asked_at.desc(), RetrievalRequest.id.desc()))


def requests_to_decide(tx: Session, *, by: Caller, at: Instant) -> Sequence[RequestRow]:
    """Return the requests that wait for a decision of somebody who may decide, the most urgent first, up to 200.

    Raises: Forbidden.
    """
    require(by.roles, Capability.APPROVE_RETRIEVAL)
    query = _rows().where(
        RetrievalRequest.state == RequestState.WAITING.value,
        RetrievalRequest.decide_by > at,
        RetrievalRequest.account_id != by.account_id,
    )
    return _read(tx, query.order_by(RetrievalRequest.decide_by, RetrievalRequest.id))


def approvals_in_force(tx: Session, *, by: Caller, at: Instant) -> Sequence[RequestRow]:
    """Return what was approved to others and has not ended, for who may end it, up to 200. Raises: Forbidden."""
    require(by.roles, Capability.APPROVE_RETRIEVAL)
    query = _rows().where(
        RetrievalRequest.state == RequestState.APPROVED.value,
        RetrievalRequest.until > at,
        RetrievalRequest.account_id != by.account_id,
    )
    return _read(tx, query.order_by(RetrievalRequest.until, RetrievalRequest.id))


def _rows() -> Select[RetrievalRequest, PreservedObject]:
    return select(RetrievalRequest, PreservedObject).join(
        PreservedObject, PreservedObject.id == RetrievalRequest.object_id
    )


def _read(tx: Session, query: Select[RetrievalRequest, PreservedObject]) -> Sequence[RequestRow]:
    return [RequestRow(*row) for row in tx.execute(query.limit(MOST_ROWS))]

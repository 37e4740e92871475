"""Asking for a retrieval that needs an approval: asked, decided by a head of unit, ended, lapsed."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, CertificateBars, require
from archive.custody.events import kept_object
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import ObjectId, RequestId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify
from archive.retrieval.approvers import approvers
from archive.retrieval.decisions import admission_to
from archive.retrieval.grants import Purpose, checked_purpose
from archive.retrieval.models import RetrievalRequest
from archive.retrieval.rules import Decision, GrantKind, RetrievalRules

MAX_REASON_CHARACTERS: Final = 500


class RequestState(StrEnum):
    """How far a request is. What was approved ends by itself with its days."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    ENDED = "ended"


class RequestNotFound(NotFound):
    """There is no such request, or it is not yours to see."""

    code = "retrieval.request_not_found"


class ApprovalNotNeeded(Conflict):
    """This is granted at once; there is nothing to ask for."""

    code = "retrieval.approval_not_needed"


class RequestWaiting(Conflict):
    """You have asked for this already; wait until it is decided, or withdraw it."""

    code = "retrieval.request_waiting"


class RequestDecided(Conflict):
    """This request was decided, withdrawn or has lapsed meanwhile."""

    code = "retrieval.request_decided"


class NobodyApproves(Conflict):
    """No head of unit who sees this can approve it; have the administrator give one the right to see it."""

    code = "retrieval.nobody_approves"


class OwnRequest(Forbidden):
    """Nobody decides the own request."""

    code = "retrieval.own_request"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: a kind of retrieval for a purpose, for some days from the approval on."""

    kind: GrantKind
    purpose: Purpose
    days: int


def ask(
    database: Database, object_id: ObjectId, asked: Asked, *, by: Caller, rules: RetrievalRules, at: Instant
) -> RequestId:
    """Ask for a retrieval that needs an approval; asked again while one is in force, it prolongs that.

    Guarantees: on return the request, its log entry and the notices to who can approve it are committed together.
    Raises: Forbidden, ObjectNotFound, ApprovalNotNeeded, RequestWaiting, NobodyApproves, ReferenceMissing,
        InvalidInput.
    """
    require(by.roles, Capability.VIEW_CONTENT)
    if not 1 <= asked.days <= rules.longest_days:
        raise InvalidInput("Ask for a number of days that the rules allow", most=rules.longest_days)
    request_id = RequestId(new_uuid7())
    with database.begin() as tx:
        row = _locked(tx, object_id)
        access = admission_to(tx, row, asked.kind, by=by, rules=rules, at=at)
        if access.decision is Decision.REFUSED:
            raise Forbidden(capability=Capability.EXPORT_CONTENT.value)
        if access.decision is Decision.AT_ONCE:
            raise ApprovalNotNeeded
        if access.waiting is not None:
            raise RequestWaiting(request_id=access.waiting.id)
        deciding = approvers(tx, row, asker_id=by.account_id, at=at)
        if not deciding:
            raise NobodyApproves
        purpose = checked_purpose(tx, row.id, asked.purpose)
        insert_row(
            tx,
            RetrievalRequest,
            id=request_id,
            account_id=by.account_id,
            object_id=object_id,
            kind=asked.kind.value,
            purpose=purpose.words,
            reference=purpose.reference,
            days=asked.days,
            state=RequestState.WAITING.value,
            asked_at=at,
            decide_by=at + rules.decide_within,
            decided_by=None,
            decided_at=None,
            reason=None,
            until=None,
            warned_at=None,
        )
        detail = {
            "object": str(object_id), "kind": asked.kind.value, "purpose": purpose.words, "days": asked.days,
            "reference": purpose.reference, "decide_by": format_instant(at + rules.decide_within),
            "state": RequestState.WAITING.value,
        }  # fmt: skip
        entry = NewEntry(EntryType.ACCESS_REQUESTED, by.actor, Target("request", request_id), detail=detail)
        append_entry(tx, entry, at=at)
        readers = [account.id for account in deciding]
        params = {"name": by.display_name}
        notify(tx, readers, NoticeKind.RETRIEVAL_ASKED, params=params, link="/retrievals?which=deciding", at=at)
    return request_id


def decide(
    database: Database, request_id: RequestId, *, is_approved: bool, reason: str, by: Caller, at: Instant
) -> None:
    """Approve a request or refuse it. What is refused needs a reason.

    Guarantees: on return the decision, its log entry and the notice to the asker are committed together.
    Raises: Forbidden, CertificateBars, OwnRequest, RequestNotFound, RequestDecided, InvalidInput.
    """
    require(by.roles, Capability.APPROVE_RETRIEVAL)
    if not by.may(Capability.APPROVE_RETRIEVAL):
        raise CertificateBars
    words = clean_text(reason, "reason", MAX_REASON_CHARACTERS) if reason.strip() or not is_approved else ""
    with database.begin() as tx:
        row = _waiting(tx, request_id, at=at)
        if row.account_id == by.account_id:
            raise OwnRequest
        state = RequestState.APPROVED if is_approved else RequestState.REFUSED
        until = at + timedelta(days=row.days) if is_approved else None
        _change(tx, row, state, reason=words, until=until, by=by.actor, at=at)
        kind = NoticeKind.RETRIEVAL_APPROVED if is_approved else NoticeKind.RETRIEVAL_REFUSED
        notify(tx, [row.account_id], kind, params={"reference": row.reference}, link=_link(tx, row), at=at)


def withdraw(database: Database, request_id: RequestId, *, by: Caller, at: Instant) -> None:
    """Take back an own request that is not decided. Raises: RequestNotFound, RequestDecided."""
    with database.begin() as tx:
        row = _waiting(tx, request_id, at=at, of=by.account_id)
        _change(tx, row, RequestState.WITHDRAWN, by=by.actor, at=at)


def end(database: Database, request_id: RequestId, *, reason: str, by: Caller, at: Instant) -> None:
    """End what was approved before its time, by whoever can approve; running grants end with it.

    Raises: Forbidden, CertificateBars, RequestNotFound, RequestDecided, InvalidInput.
    """
    require(by.roles, Capability.APPROVE_RETRIEVAL)
    if not by.may(Capability.APPROVE_RETRIEVAL):
        raise CertificateBars
    words = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        row = _request(tx, request_id)
        if row.state != RequestState.APPROVED.value or row.until is None or row.until <= at:
            raise RequestDecided
        _change(tx, row, RequestState.ENDED, reason=words, until=at, by=by.actor, at=at)
        params = {"reference": row.reference}
        notify(tx, [row.account_id], NoticeKind.RETRIEVAL_ENDED, params=params, link=_link(tx, row), at=at)


def lapse(tx: Session, row: RetrievalRequest, *, by: Actor, at: Instant) -> None:
    """Let a request lapse that nobody has decided in time, and tell its asker, in the caller's transaction."""
    _change(tx, row, RequestState.LAPSED, by=by, at=at)
    params = {"reference": row.reference}
    notify(tx, [row.account_id], NoticeKind.RETRIEVAL_LAPSED, params=params, link=_link(tx, row), at=at)


def _locked(tx: Session, object_id: ObjectId) -> PreservedObject:
    """Return an object that nobody else asks for at the same moment. Raises: ObjectNotFound."""
    tx.execute(select(PreservedObject.id).where(PreservedObject.id == object_id).with_for_update(key_share=True))
    return kept_object(tx, object_id)


def _request(tx: Session, request_id: RequestId) -> RetrievalRequest:
    row = tx.scalar(select(RetrievalRequest).where(RetrievalRequest.id == request_id).with_for_update())
    if row is None:
        raise RequestNotFound(request_id=request_id)
    return row


def _waiting(tx: Session, request_id: RequestId, *, at: Instant, of: UUID | None = None) -> RetrievalRequest:
    row = _request(tx, request_id)
    if of is not None and row.account_id != of:
        raise RequestNotFound(request_id=request_id)
    if row.state != RequestState.WAITING.value or row.decide_by <= at:
        raise RequestDecided
    return row


def _change(
    tx: Session,
    row: RetrievalRequest,
    state: RequestState,
    *,
    by: Actor,
    at: Instant,
    reason: str = "",
    until: Instant | None = None,
) -> None:
    values = {"state": state.value, "decided_by": by.id, "decided_at": at, "reason": reason or None, "until": until}
    tx.execute(update(RetrievalRequest).where(RetrievalRequest.id == row.id).values(**values))
    detail = {
        "state": state.value, "reason": reason or None, "until": None if until is None else format_instant(until),
        "decided_by": str(by.id), "decided_at": format_instant(at),
    }  # fmt: skip
    entry = NewEntry(EntryType.ACCESS_REQUEST_DECIDED, by, Target("request", row.id), detail=detail)
    append_entry(tx, entry, at=at)


def _link(tx: Session, row: RetrievalRequest) -> str:
    kind = tx.scalar(select(PreservedObject.kind).where(PreservedObject.id == row.object_id))
    return "/retrievals" if kind is None else f"/{kind}s/{row.object_id}"

"""What the rules say of a retrieval: at once, after an approval, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.classes import RestrictedClass, classes_in
from archive.access.models import Account
from archive.access.policy import Capability, may
from archive.cases.models import Case, CaseLink
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.sight import unbound
from archive.evidence.models import EvidenceItem
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType
from archive.organisation.models import Officer
from archive.organisation.units import below
from archive.retrieval.models import RetrievalRequest
from archive.retrieval.rules import Decision, GrantKind, RetrievalRules, Where

_SENDING: Final = (EntryType.INGEST_RECEIVED.value, EntryType.RECORD_FILED.value)


@dataclass(frozen=True, slots=True)
class Admission:
    """How somebody stands to an object in one kind of retrieval: the decision, an approval in force, one asked for."""

    decision: Decision
    approval: RetrievalRequest | None
    waiting: RetrievalRequest | None

    @property
    def is_open(self) -> bool:
        """Whether a grant is given when it is asked for."""
        return self.decision is Decision.AT_ONCE or self.approval is not None


def admission_to(
    tx: Session, row: PreservedObject, kind: GrantKind, *, by: Caller, rules: RetrievalRules, at: Instant
) -> Admission:
    """Return how somebody who sees an object stands to it in one kind of retrieval."""
    return admissions_to(tx, row, [kind], by=by, rules=rules, at=at)[kind]


def admissions_to(
    tx: Session, row: PreservedObject, kinds: Sequence[GrantKind], *, by: Caller, rules: RetrievalRules, at: Instant
) -> Mapping[GrantKind, Admission]:
    """Return how somebody who sees an object stands to it in each of these kinds of retrieval."""
    if not may(by.roles, Capability.VIEW_CONTENT):
        return dict.fromkeys(kinds, Admission(Decision.REFUSED, None, None))
    classes, where = _classes(tx, row), _where(tx, row, by)
    asked = tx.scalars(
        select(RetrievalRequest)
        .where(
            RetrievalRequest.account_id == by.account_id,
            RetrievalRequest.object_id == row.id,
            RetrievalRequest.state.in_(["waiting", "approved"]),
        )
        .order_by(RetrievalRequest.until.desc(), RetrievalRequest.id)
    ).all()
    found: dict[GrantKind, Admission] = {}
    for kind in kinds:
        decision = rules.decide(kind, roles=by.roles, classes=classes, where=where)
        is_copy = kind is not GrantKind.VIEW
        if decision is Decision.AT_ONCE and is_copy and not may(by.roles, Capability.EXPORT_CONTENT):
            decision = Decision.APPROVAL
        mine = [request for request in asked if request.kind == kind.value]
        approved = (one for one in mine if one.state == "approved" and one.until is not None and one.until > at)
        waiting = (one for one in mine if one.state == "waiting" and one.decide_by > at)
        found[kind] = Admission(decision, next(approved, None), next(waiting, None))
    return found


def case_numbers(tx: Session, object_id: UUID) -> Sequence[str]:
    """Return the numbers of the cases that an object is filed under and that are seen, the first one first."""
    query = select(Case.number).join(CaseLink, CaseLink.case_id == Case.id).where(CaseLink.object_id == object_id)
    return tx.scalars(query.order_by(CaseLink.linked_at, Case.id)).all()


def _classes(tx: Session, row: PreservedObject) -> Sequence[RestrictedClass]:
    """Return the restricted classes of an object and of what it is filed under, seen or not."""
    found = row.classes
    with unbound(tx):
        of_cases = select(Case.classes).join(CaseLink, CaseLink.case_id == Case.id)
        for classes in tx.scalars(of_cases.where(CaseLink.object_id == row.id)):
            found |= classes
    return classes_in(found)


def _where(tx: Session, row: PreservedObject, by: Caller) -> Where:
    if is_own(tx, row.id, by.account_id):
        return Where.OWN
    return Where.UNIT if row.unit_id in below(tx, by.unit_id) else Where.ELSEWHERE


def is_own(tx: Session, object_id: UUID, account_id: UUID) -> bool:
    """Return whether somebody filmed, sent or filed an object."""
    filmed = (
        exists()
        .where(EvidenceItem.object_id == object_id, EvidenceItem.officer_number == Officer.certificate_number)
        .where(Account.officer_id == Officer.id, Account.id == account_id)
    )
    sent = exists().where(
        CustodyEvent.object_id == object_id, CustodyEvent.actor_id == account_id, CustodyEvent.type.in_(_SENDING)
    )
    return bool(tx.scalar(select(filmed | sent)))

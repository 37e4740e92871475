"""Granting and checking: content leaves the archive only under a grant, and a grant exists only with its log entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, CertificateBars, require
from archive.custody.events import kept_object, record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import Forbidden, InvalidInput, NotFound
from archive.kernel.ids import GrantId, ObjectId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify
from archive.retrieval.approvers import who_is_told
from archive.retrieval.decisions import admission_to, case_numbers
from archive.retrieval.models import Grant, RetrievalRequest
from archive.retrieval.rules import Decision, GrantKind, RetrievalRules

MAX_PURPOSE_CHARACTERS: Final = 500
MAX_REFERENCE_CHARACTERS: Final = 100
ENTRY_OF: Final = {
    GrantKind.VIEW: EntryType.ACCESS_VIEW,
    GrantKind.EXPORT: EntryType.ACCESS_EXPORT,
    GrantKind.PRINT: EntryType.ACCESS_PRINT,
}


class GrantNotFound(NotFound):
    """There is no such grant, it is not yours, or it has ended; open the item again."""

    code = "retrieval.grant_not_found"


class ApprovalNeeded(Forbidden):
    """This is shown, copied or printed after a head of unit has approved it; ask for it."""

    code = "retrieval.approval_needed"


class ReferenceMissing(InvalidInput):
    """Say the number of the case or task that this is for."""

    code = "retrieval.reference_missing"


class NobodyToTell(Forbidden):
    """Too few people can be told of an emergency access, so it is not given; ask for approval."""

    code = "retrieval.nobody_to_tell"


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why something is retrieved: in words, and the number of a case or task.

    Without a number it is that of the case that the object is filed under.
    """

    words: str
    reference: str = ""


def grant_access(
    database: Database,
    object_id: ObjectId,
    *,
    kind: GrantKind,
    purpose: Purpose,
    by: Caller,
    rules: RetrievalRules,
    at: Instant,
) -> GrantId:
    """Grant a person the sight, a copy or a print of an object, for a purpose, for as long as the rules say.

    What was approved is granted for the purpose that was approved, and no longer than that.
    Guarantees: on return the grant and its log entry are committed together.
    Raises: Forbidden, ApprovalNeeded, ObjectNotFound, ReferenceMissing, InvalidInput without a purpose.
    """
    return grant_all(database, [object_id], kind=kind, purpose=purpose, by=by, rules=rules, at=at)[object_id]


def grant_all(
    database: Database,
    object_ids: Sequence[ObjectId],
    *,
    kind: GrantKind,
    purpose: Purpose,
    by: Caller,
    rules: RetrievalRules,
    at: Instant,
) -> Mapping[ObjectId, GrantId]:
    """Grant several objects for one purpose: a grant and a log entry for each, or none at all.

    Raises: as `grant_access`.
    """
    require(by.roles, Capability.VIEW_CONTENT)
    with database.begin() as tx:
        return {found: _granted(tx, found, kind, purpose, by=by, rules=rules, at=at) for found in object_ids}


def grant_in_emergency(
    database: Database, object_id: ObjectId, *, purpose: Purpose, by: Caller, rules: RetrievalRules, at: Instant
) -> GrantId:
    """Grant the sight of what needs an approval without one (break-glass), and tell at least two people of it.

    Guarantees: on return the grant, its log entry and the notices are committed together.
    Raises: Forbidden, CertificateBars, ObjectNotFound, NobodyToTell, ReferenceMissing, InvalidInput.
    """
    require(by.roles, Capability.BREAK_GLASS)
    if not by.may(Capability.BREAK_GLASS):
        raise CertificateBars
    with database.begin() as tx:
        row = kept_object(tx, object_id)
        if admission_to(tx, row, GrantKind.VIEW, by=by, rules=rules, at=at).decision is Decision.REFUSED:
            raise Forbidden(capability=Capability.VIEW_CONTENT.value)
        told = who_is_told(tx, row, by=by, at=at)
        if len(told) < rules.told:
            raise NobodyToTell
        checked, until = checked_purpose(tx, row.id, purpose), at + rules.emergency_lasts
        grant_id = _write(tx, row, GrantKind.VIEW, checked, by=by, at=at, until=until, is_emergency=True)
        params = {"name": by.display_name}
        notify(tx, told, NoticeKind.RETRIEVAL_EMERGENCY, params=params, link="/trace?which=unusual", at=at)
    return grant_id


def renew(database: Database, grant_id: GrantId, *, by: Caller, rules: RetrievalRules, at: Instant) -> Sequence[Grant]:
    """Let a grant of the caller's own that lasts go on, with all that were given in the same moment.

    Not beyond what was approved, and not what was opened in an emergency.
    Guarantees: on return the new end and its log entry are committed together.
    Raises: GrantNotFound.
    """
    with database.begin() as tx:
        first = active_grant(tx, grant_id, by=by, at=at)
        together = tx.scalars(
            select(Grant).where(
                Grant.account_id == by.account_id,
                Grant.granted_at == first.granted_at,
                Grant.kind == first.kind,
                Grant.expires_at > at,
                Grant.is_emergency.is_(False),
            )
        ).all()
        if first.is_emergency:
            raise GrantNotFound
        for grant in together:
            row = kept_object(tx, ObjectId(grant.object_id))
            access = admission_to(tx, row, GrantKind(grant.kind), by=by, rules=rules, at=at)
            if not access.is_open:
                raise GrantNotFound
            until = _end(access.decision, access.approval, at + rules.lasts)
            detail = {"purpose": grant.purpose, "grant": str(grant.id), "until": format_instant(until)}
            entry = NewEntry(EntryType.ACCESS_RENEWED, by.actor, Target(row.kind, row.id), detail=detail)
            record_event(tx, ObjectId(row.id), entry, at=at)
            tx.execute(update(Grant).where(Grant.id == grant.id).values(expires_at=until))
            grant.expires_at = until
    return together


def active_grant(tx: Session, grant_id: GrantId, *, by: Caller, at: Instant) -> Grant:
    """Return the caller's own grant while it lasts, and the approval that it stands on.

    Raises: GrantNotFound, also for other people's grants.
    """
    approved = exists().where(RetrievalRequest.id == Grant.request_id, RetrievalRequest.until > at)
    grant = tx.scalar(
        select(Grant).where(
            Grant.id == grant_id,
            Grant.account_id == by.account_id,
            Grant.expires_at > at,
            or_(Grant.request_id.is_(None), approved),
        )
    )
    if grant is None:
        raise GrantNotFound
    return grant


def checked_purpose(tx: Session, object_id: UUID, purpose: Purpose) -> Purpose:
    """Return a purpose with its number. Raises: InvalidInput, ReferenceMissing."""
    words = clean_text(purpose.words, "purpose", MAX_PURPOSE_CHARACTERS)
    if purpose.reference:
        return Purpose(words, clean_text(purpose.reference, "reference", MAX_REFERENCE_CHARACTERS))
    numbers = case_numbers(tx, object_id)
    if not numbers:
        raise ReferenceMissing
    return Purpose(words, numbers[0])


def _granted(
    tx: Session,
    object_id: ObjectId,
    kind: GrantKind,
    purpose: Purpose,
    *,
    by: Caller,
    rules: RetrievalRules,
    at: Instant,
) -> GrantId:
    row = kept_object(tx, object_id)
    access = admission_to(tx, row, kind, by=by, rules=rules, at=at)
    if access.decision is Decision.AT_ONCE:
        return _write(tx, row, kind, checked_purpose(tx, row.id, purpose), by=by, at=at, until=at + rules.lasts)
    if access.approval is None:
        if access.decision is Decision.REFUSED:
            raise Forbidden(capability=Capability.EXPORT_CONTENT.value)
        raise ApprovalNeeded
    approved = Purpose(access.approval.purpose, access.approval.reference)
    until = _end(access.decision, access.approval, at + rules.lasts)
    return _write(tx, row, kind, approved, by=by, at=at, until=until, request_id=access.approval.id)


def _end(decision: Decision, approval: RetrievalRequest | None, usual: Instant) -> Instant:
    """Return when a grant ends: where it stands on an approval, not after that."""
    if decision is Decision.AT_ONCE or approval is None or approval.until is None:
        return usual
    return min(usual, approval.until)


def _write(
    tx: Session,
    row: PreservedObject,
    kind: GrantKind,
    purpose: Purpose,
    *,
    by: Caller,
    at: Instant,
    until: Instant,
    request_id: UUID | None = None,
    is_emergency: bool = False,
) -> GrantId:
    grant_id = GrantId(new_uuid7())
    detail = {
        "purpose": purpose.words,
        "reference": purpose.reference,
        "grant": str(grant_id),
        "until": format_instant(until),
    }
    if request_id is not None:
        detail["request"] = str(request_id)
    entry_type = EntryType.ACCESS_BREAK_GLASS if is_emergency else ENTRY_OF[kind]
    entry = NewEntry(entry_type, by.actor, Target(row.kind, row.id), detail=detail)
    insert_row(
        tx,
        Grant,
        id=grant_id,
        account_id=by.account_id,
        object_id=row.id,
        kind=kind.value,
        purpose=purpose.words,
        reference=purpose.reference,
        request_id=request_id,
        is_emergency=is_emergency,
        entry_id=record_event(tx, ObjectId(row.id), entry, at=at),
        granted_at=at,
        expires_at=until,
    )
    return grant_id

"""Who else sees a case, and what is restricted in it: restricted classes, and people who are members of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_ as or_bits
from typing import Final

from sqlalchemy import Delete, delete, or_, select, update
from sqlalchemy.orm import Session

from archive.access.accounts import AccountNotFound
from archive.access.callers import Caller
from archive.access.classes import RestrictedClass, bits, classes_in
from archive.access.models import Account
from archive.access.policy import Capability, require
from archive.cases.filing import CaseNotFound
from archive.cases.indexing import index_objects, index_sight
from archive.cases.models import Case, CaseLink, CaseMember
from archive.custody.events import ObjectNotFound, record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import unbound
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import AccountId, CaseId, ObjectId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.organisation.listings import unit_names

MAX_REASON_CHARACTERS: Final = 500


class AlreadyMember(Conflict):
    """This person is a member of the case already."""

    code = "cases.already_member"


class NotMember(NotFound):
    """This person is no member of the case."""

    code = "cases.not_member"


class WouldNotSee(InvalidInput):
    """You are not cleared for a class that you set: somebody who is cleared for it does this."""

    code = "cases.would_not_see"


def classify_case(
    database: Database, case_id: CaseId, classes: Collection[RestrictedClass], *, reason: str, by: Caller, at: Instant
) -> bool:
    """Set the restricted classes of a case, which hold for all that is filed under it; return whether that changed any.

    Nobody sets a class whose sight would be lost with it: a mistake could then be mended by nobody near.
    Raises: Forbidden, CaseNotFound, WouldNotSee, InvalidInput without a reason.
    """
    require(by.roles, Capability.CLASSIFY)
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        row = tx.scalar(select(Case).where(Case.id == case_id).with_for_update())
        if row is None:
            raise CaseNotFound(case_id=case_id)
        was = row.classes
        if was == bits(classes):
            return False
        _require_cleared(tx, by, case_id, was, bits(classes), at=at)
        tx.execute(update(Case).where(Case.id == case_id).values(classes=bits(classes)))
        detail = {"classes": _told(bits(classes)), "reason": reason, "was": {"classes": _told(was)}}
        entry = NewEntry(EntryType.CASE_CLASSIFIED, by.actor, Target("case", case_id), case=case_id, detail=detail)
        append_entry(tx, entry, at=at)
        index_sight(tx, [case_id])
    return True


def classify_object(
    database: Database,
    object_id: ObjectId,
    classes: Collection[RestrictedClass],
    *,
    reason: str,
    by: Caller,
    at: Instant,
) -> bool:
    """Set the restricted classes of an item or a text record; return whether that changed any.

    Raises: Forbidden, ObjectNotFound, WouldNotSee, InvalidInput without a reason.
    """
    require(by.roles, Capability.CLASSIFY)
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        row = tx.scalar(select(PreservedObject).where(PreservedObject.id == object_id).with_for_update())
        if row is None:
            raise ObjectNotFound(object_id=object_id)
        kind, was = row.kind, row.classes
        if was == bits(classes):
            return False
        _require_cleared(tx, by, None, was, bits(classes), at=at)
        tx.execute(update(PreservedObject).where(PreservedObject.id == object_id).values(classes=bits(classes)))
        detail = {"classes": _told(bits(classes)), "reason": reason, "was": {"classes": _told(was)}}
        entry = NewEntry(EntryType.OBJECT_CLASSIFIED, by.actor, Target(kind, object_id), detail=detail)
        record_event(tx, object_id, entry, at=at)
        index_objects(tx, [object_id])
    return True


def add_member(
    database: Database,
    case_id: CaseId,
    account_id: AccountId,
    *,
    reason: str,
    until: Instant | None,
    by: Caller,
    at: Instant,
) -> None:
    """Let somebody see a case and what is filed under it, whatever the unit and what is restricted there.

    Nobody adds the own account: a second person says that the duty asks for it, who is cleared for all of it.
    Raises: Forbidden, CaseNotFound, AccountNotFound, AlreadyMember, WouldNotSee, InvalidInput.
    """
    require(by.roles, Capability.APPROVE_RETRIEVAL)
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    if account_id == by.account_id:
        raise InvalidInput("Nobody adds the own account")
    if until is not None and until <= at:
        raise InvalidInput("A membership ends after now")
    with unique_or(AlreadyMember), database.begin() as tx:
        case = tx.scalar(select(Case).where(Case.id == case_id).with_for_update())
        if case is None:
            raise CaseNotFound(case_id=case_id)
        if _classes_of_all(tx, case) & ~by.sight.cleared:
            raise WouldNotSee
        if tx.scalar(select(Account.id).where(Account.id == account_id, Account.disabled_at.is_(None))) is None:
            raise AccountNotFound(account_id=account_id)
        lasting = tx.get(CaseMember, (case_id, account_id))
        if lasting is not None and (lasting.until is None or lasting.until > at):
            raise AlreadyMember
        tx.execute(_row(case_id, account_id))
        insert_row(
            tx, CaseMember, case_id=case_id, account_id=account_id, reason=reason, added_at=at, until=until
        )  # fmt: skip
        detail = {
            "account": str(account_id),
            "reason": reason,
            "until": None if until is None else until.isoformat(),
        }
        entry = NewEntry(EntryType.CASE_MEMBER_ADDED, by.actor, Target("case", case_id), case=case_id, detail=detail)
        append_entry(tx, entry, at=at)
        index_sight(tx, [case_id])


def remove_member(database: Database, case_id: CaseId, account_id: AccountId, *, by: Caller, at: Instant) -> None:
    """Take somebody out of a case. Raises: Forbidden, NotMember, also where the case is not the caller's to see."""
    require(by.roles, Capability.APPROVE_RETRIEVAL)
    with database.begin() as tx:
        if tx.scalar(select(Case.id).where(Case.id == case_id).with_for_update()) is None:
            raise NotMember
        # The deletion is the lock: of two that remove at once, one takes the row.
        if tx.execute(_row(case_id, account_id).returning(CaseMember.account_id)).scalar_one_or_none() is None:
            raise NotMember
        detail = {"account": str(account_id)}
        entry = NewEntry(EntryType.CASE_MEMBER_REMOVED, by.actor, Target("case", case_id), case=case_id, detail=detail)
        append_entry(tx, entry, at=at)
        index_sight(tx, [case_id])


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a case, by name."""

    member: CaseMember
    display_name: str
    username: str


@dataclass(frozen=True, slots=True)
class CaseSight:
    """Who sees a case beside the units above its own: the unit's name, its restricted classes, its members."""

    unit: str
    classes: Sequence[RestrictedClass]
    members: Sequence[MemberRow]


def case_sight(tx: Session, case: Case, *, at: Instant) -> CaseSight:
    """Return who sees a case now."""
    members = tx.execute(
        select(CaseMember, Account.display_name, Account.username)
        .join(Account, Account.id == CaseMember.account_id)
        .where(CaseMember.case_id == case.id, or_(CaseMember.until.is_(None), CaseMember.until > at))
        .order_by(CaseMember.added_at, CaseMember.account_id)
    )
    unit = unit_names(tx, [case.unit_id]).get(case.unit_id, "")
    return CaseSight(unit, classes_in(case.classes), [MemberRow(*row) for row in members])


def _classes_of_all(tx: Session, case: Case) -> int:
    """Return the classes of a case and of everything that is filed under it: a member sees all of it."""
    with unbound(tx):
        filed = (
            select(PreservedObject.classes)
            .join(CaseLink, CaseLink.object_id == PreservedObject.id)
            .where(CaseLink.case_id == case.id)
            .distinct()
        )
        return reduce(or_bits, tx.scalars(filed), case.classes)


def _row(case_id: CaseId, account_id: AccountId) -> Delete:
    return delete(CaseMember).where(CaseMember.case_id == case_id, CaseMember.account_id == account_id)


def _require_cleared(tx: Session, by: Caller, case_id: CaseId | None, was: int, now: int, *, at: Instant) -> None:
    """Make sure that whoever sets classes still sees the thing, and is cleared for what is taken away.

    Raises: WouldNotSee.
    """
    if was & ~now & ~by.sight.cleared:
        raise WouldNotSee
    if not now & ~by.sight.cleared:
        return
    member = None if case_id is None else tx.get(CaseMember, (case_id, by.account_id))
    if member is None or (member.until is not None and member.until <= at):
        raise WouldNotSee


def _told(classes: int) -> str:
    return " ".join(found.value for found in classes_in(classes))

"""Who handles complaints: whoever may and sees them, but never an officer whom the complaint is about."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller, caller_as
from archive.access.models import Account
from archive.access.policy import Capability, require
from archive.complaints.models import Complaint, ComplaintOfficer
from archive.db.sight import is_seen, unbound
from archive.kernel.errors import Forbidden, InvalidInput, NotFound
from archive.kernel.ids import ComplaintId
from archive.kernel.instants import Instant
from archive.organisation.units import lines_of


class ComplaintNotFound(NotFound):
    """There is no such complaint, or it is not yours to see."""

    code = "complaints.not_found"


class NamedInComplaint(Forbidden):
    """An officer whom a complaint is about neither handles it nor sees who made it."""

    code = "complaints.named"


class NoHandler(InvalidInput):
    """This account cannot handle the complaint: it may not, does not see it, or is the officer whom it is about."""

    code = "complaints.no_handler"


def complaint_to_handle(tx: Session, complaint_id: ComplaintId, *, by: Caller) -> Complaint:
    """Return a complaint that the caller is about to handle, locked. Raises: ComplaintNotFound, NamedInComplaint."""
    require(by.roles, Capability.HANDLE_COMPLAINTS)
    row = tx.scalar(select(Complaint).where(Complaint.id == complaint_id).with_for_update())
    if row is None:
        raise ComplaintNotFound(complaint_id=complaint_id)
    if is_named(tx, complaint_id, by.account_id):
        raise NamedInComplaint(complaint_id=complaint_id)
    return row


def is_named(tx: Session, complaint_id: UUID, account_id: UUID) -> bool:
    """Return whether an account is an officer whom a complaint is about."""
    return bool(named_in(tx, [complaint_id], account_id))


def officer_of(tx: Session, account_id: UUID) -> UUID | None:
    """Return the officer whose account this is, if any."""
    return tx.scalar(select(Account.officer_id).where(Account.id == account_id))


def named_in(tx: Session, complaint_ids: Collection[UUID], account_id: UUID) -> frozenset[UUID]:
    """Return those of the complaints that are about the officer whose account this is."""
    found = tx.scalars(
        select(ComplaintOfficer.complaint_id)
        .join(Account, Account.officer_id == ComplaintOfficer.officer_id)
        .where(Account.id == account_id, ComplaintOfficer.complaint_id.in_(complaint_ids))
    )
    return frozenset(found)


def require_handler(tx: Session, complaint: Complaint, account_id: UUID, *, at: Instant) -> Account:
    """Return the account where it can handle the complaint. Raises: NoHandler."""
    account = tx.scalar(select(Account).where(Account.id == account_id, Account.disabled_at.is_(None)))
    if account is None or not _can_handle(tx, complaint, account, at=at):
        raise NoHandler
    return account


def possible_handlers(tx: Session, complaint: Complaint, *, at: Instant) -> Sequence[Account]:
    """Return everybody who can handle a complaint: in its unit and those above it, the nearest first."""
    with unbound(tx):
        line = list(lines_of(tx, [complaint.unit_id])[complaint.unit_id])
    accounts = tx.scalars(
        select(Account).where(Account.unit_id.in_(line), Account.disabled_at.is_(None)).order_by(Account.username)
    ).all()
    found = [account for account in accounts if _can_handle(tx, complaint, account, at=at)]
    return sorted(found, key=lambda account: line.index(account.unit_id))


def nearest_handlers(tx: Session, complaint: Complaint, *, at: Instant) -> Sequence[UUID]:
    """Return the accounts that are told of a complaint nobody has yet: those of the nearest unit that has any."""
    found = possible_handlers(tx, complaint, at=at)
    return [account.id for account in found if account.unit_id == found[0].unit_id]


def _can_handle(tx: Session, complaint: Complaint, account: Account, *, at: Instant) -> bool:
    caller = caller_as(tx, account, auth="", at=at)
    if not caller.may(Capability.HANDLE_COMPLAINTS) or is_named(tx, complaint.id, account.id):
        return False
    return is_seen(tx, complaint.id, caller.sight)

"""Who approves a retrieval, and who is told of one that nobody approved."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller, caller_as
from archive.access.models import Account
from archive.access.policy import Capability, roles_with
from archive.custody.models import PreservedObject
from archive.db.sight import is_seen, unbound
from archive.kernel.instants import Instant
from archive.organisation.units import lines_of


def approvers(tx: Session, row: PreservedObject, *, asker_id: UUID, at: Instant) -> Sequence[Account]:
    """Return who can approve that somebody retrieves an object: heads of units who see it, never who asks.

    Of the lines of units that the object and the asker are in, the nearest first.
    """
    found = _in_lines(tx, row, asker_id)
    return [
        account
        for account, who in _callers(tx, found, at=at)
        if who.may(Capability.APPROVE_RETRIEVAL) and is_seen(tx, row.id, who.sight)
    ]


def who_is_told(tx: Session, row: PreservedObject, *, by: Caller, at: Instant) -> Sequence[UUID]:
    """Return who is told of an emergency: heads of units and auditors in the line of the object's unit and the own.

    Whether they are cleared for what was opened does not matter: they are told of who opened it, and not of what it is.
    """
    found = _in_lines(tx, row, by.account_id)
    told = (Capability.APPROVE_RETRIEVAL, Capability.READ_TRACE)
    return [account.id for account, who in _callers(tx, found, at=at) if any(who.may(right) for right in told)]


def _in_lines(tx: Session, row: PreservedObject, asker_id: UUID) -> Sequence[Account]:
    asker = tx.get_one(Account, asker_id)
    with unbound(tx):
        lines = lines_of(tx, {row.unit_id, asker.unit_id})
    near = [*lines.get(row.unit_id, ()), *lines.get(asker.unit_id, ())]
    roles = roles_with(Capability.APPROVE_RETRIEVAL, Capability.READ_TRACE)
    accounts = tx.scalars(
        select(Account)
        .where(Account.unit_id.in_(near), Account.id != asker_id, Account.disabled_at.is_(None))
        .where(or_(*(Account.roles.contains(role.value) for role in sorted(roles))))
        .order_by(Account.username)
    ).all()
    return sorted(accounts, key=lambda account: near.index(account.unit_id))


def _callers(tx: Session, accounts: Sequence[Account], *, at: Instant) -> Iterator[tuple[Account, Caller]]:
    for account in accounts:
        yield account, caller_as(tx, account, auth="", at=at)

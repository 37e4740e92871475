"""Clearances: that somebody may see a restricted class for a time, said by the administrator with a reason."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.accounts import AccountNotFound, OwnAccount
from archive.access.classes import RestrictedClass
from archive.access.models import Account, Clearance
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import AccountId, ClearanceId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

LONGEST: Final = timedelta(days=366)
MAX_REASON_CHARACTERS: Final = 500


class ClearanceNotFound(NotFound):
    """There is no such clearance, or it has ended."""

    code = "access.clearance_not_found"


def grant_clearance(
    database: Database,
    account_id: AccountId,
    *,
    restricted_class: RestrictedClass,
    until: Instant,
    reason: str,
    by: Actor,
    at: Instant,
) -> ClearanceId:
    """Clear somebody for a restricted class until a moment, at most a year ahead. Nobody clears the own account.

    Raises: AccountNotFound, OwnAccount, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    if by.id == account_id:
        raise OwnAccount
    if not at < until <= at + LONGEST:
        raise InvalidInput("A clearance ends after now and within a year")
    clearance_id = ClearanceId(new_uuid7())
    with database.begin() as tx:
        if tx.get(Account, account_id) is None:
            raise AccountNotFound(account_id=account_id)
        insert_row(
            tx,
            Clearance,
            id=clearance_id,
            account_id=account_id,
            restricted_class=restricted_class.value,
            reason=reason,
            granted_at=at,
            until=until,
        )
        detail = {
            "clearance": str(clearance_id),
            "class": restricted_class.value,
            "until": until.isoformat(),
            "reason": reason,
        }
        entry = NewEntry(EntryType.ADMIN_CLEARANCE_GRANTED, by, Target("account", account_id), detail=detail)
        append_entry(tx, entry, at=at)
    return clearance_id


def end_clearance(
    database: Database, account_id: AccountId, clearance_id: ClearanceId, *, by: Actor, at: Instant
) -> None:
    """End a clearance of an account now. Raises: ClearanceNotFound."""
    with database.begin() as tx:
        # The update is the lock: of two that end it at once, one changes the row.
        ended = tx.execute(
            update(Clearance)
            .where(Clearance.id == clearance_id, Clearance.account_id == account_id, Clearance.until > at)
            .values(until=at)
            .returning(Clearance.id)
        ).scalar_one_or_none()
        if ended is None:
            raise ClearanceNotFound(clearance_id=clearance_id)
        detail = {"clearance": str(clearance_id), "until": at.isoformat()}
        entry = NewEntry(EntryType.ADMIN_CLEARANCE_ENDED, by, Target("account", account_id), detail=detail)
        append_entry(tx, entry, at=at)


def clearances(tx: Session, account_id: UUID, *, at: Instant) -> Sequence[Clearance]:
    """Return the clearances of an account that hold now, those that end first first."""
    return tx.scalars(
        select(Clearance)
        .where(Clearance.account_id == account_id, Clearance.until > at)
        .order_by(Clearance.until, Clearance.id)
    ).all()

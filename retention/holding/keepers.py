"""Who looks after holds: whoever may place them and sees them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import caller_as
from archive.access.models import Account
from archive.access.policy import Capability
from archive.db.sight import is_seen, unbound
from archive.kernel.instants import Instant
from archive.organisation.units import lines_of
from retention.holding.models import Hold


def nearest_keepers(tx: Session, hold: Hold, *, at: Instant) -> Sequence[UUID]:
    """Return the accounts that look after a hold: those of the nearest unit that has any."""
    with unbound(tx):
        line = list(lines_of(tx, [hold.unit_id])[hold.unit_id])
    accounts = tx.scalars(
        select(Account).where(Account.unit_id.in_(line), Account.disabled_at.is_(None)).order_by(Account.username)
    ).all()
    found = [account for account in accounts if _keeps(tx, hold, account, at=at)]
    nearest = min((line.index(account.unit_id) for account in found), default=None)
    return [account.id for account in found if line.index(account.unit_id) == nearest]


def placer_of(tx: Session, hold: Hold, *, at: Instant) -> UUID | None:
    """Return whoever placed a hold, where that is a person who still looks after it."""
    account = tx.scalar(select(Account).where(Account.id == hold.placed_by, Account.disabled_at.is_(None)))
    return None if account is None or not _keeps(tx, hold, account, at=at) else account.id


def _keeps(tx: Session, hold: Hold, account: Account, *, at: Instant) -> bool:
    caller = caller_as(tx, account, auth="", at=at)
    return caller.may(Capability.PLACE_HOLDS) and is_seen(tx, hold.id, caller.sight)

"""Lists of accounts, and the names behind ids."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.models import Account


def accounts(tx: Session) -> Sequence[Account]:
    """Return every account, in the order of user names."""
    return tx.scalars(select(Account).order_by(Account.username)).all()


def account_called(tx: Session, username: str) -> Account | None:
    """Return the account of this user name that is not disabled."""
    name = unicodedata.normalize("NFC", username).strip()
    if "\0" in name:
        return None
    return tx.scalar(select(Account).where(Account.username == name, Account.disabled_at.is_(None)))


def has_accounts(tx: Session, unit_id: UUID) -> bool:
    """Return whether an account that is not disabled is in this very unit."""
    query = select(Account.id).where(Account.unit_id == unit_id, Account.disabled_at.is_(None)).limit(1)
    return tx.scalar(query) is not None


def account_names(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the display name of each of these ids that is an account."""
    if not ids:
        return {}
    rows = tx.execute(select(Account.id, Account.display_name).where(Account.id.in_(ids)))
    return dict(rows.all())

"""Lists of accounts, the units that they can be in, and the names behind ids."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session

from archive.access.callers import roles_in
from archive.access.models import Account, Passkey, TotpSecret
from archive.access.policy import Role
from archive.organisation.legal_staff import is_qualified
from archive.organisation.listings import unit_rows, units_beside
from archive.organisation.models import LegalStaff, Officer, Unit


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account in the administrator's list, with its unit, its officer and what signing in takes."""

    account: Account
    unit_name: str | None
    certificate_number: str | None
    has_second_factor: bool


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """A unit that somebody can be put in, by how deep it stands in its agency's tree."""

    id: UUID
    name: str
    depth: int


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


def account_rows(tx: Session) -> Sequence[AccountRow]:
    """Return every account with what belongs to it, in the order of user names."""
    rows = tx.execute(_rows().order_by(Account.username))
    return [AccountRow(account, unit, number, has_factor) for account, unit, number, has_factor in rows]


def account_row(tx: Session, account_id: UUID) -> AccountRow | None:
    """Return one account with what belongs to it."""
    found = tx.execute(_rows().where(Account.id == account_id)).one_or_none()
    return None if found is None else AccountRow(found[0], found[1], found[2], found[3])


def unit_choices(tx: Session) -> Sequence[UnitChoice]:
    """Return every open unit, each below the one that it belongs to, agency by agency."""
    return [UnitChoice(row.unit.id, row.unit.name, row.depth) for row in unit_rows(tx)]


def unit_choices_beside(tx: Session, unit_id: UUID) -> Sequence[UnitChoice]:
    """Return every open unit of the agency that a unit is of."""
    return [UnitChoice(row.unit.id, row.unit.name, row.depth) for row in units_beside(tx, unit_id)]


def account_names(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the display name of each of these ids that is an account."""
    if not ids:
        return {}
    rows = tx.execute(select(Account.id, Account.display_name).where(Account.id.in_(ids)))
    return dict(rows.all())


def usernames(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the user name of each of these ids that is an account."""
    rows = tx.execute(select(Account.id, Account.username).where(Account.id.in_(ids))).all() if ids else []
    return dict(rows)


def unqualified_reviewers(tx: Session, *, on: date) -> Sequence[Account]:
    """Return the accounts of legal reviewers, not disabled, behind which nobody is qualified on a day."""
    rows: Any = tx.execute(
        select(Account, LegalStaff)
        .outerjoin(LegalStaff, LegalStaff.account_id == Account.id)
        .where(Account.disabled_at.is_(None), Account.roles.contains(Role.LEGAL_REVIEWER.value))
        .order_by(Account.username)
    )
    return [
        account
        for account, person in rows
        if Role.LEGAL_REVIEWER in roles_in(account.roles) and (person is None or not is_qualified(person, on))
    ]


def accounts_with(tx: Session, role: Role) -> Sequence[Account]:
    """Return the accounts of a role that are not disabled, in the order of user names."""
    rows = tx.scalars(
        select(Account)
        .where(Account.disabled_at.is_(None), Account.roles.contains(role.value))
        .order_by(Account.username)
    )
    return [account for account in rows if role in roles_in(account.roles)]


def account_of_officer(tx: Session, officer_id: UUID) -> Account | None:
    """Return the account that is an officer's."""
    return tx.scalar(select(Account).where(Account.officer_id == officer_id))


def _rows() -> Select[Account, str, str, bool]:
    has_second_factor = or_(
        exists().where(TotpSecret.account_id == Account.id), exists().where(Passkey.account_id == Account.id)
    )
    return (
        select(Account, Unit.name, Officer.certificate_number, has_second_factor)
        .outerjoin(Unit, Unit.id == Account.unit_id)
        .outerjoin(Officer, Officer.id == Account.officer_id)
    )

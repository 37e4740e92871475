"""Accounts: making and changing them. Signing in is in `sessions`, what a password must be in `passwords`."""

import unicodedata
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as Tx

from archive.access.callers import text_of_roles
from archive.access.models import Account, Session
from archive.access.passwords import hash_password, require_fit_password
from archive.access.policy import Role, separate
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import AccountId, OfficerId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.models import Officer
from archive.organisation.officers import OfficerNotFound
from archive.organisation.units import open_unit

_MOST_NAME: Final = 200


class UsernameTaken(Conflict):
    """There is an account with this user name."""

    code = "access.username_taken"


class AccountNotFound(NotFound):
    """There is no such account."""

    code = "access.account_not_found"


class OfficerHasAccount(Conflict):
    """Another account is this officer's."""

    code = "access.officer_has_account"


class RolesApart(InvalidInput):
    """An account has at least one role, and whoever administers or operates the archive has no role in cases."""

    code = "access.roles_apart"


class OwnAccount(Forbidden):
    """Nobody changes the rights of the own account; another administrator does."""

    code = "access.own_account"


def create_account(
    database: Database,
    *,
    username: str,
    display_name: str,
    roles: Collection[Role],
    password: str,
    unit_id: UUID = FIRST_UNIT,
    officer_id: OfficerId | None = None,
    is_waiting: bool = False,
    by: Actor,
    at: Instant,
) -> AccountId:
    """Create an account in a unit; one that waits has no roles, and opens nothing until an administrator gives it some.

    Raises: UsernameTaken, RolesApart, UnitNotFound, OfficerNotFound, OfficerHasAccount, PasswordUnfit, InvalidInput for
        an unusable name.
    """
    if not (is_waiting and not roles) and not separate(roles):
        raise RolesApart
    username = unicodedata.normalize("NFC", username).strip()
    if not username or len(username) > 64 or any(unicodedata.category(char)[0] == "C" for char in username):
        raise InvalidInput("A user name has 1 to 64 printable characters")
    require_fit_password(password, username=username)
    account_id = AccountId(new_uuid7())
    password_hash = hash_password(password)
    with unique_or(UsernameTaken), database.begin() as tx:
        if tx.scalar(select(Account.id).where(Account.username == username)) is not None:
            raise UsernameTaken
        open_unit(tx, unit_id)
        if officer_id is not None:
            _require_officer(tx, officer_id, None)
        insert_row(
            tx,
            Account,
            id=account_id,
            username=username,
            display_name=display_name,
            roles=text_of_roles(roles),
            unit_id=unit_id,
            officer_id=officer_id,
            password_hash=password_hash,
            created_at=at,
        )
        append_entry(
            tx,
            NewEntry(
                EntryType.ADMIN_ACCOUNT_CREATED,
                by,
                Target("account", account_id),
                detail={
                    "username": username,
                    "display_name": display_name,
                    "roles": text_of_roles(roles),
                    "unit": str(unit_id),
                    "officer": None if officer_id is None else str(officer_id),
                },
            ),
            at=at,
        )
    return account_id


def change_account(
    database: Database,
    account_id: AccountId,
    *,
    display_name: str,
    roles: Collection[Role],
    unit_id: UUID,
    officer_id: OfficerId | None,
    is_enabled: bool,
    by: Actor,
    at: Instant,
) -> None:
    """Change whose an account is, what it may do and where; disabling it ends its sessions.

    What is the same already writes nothing.
    Raises: AccountNotFound, OwnAccount, RolesApart, UnitNotFound, OfficerNotFound, OfficerHasAccount, InvalidInput.
    """
    display_name = clean_text(display_name, "name", _MOST_NAME)
    if by.id == account_id:
        raise OwnAccount
    if not separate(roles):
        raise RolesApart
    with unique_or(OfficerHasAccount), database.begin() as tx:
        row = tx.scalar(select(Account).where(Account.id == account_id).with_for_update())
        if row is None:
            raise AccountNotFound(account_id=account_id)
        open_unit(tx, unit_id)
        if officer_id is not None:
            _require_officer(tx, officer_id, account_id)
        wanted = {
            "display_name": display_name,
            "roles": text_of_roles(roles),
            "unit_id": unit_id,
            "officer_id": officer_id,
            "disabled_at": None if is_enabled else row.disabled_at or at,
        }
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if not changed:
            return
        was = {name: getattr(row, name) for name in changed}
        has_more = "roles" in changed or was.get("disabled_at") is not None
        since = {"roles_since": at} if has_more else {}
        tx.execute(update(Account).where(Account.id == account_id).values(**changed, **since))
        if not is_enabled:
            tx.execute(delete(Session).where(Session.account_id == account_id))
        detail = {**told_account(wanted), "was": told_account(was)}
        entry = NewEntry(EntryType.ADMIN_ACCOUNT_CHANGED, by, Target("account", account_id), detail=detail)
        append_entry(tx, entry, at=at)


def told_account(values: Mapping[str, object]) -> dict[str, object]:
    """Return columns of an account as the log says them."""
    names = {"unit_id": "unit", "officer_id": "officer", "disabled_at": "disabled"}
    texts = {name: value if value is None or isinstance(value, str) else str(value) for name, value in values.items()}
    return {names.get(name, name): value for name, value in texts.items()}


def _require_officer(tx: Tx, officer_id: OfficerId, account_id: AccountId | None) -> None:
    if tx.get(Officer, officer_id) is None:
        raise OfficerNotFound(officer_id=officer_id)
    holder = tx.scalar(select(Account.id).where(Account.officer_id == officer_id))
    if holder is not None and holder != account_id:
        raise OfficerHasAccount

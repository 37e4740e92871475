"""Accounts, signing in and out, and the session behind a cookie."""

import hashlib
import secrets
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, false, or_, select, update
from sqlalchemy.orm import Session as Tx

from archive.access.callers import Caller, caller_as, text_of_roles
from archive.access.models import Account, Session
from archive.access.policy import Role, separate
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import AccountId, OfficerId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.models import Officer
from archive.organisation.officers import OfficerNotFound
from archive.organisation.units import open_unit

SESSION_LIFETIME: Final = timedelta(hours=10)
MIN_PASSWORD_CHARACTERS: Final = 12
_MOST_NAME: Final = 200
_FREE_ATTEMPTS: Final = 5
_LONGEST_DELAY: Final = timedelta(minutes=5)
_MOST_DOUBLINGS: Final = 16
"""More would pass the longest delay by far, and in the end what a `timedelta` can hold."""
_hasher: Final = PasswordHasher()
# Each check takes 64 MiB, and anybody may ask for one.
_hashing: Final = threading.BoundedSemaphore(2)


class SignInRefused(LiuhenError):
    """User name or password is wrong."""

    code = "access.sign_in_refused"
    exit_code = 77


class TooManyAttempts(LiuhenError):
    """Too many wrong passwords; wait a little and try again."""

    code = "access.too_many_attempts"
    exit_code = 75
    retryable = True


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
    by: Actor,
    at: Instant,
) -> AccountId:
    """Create an account in a unit.

    Raises: UsernameTaken, RolesApart, UnitNotFound, OfficerNotFound, OfficerHasAccount, InvalidInput for an unusable
        name or a password under 12 characters.
    """
    if not separate(roles):
        raise RolesApart
    username = unicodedata.normalize("NFC", username).strip()
    if not username or len(username) > 64 or any(unicodedata.category(char)[0] == "C" for char in username):
        raise InvalidInput("A user name has 1 to 64 printable characters")
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise InvalidInput(f"A password has at least {MIN_PASSWORD_CHARACTERS} characters")
    account_id = AccountId(new_uuid7())
    password_hash = _hasher.hash(password)
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
            failed_sign_ins=0,
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
        tx.execute(update(Account).where(Account.id == account_id).values(**changed))
        if not is_enabled:
            tx.execute(delete(Session).where(Session.account_id == account_id))
        detail = {**_told(wanted), "was": _told(was)}
        entry = NewEntry(EntryType.ADMIN_ACCOUNT_CHANGED, by, Target("account", account_id), detail=detail)
        append_entry(tx, entry, at=at)


def _told(values: Mapping[str, object]) -> dict[str, object]:
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


def sign_in(database: Database, *, username: str, password: str, at: Instant, request: str | None = None) -> str:
    """Check a password and open a session; return the token for the cookie, which is kept nowhere.

    Wrong passwords slow this account down (up to 5 minutes); they never lock it.
    A success writes a log entry, and so does a wrong password for an account that exists; names that nobody has could
    be tried without end and write none.
    Raises: SignInRefused, TooManyAttempts.
    """
    username = unicodedata.normalize("NFC", username).strip()
    with database.read() as tx:
        # PostgreSQL has no text with NUL in it, so there is nothing to ask for.
        named = Account.username == username if "\0" not in username else false()
        account = tx.scalar(select(Account).where(named, Account.disabled_at.is_(None)))
    if account is None:
        _matches(_decoy(), password)
        raise SignInRefused
    if account.refuse_until is not None and account.refuse_until > at:
        raise TooManyAttempts(retry_after_s=int((account.refuse_until - at).total_seconds()) + 1)
    if not _matches(account.password_hash, password):
        _note_refusal(database, account.id, at=at, request=request)
        raise SignInRefused
    token = secrets.token_urlsafe(32)
    with database.begin() as tx:
        # Asked again: wrong passwords at the same time count against the right one, else guessing side by side pays.
        admitted = tx.execute(
            update(Account)
            .where(
                Account.id == account.id,
                Account.disabled_at.is_(None),
                or_(Account.refuse_until.is_(None), Account.refuse_until <= at),
            )
            .values(failed_sign_ins=0, refuse_until=None)
            .returning(Account.id)
        ).scalar_one_or_none()
        if admitted is None:
            raise TooManyAttempts(retry_after_s=1)
        insert_row(
            tx,
            Session,
            token_hash=_token_hash(token),
            account_id=account.id,
            created_at=at,
            expires_at=at + SESSION_LIFETIME,
        )
        append_entry(
            tx,
            NewEntry(
                EntryType.ADMIN_SIGNED_IN,
                Actor(account.id, _fingerprint(token)),
                Target("account", account.id),
                request=request,
            ),
            at=at,
        )
    return token


def sign_out(database: Database, *, token: str, at: Instant) -> None:
    """Close the session. Idempotent."""
    with database.begin() as tx:
        session = tx.get(Session, _token_hash(token))
        if session is None:
            return
        tx.execute(delete(Session).where(Session.token_hash == session.token_hash))
        append_entry(
            tx,
            NewEntry(
                EntryType.ADMIN_SIGNED_OUT,
                Actor(session.account_id, _fingerprint(token)),
                Target("account", session.account_id),
            ),
            at=at,
        )


def signed_in_caller(tx: Tx, *, token: str, at: Instant) -> Caller | None:
    """Return who holds this session, or None when there is no such session or it has ended."""
    row = tx.execute(
        select(Account)
        .join(Session, Session.account_id == Account.id)
        .where(Session.token_hash == _token_hash(token), Session.expires_at > at, Account.disabled_at.is_(None))
    ).scalar_one_or_none()
    if row is None:
        return None
    return caller_as(tx, row, auth=_fingerprint(token), at=at)


def _note_refusal(database: Database, account_id: UUID, *, at: Instant, request: str | None) -> None:
    with database.begin() as tx:
        # Counted in the row, not from what was read before: attempts at the same time must not hide each other.
        failed = tx.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(failed_sign_ins=Account.failed_sign_ins + 1)
            .returning(Account.failed_sign_ins)
        ).scalar_one()
        if failed > _FREE_ATTEMPTS:
            delay = min(timedelta(seconds=2 ** min(failed - _FREE_ATTEMPTS, _MOST_DOUBLINGS)), _LONGEST_DELAY)
            tx.execute(update(Account).where(Account.id == account_id).values(refuse_until=at + delay))
        append_entry(
            tx,
            NewEntry(
                EntryType.ADMIN_SIGN_IN_REFUSED, Actor(account_id), Target("account", account_id), request=request
            ),
            at=at,
        )


def _decoy() -> str:
    """Return what no password matches and checking costs as much as a real one, so that both refusals take as long."""
    salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _matches(password_hash: str, password: str) -> bool:
    try:
        with _hashing:
            return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _fingerprint(token: str) -> str:
    # A second hash: what stands in the log must not be a key to the session table.
    return "session:" + hashlib.sha256(b"fingerprint" + _token_hash(token)).hexdigest()[:16]

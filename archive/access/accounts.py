"""Accounts, signing in and out, and the session behind a cookie."""

import hashlib
import secrets
import threading
import unicodedata
from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, false, or_, select, update
from sqlalchemy.orm import Session as Tx

from archive.access.models import Account, Session
from archive.access.policy import Role
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError
from archive.kernel.ids import AccountId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

SESSION_LIFETIME: Final = timedelta(hours=10)
MIN_PASSWORD_CHARACTERS: Final = 12
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


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person, as entry points hand it to use cases."""

    account_id: AccountId
    username: str
    display_name: str
    role: Role
    actor: Actor


def create_account(
    database: Database, *, username: str, display_name: str, role: Role, password: str, by: Actor, at: Instant
) -> AccountId:
    """Create an account.

    Raises: UsernameTaken, InvalidInput for an unusable name or a password under 12 characters.
    """
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
        insert_row(
            tx,
            Account,
            id=account_id,
            username=username,
            display_name=display_name,
            role=role.value,
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
                detail={"username": username, "display_name": display_name, "role": role.value},
            ),
            at=at,
        )
    return account_id


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
    return Caller(AccountId(row.id), row.username, row.display_name, Role(row.role), Actor(row.id, _fingerprint(token)))


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

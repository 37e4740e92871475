"""Signing in and out, who holds a session, and which sessions somebody has."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, select, true, update
from sqlalchemy.orm import Session as Tx

from archive.access.attempts import count_refusal, count_refused_name, forget_refusals, require_no_delay
from archive.access.browsers import NOWHERE, Origin, marks_with
from archive.access.callers import Caller, caller_as
from archive.access.models import Account, Session
from archive.access.passwords import decoy, hash_password, matches, require_fit_password
from archive.access.second_factors import has_second_factor
from archive.access.session_rows import SESSION_LIFETIME, Stage, Way, fingerprint, renewed, token_hash, write_session
from archive.access.sign_ins import SignIns, account_named
from archive.db.database import Database
from archive.kernel.errors import LiuhenError, NotFound
from archive.kernel.ids import AccountId, SessionId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

SEEN_EVERY: Final = timedelta(minutes=1)


class SignInRefused(LiuhenError):
    """User name or password is wrong."""

    code = "access.sign_in_refused"
    exit_code = 77


class SessionNotFound(NotFound):
    """There is no such session, or it has ended."""

    code = "access.session_not_found"


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as its owner sees it."""

    id: SessionId
    browser: str
    system: str
    created_at: Instant
    last_seen_at: Instant
    is_this: bool


def sign_in(
    sign_ins: SignIns,
    *,
    username: str,
    password: str,
    at: Instant,
    origin: Origin = NOWHERE,
    request: str | None = None,
) -> str:
    """Check a password and open a session; return the token for the cookie, which is kept nowhere.

    With a second factor the session stays shut until `confirm_code`. Wrong passwords slow down where they come from
    (up to 5 minutes); they never lock an account, and never hold up a browser that it knows.
    A success writes a log entry, and so does a wrong password for an account that exists. See `attempts` for names that
    nobody has.
    Raises: SignInRefused, TooManyAttempts.
    """
    username = unicodedata.normalize("NFC", username).strip()
    subject = sign_ins.subject_of(username)
    with sign_ins.database.read() as tx:
        account = account_named(tx, username)
        sources = sign_ins.sources_of(account, origin, at=at)
        require_no_delay(tx, subject, sources, at=at)
    is_right = matches(decoy() if account is None else account.password_hash, password)
    if account is None or not is_right:
        with sign_ins.database.begin() as tx:
            count_refusal(tx, subject, sources, is_known=account is not None, at=at)
            if account is None:
                count_refused_name(tx, at=at)
            else:
                _tell(tx, EntryType.ADMIN_SIGN_IN_REFUSED, account.id, None, request=request, at=at)
        raise SignInRefused
    with sign_ins.database.begin() as tx:
        # Asked again: wrong passwords at the same time count against the right one, else guessing side by side pays.
        require_no_delay(tx, subject, sources, at=at, lock=True)
        if tx.scalar(_still_so(account).with_for_update()) is None:
            raise SignInRefused
        forget_refusals(tx, subject, sources[0])
        stage = Stage.SECOND_FACTOR if has_second_factor(tx, account.id) else Stage.OPEN
        token = write_session(tx, account.id, stage, origin, at=at)
        begun = EntryType.ADMIN_SIGNED_IN if stage is Stage.OPEN else EntryType.ADMIN_SIGN_IN_BEGUN
        _tell(tx, begun, account.id, fingerprint(token), request=request, at=at)
    return token


def sign_out(database: Database, *, token: str, at: Instant) -> None:
    """Close the session. Idempotent."""
    with database.begin() as tx:
        session = tx.get(Session, token_hash(token))
        if session is None:
            return
        tx.execute(delete(Session).where(Session.token_hash == session.token_hash))
        _tell(tx, EntryType.ADMIN_SIGNED_OUT, session.account_id, fingerprint(token), at=at)


def signed_in_caller(tx: Tx, *, token: str, at: Instant, idle: timedelta = SESSION_LIFETIME) -> Caller | None:
    """Return who holds this session, or None when there is no such session, it has ended or was idle for too long."""
    row = tx.execute(
        select(Account, Session)
        .join(Session, Session.account_id == Account.id)
        .where(Session.token_hash == token_hash(token), _is_open(at, idle), Account.disabled_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    account, session = row
    return replace(
        caller_as(tx, account, auth=fingerprint(token), at=at),
        session_id=SessionId(session.id),
        last_seen_at=session.last_seen_at,
        has_second_factor=session.way != Way.PASSWORD.value or has_second_factor(tx, account.id),
        is_from_provider=session.way == Way.PROVIDER.value,
        terms_version=account.terms_version,
    )


def note_seen(database: Database, session_id: SessionId, *, at: Instant) -> None:
    """Write down that a session is in use, to the minute."""
    stale = and_(Session.id == session_id, Session.last_seen_at <= at - SEEN_EVERY)
    with database.read() as tx:
        if tx.scalar(select(Session.id).where(stale)) is None:
            return
    with database.begin() as tx:
        tx.execute(update(Session).where(stale).values(last_seen_at=at))


def sessions_of(
    tx: Tx, account_id: AccountId, *, this: SessionId | None, at: Instant, idle: timedelta
) -> Sequence[SessionView]:
    """Return the sessions of an account that are open, this one first, then by when they were seen last."""
    rows = tx.scalars(
        select(Session)
        .where(Session.account_id == account_id, _is_open(at, idle))
        .order_by(Session.last_seen_at.desc(), Session.id)
    ).all()
    views = [
        SessionView(SessionId(row.id), row.browser, row.system, row.created_at, row.last_seen_at, row.id == this)
        for row in rows
    ]
    return sorted(views, key=lambda view: not view.is_this)


def end_session(database: Database, account_id: AccountId, session_id: SessionId, *, by: Actor, at: Instant) -> None:
    """End one session of an account. Raises: SessionNotFound, also for a session of somebody else."""
    with database.begin() as tx:
        if _end(tx, account_id, Session.id == session_id, by=by, at=at) == 0:
            raise SessionNotFound


def end_sessions(
    database: Database, account_id: AccountId, *, but: SessionId | None = None, by: Actor, at: Instant
) -> int:
    """End every session of an account, or every other one than `but`; return how many there were."""
    with database.begin() as tx:
        return end_all(tx, account_id, but=but, by=by, at=at)


def drop_sessions(tx: Tx, account_id: UUID) -> int:
    """End every session in the caller's transaction, whose entry tells of it; return how many there were."""
    gone = tx.execute(delete(Session).where(Session.account_id == account_id).returning(Session.id))
    return len(gone.all())


def end_all(tx: Tx, account_id: UUID, *, but: UUID | None, by: Actor, at: Instant) -> int:
    """Do what `end_sessions` does in the caller's transaction."""
    return _end(tx, account_id, true() if but is None else Session.id != but, by=by, at=at)


def change_password(
    sign_ins: SignIns, *, token: str, present: str, new: str, at: Instant, request: str | None = None
) -> str:
    """Change the password of whoever holds a session, end the other sessions, and return this one's new token.

    Wrong present passwords slow this session down, as wrong sign-ins do.
    Raises: SignInRefused when the present password is wrong or the session has ended, TooManyAttempts, PasswordUnfit.
    """
    account, session = _holder(sign_ins, token, at=at)
    require_password(sign_ins, account, session.id, present, at=at, request=request)
    require_fit_password(new, username=account.username)
    password_hash = hash_password(new)
    with sign_ins.database.begin() as tx:
        # The account before its sessions, as everywhere: of two at once neither waits for the other for ever.
        if tx.scalar(_still_so(account).with_for_update()) is None:
            raise SignInRefused
        row = tx.scalar(select(Session).where(Session.token_hash == token_hash(token)).with_for_update())
        if row is None:
            raise SignInRefused
        tx.execute(update(Account).where(Account.id == account.id).values(password_hash=password_hash))
        actor = Actor(account.id, fingerprint(token))
        fresh = renewed(tx, row, at=at)
        ended = tx.execute(
            delete(Session)
            .where(Session.account_id == account.id, Session.token_hash != token_hash(fresh))
            .returning(Session.id)
        ).all()
        entry = NewEntry(
            EntryType.ADMIN_PASSWORD_CHANGED,
            actor,
            Target("account", account.id),
            request=request,
            detail={"ended_sessions": len(ended)},
        )
        append_entry(tx, entry, at=at)
    return fresh


def require_password(
    sign_ins: SignIns, account: Account, session_id: UUID, password: str, *, at: Instant, request: str | None = None
) -> None:
    """Ask whoever holds a session for the password once more, before what a stranger at the desk must not do.

    Raises: SignInRefused, TooManyAttempts.
    """
    subject, sources = sign_ins.subject_of(account.username), (f"session:{session_id}",)
    with sign_ins.database.read() as tx:
        require_no_delay(tx, subject, sources, at=at)
    if matches(account.password_hash, password):
        return
    with sign_ins.database.begin() as tx:
        count_refusal(tx, subject, sources, is_known=True, at=at)
        detail = {"asked_again": True}
        _tell(tx, EntryType.ADMIN_SIGN_IN_REFUSED, account.id, None, request=request, at=at, detail=detail)
    raise SignInRefused


def marks_of(sign_ins: SignIns, *, token: str, marks: Sequence[str], at: Instant) -> str:
    """Return the cookie by which the account of a session knows this browser from now on. Raises: SignInRefused."""
    account, _ = _holder(sign_ins, token, at=at)
    return marks_with(sign_ins.secret, account, marks, at=at)


def awaits_second_factor(tx: Tx, *, token: str, at: Instant) -> bool:
    """Return whether this is a session whose password was right and whose second factor is not there yet."""
    row = tx.get(Session, token_hash(token))
    return row is not None and row.stage == Stage.SECOND_FACTOR.value and row.expires_at > at


def forget_ended_sessions(database: Database, *, at: Instant) -> None:
    """Remove sessions whose time is over; nobody can use them, and nobody needs to be told."""
    over = Session.expires_at <= at
    with database.read() as tx:
        if tx.scalar(select(Session.id).where(over).limit(1)) is None:
            return
    with database.begin() as tx:
        tx.execute(delete(Session).where(over))


def _holder(sign_ins: SignIns, token: str, *, at: Instant) -> tuple[Account, Session]:
    with sign_ins.database.read() as tx:
        row = tx.execute(
            select(Account, Session)
            .join(Session, Session.account_id == Account.id)
            .where(Session.token_hash == token_hash(token), _is_open(at, sign_ins.idle))
        ).one_or_none()
    if row is None:
        raise SignInRefused
    return row[0], row[1]


def _is_open(at: Instant, idle: timedelta) -> ColumnElement[bool]:
    return and_(Session.stage == Stage.OPEN.value, Session.expires_at > at, Session.last_seen_at > at - idle)


def _still_so(account: Account) -> Select[UUID]:
    """Select the account if neither its password nor its being enabled has changed since it was read."""
    return select(Account.id).where(
        Account.id == account.id, Account.disabled_at.is_(None), Account.password_hash == account.password_hash
    )


def _end(tx: Tx, account_id: UUID, which: ColumnElement[bool], *, by: Actor, at: Instant) -> int:
    ended = tx.execute(delete(Session).where(Session.account_id == account_id, which).returning(Session.id)).all()
    if ended:
        detail = {"sessions": len(ended)}
        entry = NewEntry(EntryType.ADMIN_SESSION_ENDED, by, Target("account", account_id), detail=detail)
        append_entry(tx, entry, at=at)
    return len(ended)


def _tell(
    tx: Tx,
    kind: EntryType,
    account_id: UUID,
    auth: str | None,
    *,
    at: Instant,
    request: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    entry = NewEntry(kind, Actor(account_id, auth), Target("account", account_id), request=request, detail=detail or {})
    append_entry(tx, entry, at=at)

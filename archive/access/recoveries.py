"""Letting somebody in again who has lost password and factors: by two administrators, neither of them the person.

One begins it and says why, another confirms it and is shown a code, once; whoever has the code within the hour sets a
new password. Then second factors and passkeys are gone and every old session has ended. Until then nothing changes.
"""

import hmac
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Tx

from archive.access.accounts import AccountNotFound
from archive.access.attempts import count_refusal, count_refused_name, forget_refusals, require_no_delay
from archive.access.browsers import NOWHERE, Origin
from archive.access.callers import Caller
from archive.access.models import Account, Recovery
from archive.access.passwords import hash_password, require_fit_password
from archive.access.policy import Capability, require
from archive.access.second_factors import drop_factors
from archive.access.sessions import drop_sessions
from archive.access.sign_ins import SignIns, account_named
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import Conflict, Forbidden, LiuhenError, NotFound
from archive.kernel.ids import AccountId, RecoveryId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

CONFIRMED_WITHIN: Final = timedelta(hours=24)
CODE_LIFETIME: Final = timedelta(hours=1)
MAX_REASON_CHARACTERS: Final = 500
_CODE_CHARACTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_CODE_LENGTH: Final = 20


class RecoveryOpen(Conflict):
    """Somebody has begun to let this person in again; confirm or withdraw that first."""

    code = "access.recovery_open"


class RecoveryNotFound(NotFound):
    """There is nothing to confirm any more: it was confirmed, withdrawn, or is older than a day."""

    code = "access.recovery_not_found"


class RecoveryNeedsTwo(Forbidden):
    """Letting somebody in again takes two administrators, and neither may be the person."""

    code = "access.recovery_needs_two"


class RecoveryRefused(LiuhenError):
    """User name or code is wrong, or the code was used already or is older than an hour."""

    code = "access.recovery_refused"
    exit_code = 77


@dataclass(frozen=True, slots=True)
class RecoveryView:
    """A recovery that is under way, as administrators see it."""

    id: RecoveryId
    reason: str
    begun_by: AccountId
    begun_by_name: str
    begun_at: Instant
    expires_at: Instant | None

    @property
    def is_confirmed(self) -> bool:
        """Whether a second administrator has confirmed it, and the code is out."""
        return self.expires_at is not None


def begin_recovery(database: Database, account_id: AccountId, *, reason: str, by: Caller, at: Instant) -> RecoveryId:
    """Say that somebody is to be let in again, and why; nothing changes until another administrator confirms.

    Raises: Forbidden, RecoveryNeedsTwo for the own account, AccountNotFound, also for a disabled account,
        RecoveryOpen, InvalidInput without a reason.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    _require_other(by, account_id)
    recovery_id = RecoveryId(new_uuid7())
    with database.begin() as tx:
        named = select(Account.id).where(Account.id == account_id, Account.disabled_at.is_(None))
        # Locked, so that of two who begin at once the second one sees the first.
        if tx.scalar(named.with_for_update()) is None:
            raise AccountNotFound(account_id=account_id)
        if _open(tx, account_id, at=at) is not None:
            raise RecoveryOpen
        insert_row(
            tx,
            Recovery,
            id=recovery_id,
            account_id=account_id,
            reason=reason,
            begun_by=by.account_id,
            begun_at=at,
            code_hash=None,
            expires_at=None,
            ended_at=None,
        )
        _tell(tx, EntryType.ADMIN_RECOVERY_BEGUN, account_id, {"reason": reason}, by=by.actor, at=at)
    return recovery_id


def confirm_recovery(sign_ins: SignIns, recovery_id: RecoveryId, *, by: Caller, at: Instant) -> str:
    """Confirm what another administrator has begun; return the code for the person, shown this once.

    Raises: Forbidden, RecoveryNotFound, RecoveryNeedsTwo for whoever began it and for the person.
    """
    code = "".join(secrets.choice(_CODE_CHARACTERS) for _ in range(_CODE_LENGTH))
    with sign_ins.database.begin() as tx:
        row = _locked(tx, recovery_id, at=at)
        _require_other(by, row.account_id)
        if row.begun_by == by.account_id:
            raise RecoveryNeedsTwo
        if row.expires_at is not None:
            raise RecoveryNotFound
        values = {"code_hash": _hash(sign_ins, row.account_id, code), "expires_at": at + CODE_LIFETIME}
        tx.execute(update(Recovery).where(Recovery.id == recovery_id).values(**values))
        detail = {"begun_by": str(row.begun_by)}
        _tell(tx, EntryType.ADMIN_RECOVERY_CONFIRMED, row.account_id, detail, by=by.actor, at=at)
    return "-".join(code[start : start + 5] for start in range(0, _CODE_LENGTH, 5))


def withdraw_recovery(database: Database, recovery_id: RecoveryId, *, by: Caller, at: Instant) -> None:
    """Take back what was begun or confirmed; a code that is out is worth nothing any more.

    Raises: Forbidden, RecoveryNotFound, RecoveryNeedsTwo for the person.
    """
    with database.begin() as tx:
        row = _locked(tx, recovery_id, at=at)
        _require_other(by, row.account_id)
        tx.execute(update(Recovery).where(Recovery.id == recovery_id).values(ended_at=at))
        _tell(tx, EntryType.ADMIN_RECOVERY_WITHDRAWN, row.account_id, {}, by=by.actor, at=at)


def recover_account(
    sign_ins: SignIns,
    *,
    username: str,
    code: str,
    password: str,
    at: Instant,
    origin: Origin = NOWHERE,
    request: str | None = None,
) -> None:
    """Set a new password with the code of two administrators; second factors go and all sessions end.

    Wrong codes slow down and are told like wrong passwords.
    Raises: RecoveryRefused, TooManyAttempts, PasswordUnfit where the code is right and goes on being so.
    """
    username = unicodedata.normalize("NFC", username).strip()
    subject = sign_ins.subject_of(username)
    with sign_ins.database.read() as tx:
        account = account_named(tx, username)
        sources = sign_ins.sources_of(account, origin, at=at)
        require_no_delay(tx, subject, sources, at=at)
        row = None if account is None else _open(tx, account.id, at=at)
    if account is None or row is None or not _is_right(sign_ins, row, code):
        with sign_ins.database.begin() as tx:
            count_refusal(tx, subject, sources, is_known=account is not None, at=at)
            if account is None:
                count_refused_name(tx, at=at)
            else:
                refused, actor = EntryType.ADMIN_SIGN_IN_REFUSED, Actor(account.id)
                _tell(tx, refused, account.id, {"recovery": True}, by=actor, at=at, request=request)
        raise RecoveryRefused
    require_fit_password(password, username=username)
    password_hash = hash_password(password)
    with sign_ins.database.begin() as tx:
        require_no_delay(tx, subject, sources, at=at, lock=True)
        used = update(Recovery).where(
            Recovery.id == row.id, Recovery.ended_at.is_(None), Recovery.code_hash == row.code_hash
        )
        if tx.execute(used.values(ended_at=at).returning(Recovery.id)).scalar_one_or_none() is None:
            raise RecoveryRefused
        changed = update(Account).where(Account.id == account.id, Account.disabled_at.is_(None))
        fresh = {"password_hash": password_hash, "roles_since": at}
        if tx.execute(changed.values(**fresh).returning(Account.id)).scalar_one_or_none() is None:
            raise RecoveryRefused
        forget_refusals(tx, subject, sources[0])
        drop_factors(tx, account.id)
        detail = {"ended_sessions": drop_sessions(tx, account.id)}
        _tell(tx, EntryType.ADMIN_ACCOUNT_RECOVERED, account.id, detail, by=Actor(account.id), at=at, request=request)


def open_recovery(tx: Tx, account_id: AccountId, *, at: Instant) -> RecoveryView | None:
    """Return the recovery of an account that is under way, if there is one."""
    row = _open(tx, account_id, at=at)
    if row is None:
        return None
    name = tx.scalar(select(Account.display_name).where(Account.id == row.begun_by)) or str(row.begun_by)
    return RecoveryView(RecoveryId(row.id), row.reason, AccountId(row.begun_by), name, row.begun_at, row.expires_at)


def _require_other(by: Caller, account_id: UUID) -> None:
    require(by.roles, Capability.ADMINISTER)
    if by.account_id == account_id:
        raise RecoveryNeedsTwo


def _open(tx: Tx, account_id: UUID, *, at: Instant) -> Recovery | None:
    rows = tx.scalars(
        select(Recovery)
        .where(Recovery.account_id == account_id, Recovery.ended_at.is_(None))
        .order_by(Recovery.begun_at.desc())
    )
    return next((row for row in rows if _is_under_way(row, at)), None)


def _locked(tx: Tx, recovery_id: RecoveryId, *, at: Instant) -> Recovery:
    row = tx.scalar(select(Recovery).where(Recovery.id == recovery_id, Recovery.ended_at.is_(None)).with_for_update())
    if row is None or not _is_under_way(row, at):
        raise RecoveryNotFound
    return row


def _is_under_way(row: Recovery, at: Instant) -> bool:
    return row.begun_at + CONFIRMED_WITHIN > at if row.expires_at is None else row.expires_at > at


def _is_right(sign_ins: SignIns, row: Recovery, code: str) -> bool:
    given = "".join(char for char in code.lower() if char.isalnum())[: 2 * _CODE_LENGTH]
    return row.code_hash is not None and hmac.compare_digest(row.code_hash, _hash(sign_ins, row.account_id, given))


def _hash(sign_ins: SignIns, account_id: UUID, code: str) -> bytes:
    return sign_ins.keyed(f"recovery {account_id}", code)


def _tell(
    tx: Tx,
    kind: EntryType,
    account_id: UUID,
    detail: Mapping[str, object],
    *,
    by: Actor,
    at: Instant,
    request: str | None = None,
) -> None:
    append_entry(tx, NewEntry(kind, by, Target("account", account_id), request=request, detail=detail), at=at)

"""The second factor: codes from an authenticator app, and recovery codes for when it or a passkey is lost.

Source: RFC 6238 (30 seconds, 6 digits, SHA-1, one step of tolerance, section 5.2: a code is accepted once).
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import pyotp
from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.orm import Session as Tx

from archive.access.attempts import count_refusal, forget_refusals, require_no_delay
from archive.access.browsers import NOWHERE, Origin
from archive.access.models import Account, Passkey, RecoveryCode, Session, TotpSecret
from archive.access.session_rows import Stage, fingerprint, renewed, token_hash
from archive.access.sign_ins import SignIns
from archive.db.base import insert_row, insert_rows
from archive.db.database import unique_or
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import AccountId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.identifiers import IdentifierUnreadable, Sealed

RECOVERY_CODES: Final = 10
STEP_S: Final = 30
_TOLERANCE: Final = (0, -1, 1)
_CODE_CHARACTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_CODE_LENGTH: Final = 10
_DIGITS: Final = 6


class CodeRefused(LiuhenError):
    """The code is wrong, was used already, or came too late."""

    code = "access.code_refused"
    exit_code = 77


class SecondFactorSet(Conflict):
    """The account has an authenticator already; remove it first."""

    code = "access.second_factor_set"


class SecondFactorMissing(NotFound):
    """The account has no second factor of this kind."""

    code = "access.second_factor_missing"


class EnrolmentStale(InvalidInput):
    """The setup of the authenticator is no longer valid; begin anew."""

    code = "access.enrolment_stale"


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A fresh secret for an authenticator app; nothing is kept until a code from it has come back.

    `sealed` goes through the page and comes back with the code.
    """

    secret: str
    address: str
    sealed: str


@dataclass(frozen=True, slots=True)
class SecondFactorView:
    """What somebody has: since when an authenticator, and how many recovery codes are left."""

    set_at: Instant | None
    codes_left: int


def has_second_factor(tx: Tx, account_id: UUID) -> bool:
    """Return whether signing in asks for more than the password."""
    kinds = (TotpSecret, Passkey)
    return bool(tx.scalar(select(or_(*(exists().where(kind.account_id == account_id) for kind in kinds)))))


def second_factor_of(tx: Tx, account_id: AccountId) -> SecondFactorView:
    """Return what an account has as its second factor."""
    row = tx.get(TotpSecret, account_id)
    left = tx.scalar(
        select(func.count())
        .select_from(RecoveryCode)
        .where(RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))
    )
    return SecondFactorView(None if row is None else row.set_at, left or 0)


def offer_totp(sign_ins: SignIns, account_id: AccountId, *, username: str, organisation: str) -> TotpOffer:
    """Make a secret for an authenticator app. Raises: IdentifierUnreadable when the vault has no key."""
    secret = pyotp.random_base32()
    sealed = sign_ins.vault.seal(secret, bound_to=_offered(account_id))
    text = f"{sealed.key_id}.{base64.urlsafe_b64encode(sealed.data).decode()}"
    return TotpOffer(secret, address_of(secret, username=username, organisation=organisation), text)


def offered_secret(sign_ins: SignIns, account_id: AccountId, sealed: str) -> str:
    """Return the secret of an offer that comes back. Raises: EnrolmentStale."""
    key_id, _, data = sealed.partition(".")
    try:
        return sign_ins.vault.unseal(Sealed(key_id, base64.urlsafe_b64decode(data)), bound_to=_offered(account_id))
    except (ValueError, IdentifierUnreadable) as exc:
        raise EnrolmentStale from exc


def address_of(secret: str, *, username: str, organisation: str) -> str:
    """Return the address that authenticator apps read from a picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=organisation)


def set_totp(
    sign_ins: SignIns, account_id: AccountId, *, sealed: str, code: str, by: Actor, at: Instant
) -> Sequence[str]:
    """Take an offer whose code came back as the account's second factor; return recovery codes, shown this once.

    Raises: EnrolmentStale, CodeRefused, SecondFactorSet.
    """
    secret = offered_secret(sign_ins, account_id, sealed)
    step = _step_of(secret, _plain(code), at)
    if step is None:
        raise CodeRefused
    kept = sign_ins.vault.seal(secret, bound_to=bound_to(account_id))
    with unique_or(SecondFactorSet), sign_ins.database.begin() as tx:
        insert_row(
            tx, TotpSecret, account_id=account_id, key_id=kept.key_id, sealed=kept.data, last_step=step, set_at=at
        )
        drop_codes(tx, account_id)
        codes = write_codes(tx, sign_ins, account_id, at=at)
        _tell(tx, EntryType.ADMIN_FACTOR_SET, account_id, {"factor": "totp"}, by=by, at=at)
    return codes


def remove_totp(sign_ins: SignIns, account_id: AccountId, *, by: Actor, at: Instant) -> None:
    """Ask for no code from now on; without passkeys the recovery codes go too. Raises: SecondFactorMissing."""
    with sign_ins.database.begin() as tx:
        gone = delete(TotpSecret).where(TotpSecret.account_id == account_id).returning(TotpSecret.account_id)
        if tx.execute(gone).scalar_one_or_none() is None:
            raise SecondFactorMissing
        if not has_second_factor(tx, account_id):
            drop_codes(tx, account_id)
        _tell(tx, EntryType.ADMIN_FACTOR_REMOVED, account_id, {"factor": "totp"}, by=by, at=at)


def drop_codes(tx: Tx, account_id: UUID) -> None:
    """Remove the recovery codes in the caller's transaction."""
    tx.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))


def drop_factors(tx: Tx, account_id: UUID) -> None:
    """Remove authenticator, passkeys and recovery codes in the caller's transaction."""
    for table in (TotpSecret, Passkey, RecoveryCode):
        tx.execute(delete(table).where(table.account_id == account_id))


def renew_recovery_codes(sign_ins: SignIns, account_id: AccountId, *, by: Actor, at: Instant) -> Sequence[str]:
    """Make new recovery codes, shown this once; the old ones are worth nothing. Raises: SecondFactorMissing."""
    with sign_ins.database.begin() as tx:
        tx.scalars(select(Account.id).where(Account.id == account_id).with_for_update()).one()
        if not has_second_factor(tx, account_id):
            raise SecondFactorMissing
        drop_codes(tx, account_id)
        codes = write_codes(tx, sign_ins, account_id, at=at)
        _tell(tx, EntryType.ADMIN_FACTOR_SET, account_id, {"factor": "recovery_codes"}, by=by, at=at)
    return codes


def confirm_code(
    sign_ins: SignIns, *, token: str, code: str, at: Instant, origin: Origin = NOWHERE, request: str | None = None
) -> str:
    """Open the session of a right password with a code of the authenticator or a recovery code; return its new token.

    A code works once, also of two that come at the same time. Wrong ones slow down whoever has the password, apart
    from a browser that the account knows.
    Raises: CodeRefused, also without such a session, TooManyAttempts, IdentifierUnreadable.
    """
    with sign_ins.database.read() as tx:
        found = _half_session(tx, token, at=at)
        if found is None:
            raise CodeRefused
        account, session = found
        subject = sign_ins.subject_of(account.username)
        source = next(iter(sign_ins.sources_of(account, origin, at=at)))
        sources = (f"code:{source}" if source.startswith("browser:") else "code",)
        require_no_delay(tx, subject, sources, at=at)
        secret = _secret_of(tx, sign_ins, account.id)
    given = _plain(code)
    step = None if secret is None else _step_of(secret, given, at)
    with sign_ins.database.begin() as tx:
        require_no_delay(tx, subject, sources, at=at, lock=True)
        factor = _use(tx, sign_ins, account.id, given, step, at=at)
        still = tx.scalar(select(Session).where(Session.token_hash == session.token_hash).with_for_update())
        if factor is not None and still is not None:
            forget_refusals(tx, subject, sources[0])
            fresh = renewed(tx, still, at=at)
            actor = Actor(account.id, fingerprint(fresh))
            _tell(
                tx, EntryType.ADMIN_SIGNED_IN, account.id, {"second_factor": factor}, by=actor, at=at, request=request
            )
            return fresh
        if factor is not None:  # of two at once with two codes one was quicker, and this code goes back unused
            raise CodeRefused
        count_refusal(tx, subject, sources, is_known=True, at=at)
        detail = {"second_factor": "code"}
        _tell(
            tx,
            EntryType.ADMIN_SIGN_IN_REFUSED,
            account.id,
            detail,
            by=Actor(account.id, fingerprint(token)),
            at=at,
            request=request,
        )
    raise CodeRefused


def bound_to(account_id: UUID) -> str:
    """Return what a sealed secret is bound to: it opens for no other account."""
    return f"totp:{account_id}"


def _offered(account_id: UUID) -> str:
    return f"totp offer:{account_id}"


def _half_session(tx: Tx, token: str, *, at: Instant) -> tuple[Account, Session] | None:
    row = tx.execute(
        select(Account, Session)
        .join(Session, Session.account_id == Account.id)
        .where(
            Session.token_hash == token_hash(token),
            Session.stage == Stage.SECOND_FACTOR.value,
            Session.expires_at > at,
            Account.disabled_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def _secret_of(tx: Tx, sign_ins: SignIns, account_id: UUID) -> str | None:
    row = tx.get(TotpSecret, account_id)
    if row is None:
        return None
    return sign_ins.vault.unseal(Sealed(row.key_id, row.sealed), bound_to=bound_to(account_id))


def _step_of(secret: str, code: str, at: Instant) -> int | None:
    """Return the 30 seconds whose code this is, of those that count now."""
    totp, now = pyotp.TOTP(secret), int(at.timestamp()) // STEP_S
    for step in (now + offset for offset in _TOLERANCE):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            return step
    return None


def _use(tx: Tx, sign_ins: SignIns, account_id: UUID, given: str, step: int | None, *, at: Instant) -> str | None:
    """Use up a code; return what it was, or None where it is none or was used already.

    The condition stands in the statement that writes, so that of two at once one finds it used.
    """
    if step is not None:
        used = update(TotpSecret).where(TotpSecret.account_id == account_id, TotpSecret.last_step < step)
        is_used = tx.execute(used.values(last_step=step).returning(TotpSecret.last_step)).scalar_one_or_none()
        return None if is_used is None else "totp"
    mine = (RecoveryCode.account_id == account_id, RecoveryCode.code_hash == sign_ins.keyed(_codes(account_id), given))
    spent = update(RecoveryCode).where(*mine, RecoveryCode.used_at.is_(None)).values(used_at=at)
    found = tx.execute(spent.returning(RecoveryCode.account_id)).scalar_one_or_none()
    return None if found is None else "recovery_code"


def write_codes(tx: Tx, sign_ins: SignIns, account_id: UUID, *, at: Instant) -> Sequence[str]:
    """Write recovery codes in the caller's transaction and return them, shown this once."""
    codes = ["".join(secrets.choice(_CODE_CHARACTERS) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES)]
    rows = [
        {
            "account_id": account_id,
            "code_hash": sign_ins.keyed(_codes(account_id), code),
            "made_at": at,
            "used_at": None,
        }
        for code in codes
    ]
    insert_rows(tx, RecoveryCode, rows)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _codes(account_id: UUID) -> str:
    return f"recovery code {account_id}"


def _plain(code: str) -> str:
    """Return a code as people type it without blanks and hyphens."""
    return "".join(char for char in code.lower() if char.isalnum())[: _CODE_LENGTH + _DIGITS]


def _tell(
    tx: Tx,
    kind: EntryType,
    account_id: UUID,
    detail: dict[str, str],
    *,
    by: Actor,
    at: Instant,
    request: str | None = None,
) -> None:
    append_entry(tx, NewEntry(kind, by, Target("account", account_id), request=request, detail=detail), at=at)

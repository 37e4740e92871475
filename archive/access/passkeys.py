"""Passkeys: signing in with a device that has asked who is holding it, without any password.

A challenge is random, good for ten minutes and for one use: what is handed out is signed and kept nowhere, so that
nobody can fill a table by asking; what was used is kept until it would be over anyway.
Source: W3C Web Authentication Level 2, sections 7.1 and 7.2 (by the library `webauthn`): origin, RP id, user presence
and user verification, signature, and the counter of uses, which shows a device that was copied.
"""

import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import webauthn
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as Tx
from webauthn.helpers import base64url_to_bytes, options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from archive.access.attempts import count_refused_name
from archive.access.browsers import NOWHERE, Origin
from archive.access.models import Account, Passkey, UsedChallenge
from archive.access.second_factors import drop_codes, has_second_factor, write_codes
from archive.access.session_rows import Stage, Way, fingerprint, write_session
from archive.access.sign_ins import SignIns
from archive.db.base import insert_row
from archive.db.database import unique_or
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import AccountId, PasskeyId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

MAX_NAME_CHARACTERS: Final = 100
MAX_PASSKEYS: Final = 20
CHALLENGE_LIFETIME: Final = timedelta(minutes=10)
_SIGNING_IN: Final = "sign-in"
_CHALLENGE: Final = re.compile(r"(?P<challenge>[0-9a-f]{64})\.(?P<until>[0-9]{1,12})\.(?P<mac>[0-9a-f]{64})")


class PasskeyRefused(LiuhenError):
    """The passkey does not open anything here, or what it signed came too late."""

    code = "access.passkey_refused"
    exit_code = 77


class PasskeyNotFound(NotFound):
    """There is no such passkey."""

    code = "access.passkey_not_found"


class PasskeyTaken(Conflict):
    """This passkey is written down already."""

    code = "access.passkey_taken"


class TooManyPasskeys(InvalidInput):
    """An account has at most 20 passkeys."""

    code = "access.too_many_passkeys"


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who the passkeys are for: the host's name, and the address of the pages as the browser says it."""

    id: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class PasskeyOffer:
    """What the browser is asked, as JSON; `challenge` comes back with the answer."""

    options: Mapping[str, Any]
    challenge: str


def offer_passkey(
    sign_ins: SignIns,
    party: RelyingParty,
    account_id: AccountId,
    *,
    username: str,
    display_name: str,
    known: Sequence[Passkey],
    at: Instant,
) -> PasskeyOffer:
    """Ask the browser to make a passkey; nothing is kept until it has come back."""
    challenge, told = _challenge(sign_ins, str(account_id), at)
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=account_id.bytes,
        user_name=username,
        user_display_name=display_name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=row.credential_id) for row in known],
    )
    return PasskeyOffer(options_to_json_dict(options), told)


def add_passkey(
    sign_ins: SignIns,
    party: RelyingParty,
    account_id: AccountId,
    *,
    name: str,
    credential: str,
    challenge: str,
    by: Actor,
    at: Instant,
) -> Sequence[str]:
    """Write down a passkey that has come back; return recovery codes, shown this once, where there are none yet.

    Raises: PasskeyRefused, PasskeyTaken, TooManyPasskeys, InvalidInput for an unusable name.
    """
    name = clean_text(name, "name", MAX_NAME_CHARACTERS)
    expected = _expected(sign_ins, str(account_id), challenge, at)
    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=expected,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, RecursionError) as exc:
        raise PasskeyRefused from exc
    with unique_or(PasskeyTaken), sign_ins.database.begin() as tx:
        # Locked, so that of two at once the second one sees the first.
        tx.scalars(select(Account.id).where(Account.id == account_id).with_for_update()).one()
        if len(passkeys_of(tx, account_id)) >= MAX_PASSKEYS:
            raise TooManyPasskeys
        _use_up(tx, expected, at=at)
        codes = () if has_second_factor(tx, account_id) else write_codes(tx, sign_ins, account_id, at=at)
        insert_row(
            tx,
            Passkey,
            id=new_uuid7(),
            account_id=account_id,
            credential_id=made.credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=name,
            made_at=at,
            last_used_at=None,
        )
        detail = {"factor": "passkey", "name": name}
        append_entry(tx, NewEntry(EntryType.ADMIN_FACTOR_SET, by, _account(account_id), detail=detail), at=at)
    return codes


def remove_passkey(sign_ins: SignIns, account_id: AccountId, passkey_id: PasskeyId, *, by: Actor, at: Instant) -> None:
    """Let a passkey open nothing any more. Raises: PasskeyNotFound, also for one of somebody else."""
    with sign_ins.database.begin() as tx:
        name = tx.execute(
            delete(Passkey).where(Passkey.id == passkey_id, Passkey.account_id == account_id).returning(Passkey.name)
        ).scalar_one_or_none()
        if name is None:
            raise PasskeyNotFound
        if not has_second_factor(tx, account_id):
            drop_codes(tx, account_id)
        detail = {"factor": "passkey", "name": name}
        append_entry(tx, NewEntry(EntryType.ADMIN_FACTOR_REMOVED, by, _account(account_id), detail=detail), at=at)


def passkeys_of(tx: Tx, account_id: UUID) -> Sequence[Passkey]:
    """Return the passkeys of an account, the oldest first."""
    return tx.scalars(select(Passkey).where(Passkey.account_id == account_id).order_by(Passkey.id)).all()


def offer_sign_in(sign_ins: SignIns, party: RelyingParty, *, at: Instant) -> PasskeyOffer:
    """Ask the browser for a passkey of anybody; which accounts there are is not told."""
    challenge, told = _challenge(sign_ins, _SIGNING_IN, at)
    options = webauthn.generate_authentication_options(
        rp_id=party.id, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return PasskeyOffer(options_to_json_dict(options), told)


def sign_in_with_passkey(
    sign_ins: SignIns,
    party: RelyingParty,
    *,
    credential: str,
    challenge: str,
    at: Instant,
    origin: Origin = NOWHERE,
    request: str | None = None,
) -> str:
    """Open a session with what a passkey has signed; return the token for the cookie, which is kept nowhere.

    The device has asked for a finger, a face or a number, so nothing more is asked.
    A refusal of a passkey that is somebody's has its entry; others are counted with the names that nobody has.
    Raises: PasskeyRefused.
    """
    expected = _expected(sign_ins, _SIGNING_IN, challenge, at)
    with sign_ins.database.read() as tx:
        found = tx.execute(
            select(Passkey, Account)
            .join(Account, Account.id == Passkey.account_id)
            .where(Passkey.credential_id == _credential_id(credential), Account.disabled_at.is_(None))
        ).one_or_none()
    if found is None:
        with sign_ins.database.begin() as tx:
            count_refused_name(tx, at=at)
        raise PasskeyRefused
    passkey, account = found[0], found[1]
    try:
        used = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=expected,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, RecursionError) as exc:
        with sign_ins.database.begin() as tx:
            refused = NewEntry(
                EntryType.ADMIN_SIGN_IN_REFUSED,
                Actor(account.id),
                _account(account.id),
                request=request,
                detail={"passkey": passkey.name},
            )
            append_entry(tx, refused, at=at)
        raise PasskeyRefused from exc
    with sign_ins.database.begin() as tx:
        # The account before what belongs to it, as everywhere: of two at once neither waits for the other for ever.
        still = select(Account.id).where(Account.id == account.id, Account.disabled_at.is_(None)).with_for_update()
        if tx.scalar(still) is None:
            raise PasskeyRefused
        _use_up(tx, expected, at=at)
        # Of two that are counted alike one is a copy: the condition stands in the statement that writes.
        counted = tx.execute(
            update(Passkey)
            .where(Passkey.id == passkey.id, Passkey.sign_count == passkey.sign_count)
            .values(sign_count=used.new_sign_count, last_used_at=at)
            .returning(Passkey.id)
        ).scalar_one_or_none()
        if counted is None:
            raise PasskeyRefused
        token = write_session(tx, account.id, Stage.OPEN, origin, at=at, way=Way.PASSKEY)
        entry = NewEntry(
            EntryType.ADMIN_SIGNED_IN,
            Actor(account.id, fingerprint(token)),
            _account(account.id),
            request=request,
            detail={"passkey": passkey.name},
        )
        append_entry(tx, entry, at=at)
    return token


def _account(account_id: UUID) -> Target:
    return Target("account", account_id)


def _challenge(sign_ins: SignIns, purpose: str, at: Instant) -> tuple[bytes, str]:
    challenge = secrets.token_bytes(32)
    until = int((at + CHALLENGE_LIFETIME).timestamp())
    return challenge, f"{challenge.hex()}.{until}.{_mac(sign_ins, purpose, challenge, until)}"


def _expected(sign_ins: SignIns, purpose: str, told: str, at: Instant) -> bytes:
    """Return the challenge that comes back, if it is ours and not over. Raises: PasskeyRefused."""
    found = _CHALLENGE.fullmatch(told)
    if found is None:
        raise PasskeyRefused
    challenge, until = bytes.fromhex(found["challenge"]), int(found["until"])
    if not hmac.compare_digest(found["mac"], _mac(sign_ins, purpose, challenge, until)) or until < at.timestamp():
        raise PasskeyRefused
    return challenge


def _mac(sign_ins: SignIns, purpose: str, challenge: bytes, until: int) -> str:
    return sign_ins.keyed("passkey challenge", f"{purpose}|{challenge.hex()}|{until}").hex()


def _use_up(tx: Tx, challenge: bytes, *, at: Instant) -> None:
    """Let a challenge count once. Raises: PasskeyRefused for one that was used."""
    tx.execute(delete(UsedChallenge).where(UsedChallenge.used_at < at - 2 * CHALLENGE_LIFETIME))
    with unique_or(PasskeyRefused):
        insert_row(tx, UsedChallenge, challenge=challenge, used_at=at)


def _credential_id(credential: str) -> bytes:
    """Return the id that a browser names, b"" where it names none."""
    try:
        told = json.loads(credential)
        return base64url_to_bytes(told["id"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return b""

"""The rows behind the cookies of signed-in browsers. Every sign-in and every step of one has a token of its own."""

import hashlib
import secrets
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session as Tx

from archive.access.browsers import Browser, Origin, System
from archive.access.models import Session
from archive.db.base import insert_row
from archive.kernel.ids import new_uuid7
from archive.kernel.instants import Instant

SESSION_LIFETIME: Final = timedelta(hours=10)
HALF_LIFETIME: Final = timedelta(minutes=10)
"""How long a right password waits for the second factor."""


class Stage(StrEnum):
    """How far somebody has come in signing in."""

    OPEN = "open"
    SECOND_FACTOR = "second_factor"


class Way(StrEnum):
    """How somebody signed in; a passkey and the provider answer for a second factor themselves."""

    PASSWORD = "password"  # noqa: S105 - a word
    PASSKEY = "passkey"
    PROVIDER = "provider"


def write_session(
    tx: Tx, account_id: UUID, stage: Stage, origin: Origin, *, at: Instant, way: Way = Way.PASSWORD
) -> str:
    """Write a session and return its token, which is kept nowhere."""
    token = secrets.token_urlsafe(32)
    insert_row(
        tx,
        Session,
        token_hash=token_hash(token),
        id=new_uuid7(),
        account_id=account_id,
        stage=stage.value,
        way=way.value,
        browser=origin.browser.value,
        system=origin.system.value,
        created_at=at,
        last_seen_at=at,
        expires_at=at + (SESSION_LIFETIME if stage is Stage.OPEN else HALF_LIFETIME),
    )
    return token


def renewed(tx: Tx, row: Session, *, at: Instant) -> str:
    """Give a session another token, under which it is open from now on; the old one is worth nothing any more."""
    origin = Origin(browser=Browser(row.browser), system=System(row.system))
    tx.execute(delete(Session).where(Session.token_hash == row.token_hash))
    return write_session(tx, row.account_id, Stage.OPEN, origin, at=at, way=Way(row.way))


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def fingerprint(token: str) -> str:
    """Return what the log calls a session; it is no key to the table of sessions."""
    return "session:" + hashlib.sha256(b"fingerprint" + token_hash(token)).hexdigest()[:16]

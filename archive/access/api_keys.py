"""API keys: shown once, kept as a hash, scoped, expiring, revocable.

A key reads `lh_<prefix>_<secret>`: the prefix finds the row, the secret (256 random bits) proves the holder. Since the
secret has full entropy, a plain keyed-by-nothing SHA-256 is enough; argon2 is for passwords.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from archive.access.models import ApiKey
from archive.db.base import insert_row
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor

LIFETIME: Final = timedelta(days=365)


class Scope(StrEnum):
    """What a key can do. A dock's key can only upload; an integration's key can what the administrator chose."""

    UPLOAD = "upload"
    AXIS = "axis"
    CASES_READ = "cases.read"
    CASES_WRITE = "cases.write"
    OFFICERS_WRITE = "officers.write"
    ITEMS_READ = "items.read"
    EVENTS_READ = "events.read"


INTEGRATION_SCOPES: Final = tuple(scope for scope in Scope if scope not in {Scope.UPLOAD, Scope.AXIS})
"""What the key of an integration can be given."""


class KeyRefused(LiuhenError):
    """The API key is unknown, expired or revoked."""

    code = "access.key_refused"
    exit_code = 77


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whoever presented a valid key."""

    holder_id: UUID
    scopes: frozenset[Scope]
    actor: Actor


def issue_key(tx: Session, *, holder_id: UUID, scope: Scope, at: Instant) -> str:
    """Make a key for a holder and return it; it cannot be shown again."""
    return write_key(tx, holder_id=holder_id, scopes=[scope], at=at, expires_at=at + LIFETIME)


def write_key(tx: Session, *, holder_id: UUID, scopes: Iterable[Scope], at: Instant, expires_at: Instant) -> str:
    """Make a key with several scopes and return it; it cannot be shown again."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    insert_row(
        tx,
        ApiKey,
        prefix=prefix,
        secret_hash=_hash(secret),
        scope=" ".join(sorted(scope.value for scope in scopes)),
        holder_id=holder_id,
        created_at=at,
        expires_at=expires_at,
    )
    return f"lh_{prefix}_{secret}"


def revoke_keys(tx: Session, *, holder_id: UUID, at: Instant) -> None:
    """Revoke every key of a holder, also one that ends later anyway."""
    tx.execute(update(ApiKey).where(ApiKey.holder_id == holder_id, _is_open(at)).values(revoked_at=at))


def newest_key_at(tx: Session, holder_id: UUID) -> Instant:
    """Return when the newest key of a holder was made, who has one."""
    return tx.scalars(
        select(ApiKey.created_at).where(ApiKey.holder_id == holder_id).order_by(ApiKey.created_at.desc()).limit(1)
    ).one()


def replace_keys(tx: Session, *, holder_id: UUID, presented: str, until: Instant, at: Instant) -> None:
    """Revoke every key of a holder but the one with the prefix `presented`, which ends at `until`, if not sooner."""
    ours = (ApiKey.holder_id == holder_id, _is_open(at))
    tx.execute(update(ApiKey).where(*ours, ApiKey.prefix != presented).values(revoked_at=at))
    tx.execute(
        update(ApiKey).where(*ours, ApiKey.prefix == presented, ApiKey.revoked_at.is_(None)).values(revoked_at=until)
    )


def key_holder(tx: Session, key: str, *, scope: Scope, at: Instant) -> KeyHolder:
    """Return who holds a key with this scope. Raises: KeyRefused, without saying which part was wrong."""
    holder = any_key_holder(tx, key, at=at)
    if scope not in holder.scopes:
        raise KeyRefused
    return holder


def any_key_holder(tx: Session, key: str, *, at: Instant) -> KeyHolder:
    """Return who holds the key, whatever it can do. Raises: KeyRefused, without saying which part was wrong."""
    parts = key.split("_", 2)
    row = tx.get(ApiKey, parts[1]) if len(parts) == 3 and parts[0] == "lh" else None
    if (
        row is None
        or not hmac.compare_digest(row.secret_hash, _hash(parts[2]))
        or (row.revoked_at is not None and row.revoked_at <= at)
        or row.expires_at <= at
    ):
        raise KeyRefused
    return KeyHolder(row.holder_id, scopes_of(row), Actor(row.holder_id, f"key:{row.prefix}"))


def key_is_valid(tx: Session, prefix: str, *, at: Instant) -> bool:
    """Return whether the key with this prefix is neither revoked nor expired; for what was got with it before."""
    row = tx.get(ApiKey, prefix)
    return row is not None and (row.revoked_at is None or row.revoked_at > at) and row.expires_at > at


def scopes_of(row: ApiKey) -> frozenset[Scope]:
    """Return what a key can do; a scope that this program does not know opens nothing."""
    return frozenset(scope for scope in Scope if scope.value in row.scope.split())


def _is_open(at: Instant) -> ColumnElement[bool]:
    """Return the condition that a key is not revoked yet."""
    return or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > at)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

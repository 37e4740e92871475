"""API keys: shown once, kept as a hash, scoped, expiring, revocable.

A key reads `lh_<prefix>_<secret>`: the prefix finds the row, the secret (256 random bits) proves the holder. Kept is
the HMAC of its SHA-256, under a key from `keys/api.key`, so that whoever can write to the database alone cannot make a
key that works; argon2 is for passwords. The file may hold several keys, the newest last: `liuhen keys rotate` adds one,
and each API key is hashed anew when it is used next, since only then its secret is there.
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

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from archive.access.models import ApiKey
from archive.db.base import insert_row
from archive.db.database import HASHES, Database
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import Actor
from archive.ports.identifiers import IdentifierVault

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
    HOLDS_READ = "holds.read"
    HOLDS_PLACE = "holds.place"
    HOLDS_RELEASE = "holds.release"


INTEGRATION_SCOPES: Final = tuple(scope for scope in Scope if scope not in {Scope.UPLOAD, Scope.AXIS})
"""What the key of an integration can be given."""


class KeyRefused(LiuhenError):
    """The API key is unknown, expired or revoked."""

    code = "access.key_refused"
    exit_code = 77


class HashesMissing(LiuhenError):
    """The keys that API keys are hashed with are not there."""

    code = "access.hashes_missing"
    exit_code = 78


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
    key_id = _hashes(tx).key_ids[-1]
    insert_row(
        tx,
        ApiKey,
        prefix=prefix,
        secret_hash=_hash(tx, secret, key_id),
        key_id=key_id,
        scope=" ".join(sorted(scope.value for scope in scopes)),
        holder_id=holder_id,
        created_at=at,
        expires_at=expires_at,
    )
    return f"lh_{prefix}_{secret}"


def told_key(tx: Session, key: str) -> dict[str, str]:
    """Return what the log says of a key that was made just now: its row, with the keyed hash and never the secret.

    The key opens the door again when the database was lost and came back from the journal.
    """
    row = tx.get_one(ApiKey, key.split("_")[1])
    return {
        "prefix": row.prefix,
        "hash": row.secret_hash.hex(),
        "hash_key": str(row.key_id),
        "scope": row.scope,
        "made_at": format_instant(row.created_at),
        "expires_at": format_instant(row.expires_at),
    }


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
    row = _presented(tx, key)
    if row is None or (row.revoked_at is not None and row.revoked_at <= at) or row.expires_at <= at:
        raise KeyRefused
    return KeyHolder(row.holder_id, scopes_of(row), Actor(row.holder_id, f"key:{row.prefix}"))


def key_is_valid(tx: Session, prefix: str, *, at: Instant) -> bool:
    """Return whether the key with this prefix is neither revoked nor expired; for what was got with it before."""
    row = tx.get(ApiKey, prefix)
    return row is not None and (row.revoked_at is None or row.revoked_at > at) and row.expires_at > at


def scopes_of(row: ApiKey) -> frozenset[Scope]:
    """Return what a key can do; a scope that this program does not know opens nothing."""
    return frozenset(scope for scope in Scope if scope.value in row.scope.split())


def renew_hash(database: Database, key: str) -> None:
    """Hash a key that was presented just now under the newest key, where it is under another one.

    The same secret opens the same things, so there is nothing to write into the log.
    """
    with database.read() as tx:
        row, newest = _presented(tx, key), _hashes(tx).key_ids[-1]
        if row is None or row.key_id == newest:
            return
        before, fresh = row.secret_hash, _hash(tx, key.split("_", 2)[2], newest)
    with database.begin() as tx:
        same = (ApiKey.prefix == row.prefix, ApiKey.secret_hash == before)
        tx.execute(update(ApiKey).where(*same).values(secret_hash=fresh, key_id=newest))


def adopt_hashes(database: Database, keys: IdentifierVault) -> None:
    """Hash what an archive from before there was a key kept as a plain SHA-256; done once, when the key is made.

    Later such a row opens nothing: it could be anybody's who can write to the database.
    """
    newest = keys.key_ids[-1]
    with database.read() as tx:
        plain = tx.scalars(select(ApiKey).where(ApiKey.key_id.is_(None))).all()
    for row in plain:
        with database.begin() as tx:
            values = {"secret_hash": _keyed(keys, row.secret_hash, newest), "key_id": newest}
            tx.execute(update(ApiKey).where(ApiKey.prefix == row.prefix, ApiKey.key_id.is_(None)).values(**values))


def keys_of_hashes(tx: Session, *, at: Instant) -> frozenset[str]:
    """Return under which keys the valid API keys are hashed."""
    valid = (_is_open(at), ApiKey.expires_at > at)
    return frozenset(key_id for key_id in tx.scalars(select(ApiKey.key_id).where(*valid).distinct()) if key_id)


def stale_count(tx: Session, *, at: Instant) -> int:
    """Return how many valid API keys are not hashed under the newest key yet."""
    stale = (_is_open(at), ApiKey.expires_at > at, ApiKey.key_id != _hashes(tx).key_ids[-1])
    return tx.scalar(select(func.count()).select_from(ApiKey).where(*stale)) or 0


def _presented(tx: Session, key: str) -> ApiKey | None:
    """Return the row of a key, if the secret in it is right."""
    parts = key.split("_", 2)
    row = tx.get(ApiKey, parts[1]) if len(parts) == 3 and parts[0] == "lh" else None
    if row is None or row.key_id is None or row.key_id not in _hashes(tx).key_ids:
        return None
    return row if hmac.compare_digest(row.secret_hash, _hash(tx, parts[2], row.key_id)) else None


def _hash(tx: Session, secret: str, key_id: str) -> bytes:
    return _keyed(_hashes(tx), hashlib.sha256(secret.encode()).digest(), key_id)


def _keyed(keys: IdentifierVault, digest: bytes, key_id: str) -> bytes:
    return keys.index(digest.hex(), key_id=key_id)


def _hashes(tx: Session) -> IdentifierVault:
    found: IdentifierVault | None = tx.info.get(HASHES)
    if found is None:
        raise HashesMissing
    return found


def _is_open(at: Instant) -> ColumnElement[bool]:
    """Return the condition that a key is not revoked yet."""
    return or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > at)

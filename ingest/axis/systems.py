"""Axis systems: each is a dock of the archive's Axis door, with a user name and a key of its own.

All of them sign with the archive's key of that door; so one that is lost is revoked as any dock is.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.access.api_keys import (
    KeyRefused,
    Scope,
    issue_key,
    key_holder,
    key_is_valid,
    renew_hash,
    revoke_keys,
    told_key,
)
from archive.db.base import insert_row
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from ingest.axis.errors import AxisRefused, SystemNameTaken, SystemNotFound
from ingest.axis.models import AxisToken
from ingest.doors import DockKind, Doors, enrol_door
from ingest.models import Dock

TOKEN_LIFETIME: Final = timedelta(hours=12)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
"""The connection file allows 64 characters, a header only ASCII."""


@dataclass(frozen=True, slots=True)
class AxisSystem:
    """A system that has shown its token."""

    dock_id: DockId
    name: str
    credential: str


@dataclass(frozen=True, slots=True)
class AxisTicket:
    """A fresh token, shown once."""

    token: str
    dock_id: DockId
    lifetime: timedelta


def enrol_system(doors: Doors, *, name: str, by: Actor) -> tuple[DockId, str]:
    """Make a system with this user name; return its dock and its key, which cannot be shown again.

    Raises: SystemNameTaken, InvalidInput.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("A user name has 1 to 64 letters, digits and . _ : @ -")
    key = doors.key(DockKind.AXIS)
    with doors.database.begin() as tx:
        if _system_named(tx, name) is not None:
            raise SystemNameTaken
        return enrol_door(tx, DockKind.AXIS, key, name=name, scope=Scope.AXIS, by=by, clock=doors.clock)


def renew_system_key(doors: Doors, *, name: str, by: Actor) -> tuple[DockId, str]:
    """Give a system a new key; the old one and every token that was got with it are refused from now on.

    Raises: SystemNotFound.
    """
    at = doors.clock.now()
    with doors.database.begin() as tx:
        dock = _system_named(tx, name)
        if dock is None:
            raise SystemNotFound
        revoke_keys(tx, holder_id=dock.id, at=at)
        tx.execute(delete(AxisToken).where(AxisToken.dock_id == dock.id))
        key = issue_key(tx, holder_id=dock.id, scope=Scope.AXIS, at=at)
        entry = NewEntry(
            EntryType.ADMIN_KEY_ISSUED,
            by,
            Target("dock", dock.id),
            device=dock.id,
            detail={
                "name": name,
                "prefix": key.split("_")[1],
                "scope": Scope.AXIS.value,
                "api_key": told_key(tx, key),
            },
        )
        append_entry(tx, entry, at=at)
    return DockId(dock.id), key


def open_token(doors: Doors, *, user: str, key: str) -> AxisTicket:
    """Trade user name and key for a token. Raises: AxisRefused, without saying which part was wrong."""
    at, token = doors.clock.now(), "AUTH_tk" + secrets.token_urlsafe(32)
    with doors.database.read() as tx:
        _dock_with(tx, doors, user, key, at)  # who has no key is not let to the one place for writers of SQLite
    with doors.database.begin() as tx:
        dock = _dock_with(tx, doors, user, key, at)
        tx.execute(delete(AxisToken).where(AxisToken.expires_at <= at))
        insert_row(
            tx,
            AxisToken,
            token_hash=_hash(token),
            dock_id=dock.id,
            key_prefix=key.split("_")[1],
            expires_at=at + TOKEN_LIFETIME,
        )
    renew_hash(doors.database, key)
    return AxisTicket(token, DockId(dock.id), TOKEN_LIFETIME)


def system_of(doors: Doors, token: str) -> AxisSystem:
    """Return the system that holds this token. Raises: AxisRefused when token, key or system has ended."""
    at = doors.clock.now()
    with doors.database.read() as tx:
        row = tx.execute(
            select(AxisToken, Dock)
            .join(Dock, Dock.id == AxisToken.dock_id)
            .where(AxisToken.token_hash == _hash(token), AxisToken.expires_at > at)
        ).one_or_none()
        if row is None or not _is_open(doors, row.Dock) or not key_is_valid(tx, row.AxisToken.key_prefix, at=at):
            raise AxisRefused
        return AxisSystem(DockId(row.Dock.id), row.Dock.name, f"key:{row.AxisToken.key_prefix}")


def _dock_with(tx: Session, doors: Doors, user: str, key: str, at: Instant) -> Dock:
    try:
        holder = key_holder(tx, key, scope=Scope.AXIS, at=at)
    except KeyRefused as exc:
        raise AxisRefused from exc
    dock = tx.get(Dock, holder.holder_id)
    if dock is None or dock.name != user or not _is_open(doors, dock):
        raise AxisRefused
    return dock


def _system_named(tx: Session, name: str) -> Dock | None:
    return tx.scalar(select(Dock).where(Dock.kind == DockKind.AXIS.value, Dock.name == name, Dock.revoked_at.is_(None)))


def _is_open(doors: Doors, dock: Dock) -> bool:
    """Whether what the door signs now would be trusted for this dock."""
    is_ours = dock.public_key == doors.key(DockKind.AXIS).public_bytes
    return dock.kind == DockKind.AXIS.value and dock.revoked_at is None and is_ours


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()

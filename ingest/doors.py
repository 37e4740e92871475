"""Doors of the archive itself: what comes in without a dock of its own is signed for by the archive.

A door is a dock whose key the archive holds (`keys/door-<kind>.pem`). Its signature on a manifest is not a camera's
word: it says that the sender that the manifest names declared these digests to the archive, before it sent the bytes.
So receipts, quarantine and checks are the same for everything that comes in.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.api_keys import Scope, issue_key, told_key
from archive.access.callers import Caller
from archive.db.base import insert_row
from archive.db.database import Database
from archive.evidence.terms import SourceKind
from archive.kernel.digests import DigestSet
from archive.kernel.errors import Forbidden
from archive.kernel.ids import AccountId, DockId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.ports.clock import Clock
from ingest.errors import DockRevoked
from ingest.manifest import build_manifest, parse_manifest, sign_manifest, signed_bytes
from ingest.models import Dock
from ingest.sources.patterns import NameClaims, shipped_patterns
from signing.ed25519 import Ed25519KeyHandle, verify_ed25519
from signing.keyfiles import KeyExists, KeyMissing, replace_durably

_BROWSER_NAME: Final = "Browser"


class DockKind(StrEnum):
    """Whose a dock is: a station with a key of its own, or a door of the archive."""

    STATION = "station"
    BROWSER = "browser"
    AXIS = "axis"


class NotYourManifest(Forbidden):
    """The manifest was not made for you by this archive; ask for one first."""

    code = "ingest.not_your_manifest"


@dataclass(frozen=True, slots=True)
class Door:
    """An open door: the dock that it is, and the archive's key for it."""

    dock_id: DockId
    key: Ed25519KeyHandle


@dataclass(frozen=True, slots=True)
class Doors:
    """The archive's doors: their keys lie in `keys`."""

    database: Database
    clock: Clock
    keys: Path

    def key(self, kind: DockKind) -> Ed25519KeyHandle:
        """Return the key of a kind of door; it is made when it is needed first. Raises: KeyExposed, KeyUnreadable."""
        return door_key(self.keys, kind)

    def browser(self) -> Door:
        """Return the door for browsers, which is enrolled when it is needed first.

        Raises: DockRevoked when somebody has closed it; `open_anew` opens it again.
        """
        key = self.key(DockKind.BROWSER)
        with self.database.read() as tx:
            dock = _dock_of(tx, key)
        if dock is None:
            with _alone(self.keys):
                dock = self._enrolled(key)
        if dock.revoked_at is not None:
            raise DockRevoked
        return Door(DockId(dock.id), key)

    def open_anew(self, *, by: Actor) -> DockId:
        """Give the door for browsers a new key, as a new dock; what came through the old one stays as it is."""
        path = _key_path(self.keys, DockKind.BROWSER)
        with _alone(self.keys):
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            key = Ed25519KeyHandle.generate(fresh)
            with self.database.begin() as tx:
                dock_id, _ = enrol_door(tx, DockKind.BROWSER, key, name=_BROWSER_NAME, by=by, clock=self.clock)
            # The row comes first: a key without its dock would be enrolled by whoever asks next, in nobody's name.
            replace_durably(path, fresh.read_bytes(), mode=0o600)
            fresh.unlink()
        return dock_id

    def require_own(self, door: Door, manifest: bytes, signature: bytes, *, account_id: AccountId) -> None:
        """Make sure that the archive made this manifest for this account.

        Raises: NotYourManifest, ManifestMalformed.
        """
        sender = parse_manifest(manifest).fields.get("sender")
        is_ours = verify_ed25519(door.key.public_bytes, signature, signed_bytes(manifest))
        if not is_ours or not isinstance(sender, dict) or sender.get("account") != str(account_id):
            raise NotYourManifest

    def _enrolled(self, key: Ed25519KeyHandle) -> Dock:
        with self.database.begin() as tx:
            if _dock_of(tx, key) is None:
                enrol_door(tx, DockKind.BROWSER, key, name=_BROWSER_NAME, by=ARCHIVE, clock=self.clock)
        with self.database.read() as tx:
            dock = _dock_of(tx, key)
        if dock is None:
            raise DockRevoked
        return dock


def door_key(keys: Path, kind: DockKind) -> Ed25519KeyHandle:
    """Return the key of a kind of door, made on first need; durable on return. Raises: KeyExposed, KeyUnreadable."""
    path = _key_path(keys, kind)
    try:
        return Ed25519KeyHandle.load(path)
    except KeyMissing:
        try:
            return Ed25519KeyHandle.generate(path)
        except KeyExists:  # another process was quicker
            return Ed25519KeyHandle.load(path)


def enrol_door(
    tx: Session,
    kind: DockKind,
    key: Ed25519KeyHandle,
    *,
    name: str,
    scope: Scope | None = None,
    by: Actor,
    clock: Clock,
) -> tuple[DockId, str]:
    """Write down a dock whose key is the archive's own, with its entry, in the caller's transaction.

    Returns its id, and with a scope an API key of its own, which cannot be shown again; without, nothing.
    """
    dock_id, at = DockId(new_uuid7()), clock.now()
    values = {"name": name, "public_key": key.public_bytes}
    insert_row(tx, Dock, id=dock_id, kind=kind.value, enrolled_at=at, **values)
    api_key = "" if scope is None else issue_key(tx, holder_id=dock_id, scope=scope, at=at)
    told = {"api_key": told_key(tx, api_key)} if api_key else {}
    append_entry(
        tx,
        NewEntry(
            EntryType.ADMIN_DOCK_ENROLLED,
            by,
            Target("dock", dock_id),
            device=dock_id,
            detail={"name": name, "public_key": key.public_bytes.hex(), "kind": kind.value, **told},
        ),
        at=at,
    )
    return dock_id, api_key


def _dock_of(tx: Session, key: Ed25519KeyHandle) -> Dock | None:
    return tx.scalar(
        select(Dock)
        .where(Dock.kind == DockKind.BROWSER.value, Dock.public_key == key.public_bytes)
        .order_by(Dock.enrolled_at.desc(), Dock.id.desc())
        .limit(1)
    )


def _key_path(keys: Path, kind: DockKind) -> Path:
    return keys / f"door-{kind.value}.pem"


def declared_manifest(
    door: Door,
    *,
    by: Caller,
    name: str,
    digests: DigestSet,
    modified_at: Instant | None,
    case_number: str | None,
    source: SourceKind | None,
    note: str | None,
    at: Instant,
) -> tuple[bytes, bytes]:
    """Return a manifest in which this person declares a file's digests, and the door's signature on it.

    What the name says goes in as well; where the person says something else, the person's word stands.
    Raises: ManifestMalformed.
    """
    claims = shipped_patterns().read(name) or NameClaims("")
    times = {"signed": format_instant(at)} | claims.times
    if modified_at is not None:
        times["modified"] = format_instant(modified_at)
    device = claims.device | ({} if source is None else {"source": source.value})
    tags = {"pattern": claims.pattern, "trigger": claims.trigger, "note": note}
    sender = {"door": DockKind.BROWSER.value, "account": str(by.account_id), "session": by.actor.auth}
    manifest = build_manifest(
        dock_id=door.dock_id,
        name=name,
        digests=digests,
        times=times,
        device=device,
        case_number=case_number,
        tags={key: value for key, value in tags.items() if value},
        sender={key: value for key, value in sender.items() if value},
    )
    parse_manifest(manifest)
    return manifest, sign_manifest(manifest, door.key)


@contextmanager
def _alone(keys: Path) -> Iterator[None]:
    """Be the only one who enrols a door of this archive."""
    fd = os.open(keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)

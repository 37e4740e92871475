"""Docks: inviting, enrolling, revoking, and recognising one by its key."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.api_keys import (
    KeyHolder,
    KeyRefused,
    Scope,
    issue_key,
    key_holder,
    newest_key_at,
    replace_keys,
    told_key,
)
from archive.db.base import insert_row
from archive.db.database import Database
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.units import open_unit
from ingest.errors import DockNotFound, DockRevoked, EnrolmentRefused
from ingest.models import Dock, EnrolmentCode

CODE_LIFETIME: Final = timedelta(hours=1)
OLD_KEY_LASTS: Final = timedelta(minutes=10)
"""How long a key opens the door after it was replaced: an answer that is lost does not lock a dock out."""
MAX_FIRMWARE_CHARACTERS: Final = 100
MOST_BYTES: Final = 1 << 50
MOST_UPLOADS: Final = 10_000
_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a dock is given once: its id and its key."""

    dock_id: DockId
    api_key: str


def invite_dock(database: Database, *, name: str, unit_id: UUID = FIRST_UNIT, by: Actor, at: Instant) -> str:
    """Make a one-time code that enrols one dock of a unit within the hour; it is kept as a hash only.

    Raises: UnitNotFound, InvalidInput.
    """
    name = clean_text(name, "dock name", 200)
    # 16 characters of 31 are 79 bits: not to be guessed within an hour, easy to read out on the telephone.
    code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    with database.begin() as tx:
        open_unit(tx, unit_id)
        insert_row(
            tx, EnrolmentCode, code_hash=_hash(code), name=name, expires_at=at + CODE_LIFETIME, unit_id=unit_id
        )  # fmt: skip
        detail = {"name": name, "unit": str(unit_id)}
        append_entry(tx, NewEntry(EntryType.ADMIN_DOCK_INVITED, by, detail=detail), at=at)
    return code


def enrol_dock(database: Database, *, code: str, public_key: bytes, at: Instant) -> Enrolment:
    """Trade a one-time code and a dock's Ed25519 public key for an id and a key that can only write.

    Raises: EnrolmentRefused, InvalidInput when the public key does not have 32 bytes.
    """
    if len(public_key) != 32:
        raise InvalidInput("A dock's public key has 32 bytes (Ed25519)")
    dock_id = DockId(new_uuid7())
    with database.begin() as tx:
        # The update is the lock: of two that use one code at once, one changes the row.
        used = tx.execute(
            update(EnrolmentCode)
            .where(
                EnrolmentCode.code_hash == _hash(code),
                EnrolmentCode.used_at.is_(None),
                EnrolmentCode.expires_at > at,
            )
            .values(used_at=at)
            .returning(EnrolmentCode.name, EnrolmentCode.unit_id)
        ).one_or_none()
        if used is None:
            raise EnrolmentRefused
        insert_row(
            tx, Dock, id=dock_id, name=used.name, public_key=public_key, enrolled_at=at, unit_id=used.unit_id
        )  # fmt: skip
        api_key = issue_key(tx, holder_id=dock_id, scope=Scope.UPLOAD, at=at)
        append_entry(
            tx,
            NewEntry(
                EntryType.ADMIN_DOCK_ENROLLED,
                Actor(dock_id),
                Target("dock", dock_id),
                device=dock_id,
                detail={
                    "name": used.name,
                    "unit": str(used.unit_id),
                    "public_key": public_key.hex(),
                    "api_key": told_key(tx, api_key),
                },
            ),
            at=at,
        )
    return Enrolment(dock_id, api_key)


def revoke_dock(database: Database, dock_id: DockId, *, by: Actor, at: Instant) -> None:
    """Refuse a dock from now on; what it has delivered stays. Raises: DockNotFound."""
    with database.begin() as tx:
        changed = tx.execute(
            update(Dock).where(Dock.id == dock_id, Dock.revoked_at.is_(None)).values(revoked_at=at).returning(Dock.id)
        ).scalar_one_or_none()
        if changed is None:
            raise DockNotFound
        append_entry(tx, NewEntry(EntryType.ADMIN_DOCK_REVOKED, by, Target("dock", dock_id), device=dock_id), at=at)


def set_dock_limits(
    database: Database,
    dock_id: DockId,
    *,
    bytes_per_day: int | None,
    bytes_per_s: int | None,
    uploads: int | None,
    by: Actor,
    at: Instant,
) -> None:
    """Set what a dock may send: None is what the settings say for all, 0 any number.

    Units: bytes begun in 24 hours, bytes in a second, uploads at once.
    Raises: DockNotFound, InvalidInput for a number below 0 or beyond what is sensible.
    """
    limits = {"most_bytes_per_day": bytes_per_day, "most_bytes_per_s": bytes_per_s, "most_uploads": uploads}
    for name, limit in limits.items():
        if limit is not None and not 0 <= limit <= (MOST_UPLOADS if name == "most_uploads" else MOST_BYTES):
            raise InvalidInput("A limit of a dock is 0 or more", limit=name)
    with database.begin() as tx:
        open_dock = (Dock.id == dock_id, Dock.revoked_at.is_(None))
        changed = tx.execute(update(Dock).where(*open_dock).values(limits).returning(Dock.id)).scalar_one_or_none()
        if changed is None:
            raise DockNotFound
        entry = NewEntry(EntryType.ADMIN_DOCK_LIMITED, by, Target("dock", dock_id), device=dock_id, detail=limits)
        append_entry(tx, entry, at=at)


def rotate_key(database: Database, *, api_key: str, firmware: str | None = None, at: Instant) -> Enrolment:
    """Give a dock another key for the one that it presents, which goes on opening the door for 10 minutes.

    A replaced key may ask again within that time, when the answer was lost; what was given before is revoked then.
    Raises: KeyRefused, DockRevoked, InvalidInput.
    """
    told = None if firmware is None else clean_text(firmware, "firmware", MAX_FIRMWARE_CHARACTERS)
    with database.begin() as tx:
        dock, _ = authenticated_dock(tx, api_key, at=at)
        # Of two at once with one key, the second waits here and sees what the first has done.
        tx.execute(select(Dock.id).where(Dock.id == dock.id).with_for_update())
        tx.expire_all()
        dock, holder = authenticated_dock(tx, api_key, at=at)
        if dock.kind != "station":
            raise KeyRefused
        dock_id, presented = DockId(dock.id), api_key.split("_")[1]
        at = max(at, newest_key_at(tx, dock_id) + timedelta(microseconds=1))  # whoever came second has the newer key
        replace_keys(tx, holder_id=dock_id, presented=presented, until=at + OLD_KEY_LASTS, at=at)
        fresh = issue_key(tx, holder_id=dock_id, scope=Scope.UPLOAD, at=at)
        if told is not None:
            tx.execute(update(Dock).where(Dock.id == dock_id).values(firmware=told))
        detail = {
            "prefix": fresh.split("_")[1],
            "scope": Scope.UPLOAD.value,
            "firmware": told,
            "api_key": told_key(tx, fresh),
            "replaces": {"prefix": presented, "until": format_instant(at + OLD_KEY_LASTS)},
        }
        entry = NewEntry(
            EntryType.ADMIN_KEY_ISSUED, holder.actor, Target("dock", dock_id), device=dock_id, detail=detail
        )  # fmt: skip
        append_entry(tx, entry, at=at)
    return Enrolment(dock_id, fresh)


def authenticated_dock(tx: Session, api_key: str, *, at: Instant) -> tuple[Dock, KeyHolder]:
    """Return the dock that holds this key. Raises: KeyRefused, DockRevoked."""
    holder = key_holder(tx, api_key, scope=Scope.UPLOAD, at=at)
    dock = tx.get(Dock, holder.holder_id)
    if dock is None or dock.revoked_at is not None:
        raise DockRevoked
    return dock, holder


def docks(tx: Session) -> list[Dock]:
    """Return every dock, in order of enrolment."""
    return list(tx.scalars(select(Dock).order_by(Dock.enrolled_at, Dock.id)))


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.strip().upper().encode()).digest()

"""Portraits of officers: kept sealed, replaced and removed, each with the digest of the picture in the log.

What comes in here is a JPEG of ours already: `ingest.media.portraits` makes it of what somebody sent.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import NotFound
from archive.kernel.ids import OfficerId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, Target
from archive.organisation.models import OfficerPhoto
from archive.organisation.officers import locked_officer
from archive.organisation.staff_events import tell_of_person
from archive.ports.clock import Clock
from archive.ports.identifiers import IdentifierVault, Sealed


class PhotoNotFound(NotFound):
    """There is no portrait of this officer."""

    code = "organisation.photo_not_found"


def set_photo(
    database: Database, vault: IdentifierVault, officer_id: OfficerId, jpeg: bytes, *, by: Actor, at: Instant
) -> bool:
    """Keep the portrait of an officer in place of the one before; return whether anything is different now.

    Raises: OfficerNotFound, IdentifierUnreadable when the vault has no key.
    """
    values = _sealed(vault, officer_id, jpeg)
    with database.begin() as tx:
        locked_officer(tx, officer_id)
        before = tx.get(OfficerPhoto, officer_id)
        if before is not None and before.sha256 == values["sha256"]:
            return False
        was = {} if before is None else {"was": {"photo": before.sha256}}
        tx.execute(delete(OfficerPhoto).where(OfficerPhoto.officer_id == officer_id))
        insert_row(tx, OfficerPhoto, officer_id=officer_id, set_at=at, **values)
        _tell(tx, officer_id, {**_told(values), **was}, by=by, at=at)
    return True


def remove_photo(database: Database, officer_id: OfficerId, *, by: Actor, at: Instant) -> None:
    """Remove the portrait of an officer for good. Raises: OfficerNotFound, PhotoNotFound."""
    with database.begin() as tx:
        locked_officer(tx, officer_id)
        sha256 = tx.execute(
            delete(OfficerPhoto).where(OfficerPhoto.officer_id == officer_id).returning(OfficerPhoto.sha256)
        ).scalar_one_or_none()
        if sha256 is None:
            raise PhotoNotFound(officer_id=officer_id)
        kind, target = EntryType.ADMIN_OFFICER_PHOTO_REMOVED, Target("officer", officer_id)
        tell_of_person(tx, officer_id, kind, target, {"sha256": sha256}, by=by, at=at)


def photo_of(tx: Session, vault: IdentifierVault, officer_id: OfficerId) -> bytes:
    """Return the portrait of an officer as a JPEG. Raises: PhotoNotFound, IdentifierUnreadable."""
    row = tx.get(OfficerPhoto, officer_id)
    if row is None:
        raise PhotoNotFound(officer_id=officer_id)
    return _opened(vault, row)


def photo_digest(tx: Session, officer_id: UUID) -> str | None:
    """Return the SHA-256 of an officer's portrait, None where there is none."""
    return tx.scalar(select(OfficerPhoto.sha256).where(OfficerPhoto.officer_id == officer_id))


def rekey_photos(database: Database, vault: IdentifierVault, *, by: Actor, clock: Clock) -> int:
    """Put every portrait that is under an older key under the newest one; return how many there were.

    Each is a transaction with its own entry; what breaks off is gone on with by the next call.
    Raises: IdentifierUnreadable at the first one that cannot be opened.
    """
    newest, count = vault.key_ids[-1], 0
    with database.read() as tx:
        waiting = tx.scalars(select(OfficerPhoto.officer_id).where(OfficerPhoto.key_id != newest)).all()
    for officer_id in map(OfficerId, waiting):
        with database.begin() as tx:
            row = tx.scalar(select(OfficerPhoto).where(OfficerPhoto.officer_id == officer_id).with_for_update())
            if row is None or row.key_id == newest:
                continue
            values = _sealed(vault, officer_id, _opened(vault, row))
            tx.execute(update(OfficerPhoto).where(OfficerPhoto.officer_id == officer_id).values(**values))
            _tell(tx, officer_id, {**_told(values), "rekeyed": True}, by=by, at=clock.now())
            count += 1
    return count


def keys_of_photos(tx: Session) -> Sequence[str]:
    """Return the ids of the keys that some portrait is under."""
    return tx.scalars(select(OfficerPhoto.key_id).distinct()).all()


def _sealed(vault: IdentifierVault, officer_id: OfficerId, jpeg: bytes) -> dict[str, Any]:
    sealed = vault.seal(base64.b64encode(jpeg).decode(), bound_to=_binding(officer_id))
    return {
        "sha256": hashlib.sha256(jpeg).hexdigest(),
        "size_bytes": len(jpeg),
        "key_id": sealed.key_id,
        "sealed": sealed.data,
    }


def _opened(vault: IdentifierVault, row: OfficerPhoto) -> bytes:
    return base64.b64decode(vault.unseal(Sealed(row.key_id, row.sealed), bound_to=_binding(row.officer_id)))


def _binding(officer_id: UUID) -> str:
    return f"officer_photo:{officer_id}"


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """Return a portrait as the log says it; the ciphertext is there so that it comes back when the database is lost."""
    return {
        "sha256": values["sha256"],
        "size": values["size_bytes"],
        "key": values["key_id"],
        "sealed_sha256": hashlib.sha256(values["sealed"]).hexdigest(),
        "sealed": base64.b64encode(values["sealed"]).decode(),
    }


def _tell(tx: Session, officer_id: OfficerId, detail: dict[str, Any], *, by: Actor, at: Instant) -> None:
    target = Target("officer", officer_id)
    tell_of_person(tx, officer_id, EntryType.ADMIN_OFFICER_PHOTO_SET, target, detail, by=by, at=at)

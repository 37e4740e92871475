"""Certificates in the register: written down, replaced, revoked, used. Nobody changes one, and nobody deletes one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from cryptography import x509
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import CertificateId, EntryId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor, EntryType, Target
from archive.ports.revocations import RevocationReason
from archive.trust.events import tell_of_key
from archive.trust.models import KeyCertificate, KeyUse
from archive.trust.terms import KeyPlace, KeyPurpose

MAX_HANDLE_CHARACTERS: Final = 300
MAX_REASON_CHARACTERS: Final = 500
_MOST_BYTES: Final = 64 * 1024


class CertificateRefused(InvalidInput):
    """This is no X.509 certificate in DER that can be read."""

    code = "trust.certificate_refused"


class CertificateKnown(Conflict):
    """This certificate is in the register already."""

    code = "trust.certificate_known"


class CertificateNotFound(NotFound):
    """There is no such certificate in the register."""

    code = "trust.certificate_not_found"


class CertificateEnded(Conflict):
    """This certificate is revoked or replaced."""

    code = "trust.certificate_ended"


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """A certificate to write down: DER, what it signs, whose it is, where its key is, and under which name there."""

    certificate: bytes
    purpose: KeyPurpose
    holder_id: UUID | None
    place: KeyPlace
    handle: str = ""


def register_certificate(tx: Session, new: NewCertificate, *, words: str = "", by: Actor, at: Instant) -> CertificateId:
    """Write a certificate down, in the caller's transaction, inside `unique_or(CertificateKnown)`; `words` say why.

    Raises: CertificateRefused, CertificateKnown, InvalidInput.
    """
    found = _read(new.certificate)
    sha256 = hashlib.sha256(new.certificate).hexdigest()
    if tx.scalar(select(KeyCertificate.id).where(KeyCertificate.sha256 == sha256)) is not None:
        raise CertificateKnown
    certificate_id = CertificateId(new_uuid7())
    told: dict[str, Any] = {
        "purpose": new.purpose.value,
        "place": new.place.value,
        "handle": clean_text(new.handle, "handle", MAX_HANDLE_CHARACTERS) if new.handle else "",
        "sha256": sha256,
        "serial": f"{found.serial_number:x}",
    }
    times = {"not_before": found.not_valid_before_utc, "not_after": found.not_valid_after_utc}
    insert_row(
        tx,
        KeyCertificate,
        id=certificate_id,
        certificate=new.certificate,
        holder_id=new.holder_id,
        registered_at=at,
        registered_by=by.id,
        **told,
        **times,
    )
    detail = {
        **told,
        **{name: format_instant(value) for name, value in times.items()},
        "holder": None if new.holder_id is None else str(new.holder_id),
        "certificate": new.certificate.hex(),
        **_why(words),
    }
    _tell(tx, EntryType.ADMIN_CERTIFICATE_REGISTERED, certificate_id, detail, by=by, at=at)
    return certificate_id


def replace_certificate(
    tx: Session, certificate_id: CertificateId, new: NewCertificate, *, words: str = "", by: Actor, at: Instant
) -> CertificateId:
    """Write down a certificate that stands in the place of another, which signs nothing any more but stays valid.

    Raises: as `register_certificate`; CertificateNotFound, CertificateEnded, InvalidInput for another holder.
    """
    old = _locked(tx, certificate_id)
    if (old.purpose, old.holder_id) != (new.purpose.value, new.holder_id):
        raise InvalidInput("A certificate is replaced by one of the same holder for the same purpose")
    new_id = register_certificate(tx, new, words=words, by=by, at=at)
    tx.execute(update(KeyCertificate).where(KeyCertificate.id == certificate_id).values(replaced_by=new_id))
    detail = {"replaced_by": str(new_id), **_why(words)}
    _tell(tx, EntryType.ADMIN_CERTIFICATE_REPLACED, certificate_id, detail, by=by, at=at)
    return new_id


def revoke_certificate(
    tx: Session,
    certificate_id: CertificateId,
    *,
    reason: RevocationReason,
    words: str,
    since: Instant,
    by: Actor,
    at: Instant,
) -> Sequence[KeyUse]:
    """Revoke a certificate since a moment, in the caller's transaction; return what was signed with it since then.

    Raises: CertificateNotFound, CertificateEnded, InvalidInput.
    """
    words = clean_text(words, "reason", MAX_REASON_CHARACTERS)
    row = tx.scalar(select(KeyCertificate).where(KeyCertificate.id == certificate_id).with_for_update())
    if row is None:
        raise CertificateNotFound(certificate_id=certificate_id)
    if row.revoked_at is not None:
        raise CertificateEnded(certificate_id=certificate_id)
    if not row.not_before <= since <= at:
        raise InvalidInput("It is revoked since a moment between the beginning of its validity and now")
    tx.execute(
        update(KeyCertificate)
        .where(KeyCertificate.id == certificate_id)
        .values(revoked_at=since, revocation_reason=reason.value)
    )
    detail = {"revoked_at": format_instant(since), "revocation_reason": reason.value, "reason": words}
    _tell(tx, EntryType.ADMIN_CERTIFICATE_REVOKED, certificate_id, detail, by=by, at=at)
    return uses_of(tx, certificate_id, since=since)


def note_use(tx: Session, certificate_id: CertificateId, entry_id: EntryId, *, about: Target, at: Instant) -> None:
    """Write down what was signed, in the transaction of the log entry that tells it.

    Raises: CertificateNotFound, CertificateEnded where it is revoked or replaced.
    """
    row = tx.scalar(select(KeyCertificate).where(KeyCertificate.id == certificate_id).with_for_update(read=True))
    _demand_live(row, certificate_id)
    insert_row(
        tx, KeyUse, entry_id=entry_id, certificate_id=certificate_id, ref_kind=about.kind, ref_id=about.id, at=at
    )


def certificate_by_sha256(tx: Session, sha256: str) -> KeyCertificate | None:
    """Return the certificate with this digest (hexadecimal), if it is in the register."""
    return tx.scalar(select(KeyCertificate).where(KeyCertificate.sha256 == sha256))


def certificates_of(
    tx: Session, holder_id: UUID | None, purpose: KeyPurpose, *, at: Instant
) -> Sequence[KeyCertificate]:
    """Return the certificates of a holder that sign at a moment, the newest first."""
    holder = KeyCertificate.holder_id.is_(None) if holder_id is None else KeyCertificate.holder_id == holder_id
    return tx.scalars(
        select(KeyCertificate)
        .where(
            holder,
            KeyCertificate.purpose == purpose.value,
            KeyCertificate.revoked_at.is_(None),
            KeyCertificate.replaced_by.is_(None),
            KeyCertificate.not_before <= at,
            KeyCertificate.not_after >= at,
        )
        .order_by(KeyCertificate.id.desc())
    ).all()


def revoked_certificates(tx: Session) -> Sequence[KeyCertificate]:
    """Return all that are revoked, in the order of their registration: what goes into a revocation list."""
    return tx.scalars(
        select(KeyCertificate).where(KeyCertificate.revoked_at.is_not(None)).order_by(KeyCertificate.id)
    ).all()


def uses_of(tx: Session, certificate_id: CertificateId, *, since: Instant) -> Sequence[KeyUse]:
    """Return what was signed with a certificate since a moment, the oldest first."""
    return tx.scalars(
        select(KeyUse)
        .where(KeyUse.certificate_id == certificate_id, KeyUse.at >= since)
        .order_by(KeyUse.at, KeyUse.entry_id)
    ).all()


def _locked(tx: Session, certificate_id: CertificateId) -> KeyCertificate:
    """Return one that may sign. Raises: CertificateNotFound, CertificateEnded."""
    row = tx.scalar(select(KeyCertificate).where(KeyCertificate.id == certificate_id).with_for_update())
    return _demand_live(row, certificate_id)


def _demand_live(row: KeyCertificate | None, certificate_id: CertificateId) -> KeyCertificate:
    if row is None:
        raise CertificateNotFound(certificate_id=certificate_id)
    if row.revoked_at is not None or row.replaced_by is not None:
        raise CertificateEnded(certificate_id=certificate_id)
    return row


def _why(words: str) -> dict[str, str]:
    return {"reason": clean_text(words, "reason", MAX_REASON_CHARACTERS)} if words else {}


def _read(der: bytes) -> x509.Certificate:
    """Return a certificate whose bytes are exactly its DER. Raises: CertificateRefused."""
    if len(der) > _MOST_BYTES:
        raise CertificateRefused
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError) as exc:
        raise CertificateRefused from exc


def _tell(
    tx: Session, kind: EntryType, certificate_id: CertificateId, detail: dict[str, Any], *, by: Actor, at: Instant
) -> EntryId:
    return tell_of_key(tx, kind, Target("certificate", certificate_id), detail, by=by, at=at)

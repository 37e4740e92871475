"""The register of certificates as the embedded authority asks it: what was issued, what is revoked."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from archive.db.database import Database
from archive.ports.revocations import Revocation, RevocationReason
from archive.trust.certificates import revoked_certificates
from archive.trust.models import KeyCertificate


@dataclass(frozen=True, slots=True)
class CertificateRegister:
    """Answers `archive.ports.revocations.RevocationRegister` from the database, with what is committed now."""

    database: Database

    def revocations(self) -> Sequence[Revocation]:
        """Return all revocations, each since the moment from which its certificate must not be believed."""
        with self.database.read() as tx:
            return [
                Revocation(int(row.serial, 16), row.revoked_at, RevocationReason(row.revocation_reason))
                for row in revoked_certificates(tx)
                if row.revoked_at is not None and row.revocation_reason is not None
            ]

    def is_issued(self, serial: int) -> bool:
        """Return whether a certificate of this serial number is in the register."""
        with self.database.read() as tx:
            return tx.scalar(select(KeyCertificate.id).where(KeyCertificate.serial == f"{serial:x}")) is not None

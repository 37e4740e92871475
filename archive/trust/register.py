"""The register of certificates as the embedded authority asks it: what was issued, what is revoked."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from sqlalchemy import select

from archive.db.database import Database
from archive.ports.revocations import Revocation, RevocationReason
from archive.trust.certificates import revoked_certificates
from archive.trust.models import KeyCertificate
from signing.chains import is_issued_by


@dataclass(frozen=True, slots=True)
class CertificateRegister:
    """Answers `archive.ports.revocations.RevocationRegister` from the database, with what is committed now.

    The register holds certificates of other authorities too; only those of `root` are told of.
    """

    database: Database
    root: x509.Certificate

    def revocations(self) -> Sequence[Revocation]:
        """Return all revocations, each since the moment from which its certificate must not be believed."""
        with self.database.read() as tx:
            return [
                Revocation(int(row.serial, 16), row.revoked_at, RevocationReason(row.revocation_reason))
                for row in revoked_certificates(tx)
                if row.revoked_at is not None and row.revocation_reason is not None and self._is_ours(row.certificate)
            ]

    def is_issued(self, serial: int) -> bool:
        """Return whether a certificate of this serial number that the authority issued is in the register."""
        with self.database.read() as tx:
            found = tx.scalars(select(KeyCertificate.certificate).where(KeyCertificate.serial == f"{serial:x}"))
            return any(self._is_ours(der) for der in found)

    def _is_ours(self, der: bytes) -> bool:
        return is_issued_by(x509.load_der_x509_certificate(der), self.root)

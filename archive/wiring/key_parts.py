"""Putting together the keys that sign documents: the one that seals in what parties wrote, and those of seals."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from archive.db.database import Database, unique_or
from archive.kernel.errors import LiuhenError
from archive.ledger.entries import ARCHIVE
from archive.ports.clock import Clock
from archive.ports.keys import DocumentKey
from archive.trust.certificates import CertificateKnown, NewCertificate, certificate_by_sha256, register_certificate
from archive.trust.models import KeyCertificate
from archive.trust.terms import KeyPlace, KeyPurpose
from signing.authority import EmbeddedAuthority, fingerprint
from signing.certificates import HAND_CAPTURE
from signing.document_keys import HeldKey
from signing.keyfiles import KeyMissing

_CAPTURE: Final = "capture.pem"
_RENEW_BEFORE: Final = timedelta(days=30)


class KeyPlaceUnknown(LiuhenError):
    """The key of this certificate is in a place that this archive cannot open."""

    code = "trust.key_place_unknown"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class CaptureKey:
    """The key of the archive that seals in what a party wrote by hand: made, renewed and registered by itself."""

    authority: EmbeddedAuthority
    database: Database
    clock: Clock

    def __call__(self) -> DocumentKey:
        """Return the key as it is now. Raises: what `prepare` raises."""
        return self.prepare()

    def prepare(self) -> HeldKey:
        """Make the key where there is none that lasts another 30 days, and put its certificate into the register.

        Raises: AuthorityBroken, StorageFull, KeyExposed, KeyUnreadable.
        """
        key, certificate = self._lasting()
        self._register(certificate)
        return HeldKey(key, certificate, [self.authority.root])

    def _lasting(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        now = self.clock.now()
        with contextlib.suppress(KeyMissing):
            key, certificate = self.authority.read_service_key(_CAPTURE)
            if now <= certificate.not_valid_after_utc - _RENEW_BEFORE:
                return key, certificate
        return self.authority.make_service_key(_CAPTURE, HAND_CAPTURE, valid_from=now)

    def _register(self, certificate: x509.Certificate) -> None:
        with self.database.read() as tx:
            if certificate_by_sha256(tx, fingerprint(certificate)) is not None:
                return
        der = certificate.public_bytes(Encoding.DER)
        new = NewCertificate(der, KeyPurpose.CAPTURE, None, KeyPlace.FILE, handle=_CAPTURE)
        try:
            with unique_or(CertificateKnown), self.database.begin() as tx:
                register_certificate(tx, new, by=ARCHIVE, at=self.clock.now())
        except CertificateKnown:
            return  # another process was quicker


@dataclass(frozen=True, slots=True)
class SealKeys:
    """Opens the key of a seal where its certificate says that it is."""

    authority: EmbeddedAuthority

    def __call__(self, row: KeyCertificate) -> DocumentKey:
        """Return the key of a certificate. Raises: KeyPlaceUnknown, AuthorityBroken, KeyMissing, KeyUnreadable."""
        if row.place != KeyPlace.FILE.value:
            raise KeyPlaceUnknown(place=row.place)
        key, certificate = self.authority.read_service_key(row.handle)
        return HeldKey(key, certificate, [self.authority.root])

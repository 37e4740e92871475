"""Putting together the keys that sign documents: the one that seals in what parties wrote, and those of seals."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from archive.adapters.pkcs11_keys import Pkcs11Key
from archive.db.database import Database, unique_or
from archive.documents.issuing import Issuer, TokenNotSet, Tokens
from archive.kernel.errors import LiuhenError
from archive.ledger.entries import ARCHIVE
from archive.ports.clock import Clock
from archive.ports.keys import DocumentKey
from archive.settings import Settings, SettingsInvalid
from archive.trust.certificates import CertificateKnown, NewCertificate, certificate_by_sha256, register_certificate
from archive.trust.models import KeyCertificate
from archive.trust.register import CertificateRegister
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from signing.authority import EmbeddedAuthority, fingerprint
from signing.certificates import HAND_CAPTURE
from signing.chains import is_issued_by
from signing.document_keys import HeldKey
from signing.keyfiles import KeyMissing
from signing.revocation import crl
from signing.subjects import StatusAddresses

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
    addresses: StatusAddresses | None = None

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
        return self.authority.make_service_key(_CAPTURE, HAND_CAPTURE, valid_from=now, addresses=self.addresses)

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
class HouseToken:
    """The PKCS#11 token that the settings name; it is opened when a key of it is wanted. A `Tokens`."""

    module: Path
    label: str
    pin_file: Path
    root: x509.Certificate

    def __call__(self, label: str, certificate: bytes | None) -> DocumentKey:
        """Return the key with this label. Raises: what `Pkcs11Key` raises."""

        def key(der: bytes | None, chain: Sequence[bytes]) -> Pkcs11Key:
            return Pkcs11Key(
                self.module,
                token_label=self.label,
                pin_file=self.pin_file,
                key_label=label,
                certificate=der,
                chain=chain,
            )

        der = key(None, ()).certificate if certificate is None else certificate
        is_ours = is_issued_by(x509.load_der_x509_certificate(der), self.root)
        return key(der, [self.root.public_bytes(Encoding.DER)] if is_ours else ())


@dataclass(frozen=True, slots=True)
class SealKeys:
    """Opens the key of a seal where its certificate says that it is."""

    authority: EmbeddedAuthority
    tokens: Tokens | None = None

    def __call__(self, row: KeyCertificate) -> DocumentKey:
        """Return the key of a certificate.

        Raises: KeyPlaceUnknown, TokenNotSet, AuthorityBroken, KeyMissing, KeyUnreadable; what the token raises.
        """
        if row.place == KeyPlace.TOKEN.value:
            if self.tokens is None:
                raise TokenNotSet
            return self.tokens(row.handle, row.certificate)
        if row.place != KeyPlace.FILE.value:
            raise KeyPlaceUnknown(place=row.place)
        key, certificate = self.authority.read_service_key(row.handle)
        return HeldKey(key, certificate, [self.authority.root])


def house_token(settings: Settings, authority: EmbeddedAuthority) -> HouseToken | None:
    """Return the token of the settings, None where none is set. Raises: SettingsInvalid."""
    module, label, pin_file = settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file
    if module is None and label is None and pin_file is None:
        return None
    if module is None or label is None or pin_file is None:
        raise SettingsInvalid("The settings pkcs11_module, pkcs11_token and pkcs11_pin_file are set together")
    return HouseToken(module, label, pin_file, authority.root)


def status_addresses(settings: Settings) -> StatusAddresses | None:
    """Return the addresses that certificates name from now on, None where the archive has no public one."""
    if settings.public_pki_address is None:
        return None
    base = f"{settings.public_pki_address}/pki"
    return StatusAddresses(crl=[f"{base}/root.crl"], ocsp=[f"{base}/ocsp"], issuer=[f"{base}/root.cer"])


def issuer_of(
    settings: Settings, database: Database, authority: EmbeddedAuthority, clock: Clock, tokens: Tokens | None
) -> Issuer:
    """Return what issues, registers and revokes certificates."""
    register = CertificateRegister(database, authority.root)
    return Issuer(
        database,
        authority,
        TrustRules.load(settings.trust_rules),
        status_addresses(settings),
        tokens,
        lambda: crl(authority, clock, register=register),
    )

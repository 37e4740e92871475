"""What a certificate says of itself, for people who look at it. Nothing is judged here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from signing.chains import UNREADABLE, is_issued_by

_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
"""What NIST calls them, and most people."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """Names as RFC 4514 writes them, digests in hexadecimal; `key` is for example EC P-256; empty where unreadable."""

    subject: str
    issuer: str
    sha256: str
    sha1: str
    key: str
    addresses: Sequence[str]
    is_own: bool


def facts_of(der: bytes, root: x509.Certificate) -> CertificateFacts:
    """Return what a certificate of the register says, and whether this root issued it."""
    found = x509.load_der_x509_certificate(der)
    return CertificateFacts(
        _name(found, is_issuer=False),
        _name(found, is_issuer=True),
        found.fingerprint(hashes.SHA256()).hex(),
        hashlib.sha1(der, usedforsecurity=False).hexdigest(),  # how others name certificates; nothing rests on it
        _key(found),
        _addresses(found),
        is_issued_by(found, root),
    )


def _name(certificate: x509.Certificate, *, is_issuer: bool) -> str:
    try:
        return (certificate.issuer if is_issuer else certificate.subject).rfc4514_string()
    except UNREADABLE:
        return ""


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (*UNREADABLE, UnsupportedAlgorithm):
        return ""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
    return f"RSA {key.key_size}" if isinstance(key, rsa.RSAPublicKey) else ""


def _addresses(certificate: x509.Certificate) -> Sequence[str]:
    """Return where the certificate says that its status and its issuer can be had."""
    found: list[x509.GeneralName] = []
    try:
        for extension in certificate.extensions:
            if isinstance(extension.value, x509.CRLDistributionPoints):
                found += [name for point in extension.value for name in point.full_name or ()]
            elif isinstance(extension.value, x509.AuthorityInformationAccess):
                found += [described.access_location for described in extension.value]
    except UNREADABLE:
        return ()
    return [name.value for name in found if isinstance(name, x509.UniformResourceIdentifier)]

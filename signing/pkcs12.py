"""PKCS#12 files of officers: opened in memory for one signing, never kept. Source: RFC 7292."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from signing.document_keys import HeldKey, KeyKindRefused, KeyNotOfCertificate, demand_usable

MOST_PKCS12_BYTES = 256 * 1024
"""A key and a few certificates take less than 10 KB."""
LEAST_PASSPHRASE_CHARACTERS = 12
MOST_PASSPHRASE_CHARACTERS = 200


class PassphraseRefused(InvalidInput):
    """A passphrase of a file of keys has 12 to 200 characters."""

    code = "keyfile.passphrase_refused"


class Pkcs12Damaged(InvalidInput):
    """The file is not a PKCS#12 file, or it is damaged."""

    code = "keyfile.damaged"


class Pkcs12WrongPassphrase(InvalidInput):
    """The passphrase is not that of the PKCS#12 file, or the file was changed: the check of both is one."""

    code = "keyfile.wrong_passphrase"


class Pkcs12HasNoKey(InvalidInput):
    """There is no private key in the PKCS#12 file."""

    code = "keyfile.no_key"


class Pkcs12HasNoCertificate(InvalidInput):
    """There is no certificate in the PKCS#12 file."""

    code = "keyfile.no_certificate"


def open_pkcs12(file: bytes, *, passphrase: str, at: Instant) -> HeldKey:
    """Return the key in a PKCS#12 file, if it may sign documents at this time; only what is returned holds it.

    Raises: Pkcs12Damaged, Pkcs12WrongPassphrase, Pkcs12HasNoKey, Pkcs12HasNoCertificate; KeyNotOfCertificate,
    KeyKindRefused, CertificateExpired, CertificateNotYetValid, CertificateNotForDocuments, CertificateUnreadable.
    """
    if len(file) > MOST_PKCS12_BYTES:
        raise Pkcs12Damaged(size_bytes=len(file))
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(file, passphrase.encode() or None)
    except ValueError as exc:
        # One class for all that is wrong; its text alone tells what has no form from what fails the integrity check.
        if "password" in str(exc).lower():
            raise Pkcs12WrongPassphrase from exc
        raise Pkcs12Damaged(f"The PKCS#12 file cannot be read: {exc}") from exc
    except (TypeError, UnsupportedAlgorithm) as exc:
        raise Pkcs12Damaged(f"The PKCS#12 file cannot be read: {exc}") from exc
    if key is None:
        raise Pkcs12HasNoKey
    if certificate is None:
        if others:
            raise KeyNotOfCertificate
        raise Pkcs12HasNoCertificate
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise KeyKindRefused(kind=type(key).__name__)
    held = HeldKey(key, certificate, others)
    demand_usable(held, at=at)
    return held


def pack_pkcs12(
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    *,
    passphrase: str,
) -> bytes:
    """Return a PKCS#12 file for the holder of a key, encrypted with the passphrase. Raises: PassphraseRefused."""
    if not LEAST_PASSPHRASE_CHARACTERS <= len(passphrase) <= MOST_PASSPHRASE_CHARACTERS:
        raise PassphraseRefused(characters=len(passphrase))
    encryption = BestAvailableEncryption(passphrase.encode())
    return pkcs12.serialize_key_and_certificates(None, key, certificate, list(chain), encryption)

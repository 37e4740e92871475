"""PKCS#12 files of officers: opened in memory for one signing, never kept. Source: RFC 7292."""

from collections.abc import Iterator, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from signing.asn1_lock import ASN1_LOCK
from signing.document_keys import HeldKey, KeyKindRefused, KeyNotOfCertificate, demand_usable

MOST_PKCS12_BYTES = 256 * 1024
"""A key and a few certificates take less than 10 KB."""
MOST_ROUNDS = 2_000_000
"""What a file may ask for before its passphrase is known to be right or wrong: seconds, not days."""
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


class Pkcs12TooCostly(InvalidInput):
    """The PKCS#12 file asks for more rounds of its key derivation than any program makes."""

    code = "keyfile.too_costly"


class Pkcs12HasNoKey(InvalidInput):
    """There is no private key in the PKCS#12 file."""

    code = "keyfile.no_key"


class Pkcs12HasNoCertificate(InvalidInput):
    """There is no certificate in the PKCS#12 file."""

    code = "keyfile.no_certificate"


def open_pkcs12(file: bytes, *, passphrase: str, at: Instant) -> HeldKey:
    """Return the key in a PKCS#12 file, if it may sign documents at this time; only what is returned holds it.

    Raises: Pkcs12Damaged, Pkcs12TooCostly, Pkcs12WrongPassphrase, Pkcs12HasNoKey, Pkcs12HasNoCertificate;
    KeyNotOfCertificate, KeyKindRefused, CertificateExpired, CertificateNotYetValid, CertificateNotForDocuments,
    CertificateUnreadable.
    """
    if len(file) > MOST_PKCS12_BYTES:
        raise Pkcs12Damaged(size_bytes=len(file))
    _require_cheap(file)
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


def _require_cheap(file: bytes) -> None:
    """Refuse a file that would keep a processor busy without end. Raises: Pkcs12TooCostly, Pkcs12Damaged."""
    from asn1crypto import pkcs12 as form  # late: it costs what most processes never need

    try:
        with ASN1_LOCK:
            rounds = list(_rounds_in(form.Pfx.load(file, strict=True)))
    except (ValueError, TypeError, KeyError) as exc:
        raise Pkcs12Damaged(f"The PKCS#12 file cannot be read: {exc}") from exc
    if sum(rounds) > MOST_ROUNDS:
        raise Pkcs12TooCostly(rounds=sum(rounds))


def _rounds_in(pfx: Any) -> Iterator[int]:
    """Yield the rounds of every derivation that opening a file makes. Source: RFC 7292 sections 4, 5; RFC 8018."""
    from asn1crypto import pkcs12 as form

    if pfx["mac_data"].native is not None:
        yield pfx["mac_data"]["iterations"].native
    for part in form.AuthenticatedSafe.load(pfx["auth_safe"]["content"].native):
        if part["content_type"].native == "encrypted_data":
            yield _rounds_of(part["content"]["encrypted_content_info"]["content_encryption_algorithm"])
        elif part["content_type"].native == "data":
            for bag in form.SafeContents.load(part["content"].native):
                if bag["bag_id"].native == "pkcs8_shrouded_key_bag":
                    yield _rounds_of(bag["bag_value"]["encryption_algorithm"])


def _rounds_of(algorithm: Any) -> int:
    parameters = algorithm["parameters"]
    if algorithm["algorithm"].native == "pbes2":
        parameters = parameters["key_derivation_func"]["parameters"]
    return int(parameters["iteration_count" if "iteration_count" in parameters.native else "iterations"].native)

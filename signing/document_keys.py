"""Keys of people and agencies that sign documents: which may, and which may now.

A key may be held here (`HeldKey`), come out of a PKCS#12 file (`signing.pkcs12`) or live in a token
(`archive.adapters.pkcs11_keys`): all are `archive.ports.keys.DocumentKey`, and `demand_usable` judges all alike.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant, format_instant
from archive.ports.keys import DocumentKey
from signing.certificates import DOCUMENT_SIGNING, may_sign_for

LEAST_RSA_BITS: Final = 2048
"""What is accepted of keys that others have issued; NIST SP 800-131A allows it still."""

_PROBE: Final = b"Liuhen: is this the key of its certificate?\n"
"""What begins like this is no attributes of a signature, so that what is signed as a trial can be used nowhere."""
DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
_CURVES: Final[dict[type[ec.EllipticCurve], str]] = {ec.SECP256R1: "sha256", ec.SECP384R1: "sha384"}
_PURPOSES: Final = frozenset(
    {
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        DOCUMENT_SIGNING,
        x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"),  # document signing, as issued for Microsoft's programs
        x509.ObjectIdentifier("1.2.840.113583.1.1.5"),  # authentic documents trust, as issued for Adobe's
    }
)


class KeyKindRefused(InvalidInput):
    """Documents are signed with ECDSA on P-256 or P-384, or with RSA of at least 2,048 bits: others cannot judge more.

    Ed25519 is refused: poppler's pdfsig calls such a document not signed or corrupted.
    """

    code = "signing.key_kind_refused"


class KeyNotOfCertificate(InvalidInput):
    """The private key does not belong to the certificate."""

    code = "signing.key_not_of_certificate"


class PrivateKeyGiven(InvalidInput):
    """The file holds a private key; give the certificate alone, and keep the key."""

    code = "signing.private_key_given"


class CertificateUnreadable(InvalidInput):
    """The signer's certificate cannot be read."""

    code = "signing.certificate_unreadable"


class CertificateExpired(LiuhenError):
    """The signer's certificate has ended; a new one must be issued before anything is signed."""

    code = "signing.certificate_expired"
    exit_code = 78


class CertificateNotYetValid(LiuhenError):
    """The signer's certificate does not hold yet: look at the clock, or wait."""

    code = "signing.certificate_not_yet_valid"
    exit_code = 78


class CertificateNotForDocuments(InvalidInput):
    """The signer's certificate is not one for signing documents."""

    code = "signing.certificate_not_for_documents"


class HeldKey:
    """A key in this process, loaded once. Satisfies `archive.ports.keys.DocumentKey`; usable from several threads."""

    __slots__ = ("_certificate", "_chain", "_key")

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate] = (),
    ) -> None:
        """Hold key, certificate and chain. Raises: KeyKindRefused, KeyNotOfCertificate."""
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise KeyKindRefused(kind=type(key).__name__)
        digest_for(key.public_key())
        if key.public_key() != certificate.public_key():
            raise KeyNotOfCertificate
        self._key = key
        self._certificate = certificate.public_bytes(Encoding.DER)
        self._chain = tuple(each.public_bytes(Encoding.DER) for each in chain)

    @property
    def certificate(self) -> bytes:
        """The certificate, in DER."""
        return self._certificate

    @property
    def chain(self) -> Sequence[bytes]:
        """The certificates above it, in DER."""
        return self._chain

    def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
        """Return the bare signature over `data`."""
        algorithm = DIGESTS[digest_algorithm]
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), algorithm)
        return self._key.sign(data, ec.ECDSA(algorithm))

    def __repr__(self) -> str:
        """Show whose key it is, never the key."""
        return f"HeldKey({x509.load_der_x509_certificate(self._certificate).subject.rfc4514_string()})"


def digest_for(key: PublicKeyTypes) -> str:
    """Return the hash that goes with a key: `sha384` for P-384, else `sha256`. Raises: KeyKindRefused.

    Source: FIPS 186-5 section 6.4 (a hash no shorter than the curve), ETSI TS 119 312 section 9.
    """
    if isinstance(key, ec.EllipticCurvePublicKey) and type(key.curve) in _CURVES:
        return _CURVES[type(key.curve)]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return "sha256"
    bits = getattr(key, "key_size", None)
    raise KeyKindRefused(kind=type(key).__name__, bits=bits)


def demand_usable(key: DocumentKey, *, at: Instant) -> x509.Certificate:
    """Return the certificate of a key that may sign documents at this time. Raises: as `usable_certificate`."""
    return usable_certificate(key.certificate, at=at)


def usable_certificate(der: bytes, *, at: Instant) -> x509.Certificate:
    """Return a certificate (DER) whose key may sign documents at this time.

    Raises: CertificateUnreadable, KeyKindRefused, CertificateExpired, CertificateNotYetValid,
    CertificateNotForDocuments.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        public_key = certificate.public_key()
        may_sign = may_sign_for(certificate, _PURPOSES)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension) as exc:
        raise CertificateUnreadable(f"The signer's certificate cannot be read: {exc}") from exc
    digest_for(public_key)
    if at < certificate.not_valid_before_utc:
        raise CertificateNotYetValid(now=format_instant(at), starts=format_instant(certificate.not_valid_before_utc))
    if at > certificate.not_valid_after_utc:
        raise CertificateExpired(now=format_instant(at), ended=format_instant(certificate.not_valid_after_utc))
    if not may_sign:
        raise CertificateNotForDocuments
    return certificate


def given_certificate(file: bytes) -> bytes:
    """Return the certificate of a file, in DER: the file is DER, or PEM with this one certificate and no private key.

    Raises: CertificateUnreadable, PrivateKeyGiven.
    """
    if b"PRIVATE KEY-----" in file:
        raise PrivateKeyGiven
    try:
        if b"-----BEGIN CERTIFICATE-----" not in file:
            return x509.load_der_x509_certificate(file).public_bytes(Encoding.DER)
        (found,) = x509.load_pem_x509_certificates(file)
        return found.public_bytes(Encoding.DER)
    except (ValueError, TypeError) as exc:
        raise CertificateUnreadable("The file holds no certificate, or several") from exc


def demand_key(key: DocumentKey) -> None:
    """Have a key sign a trial, to see that it is the one of its certificate.

    Raises: KeyNotOfCertificate, what the key raises.
    """
    public_key = x509.load_der_x509_certificate(key.certificate).public_key()
    name, probe = digest_for(public_key), _PROBE + secrets.token_bytes(32)
    signature = key.sign(probe, digest_algorithm=name)
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, probe, padding.PKCS1v15(), DIGESTS[name])
        elif isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, probe, ec.ECDSA(DIGESTS[name]))
    except InvalidSignature as exc:
        raise KeyNotOfCertificate from exc

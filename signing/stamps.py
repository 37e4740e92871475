"""What a timestamp token says, once its form, its binding and its signature hold. Whom to trust is the caller's."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant
from signing.tokens import Stamped, Token, read_info, take_apart

_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_IMPRINTS = {"sha256": 32, "sha512": 64}


class TokenRefused(LiuhenError):
    """The timestamp is not one over these bytes, or its signature does not hold; it was thrown away."""

    code = "timestamp.refused"
    exit_code = 76
    retryable = True


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token that was checked, but for the trust in its certificate."""

    token: Token
    info: Stamped
    certificate: x509.Certificate

    @property
    def at(self) -> Instant:
        """The time that it states."""
        return self.info.at

    @property
    def ends(self) -> datetime:
        """The end of the certificate's validity."""
        return self.certificate.not_valid_after_utc


def read_stamp(raw: bytes, imprint: bytes) -> Stamp:
    """Return what a token over this SHA-256 or SHA-512 says.

    1. It has the strict form. 2. It is over the imprint. 3. Its attributes are bound to it and name the certificate.
    4. The certificate's one purpose are timestamps, and it covers the stated time. 5. The signature verifies.

    Raises: TokenRefused.
    Source: RFC 3161 section 2.4.2.
    """
    try:
        token = take_apart(raw)  # step 1
        info = read_info(token.info)
        if info.imprint != imprint or _IMPRINTS.get(info.hash_name or "") != len(imprint):  # step 2
            raise TokenRefused("The timestamp is over other bytes")
        if not token.is_bound or not token.names_certificate:  # step 3
            raise TokenRefused("The timestamp is not bound to its certificate")
        certificate = x509.load_der_x509_certificate(token.certificate)
    except (InvalidInput, ValueError) as exc:
        raise TokenRefused(f"The timestamp cannot be read: {exc}") from exc
    if not _is_for_time_only(certificate):  # step 4
        raise TokenRefused("The certificate of the timestamp is not for timestamps alone")
    if not certificate.not_valid_before_utc <= info.at <= certificate.not_valid_after_utc:
        raise TokenRefused("The certificate of the timestamp did not hold then")
    if not _verifies(certificate, token):  # step 5
        raise TokenRefused("The signature of the timestamp does not verify")
    return Stamp(token, info, certificate)


def _is_for_time_only(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.critical and list(found.value) == [ExtendedKeyUsageOID.TIME_STAMPING]


def _verifies(certificate: x509.Certificate, token: Token) -> bool:
    algorithm = _HASHES[token.hash_name]
    try:
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and token.kind == "ecdsa":
            key.verify(token.signature, token.attributes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and token.kind == "rsa" and key.key_size >= 2048:
            key.verify(token.signature, token.attributes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True

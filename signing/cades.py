"""Detached CAdES B-B signatures over manifests: made with the archive's key, checked against the reader's roots.

pyHanko makes them, our own reader checks them, also each one just made.

Footage bytes are never signed, manifests with their digests are. Any CMS tool can check what is made here
(`openssl cms -verify -binary -inform DER -content manifest.json -CAfile root.cert.pem`); our own check is stricter.
Source: ETSI EN 319 122-1 section 6.3, RFC 5652.
"""

import hashlib
import hmac
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.kernel.instants import Instant, format_instant
from archive.ports.clock import Clock
from signing import container
from signing.certificates import DOCUMENT_SIGNING, may_sign_for
from signing.chains import UNREADABLE, TrustRoots, is_issued_by
from signing.container import SigningFault

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_PURPOSES: Final = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, DOCUMENT_SIGNING})
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS: Final = 3072


class KeyMismatch(InvalidInput):
    """The key does not belong to the certificate, or is of a kind that is not used for manifests."""

    code = "signing.key_mismatch"


class SignerNotValid(LiuhenError):
    """The signer's certificate does not cover the present time: look at the clock, or issue a new certificate."""

    code = "signing.certificate_not_valid"
    exit_code = 78


class CadesSigner:
    """Signs manifests with a key in this process. Satisfies `archive.ports.keys.ManifestSigner`.

    Usable from several threads at once.
    """

    def __init__(self, *, key: SigningKey, certificate: x509.Certificate, clock: Clock) -> None:
        """Hold the key. Raises: KeyMismatch."""
        if key.public_key() != certificate.public_key() or not _is_allowed(key.public_key()):
            raise KeyMismatch
        self._key = key
        self._certificate = certificate
        self._certificate_der = certificate.public_bytes(Encoding.DER)
        self._clock = clock

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that goes into each signature."""
        return self._certificate

    def sign_detached(self, content: bytes) -> bytes:
        """Return a detached CAdES B-B signature (strict DER) over `content`; the claimed time is the clock's.

        Raises: SignerNotValid, SigningFault.
        """
        # Late, since most processes never sign.
        from signing.pyhanko_signer import make_detached

        now = self._clock.now()
        if not _covers(self._certificate, now):
            raise SignerNotValid(now=format_instant(now))
        p7s = make_detached(content, key=self._key, certificate=self._certificate_der, at=now)
        self._demand_sound(content, p7s, now)
        return p7s

    def _demand_sound(self, content: bytes, p7s: bytes, now: Instant) -> None:
        """Let nothing leave that `check_detached` would call invalid, or that says something else than asked for."""
        try:
            parts = container.take_apart(p7s)
        except LiuhenError as exc:
            raise SigningFault(f"The checks refuse what was made: {exc}") from exc
        codes = [finding.code for finding in _broken(content, parts, self._certificate, where="")]
        if not may_sign_for(self._certificate, _PURPOSES):
            codes.append("signature.key_usage")
        if codes or parts.certificate != self._certificate_der or parts.signing_time != now.replace(microsecond=0):
            raise SigningFault(findings=codes)


def check_detached(content: bytes, p7s: bytes, *, trust_roots_pem: bytes, at: Instant, where: str = "") -> Report:
    """Judge a detached signature over `content` as of `at`: the time of the check, or one since when it surely exists.

    Valid: strict container, content and certificate as signed, allowed algorithms, a signer's certificate for
    documents, that covers the claimed time and `at`, and leads to one of the roots. Invalid: anything contradicts
    that. Indeterminate: nothing does, but the root is not among those given, or time leaves it open. Revocation is
    not part of it.
    Raises: BadTrustRoots.
    """
    roots = TrustRoots.from_pem(trust_roots_pem)
    try:
        parts = container.take_apart(p7s)
        certificate = x509.load_der_x509_certificate(parts.certificate)
        findings = _broken(content, parts, certificate, where=where)
        if not findings:
            intact = valid("signature.intact", "Content and certificate are the ones that were signed", where)
            findings = [intact, *_signer_findings(certificate, parts.signing_time, roots=roots, at=at, where=where)]
    except LiuhenError as exc:
        findings = [invalid(exc.code, str(exc), where)]
    except UnsupportedAlgorithm as exc:
        findings = [invalid("signature.algorithm_refused", f"The signer's key is of an unknown kind: {exc}", where)]
    except UNREADABLE as exc:
        findings = [invalid("signature.malformed", f"The certificate inside cannot be read: {exc}", where)]
    return Report(tuple(findings))


def _broken(content: bytes, parts: container.Container, certificate: x509.Certificate, *, where: str) -> list[Finding]:
    """Return what contradicts the signature itself."""
    found = []
    key = certificate.public_key()
    if not _is_allowed(key):
        found.append(invalid("signature.algorithm_refused", "The signer's key is too weak or of another kind", where))
    elif not _verifies(key, parts):
        found.append(invalid("signature.value_mismatch", "The signature was not made with the signer's key", where))
    if not hmac.compare_digest(hashlib.new(parts.digest_algorithm, content).digest(), parts.message_digest):
        found.append(invalid("signature.digest_mismatch", "The content is not the one that was signed", where))
    if not parts.names_certificate:
        found.append(
            invalid("signature.certificate_mismatch", "The certificate is not the one that was signed along", where)
        )
    return found


def _signer_findings(
    certificate: x509.Certificate, claimed: Instant, *, roots: TrustRoots, at: Instant, where: str
) -> list[Finding]:
    """Return what is to be said about the signer: either one valid finding, or all that speaks against it."""
    found = []
    if not may_sign_for(certificate, _PURPOSES):
        found.append(invalid("signature.key_usage", "The certificate is not one for signing documents", where))
    if not _covers(certificate, claimed):
        found.append(
            invalid("signature.outside_validity", "The claimed time is outside the certificate's validity", where)
        )
    elif claimed > at:
        found.append(
            indeterminate("signature.time_ahead", "The claimed time is later than the time of the check", where)
        )
    issuers = roots.namesakes_of_issuer(certificate)
    if issuers and not any(is_issued_by(certificate, issuer) for issuer in issuers):
        found.append(
            invalid("signature.certificate_forged", "The certificate names a root that did not issue it", where)
        )
    elif not roots.reach(certificate, at=claimed):
        found.append(indeterminate("signature.untrusted", "The signer leads to none of the given roots", where))
    elif not roots.reach(certificate, at=at) and claimed <= at:
        found.append(
            indeterminate(
                "signature.certificate_expired",
                "The certificate has ended, and nothing here shows that the signature is older",
                where,
            )
        )
    if found:
        return found
    subject = certificate.subject.rfc4514_string()
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return [
        valid(
            "signature.valid",
            f"Signed by {subject} (certificate sha256:{digest}), claimed time {format_instant(claimed)}",
            where,
        )
    ]


def _verifies(key: Any, parts: container.Container) -> bool:
    algorithm = _HASHES[parts.digest_algorithm]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and parts.signature_algorithm == "ecdsa":
            key.verify(parts.signature, parts.signed_attributes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and parts.signature_algorithm == "rsa":
            key.verify(parts.signature, parts.signed_attributes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _is_allowed(key: Any) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS


def _covers(certificate: x509.Certificate, at: Instant) -> bool:
    return certificate.not_valid_before_utc <= at.replace(microsecond=0) <= certificate.not_valid_after_utc

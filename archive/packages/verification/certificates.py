"""What the checks need of certificates, and whether a chain leads to a pinned root. Revocation is not looked at.

The same few rules as in the verifiers that travel in a package, so that all say the same of a certificate.
Source: RFC 5280 sections 4.1, 4.2.1 and 6.1.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ledger.note import decode_base64
from archive.packages.verification.layout import MOST_DEPTH
from signing import der

SIGNER_RSA_BITS: Final = 3072
LEAST_RSA_BITS: Final = 2048
_BIT_STRING, _BOOLEAN, _EXPLICIT_0, _EXPLICIT_3, _KEY_ID = 0x03, 0x01, 0xA0, 0xA3, 0x80
_VERSION_3: Final = der.element(_EXPLICIT_0, der.integer(2))
_MOST_ISSUERS: Final = 4
_MOST_CERTIFICATES: Final = 32

_ECDSA: Final = {
    der.sequence(der.oid(f"1.2.840.10045.4.3.{arc}")): name
    for arc, name in ((2, "sha256"), (3, "sha384"), (4, "sha512"))
}
_RSA: Final = {
    der.sequence(der.oid(f"1.2.840.113549.1.1.{arc}"), der.NULL): name
    for arc, name in ((11, "sha256"), (12, "sha384"), (13, "sha512"))
}
_RSA_KEY: Final = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.NULL)
_EC_KEYS: Final = {
    der.sequence(der.oid("1.2.840.10045.2.1"), der.oid(curve))
    for curve in ("1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35")
}
_CRYPTOGRAPHY_HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}

_SUBJECT_KEY, _KEY_USAGE, _BASIC, _AUTHORITY_KEY, _EXTENDED = (der.oid(f"2.5.29.{arc}") for arc in (14, 15, 19, 35, 37))
_UNDERSTOOD: Final = frozenset(
    {_SUBJECT_KEY, _KEY_USAGE, _BASIC, _AUTHORITY_KEY, _EXTENDED, der.oid("2.5.29.17"), der.oid("2.5.29.32")}
)
DIGITAL_SIGNATURE, CONTENT_COMMITMENT, _CERTIFICATE_SIGN = 0, 1, 5
FOR_DOCUMENTS: Final = frozenset({der.oid("1.3.6.1.5.5.7.3.4"), der.oid("1.3.6.1.5.5.7.3.36")})
FOR_TIME: Final = der.oid("1.3.6.1.5.5.7.3.8")


class MalformedCertificate(InvalidInput):
    """The bytes are not a certificate in the form that is read here."""

    code = "certificate.malformed"


class RefusedKey(InvalidInput):
    """The key or algorithm is of another kind than those on the list, or too weak."""

    code = "certificate.key_refused"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parts of a certificate. `key` is its SubjectPublicKeyInfo; `extensions`: critical and value, by kind."""

    raw: bytes
    signed: bytes
    algorithm: bytes
    signature: bytes
    issuer: bytes
    begins: Instant
    ends: Instant
    subject: bytes
    key: bytes
    extensions: dict[bytes, tuple[bool, bytes]]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Take a certificate (DER) apart. Raises: InvalidInput."""
        outer = der.Reader(raw)
        certificate = outer.enter(der.SEQUENCE)
        outer.end()
        signed = certificate.take_whole(der.SEQUENCE)
        algorithm = certificate.take_whole(der.SEQUENCE)
        bits = certificate.take(_BIT_STRING)
        certificate.end()
        part = der.Reader(signed).enter(der.SEQUENCE)
        version = part.take_whole(_EXPLICIT_0)
        part.take(der.INTEGER)
        _demand(bits[:1] == b"\0" and version == _VERSION_3, "not a version 3 certificate")
        _demand(part.take_whole(der.SEQUENCE) == algorithm, "two algorithms")
        issuer = part.take_whole(der.SEQUENCE)
        times = part.enter(der.SEQUENCE)
        begins, ends = _take_time(times), _take_time(times)
        times.end()
        subject, key = part.take_whole(der.SEQUENCE), part.take_whole(der.SEQUENCE)
        extensions = _extensions(part)
        return cls(raw, signed, algorithm, bits[1:], issuer, begins, ends, subject, key, extensions)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the certificate: what is pinned of a root."""
        return hashlib.sha256(self.raw).digest()

    def covers(self, at: Instant) -> bool:
        """Return whether it is valid at that time."""
        return self.begins <= at.replace(microsecond=0) <= self.ends

    @property
    def usage(self) -> frozenset[int]:
        """The numbers of the bits of the key usage. Raises: NotDer."""
        if _KEY_USAGE not in self.extensions:
            return frozenset()
        octets = der.Reader(self.extensions[_KEY_USAGE][1]).take(_BIT_STRING)[1:]
        return frozenset(n * 8 + bit for n, octet in enumerate(octets) for bit in range(8) if octet & (0x80 >> bit))

    @property
    def purposes(self) -> Sequence[bytes] | None:
        """The extended key usages; None where there is no such extension. Raises: NotDer."""
        if _EXTENDED not in self.extensions:
            return None
        reader = der.Reader(self.extensions[_EXTENDED][1]).enter(der.SEQUENCE)
        found = []
        while reader.stands_before(der.OBJECT_IDENTIFIER):
            found.append(reader.take_whole(der.OBJECT_IDENTIFIER))
        reader.end()
        return found

    @property
    def is_for_time_only(self) -> bool:
        """Whether the one purpose is to sign timestamps, and critical. Source: RFC 3161 section 2.3."""
        return self.purposes == [FOR_TIME] and self.extensions[_EXTENDED][0]

    @property
    def room(self) -> int | None:
        """How many more authorities may stand under this one; None if it is no authority. Raises: NotDer."""
        if _BASIC not in self.extensions:
            return None
        reader = der.Reader(self.extensions[_BASIC][1]).enter(der.SEQUENCE)
        if not reader.stands_before(_BOOLEAN) or reader.take(_BOOLEAN) != b"\xff":
            return None
        if _KEY_USAGE in self.extensions and _CERTIFICATE_SIGN not in self.usage:
            return None
        if not reader.stands_before(der.INTEGER):
            reader.end()
            return MOST_DEPTH
        return int.from_bytes(reader.take(der.INTEGER), "big")

    @property
    def is_understood(self) -> bool:
        """Whether no critical extension is unknown here."""
        return all(kind in _UNDERSTOOD for kind, (critical, _) in self.extensions.items() if critical)

    @property
    def key_identifier(self) -> bytes | None:
        """The identifier of its key. Raises: NotDer."""
        if _SUBJECT_KEY not in self.extensions:
            return None
        return der.Reader(self.extensions[_SUBJECT_KEY][1]).take(der.OCTET_STRING)

    @property
    def issuer_key_identifier(self) -> bytes | None:
        """The identifier of its issuer's key. Raises: NotDer."""
        if _AUTHORITY_KEY not in self.extensions:
            return None
        reader = der.Reader(self.extensions[_AUTHORITY_KEY][1]).enter(der.SEQUENCE)
        return reader.take(_KEY_ID) if reader.stands_before(_KEY_ID) else None


def parse_pem(raw: bytes) -> list[Certificate]:
    """Return the certificates of a PEM file. Raises: InvalidInput."""
    form = r"-----BEGIN CERTIFICATE-----[ \t\r\n](.*?)-----END CERTIFICATE-----"
    try:
        blocks = re.findall(form, raw.decode("ascii"), re.DOTALL)
    except UnicodeDecodeError as exc:
        raise MalformedCertificate("not PEM") from exc
    _demand(len(blocks) <= _MOST_CERTIFICATES, "too many certificates")
    return [Certificate.parse(decode_base64(re.sub("[ \t\r\n]", "", block))) for block in blocks]


def parse_time(raw: bytes) -> Instant:
    """Return the time of an UTCTime or GeneralizedTime in its one form. Raises: InvalidInput."""
    reader = der.Reader(raw)
    at = _take_time(reader)
    reader.end()
    return at


def instant_of(digits: bytes) -> Instant:
    """Return the time that 14 digits say. Raises: MalformedCertificate."""
    try:
        return datetime.strptime(digits.decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as exc:
        raise MalformedCertificate("a time is none") from exc


def _take_time(reader: der.Reader) -> Instant:
    is_short = reader.stands_before(der.UTC_TIME)
    text = reader.take(der.UTC_TIME if is_short else der.GENERALIZED_TIME)
    if is_short:
        text = (b"20" if text < b"50" else b"19") + text
    _demand(re.fullmatch(rb"[0-9]{14}Z", text) is not None, "a time is not in its one form")
    _demand((b"1950" <= text[:4] < b"2050") == is_short, "a time is not in its one form")
    return instant_of(text[:14])


def _extensions(part: der.Reader) -> dict[bytes, tuple[bool, bytes]]:
    found: dict[bytes, tuple[bool, bytes]] = {}
    if not part.stands_before(_EXPLICIT_3):
        part.end()
        return found
    outer = part.enter(_EXPLICIT_3)
    part.end()
    reader = outer.enter(der.SEQUENCE)
    outer.end()
    while reader.stands_before(der.SEQUENCE):
        one = reader.enter(der.SEQUENCE)
        kind = one.take_whole(der.OBJECT_IDENTIFIER)
        critical = one.stands_before(_BOOLEAN) and one.take(_BOOLEAN) == b"\xff"
        _demand(kind not in found, "an extension stands twice")
        found[kind] = (critical, one.take(der.OCTET_STRING))
        one.end()
    reader.end()
    return found


def key_kind(key: bytes, *, least_rsa_bits: int) -> str:
    """Return `ecdsa` or `rsa`. Raises: RefusedKey for any other key and one that is too weak, NotDer."""
    algorithm = der.Reader(key).enter(der.SEQUENCE).take_whole(der.SEQUENCE)
    if algorithm in _EC_KEYS:
        return "ecdsa"
    if algorithm == _RSA_KEY and _rsa_bits(key) >= least_rsa_bits:
        return "rsa"
    raise RefusedKey("the key is of another kind or too weak")


def _rsa_bits(key: bytes) -> int:
    reader = der.Reader(key).enter(der.SEQUENCE)
    reader.take_whole(der.SEQUENCE)
    modulus = der.Reader(reader.take(_BIT_STRING)[1:]).enter(der.SEQUENCE).take(der.INTEGER)
    return int.from_bytes(modulus, "big").bit_length()


def verifies(key: bytes, *, hash_name: str, signature: bytes, message: bytes) -> bool:
    """Return whether the signature is this key's (SubjectPublicKeyInfo): ECDSA, or RSA with PKCS #1 v1.5."""
    algorithm = _CRYPTOGRAPHY_HASHES[hash_name]
    try:
        loaded: Any = load_der_public_key(key)
        if isinstance(loaded, ec.EllipticCurvePublicKey):
            loaded.verify(signature, message, ec.ECDSA(algorithm))
            return True
        if isinstance(loaded, rsa.RSAPublicKey):
            loaded.verify(signature, message, padding.PKCS1v15(), algorithm)
            return True
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return False


@dataclass(frozen=True, slots=True)
class Chains:
    """The certificates at hand, and the SHA-256 digests of the roots that are pinned: for all, and for times only."""

    pool: Sequence[Certificate] = ()
    pinned: frozenset[bytes] = field(default_factory=frozenset)
    pinned_for_time: frozenset[bytes] = field(default_factory=frozenset)

    @property
    def for_time(self) -> Self:
        """The same, where roots that are pinned for times count too."""
        return type(self)(self.pool, self.pinned | self.pinned_for_time)

    def is_forged(self, certificate: Certificate) -> bool:
        """Return whether it names issuers that are at hand, none of which issued it. Raises: NotDer."""
        named = list(self._named_by(certificate))
        return bool(named) and not any(is_issued_by(certificate, each) for each in named)

    def reach(self, certificate: Certificate, *, at: Instant) -> bool:
        """Return whether a chain that is valid at that time leads to a pinned root. Raises: NotDer."""
        return self._reach(certificate, at, 0, set())

    def _reach(self, certificate: Certificate, at: Instant, below: int, seen: set[tuple[bytes, int]]) -> bool:
        # What was in vain at this height once need not be tried again: certificates can be made to issue each other.
        if (certificate.raw, below) in seen or not certificate.covers(at) or not certificate.is_understood:
            return False
        seen.add((certificate.raw, below))
        for issuer in self.pool:
            if issuer.raw == certificate.raw or not self._may_issue(issuer, at=at, below=below):
                continue
            if is_issued_by(certificate, issuer) and (
                issuer.digest in self.pinned or (below < _MOST_ISSUERS and self._reach(issuer, at, below + 1, seen))
            ):
                return True
        return False

    def _named_by(self, certificate: Certificate) -> Iterable[Certificate]:
        wanted = certificate.issuer_key_identifier
        for each in self.pool:
            if each.subject == certificate.issuer and (wanted is None or wanted == each.key_identifier):
                yield each

    @staticmethod
    def _may_issue(issuer: Certificate, *, at: Instant, below: int) -> bool:
        room = issuer.room
        return room is not None and room >= below and issuer.covers(at) and issuer.is_understood


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Return whether name and key of `issuer` stand behind `certificate`."""
    if certificate.issuer != issuer.subject:
        return False
    kind, hash_name = "ecdsa", _ECDSA.get(certificate.algorithm)
    if hash_name is None:
        kind, hash_name = "rsa", _RSA.get(certificate.algorithm)
    try:
        if hash_name is None or key_kind(issuer.key, least_rsa_bits=LEAST_RSA_BITS) != kind:
            return False
    except InvalidInput:
        return False
    return verifies(issuer.key, hash_name=hash_name, signature=certificate.signature, message=certificate.signed)


def _demand(holds: bool, message: str) -> None:  # noqa: FBT001 (the condition is the subject of the sentence)
    if not holds:
        raise MalformedCertificate(message)

"""RFC 3161 tokens in the one form that is written and read here: what is not signed follows from what is.

A token is taken apart only when putting its parts together again gives the same bytes, so that neither a flipped bit
outside the signed part nor appended bytes pass. Nothing here judges who has signed.
Source: RFC 3161 section 2.4.2, RFC 5816, RFC 5652 section 5, RFC 5035 section 4.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from signing import der

MOST_TOKEN_BYTES: Final = 64 * 1024
_BOOLEAN: Final = 0x01
_EXPLICIT_0: Final = 0xA0
_DIRECTORY_NAME: Final = 0xA4
_VERSION_1: Final = der.integer(1)
_VERSION_3: Final = der.integer(3)
_GRANTED: Final = der.sequence(der.integer(0))
_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_TST_INFO: Final = der.oid("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2: Final = der.oid("1.2.840.113549.1.9.16.2.47")
_ECDSA_WITH_SHA256: Final = der.sequence(der.oid("1.2.840.10045.4.3.2"))

HASHES: Final = {
    "sha256": der.oid("2.16.840.1.101.3.4.2.1"),
    "sha384": der.oid("2.16.840.1.101.3.4.2.2"),
    "sha512": der.oid("2.16.840.1.101.3.4.2.3"),
}
DIGEST_ALGORITHMS: Final = {
    der.sequence(oid, *parameters): name for name, oid in HASHES.items() for parameters in ((), (der.NULL,))
}
_SIGNATURES: Final = {
    **{
        (der.sequence(der.oid(f"1.2.840.10045.4.3.{arc}")), name): "ecdsa"
        for arc, name in ((2, "sha256"), (3, "sha384"), (4, "sha512"))
    },
    **{
        (der.sequence(der.oid(f"1.2.840.113549.1.1.{arc}"), der.NULL), name): "rsa"
        for arc, name in ((11, "sha256"), (12, "sha384"), (13, "sha512"))
    },
    **{(der.sequence(der.oid("1.2.840.113549.1.1.1"), der.NULL), name): "rsa" for name in HASHES},
}


class MalformedToken(InvalidInput):
    """The bytes are not a timestamp in the form that is read here."""

    code = "timestamp.malformed"


class BadImprint(InvalidInput):
    """A timestamp is made over a SHA-256 or a SHA-512."""

    code = "timestamp.bad_imprint"


@dataclass(frozen=True, slots=True)
class Token:
    """The parts of a token. `info` is the TSTInfo; `others` are the certificates besides the signer's.

    `attributes` is what the signature covers; `kind` is `ecdsa` or `rsa`, with the hash `hash_name`.
    """

    info: bytes
    certificate: bytes
    others: tuple[bytes, ...]
    hash_name: str
    kind: str
    attributes: bytes
    message_digest: bytes
    signing_certificate: bytes
    signature: bytes

    @property
    def is_bound(self) -> bool:
        """Whether the signed attributes are over this TSTInfo."""
        return self.message_digest == hashlib.new(self.hash_name, self.info).digest()

    @property
    def names_certificate(self) -> bool:
        """Whether the signed attributes name the certificate that is inside. Raises: NotDer."""
        named = der.Reader(self.signing_certificate).enter(der.SEQUENCE).enter(der.SEQUENCE)
        return named.take_whole(der.SEQUENCE) in _references(self.certificate)


@dataclass(frozen=True, slots=True)
class Stamped:
    """What a TSTInfo says. `hash_name` is None for an algorithm that is not on the list; `policy` is a whole OID."""

    policy: bytes
    hash_name: str | None
    imprint: bytes
    serial: int
    at: Instant


# --- reading --------------------------------------------------------------------------------------------------


def take_apart(raw: bytes) -> Token:
    """Return the parts of a token, or of a response with status 0 and nothing else but a token.

    Raises: MalformedToken, NotDer.
    """
    _demand(len(raw) <= MOST_TOKEN_BYTES, "too large")
    whole, token = der.Reader(raw).enter(der.SEQUENCE), raw
    if whole.stands_before(der.SEQUENCE):
        _demand(whole.take_whole(der.SEQUENCE) == _GRANTED, "not granted")
        token = whole.take_whole(der.SEQUENCE)
        _demand(der.sequence(_GRANTED, token) == raw, "something is not signed")
    outer = der.Reader(token).enter(der.SEQUENCE)
    outer.take(der.OBJECT_IDENTIFIER)
    data = outer.enter(_EXPLICIT_0).enter(der.SEQUENCE)
    data.take(der.INTEGER)
    data.take(der.SET)
    content = data.enter(der.SEQUENCE)
    content.take(der.OBJECT_IDENTIFIER)
    info = content.enter(_EXPLICIT_0).take(der.OCTET_STRING)
    held = data.take_whole(_EXPLICIT_0)
    certificates = _sequences(der.Reader(held).enter(_EXPLICIT_0))
    signer = data.enter(der.SET).enter(der.SEQUENCE)
    signer.take(der.INTEGER)
    named = signer.take_whole(der.SEQUENCE)
    digest_algorithm = signer.take_whole(der.SEQUENCE)
    attributes = der.element(der.SET, signer.take(_EXPLICIT_0))
    algorithm = signer.take_whole(der.SEQUENCE)
    signature = signer.take(der.OCTET_STRING)

    again = _put_together(
        info,
        certificates=held,
        named=named,
        digest_algorithm=digest_algorithm,
        attributes=attributes,
        algorithm=algorithm,
        signature=signature,
    )
    _demand(again == token, "it holds something that is not signed")
    own = [each for each in certificates if _issuer_and_serial(each) == named]
    _demand(len(own) == 1 and len(set(certificates)) == len(certificates), "not the signer's certificate, once")
    hash_name = DIGEST_ALGORITHMS.get(digest_algorithm)
    kind = _SIGNATURES.get((algorithm, hash_name or ""))
    if hash_name is None or kind is None:
        raise MalformedToken("an algorithm is not on the list")
    found = _attributes_of(attributes)
    return Token(
        info=info,
        certificate=own[0],
        others=tuple(each for each in certificates if each != own[0]),
        hash_name=hash_name,
        kind=kind,
        attributes=attributes,
        message_digest=_octets(found[_MESSAGE_DIGEST]),
        signing_certificate=found[_SIGNING_CERTIFICATE_V2],
        signature=signature,
    )


def read_info(info: bytes) -> Stamped:
    """Return what a TSTInfo says up to its time. Raises: MalformedToken, NotDer."""
    reader = der.Reader(info).enter(der.SEQUENCE)
    _demand(reader.take_whole(der.INTEGER) == _VERSION_1, "not version 1")
    policy = reader.take_whole(der.OBJECT_IDENTIFIER)
    imprint = reader.enter(der.SEQUENCE)
    name = DIGEST_ALGORITHMS.get(imprint.take_whole(der.SEQUENCE))
    digest = imprint.take(der.OCTET_STRING)
    imprint.end()
    serial = int.from_bytes(reader.take(der.INTEGER), "big")
    text = reader.take(der.GENERALIZED_TIME)
    _demand(re.fullmatch(rb"[0-9]{14}(\.[0-9]+)?Z", text) is not None, "the time is not in its one form")
    try:
        at = datetime.strptime(text[:14].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as exc:
        raise MalformedToken("the time is none") from exc
    return Stamped(policy, name, digest, serial, at)


def nonce_of(info: bytes) -> int | None:
    """Return the nonce in a TSTInfo. Raises: NotDer."""
    reader = der.Reader(info).enter(der.SEQUENCE)
    for tag in (der.INTEGER, der.OBJECT_IDENTIFIER, der.SEQUENCE, der.INTEGER, der.GENERALIZED_TIME):
        reader.take(tag)
    for tag in (der.SEQUENCE, _BOOLEAN):  # accuracy, ordering
        if reader.stands_before(tag):
            reader.take(tag)
    return int.from_bytes(reader.take(der.INTEGER), "big") if reader.stands_before(der.INTEGER) else None


# --- writing --------------------------------------------------------------------------------------------------


def imprint_of(digest: bytes) -> bytes:
    """Return the MessageImprint of a SHA-256 or SHA-512. Raises: BadImprint."""
    name = {32: "sha256", 64: "sha512"}.get(len(digest))
    if name is None:
        raise BadImprint(size_bytes=len(digest))
    return der.sequence(der.sequence(HASHES[name]), der.element(der.OCTET_STRING, digest))


def make_token(
    imprint: bytes, *, policy: str, serial: int, at: Instant, certificate: bytes, sign: Callable[[bytes], bytes]
) -> bytes:
    """Return a token over a SHA-256 or SHA-512; `sign` makes the ECDSA signature with SHA-256 of its argument.

    The time is whole seconds, cut off, so that it never lies ahead.
    Raises: BadImprint, what `sign` raises.
    """
    info = der.sequence(
        _VERSION_1,
        der.oid(policy),
        imprint_of(imprint),
        der.integer(serial),
        der.element(der.GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode("ascii")),
    )
    reference = der.sequence(der.sequence(_reference(certificate, "sha256", with_issuer=True)))
    attributes = der.set_of(
        _attribute(_CONTENT_TYPE, _TST_INFO),
        _attribute(_MESSAGE_DIGEST, der.element(der.OCTET_STRING, hashlib.sha256(info).digest())),
        _attribute(_SIGNING_CERTIFICATE_V2, reference),
    )
    return _put_together(
        info,
        certificates=der.element(_EXPLICIT_0, certificate),
        named=_issuer_and_serial(certificate),
        digest_algorithm=der.sequence(HASHES["sha256"]),  # without parameters: RFC 5754 section 2
        attributes=attributes,
        algorithm=_ECDSA_WITH_SHA256,
        signature=sign(attributes),
    )


def _put_together(
    info: bytes,
    *,
    certificates: bytes,
    named: bytes,
    digest_algorithm: bytes,
    attributes: bytes,
    algorithm: bytes,
    signature: bytes,
) -> bytes:
    signer = der.sequence(
        _VERSION_1,
        named,
        digest_algorithm,
        bytes([_EXPLICIT_0]) + attributes[1:],
        algorithm,
        der.element(der.OCTET_STRING, signature),
    )
    signed_data = der.sequence(
        _VERSION_3,
        der.set_of(digest_algorithm),
        der.sequence(_TST_INFO, der.element(_EXPLICIT_0, der.element(der.OCTET_STRING, info))),
        certificates,
        der.set_of(signer),
    )
    return der.sequence(_SIGNED_DATA, der.element(_EXPLICIT_0, signed_data))


# --- parts ----------------------------------------------------------------------------------------------------


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.set_of(value))


def _attributes_of(attributes: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for raw in _sequences(der.Reader(der.Reader(attributes).take(der.SET))):
        attribute = der.Reader(raw).enter(der.SEQUENCE)
        kind = attribute.take_whole(der.OBJECT_IDENTIFIER)
        _demand(kind not in found, "an attribute stands twice")
        found[kind] = attribute.take(der.SET)
    _demand({_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE_V2} <= found.keys(), "a signed attribute is missing")
    _demand(found[_CONTENT_TYPE] == _TST_INFO, "not a timestamp")
    return found


def _octets(value: bytes) -> bytes:
    reader = der.Reader(value)
    octets = reader.take(der.OCTET_STRING)
    reader.end()
    return octets


def _sequences(reader: der.Reader) -> list[bytes]:
    found = []
    while reader.stands_before(der.SEQUENCE):
        found.append(reader.take_whole(der.SEQUENCE))
    reader.end()
    return found


def _parts_of_name(certificate: bytes) -> tuple[bytes, bytes]:
    part = der.Reader(certificate).enter(der.SEQUENCE).enter(der.SEQUENCE)
    if part.stands_before(_EXPLICIT_0):
        part.take(_EXPLICIT_0)
    serial = part.take_whole(der.INTEGER)
    part.take(der.SEQUENCE)
    return part.take_whole(der.SEQUENCE), serial


def _issuer_and_serial(certificate: bytes) -> bytes:
    return der.sequence(*_parts_of_name(certificate))


def _references(certificate: bytes) -> set[bytes]:
    """Return every ESSCertIDv2 that names this one certificate. Source: RFC 5035 section 4."""
    return {_reference(certificate, name, with_issuer=with_issuer) for name in HASHES for with_issuer in (False, True)}


def _reference(certificate: bytes, hash_name: str, *, with_issuer: bool) -> bytes:
    # sha256 is the default, and DER leaves defaults out.
    parts = [] if hash_name == "sha256" else [der.sequence(HASHES[hash_name])]
    parts.append(der.element(der.OCTET_STRING, hashlib.new(hash_name, certificate).digest()))
    if with_issuer:
        issuer, serial = _parts_of_name(certificate)
        parts.append(der.sequence(der.sequence(der.element(_DIRECTORY_NAME, issuer)), serial))
    return der.sequence(*parts)


def _demand(holds: bool, message: str) -> None:  # noqa: FBT001 (the condition is the subject of the sentence)
    if not holds:
        raise MalformedToken(message)

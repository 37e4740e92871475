"""Check 4: RFC 3161 timestamps, read in one form only: what is not signed must follow from what is.

A token is accepted only when putting its parts together again gives the same bytes, so that neither a flipped bit
outside the signed part nor appended bytes pass. Certificates besides the signer's must be among the package's own.
Source: RFC 3161 section 2.4.2, RFC 5816, RFC 5652 section 5.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.instants import Instant
from archive.packages.verification.certificates import (
    DIGEST_ALGORITHMS,
    HASHES,
    LEAST_RSA_BITS,
    Certificate,
    Chains,
    instant_of,
    key_kind,
    verifies,
)
from archive.packages.verification.findings import Verdict
from archive.packages.verification.layout import MOST_SIGNATURE_BYTES
from signing import der

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


@dataclass(frozen=True, slots=True)
class _Token:
    """The parts of a token. `info` is the TSTInfo; `others` are the certificates besides the signer's."""

    info: bytes
    certificate: bytes
    others: tuple[bytes, ...]
    hash_name: str
    kind: str
    attributes: bytes
    found: dict[bytes, bytes]
    signature: bytes


def judge_timestamp(content: bytes, raw: bytes, *, chains: Chains) -> tuple[Verdict, Instant | None]:
    """Judge an RFC 3161 response or bare token over `content`; also return its time, unless it is invalid."""
    try:
        return _judge(content, _take_apart(raw), chains)
    except InvalidInput as exc:
        return Verdict("timestamp.malformed", Outcome.INVALID, exc.message), None


def _judge(content: bytes, token: _Token, chains: Chains) -> tuple[Verdict, Instant | None]:  # noqa: PLR0911 (one return for each thing that can be said)
    at = _time_of(token.info, content)
    digest = der.Reader(token.found[_MESSAGE_DIGEST])
    signed_digest = digest.take(der.OCTET_STRING)
    digest.end()
    if at is None or signed_digest != hashlib.new(token.hash_name, token.info).digest():
        return _invalid("it is of other bytes")
    named = der.Reader(token.found[_SIGNING_CERTIFICATE_V2]).enter(der.SEQUENCE).enter(der.SEQUENCE)
    if named.take_whole(der.SEQUENCE) not in _references(token.certificate):
        return _invalid("another certificate")
    known = {each.raw for each in chains.pool}
    _demand(all(each in known for each in token.others), "a certificate is not in certs/")
    certificate = Certificate.parse(token.certificate)
    if key_kind(certificate.key, least_rsa_bits=LEAST_RSA_BITS) != token.kind or not verifies(
        certificate.key, hash_name=token.hash_name, signature=token.signature, message=token.attributes
    ):
        return _invalid("the signature does not verify")
    if not certificate.is_for_time_only:
        return _invalid("the certificate is not for timestamps")
    if not certificate.covers(at) or chains.is_forged(certificate):
        return _invalid("the certificate did not hold then")
    if not chains.reach(certificate, at=at):
        return Verdict("timestamp.untrusted", Outcome.INDETERMINATE), at
    return Verdict("timestamp.valid", Outcome.VALID, f"{at:%Y-%m-%dT%H:%M:%SZ}"), at


def _invalid(detail: str) -> tuple[Verdict, None]:
    return Verdict("timestamp.invalid", Outcome.INVALID, detail), None


def _time_of(info: bytes, content: bytes) -> Instant | None:
    """Return the time in a TSTInfo; None if it is over other bytes."""
    reader = der.Reader(info).enter(der.SEQUENCE)
    _demand(reader.take_whole(der.INTEGER) == _VERSION_1, "not version 1")
    reader.take(der.OBJECT_IDENTIFIER)
    imprint = reader.enter(der.SEQUENCE)
    name = DIGEST_ALGORITHMS.get(imprint.take_whole(der.SEQUENCE))
    digest = imprint.take(der.OCTET_STRING)
    imprint.end()
    reader.take(der.INTEGER)
    text = reader.take(der.GENERALIZED_TIME)
    _demand(re.fullmatch(rb"[0-9]{14}(\.[0-9]+)?Z", text) is not None, "the time is not in its one form")
    at = instant_of(text[:14])
    if name is None:
        raise MalformedToken("the hash algorithm is not on the list")
    return at if hashlib.new(name, content).digest() == digest else None


def _take_apart(raw: bytes) -> _Token:
    _demand(len(raw) <= MOST_SIGNATURE_BYTES, "too large")
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

    again = der.sequence(
        _VERSION_3,
        der.set_of(digest_algorithm),
        der.sequence(_TST_INFO, der.element(_EXPLICIT_0, der.element(der.OCTET_STRING, info))),
        held,
        der.set_of(
            der.sequence(
                _VERSION_1,
                named,
                digest_algorithm,
                bytes([_EXPLICIT_0]) + attributes[1:],
                algorithm,
                der.element(der.OCTET_STRING, signature),
            )
        ),
    )
    same = der.sequence(_SIGNED_DATA, der.element(_EXPLICIT_0, again)) == token
    _demand(same, "it holds something that is not signed")
    own = [each for each in certificates if _issuer_and_serial(each) == named]
    _demand(len(own) == 1 and len(set(certificates)) == len(certificates), "not the signer's certificate, once")
    hash_name = DIGEST_ALGORITHMS.get(digest_algorithm)
    kind = _SIGNATURES.get((algorithm, hash_name or ""))
    if hash_name is None or kind is None:
        raise MalformedToken("an algorithm is not on the list")
    others = tuple(each for each in certificates if each != own[0])
    found = _attributes_of(attributes)
    return _Token(info, own[0], others, hash_name, kind, attributes, found, signature)


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
    issuer, serial = _parts_of_name(certificate)
    names = der.sequence(der.sequence(der.element(_DIRECTORY_NAME, issuer)), serial)
    found = set()
    for hash_name, kind in HASHES.items():
        start = [] if hash_name == "sha256" else [der.sequence(kind)]
        start.append(der.element(der.OCTET_STRING, hashlib.new(hash_name, certificate).digest()))
        found |= {der.sequence(*start), der.sequence(*start, names)}
    return found


def _demand(holds: bool, message: str) -> None:  # noqa: FBT001 (the condition is the subject of the sentence)
    if not holds:
        raise MalformedToken(message)

"""The one form of CMS container that we accept for a detached signature. `signing.pyhanko_signer` makes it.

Everything that the signature does not cover (versions, lists, identifiers, lengths) follows from what it covers, so a
container is accepted only when putting its parts together again gives the same bytes. What OpenSSL lets pass outside
the signed part (flipped bits, appended bytes, foreign certificates) is refused here.
Source: RFC 5652 section 5 (SignedData), RFC 5035 section 3 (signingCertificateV2), RFC 5754 (algorithms),
ETSI EN 319 122-1 section 6.3 (CAdES B-B).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant
from signing import der

_MAX_BYTES: Final = 64 * 1024
_EXPLICIT_0: Final = 0xA0
_DIRECTORY_NAME: Final = 0xA4
_VERSION_1: Final = der.integer(1)

_DATA: Final = der.oid("1.2.840.113549.1.7.1")
_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")
_SIGNING_CERTIFICATE_V2: Final = der.oid("1.2.840.113549.1.9.16.2.47")

_HASH_OIDS: Final = {
    "sha256": der.oid("2.16.840.1.101.3.4.2.1"),
    "sha384": der.oid("2.16.840.1.101.3.4.2.2"),
    "sha512": der.oid("2.16.840.1.101.3.4.2.3"),
}
_DIGEST_ALGORITHMS: Final[Mapping[bytes, str]] = {
    der.sequence(oid, *parameters): name
    for name, oid in _HASH_OIDS.items()
    for parameters in ((), (der.NULL,))  # RFC 5754 section 2: written without parameters, read with NULL too
}
_ECDSA: Final = {
    "sha256": der.sequence(der.oid("1.2.840.10045.4.3.2")),
    "sha384": der.sequence(der.oid("1.2.840.10045.4.3.3")),
    "sha512": der.sequence(der.oid("1.2.840.10045.4.3.4")),
}
_RSA: Final = {
    "sha256": der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL),
    "sha384": der.sequence(der.oid("1.2.840.113549.1.1.12"), der.NULL),
    "sha512": der.sequence(der.oid("1.2.840.113549.1.1.13"), der.NULL),
}
_RSA_BARE: Final = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.NULL)  # as OpenSSL writes it


class MalformedContainer(InvalidInput):
    """The signature file is not a detached CMS signature in the strict form."""

    code = "signature.malformed"


class RefusedAlgorithm(InvalidInput):
    """The signature uses an algorithm that is not on the list."""

    code = "signature.algorithm_refused"


class SigningFault(LiuhenError):
    """What was made is not a signature that the checks accept, so it was thrown away."""

    code = "signing.fault"


@dataclass(frozen=True, slots=True)
class Container:
    """The parts of a detached signature.

    `signed_attributes` is what the signature covers: a DER SET (RFC 5652 section 5.4). `names_certificate` says
    whether the certificate is the one that the signed attributes name.
    """

    certificate: bytes
    digest_algorithm: str
    signature_algorithm: str
    signed_attributes: bytes
    message_digest: bytes
    signing_time: Instant
    names_certificate: bool
    signature: bytes


def put_together(
    *,
    certificate: bytes,
    digest_algorithm: bytes,
    signature_algorithm: bytes,
    signed_attributes: bytes,
    signature: bytes,
) -> bytes:
    """Return the container: the signer's certificate only, the content left out, nothing that is not signed.

    The two algorithms are whole AlgorithmIdentifiers.
    """
    issuer, serial = _issuer_and_serial(certificate)
    signer = der.sequence(
        _VERSION_1,
        der.sequence(issuer, serial),
        digest_algorithm,
        bytes([_EXPLICIT_0]) + signed_attributes[1:],
        signature_algorithm,
        der.element(der.OCTET_STRING, signature),
    )
    signed_data = der.sequence(
        _VERSION_1,
        der.set_of(digest_algorithm),
        der.sequence(_DATA),
        der.element(_EXPLICIT_0, certificate),
        der.set_of(signer),
    )
    return der.sequence(_SIGNED_DATA, der.element(_EXPLICIT_0, signed_data))


def take_apart(raw: bytes) -> Container:
    """Return the parts of a container.

    Raises: MalformedContainer, RefusedAlgorithm.
    """
    if len(raw) > _MAX_BYTES:
        raise MalformedContainer("The signature file is too large", size_bytes=len(raw))
    try:
        return _take_apart(raw)
    except der.NotDer as exc:
        raise MalformedContainer(f"The signature file is not strict DER: {exc}") from exc


def _take_apart(raw: bytes) -> Container:
    # Only what is needed is read here; all the rest is judged by the comparison below.
    outer = der.Reader(raw).enter(der.SEQUENCE)
    outer.take(der.OBJECT_IDENTIFIER)
    signed_data = outer.enter(_EXPLICIT_0).enter(der.SEQUENCE)
    signed_data.take(der.INTEGER)
    signed_data.take(der.SET)
    signed_data.take(der.SEQUENCE)
    certificate = signed_data.enter(_EXPLICIT_0).take_whole(der.SEQUENCE)
    signer = signed_data.enter(der.SET).enter(der.SEQUENCE)
    signer.take(der.INTEGER)
    signer.take(der.SEQUENCE)
    digest_algorithm = signer.take_whole(der.SEQUENCE)
    attributes = der.element(der.SET, signer.take(_EXPLICIT_0))
    signature_algorithm = signer.take_whole(der.SEQUENCE)
    signature = signer.take(der.OCTET_STRING)

    again = put_together(
        certificate=certificate,
        digest_algorithm=digest_algorithm,
        signature_algorithm=signature_algorithm,
        signed_attributes=attributes,
        signature=signature,
    )
    _demand(again == raw, "The signature file holds something that is not signed, or lacks something")

    hash_name = _DIGEST_ALGORITHMS.get(digest_algorithm)
    if hash_name is None:
        raise RefusedAlgorithm("The hash algorithm is not on the list", identifier=digest_algorithm[:32].hex())
    found = _attributes_of(attributes)
    _demand(found[_CONTENT_TYPE] == _DATA, "Another type of content than data is signed")
    digest = der.Reader(found[_MESSAGE_DIGEST])
    message_digest = digest.take(der.OCTET_STRING)
    digest.end()
    return Container(
        certificate=certificate,
        digest_algorithm=hash_name,
        signature_algorithm=_signature_algorithm(signature_algorithm, hash_name),
        signed_attributes=attributes,
        message_digest=message_digest,
        signing_time=_parse_time(found[_SIGNING_TIME]),
        names_certificate=found[_SIGNING_CERTIFICATE_V2] in _certificate_references(certificate),
        signature=signature,
    )


def _demand(holds: bool, message: str) -> None:  # noqa: FBT001 (the condition is the subject of the sentence)
    if not holds:
        raise MalformedContainer(message)


def _signature_algorithm(identifier: bytes, hash_name: str) -> str:
    if identifier == _ECDSA[hash_name]:
        return "ecdsa"
    if identifier in {_RSA[hash_name], _RSA_BARE}:
        return "rsa"
    raise RefusedAlgorithm("The signature algorithm is not on the list", identifier=identifier[:32].hex())


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.set_of(value))


def _attributes_of(signed: bytes) -> Mapping[bytes, bytes]:
    """Return value by kind: each of the four once, with one value, in order."""
    reader = der.Reader(der.Reader(signed).take(der.SET))
    found: dict[bytes, bytes] = {}
    for _ in range(4):
        attribute = reader.enter(der.SEQUENCE)
        kind = attribute.take_whole(der.OBJECT_IDENTIFIER)
        found[kind] = attribute.take(der.SET)
    expected = {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME, _SIGNING_CERTIFICATE_V2}
    _demand(found.keys() == expected, "The signed attributes are not the four of a basic CAdES signature")
    again = der.set_of(*(_attribute(kind, value) for kind, value in found.items()))
    _demand(again == signed, "The signed attributes are not in their one form")
    return found


def _time(at: Instant) -> bytes:
    """Return UTCTime until 2049, GeneralizedTime from 2050. Source: RFC 5652 section 11.3."""
    if 1950 <= at.year < 2050:
        return der.element(der.UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return der.element(der.GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def _parse_time(raw: bytes) -> Instant:
    reader = der.Reader(raw)
    if reader.stands_before(der.UTC_TIME):
        text = reader.take(der.UTC_TIME)
        text = (b"20" if text < b"50" else b"19") + text
    else:
        text = reader.take(der.GENERALIZED_TIME)
    try:
        at = datetime.strptime(text.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as exc:
        raise MalformedContainer("The signing time cannot be read") from exc
    _demand(_time(at) == raw, "The signing time is not in its one form")
    return at


def _certificate_references(certificate: bytes) -> set[bytes]:
    """Return every form in which a SigningCertificateV2 can name this one certificate."""
    return {
        _certificate_reference(certificate, name, with_issuer=with_issuer)
        for name in _HASH_OIDS
        for with_issuer in (True, False)
    }


def _certificate_reference(certificate: bytes, hash_name: str, *, with_issuer: bool) -> bytes:
    # sha256 is the default, and DER leaves defaults out.
    parts = [] if hash_name == "sha256" else [der.sequence(_HASH_OIDS[hash_name])]
    parts.append(der.element(der.OCTET_STRING, hashlib.new(hash_name, certificate).digest()))
    if with_issuer:
        issuer, serial = _issuer_and_serial(certificate)
        parts.append(der.sequence(der.sequence(der.element(_DIRECTORY_NAME, issuer)), serial))
    return der.sequence(der.sequence(der.sequence(*parts)))


def _issuer_and_serial(certificate: bytes) -> tuple[bytes, bytes]:
    """Return issuer and serial number as they stand in the certificate. Source: RFC 5280 section 4.1."""
    to_be_signed = der.Reader(certificate).enter(der.SEQUENCE).enter(der.SEQUENCE)
    if to_be_signed.stands_before(_EXPLICIT_0):
        to_be_signed.take(_EXPLICIT_0)
    serial = to_be_signed.take_whole(der.INTEGER)
    to_be_signed.take(der.SEQUENCE)
    return to_be_signed.take_whole(der.SEQUENCE), serial

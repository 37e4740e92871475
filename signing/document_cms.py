"""The signature container inside a PDF: CMS SignedData with the attributes that PAdES asks for, written as strict DER.

Written here and not by pyHanko: nothing of asn1crypto is needed, so many threads sign at once, and a remote key may
take its time without holding any lock. Judged by pyHanko, OpenSSL and poppler in the tests.
Source: ETSI EN 319 142-1 sections 6.2 and 6.3, ETSI EN 319 122-1 section 5, RFC 5652, RFC 5035, RFC 6211.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.ports.keys import DocumentKey
from signing import der

_EXPLICIT_0: Final = 0xA0
_EXPLICIT_1: Final = 0xA1
_VERSION_1: Final = der.integer(1)
_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_DATA: Final = der.oid("1.2.840.113549.1.7.1")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")
_ALGORITHM_PROTECTION: Final = der.oid("1.2.840.113549.1.9.52")
_SIGNING_CERTIFICATE_V2: Final = der.oid("1.2.840.113549.1.9.16.2.47")
_COMMITMENT_TYPE: Final = der.oid("1.2.840.113549.1.9.16.2.16")
_SIGNATURE_TIME_STAMP: Final = der.oid("1.2.840.113549.1.9.16.2.14")
_HASHES: Final = {
    "sha256": der.oid("2.16.840.1.101.3.4.2.1"),
    "sha384": der.oid("2.16.840.1.101.3.4.2.2"),
}
_ECDSA: Final = {"sha256": der.oid("1.2.840.10045.4.3.2"), "sha384": der.oid("1.2.840.10045.4.3.3")}
_RSA: Final = {"sha256": der.oid("1.2.840.113549.1.1.11"), "sha384": der.oid("1.2.840.113549.1.1.12")}


class Commitment(Enum):
    """What a signer commits to. Source: ETSI EN 319 122-1 section 5.2.3, RFC 5126 section 5.11.1."""

    ORIGIN = "1.2.840.113549.1.9.16.6.1"
    RECEIPT = "1.2.840.113549.1.9.16.6.2"
    APPROVAL = "1.2.840.113549.1.9.16.6.5"
    CREATION = "1.2.840.113549.1.9.16.6.6"


class SignatureFault(LiuhenError):
    """The key made something that is no signature of its certificate; nothing was signed."""

    code = "signing.signature_fault"


@dataclass(frozen=True, slots=True)
class SignedAttributes:
    """What the signature value is made over, and what else the container will need."""

    encoded: bytes
    hash_name: str


def signed_attributes(
    document_digest: bytes,
    *,
    certificate: bytes,
    public_key: PublicKeyTypes,
    hash_name: str,
    commitment: Commitment | None,
    signing_time: Instant | None = None,
) -> SignedAttributes:
    """Return the signed attributes over a document's digest.

    Without signing time for PAdES, which keeps it in the entry /M; a container in a file of its own has one.
    Source: ETSI EN 319 142-1 section 6.3 (content-type, message-digest, signing-certificate-v2, commitment type);
    ETSI EN 319 122-1 section 6.3 (signing-time).
    """
    reference = [] if hash_name == "sha256" else [der.sequence(_HASHES[hash_name])]  # DER leaves out the default
    reference.append(der.element(der.OCTET_STRING, hashlib.new(hash_name, certificate).digest()))
    protected = der.sequence(
        der.sequence(_HASHES[hash_name]),
        der.element(_EXPLICIT_1, _algorithm(public_key, hash_name)[2:]),
    )
    attributes = [
        _attribute(_CONTENT_TYPE, _DATA),
        _attribute(_MESSAGE_DIGEST, der.element(der.OCTET_STRING, document_digest)),
        _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(der.sequence(*reference)))),
        _attribute(_ALGORITHM_PROTECTION, protected),
    ]
    if signing_time is not None:
        attributes.append(_attribute(_SIGNING_TIME, _time(signing_time)))
    if commitment is not None:
        attributes.append(_attribute(_COMMITMENT_TYPE, der.sequence(der.oid(commitment.value))))
    return SignedAttributes(der.set_of(*attributes), hash_name)


def container(
    attributes: SignedAttributes, signature: bytes, *, key: DocumentKey, public_key: PublicKeyTypes, token: bytes | None
) -> bytes:
    """Return the detached SignedData, with the timestamp over the signature value where there is one.

    Source: RFC 5652 section 5, ETSI EN 319 122-1 section 5.3 (signature-time-stamp).
    """
    digest_algorithm = der.sequence(_HASHES[attributes.hash_name])  # without parameters: RFC 5754 section 2
    parts = [
        _VERSION_1,
        der.sequence(*_name_and_serial(key.certificate)),
        digest_algorithm,
        bytes([_EXPLICIT_0]) + attributes.encoded[1:],
        _algorithm(public_key, attributes.hash_name),
        der.element(der.OCTET_STRING, signature),
    ]
    if token is not None:
        parts.append(der.element(_EXPLICIT_1, _attribute(_SIGNATURE_TIME_STAMP, token)))
    certificates = sorted(dict.fromkeys((key.certificate, *key.chain)))
    signed_data = der.sequence(
        _VERSION_1,
        der.set_of(digest_algorithm),
        der.sequence(_DATA),
        der.element(_EXPLICIT_0, *certificates),
        der.set_of(der.sequence(*parts)),
    )
    return der.sequence(_SIGNED_DATA, der.element(_EXPLICIT_0, signed_data))


def signature_in(container: bytes) -> bytes:
    """Return the signature value of a container of ours that has no timestamp yet. Raises: NotDer."""
    signer = _signer(container)
    signer.take(der.INTEGER)
    signer.take(der.SEQUENCE)
    signer.take(der.SEQUENCE)
    signer.take(_EXPLICIT_0)
    signer.take(der.SEQUENCE)
    value = signer.take(der.OCTET_STRING)
    signer.end()
    return value


def with_token(container: bytes, token: bytes) -> bytes:
    """Return a container of ours with the timestamp over its signature value; nothing else of it changes.

    Source: ETSI EN 319 122-1 section 5.3, RFC 5652 section 5.3 (unsigned attributes come last). Raises: NotDer.
    """
    added = der.element(_EXPLICIT_1, _attribute(_SIGNATURE_TIME_STAMP, token))
    outer = der.Reader(container).enter(der.SEQUENCE)
    kind = outer.take_whole(der.OBJECT_IDENTIFIER)
    data = outer.enter(_EXPLICIT_0).enter(der.SEQUENCE)
    before = [data.take_whole(tag) for tag in (der.INTEGER, der.SET, der.SEQUENCE, _EXPLICIT_0)]
    signer = data.enter(der.SET).take(der.SEQUENCE)
    grown = der.sequence(*before, der.element(der.SET, der.sequence(signer, added)))
    return der.sequence(kind, der.element(_EXPLICIT_0, grown))


def _signer(container: bytes) -> der.Reader:
    data = der.Reader(container).enter(der.SEQUENCE)
    data.take(der.OBJECT_IDENTIFIER)
    data = data.enter(_EXPLICIT_0).enter(der.SEQUENCE)
    for tag in (der.INTEGER, der.SET, der.SEQUENCE, _EXPLICIT_0):
        data.take(tag)
    return data.enter(der.SET).enter(der.SEQUENCE)


def room_for(key: DocumentKey, public_key: PublicKeyTypes, *, token_bytes: int) -> int:
    """Return how many bytes a container may take at most, so that no trial signature is needed."""
    signature = (
        144 if isinstance(public_key, ec.EllipticCurvePublicKey) else (getattr(public_key, "key_size", 0) + 7) // 8
    )
    names = 3 * len(key.certificate)  # itself, and its issuer's name twice at most
    return signature + names + sum(len(each) for each in key.chain) + token_bytes + 1024


def _time(at: Instant) -> bytes:
    """Return UTCTime until 2049, GeneralizedTime from 2050; whole seconds. Source: RFC 5652 section 11.3."""
    if at.year < 2050:
        return der.element(der.UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return der.element(der.GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def _algorithm(public_key: PublicKeyTypes, hash_name: str) -> bytes:
    """Return the AlgorithmIdentifier. Source: RFC 5758 section 3.2, RFC 4055 section 5."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return der.sequence(_ECDSA[hash_name])
    return der.sequence(_RSA[hash_name], der.NULL)


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.set_of(value))


def _name_and_serial(certificate: bytes) -> tuple[bytes, bytes]:
    part = der.Reader(certificate).enter(der.SEQUENCE).enter(der.SEQUENCE)
    if part.stands_before(_EXPLICIT_0):
        part.take(_EXPLICIT_0)
    serial = part.take_whole(der.INTEGER)
    part.take(der.SEQUENCE)
    return part.take_whole(der.SEQUENCE), serial

"""CMS signatures and timestamp tokens as others make them: read strictly, checked with pyHanko, nobody trusted.

What the signature does not cover (versions, lists of algorithms, identifiers, unsigned attributes, certificates) has to
follow from what it covers, or there is a finding. Import it late: pyHanko brings 20 MB of modules. Not for threads.
Source: RFC 5652 section 5, RFC 5035 section 3, RFC 3161 section 2.4.2.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.general import CMSExtractionError, extract_certificate_info, extract_signer_info
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_self_reported_ts, validate_sig_integrity

from archive.kernel.findings import Finding, indeterminate, invalid
from archive.kernel.instants import Instant
from signing import der
from signing.chains import UNREADABLE, is_issued_by
from signing.container import MalformedContainer
from signing.tokens import DIGEST_ALGORITHMS

MOST_BYTES: Final = 4 * 1024 * 1024
LEAST_RSA_BITS: Final = 2048
READING: Final = (
    *UNREADABLE,
    CMSExtractionError,
    SignatureValidationError,
    UnsupportedAlgorithm,
    NotImplementedError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)
"""What asn1crypto and pyHanko raise over bytes that are no sound container."""
_TOKEN: Final = "signature_time_stamp_token"  # noqa: S105 - the name of an attribute
_DEEPEST: Final = 64
_SOUND: Final = ("sha256", "sha384", "sha512")
_EC_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SIGNATURE_ALGORITHMS: Final = frozenset(
    {
        *(der.sequence(der.oid(f"1.2.840.10045.4.3.{arc}")) for arc in (2, 3, 4)),
        *(der.sequence(der.oid(f"1.2.840.113549.1.1.{arc}"), der.NULL) for arc in (1, 11, 12, 13)),
        der.sequence(der.oid("1.3.101.112")),
        der.sequence(der.oid("1.3.101.113")),
    }
)


@dataclass(frozen=True, slots=True)
class SignedData:
    """A container that could be read. `findings` tell what is wrong outside of what the signature covers.

    `token` is the timestamp over `signature`; `content` is what the container carries along.
    """

    certificate: x509.Certificate
    others: Sequence[x509.Certificate]
    content_type: str
    content: bytes | None
    hash_name: str
    claimed_at: Instant | None
    names_certificate: bool
    signature: bytes
    token: bytes | None
    revocation_lists: Sequence[bytes]
    findings: Sequence[Finding]
    signer_info: Any
    asn1_certificate: Any


def read_signed_data(raw: bytes, *, where: str = "") -> SignedData:
    """Return the parts of a CMS container with one signer.

    Raises: MalformedContainer.
    """
    if len(raw) > MOST_BYTES:
        raise MalformedContainer("The signature is too large", size_bytes=len(raw))
    try:
        return _read(raw, where)
    except READING as exc:
        raise MalformedContainer(f"The signature cannot be read: {str(exc)[:200]}") from exc


def integrity(found: SignedData, digest_of: Callable[[str], bytes], *, where: str = "") -> list[Finding]:
    """Return what contradicts the signature itself, over the content whose digest `digest_of` gives by hash name."""
    refused = _algorithm_findings(found, where)
    if any(each.code == "signature.hash_too_weak" for each in refused):
        return refused
    try:
        is_intact, is_valid = validate_sig_integrity(
            found.signer_info, found.asn1_certificate, found.content_type, digest_of(found.hash_name)
        )
    except SignatureValidationError as exc:
        return [*refused, invalid("signature.certificate_mismatch", f"The signed attributes do not fit: {exc}", where)]
    except (InvalidSignature, *READING) as exc:
        return [*refused, invalid("signature.malformed", f"The signature cannot be checked: {str(exc)[:200]}", where)]
    if not is_intact:
        refused.append(invalid("signature.digest_mismatch", "The content is not the one that was signed", where))
    if not is_valid:
        refused.append(invalid("signature.value_mismatch", "The signature was not made with the signer's key", where))
    return refused


def is_strict_der(raw: bytes) -> bool:
    """Return whether lengths are definite and in their shortest form all the way down, and nothing follows.

    Source: ITU-T X.690 section 10.1.
    """
    return _elements_end(raw, 0, len(raw), depth=0) == len(raw)


def whole_element(raw: bytes) -> bytes:
    """Return the first element of `raw`, for a signature that is followed by padding. Raises: MalformedContainer."""
    try:
        return der.Reader(raw).take_whole(der.SEQUENCE)
    except der.NotDer as exc:
        raise MalformedContainer(f"The signature is not strict DER: {exc}") from exc


def _read(raw: bytes, where: str) -> SignedData:
    outer = cms.ContentInfo.load(raw, strict=True)
    if outer["content_type"].native != "signed_data":
        raise MalformedContainer("The signature is not a CMS signature")
    signed = outer["content"]
    if len(signed["signer_infos"]) != 1:
        raise MalformedContainer("The signature has not exactly one signer", signers=len(signed["signer_infos"]))
    info = extract_signer_info(signed)
    if not info["signed_attrs"].native:
        raise MalformedContainer("The signature has no signed attributes")
    parts = extract_certificate_info(signed)
    certificate = x509.load_der_x509_certificate(parts.signer_cert.dump())
    others = [x509.load_der_x509_certificate(each.dump()) for each in parts.other_certs]
    for each in (certificate, *others):
        _read_through(each)
    carried = signed["encap_content_info"]["content"]
    kinds = [each["type"].native for each in info["signed_attrs"]]
    claimed = extract_self_reported_ts(info)
    token, findings = _unsigned(info, where)
    lists = [] if not signed["crls"].native else [each.chosen.dump() for each in signed["crls"]]
    if not is_strict_der(raw):
        findings.append(indeterminate("signature.not_der", "The signature is not in its one encoding (DER)", where))
    if not _follows(signed, info) or len(kinds) != len(set(kinds)):
        findings.append(
            indeterminate("signature.loose", "What is outside of the signature does not follow from it", where)
        )
    if not _are_linked(certificate, others):
        findings.append(
            indeterminate(
                "signature.stray_certificate", "A certificate inside belongs to no chain of the signer", where
            )
        )
    return SignedData(
        certificate=certificate,
        others=tuple(others),
        content_type=signed["encap_content_info"]["content_type"].native,
        content=None if carried.native is None else bytes(carried),
        hash_name=info["digest_algorithm"]["algorithm"].native,
        claimed_at=None if claimed is None else claimed.astimezone(UTC),
        names_certificate=bool({"signing_certificate", "signing_certificate_v2"} & set(kinds)),
        signature=info["signature"].native,
        token=token,
        revocation_lists=tuple(lists),
        findings=tuple(findings),
        signer_info=info,
        asn1_certificate=asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
    )


def _read_through(certificate: x509.Certificate) -> None:
    """Read what `cryptography` would read late. Raises: what it raises then."""
    _ = (certificate.subject, certificate.issuer, certificate.serial_number, certificate.extensions)
    _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _unsigned(info: Any, where: str) -> tuple[bytes | None, list[Finding]]:
    """Return the timestamp among the unsigned attributes, and what else there is."""
    attributes = info["unsigned_attrs"]
    tokens: list[bytes] = []
    findings: list[Finding] = []
    for each in attributes if attributes.native else []:
        if each["type"].native == _TOKEN and len(each["values"]) == 1 and not tokens:
            tokens.append(each["values"][0].dump())
        else:
            findings.append(
                indeterminate("signature.unsigned_attribute", "The signature holds more that nobody signed", where)
            )
    return (tokens[0] if tokens else None), findings


def _follows(signed: Any, info: Any) -> bool:
    """Return whether versions and algorithm lists are those that the signer's part demands. RFC 5652 section 5.1."""
    by_key = info["sid"].name == "subject_key_identifier"
    is_data = signed["encap_content_info"]["content_type"].native == "data"
    version = "v1" if is_data and not by_key else "v3"
    algorithms = [each.dump() for each in signed["digest_algorithms"]]
    return (
        signed["version"].native == version
        and info["version"].native == ("v3" if by_key else "v1")
        and algorithms == [info["digest_algorithm"].dump()]
        and info["digest_algorithm"].dump() in DIGEST_ALGORITHMS
        and (
            info["signature_algorithm"].dump() in _SIGNATURE_ALGORITHMS
            or info["signature_algorithm"]["algorithm"].native == "rsassa_pss"
        )
    )


def _are_linked(certificate: x509.Certificate, others: Sequence[x509.Certificate]) -> bool:
    """Return whether each further certificate issued one that is linked already, so that none was slipped in."""
    linked, waiting = [certificate], list(others)
    while waiting:
        found = [each for each in waiting if any(is_issued_by(below, each) for below in linked)]
        if not found:
            return False
        linked += found
        waiting = [each for each in waiting if each not in found]
    return True


def _algorithm_findings(found: SignedData, where: str) -> list[Finding]:
    findings = []
    if found.hash_name not in _SOUND:
        findings.append(invalid("signature.hash_too_weak", f"The hash {found.hash_name} is too weak to prove", where))
    try:
        key = found.certificate.public_key()
    except (*UNREADABLE, UnsupportedAlgorithm):
        return [*findings, indeterminate("signature.algorithm_unjudged", "The key is of a kind not known here", where)]
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            findings.append(invalid("signature.key_too_weak", f"RSA with {key.key_size} bits is too weak", where))
    elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        findings.append(
            indeterminate("signature.algorithm_unjudged", "Edwards curves are outside of what is judged here", where)
        )
    elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _EC_CURVES)):
        findings.append(invalid("signature.algorithm_refused", "The signer's key is of a kind that is refused", where))
    return findings


def digester(content: bytes) -> Callable[[str], bytes]:
    """Return what hashes `content` with a hash given by name."""
    return lambda name: hashlib.new(name, content).digest()


def _elements_end(raw: bytes, at: int, end: int, *, depth: int) -> int:
    """Return where the elements that begin at `at` end, which is `end` only when all of them are in strict form."""
    while at < end:
        if at + 2 > end or depth > _DEEPEST or raw[at] & 0x1F == 0x1F:
            return -1
        is_constructed, size, start = bool(raw[at] & 0x20), raw[at + 1], at + 2
        if size >= 0x80:
            count = size & 0x7F
            size = int.from_bytes(raw[start : start + count], "big")
            if not 1 <= count <= 4 or raw[start] == 0 or size < 0x80:
                return -1
            start += count
        if start + size > end:
            return -1
        if is_constructed and _elements_end(raw, start, start + size, depth=depth + 1) != start + size:
            return -1
        at = start + size
    return at

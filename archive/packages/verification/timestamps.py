"""Check 4: RFC 3161 timestamps, read in one form only: what is not signed must follow from what is.

The form is read by `signing.tokens`. Certificates besides the signer's must be among the package's own.
Source: RFC 3161 section 2.4.2, RFC 5816, RFC 5652 section 5.
"""

import hashlib

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.instants import Instant
from archive.packages.verification.certificates import LEAST_RSA_BITS, Certificate, Chains, key_kind, verifies
from archive.packages.verification.findings import Verdict
from signing.tokens import MalformedToken, Token, read_info, take_apart


def judge_timestamp(content: bytes, raw: bytes, *, chains: Chains) -> tuple[Verdict, Instant | None]:
    """Judge an RFC 3161 response or bare token over `content`; also return its time, unless it is invalid."""
    try:
        return _judge(content, take_apart(raw), chains)
    except InvalidInput as exc:
        return Verdict("timestamp.malformed", Outcome.INVALID, exc.message), None


def _judge(content: bytes, token: Token, chains: Chains) -> tuple[Verdict, Instant | None]:  # noqa: PLR0911 (one return for each thing that can be said)
    at = _time_of(token.info, content)
    if at is None or not token.is_bound:
        return _invalid("it is of other bytes")
    if not token.names_certificate:
        return _invalid("another certificate")
    known = {each.raw for each in chains.pool}
    if not all(each in known for each in token.others):
        raise MalformedToken("a certificate is not in certs/")
    certificate = Certificate.parse(token.certificate)
    if key_kind(certificate.key, least_rsa_bits=LEAST_RSA_BITS) != token.kind or not verifies(
        certificate.key, hash_name=token.hash_name, signature=token.signature, message=token.attributes
    ):
        return _invalid("the signature does not verify")
    if not certificate.is_for_time_only:
        return _invalid("the certificate is not for timestamps")
    if not certificate.covers(at) or chains.is_forged(certificate):
        return _invalid("the certificate did not hold then")
    if not chains.for_time.reach(certificate, at=at):
        return Verdict("timestamp.untrusted", Outcome.INDETERMINATE), at
    return Verdict("timestamp.valid", Outcome.VALID, f"{at:%Y-%m-%dT%H:%M:%SZ}"), at


def _invalid(detail: str) -> tuple[Verdict, None]:
    return Verdict("timestamp.invalid", Outcome.INVALID, detail), None


def _time_of(info: bytes, content: bytes) -> Instant | None:
    """Return the time in a TSTInfo; None if it is over other bytes."""
    stamped = read_info(info)
    if stamped.hash_name is None:
        raise MalformedToken("the hash algorithm is not on the list")
    return stamped.at if hashlib.new(stamped.hash_name, content).digest() == stamped.imprint else None

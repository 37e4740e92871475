"""Check 3: the detached signatures over the tag manifests. Source: RFC 5652, ETSI EN 319 122-1 (CAdES)."""

import hashlib
import hmac
from datetime import timedelta
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.instants import Instant
from archive.packages.verification.certificates import (
    CONTENT_COMMITMENT,
    DIGITAL_SIGNATURE,
    FOR_DOCUMENTS,
    SIGNER_RSA_BITS,
    Certificate,
    Chains,
    RefusedKey,
    key_kind,
    verifies,
)
from archive.packages.verification.findings import Verdict
from signing import container

_CLOCKS_DIFFER: Final = timedelta(minutes=5)


def judge_signature(content: bytes, p7s: bytes, *, chains: Chains, at: Instant) -> Verdict:
    """Judge a detached signature that surely exists since `at`. The first thing that does not hold is what is said."""
    try:
        parts = container.take_apart(p7s)
        if not parts.names_certificate:
            return _invalid("signature.certificate_mismatch")
        certificate = Certificate.parse(parts.certificate)
        kind = key_kind(certificate.key, least_rsa_bits=SIGNER_RSA_BITS)
        digest = hashlib.new(parts.digest_algorithm, content).digest()
        if not hmac.compare_digest(digest, parts.message_digest):
            return _invalid("signature.digest_mismatch")
        if kind != parts.signature_algorithm or not verifies(
            certificate.key,
            hash_name=parts.digest_algorithm,
            signature=parts.signature,
            message=parts.signed_attributes,
        ):
            return _invalid("signature.value_mismatch")
        return _judge_signer(certificate, parts.signing_time, chains=chains, at=at)
    except (container.RefusedAlgorithm, RefusedKey) as exc:
        return _invalid("signature.algorithm_refused", exc.message)
    except InvalidInput as exc:
        return _invalid("signature.malformed", exc.message)


def _judge_signer(certificate: Certificate, claimed: Instant, *, chains: Chains, at: Instant) -> Verdict:  # noqa: PLR0911 (one return for each thing that can be said)
    purposes = certificate.purposes
    may_sign = certificate.usage & {DIGITAL_SIGNATURE, CONTENT_COMMITMENT}
    if not may_sign or (purposes is not None and FOR_DOCUMENTS.isdisjoint(purposes)):
        return _invalid("signature.key_usage")
    if not certificate.covers(claimed):
        return _invalid("signature.outside_validity")
    if claimed > at + _CLOCKS_DIFFER:
        return Verdict("signature.time_ahead", Outcome.INDETERMINATE)
    if chains.is_forged(certificate):
        return _invalid("signature.certificate_forged")
    if not chains.reach(certificate, at=claimed):
        return Verdict("signature.untrusted", Outcome.INDETERMINATE)
    if not chains.reach(certificate, at=at):
        return Verdict("signature.certificate_expired", Outcome.INDETERMINATE)
    return Verdict("signature.valid", Outcome.VALID, f"{claimed:%Y-%m-%dT%H:%M:%SZ}")


def _invalid(code: str, detail: str = "") -> Verdict:
    return Verdict(code, Outcome.INVALID, detail)

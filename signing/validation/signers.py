"""Whether a certificate stood behind a signature at the proven time: purpose, validity, trust, revocation.

Source: ETSI EN 319 102-1 section 5.2.6 and 5.6.2; RFC 5280 sections 4.2.1.3 and 4.2.1.12.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.findings import Finding, indeterminate, invalid, valid
from archive.kernel.instants import Instant, format_instant
from signing.chains import UNREADABLE
from signing.validation.paths import TrustPath, describe, find_path, is_forged
from signing.validation.revocation import Evidence, Status
from signing.validation.stamps import CLOCKS_DIFFER
from signing.validation.trust import SIGNERS, TrustList
from signing.validation.verdict import RevocationState, Signer

_DOCUMENT_PURPOSES: Final = frozenset(
    {
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # id-kp-documentSigning, RFC 9336
        x509.ObjectIdentifier("1.2.840.113583.1.1.5"),  # Adobe Authentic Documents
        x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"),  # Microsoft document signing
    }
)


@dataclass(frozen=True, slots=True)
class SignerVerdict:
    """The judgement on the signer alone."""

    signer: Signer
    status: Status
    findings: Sequence[Finding]
    path: TrustPath | None


def judge_signer(
    certificate: x509.Certificate,
    *,
    claimed_at: Instant | None,
    proven_at: Instant | None,
    at: Instant,
    trust: TrustList,
    evidence: Evidence,
    others: Sequence[x509.Certificate],
    where: str,
) -> SignerVerdict:
    """Judge the signer as of the proven time, or as of `at`, the time of the check, where nothing proves another."""
    moment = at if proven_at is None else proven_at
    path = find_path(certificate, trust=trust, wanted=SIGNERS, others=others, at=moment)
    findings = _time_findings(certificate, claimed_at=claimed_at, proven_at=proven_at, at=at, where=where)
    if not may_sign_documents(certificate):
        findings.append(invalid("signature.key_usage", "The certificate is not one for signing documents", where))
    status = Status(RevocationState.UNKNOWN)
    if path is not None:
        status = evidence.status(path, at=moment, known_at=at)
        findings += _revocation(status, proven_at=proven_at, claimed_at=claimed_at, where=where)
    elif is_forged(certificate, trust):
        findings.append(
            invalid("signature.certificate_forged", "The certificate names an authority that did not issue it", where)
        )
    elif certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        findings.append(
            indeterminate("signature.untrusted", "The signer leads to no authority on the trust list", where)
        )
    else:
        # Out of its own time it has no chain; whether it ever led to a trusted authority is said all the same.
        middle = max(certificate.not_valid_before_utc, min(moment, certificate.not_valid_after_utc))
        path = find_path(certificate, trust=trust, wanted=SIGNERS, others=others, at=middle)
        if path is None:
            findings.append(
                indeterminate("signature.untrusted", "The signer leads to no authority on the trust list", where)
            )
    signer = describe(certificate, path)
    if all(each.code == "signature.revoked_later" for each in findings):
        time = f"proven {format_instant(moment)}" if proven_at is not None else f"not revoked at {format_instant(at)}"
        findings.append(valid("signature.established", f"Signed by {signer.subject}, {time}", where))
    return SignerVerdict(signer, status, tuple(findings), path)


def may_sign_documents(certificate: x509.Certificate) -> bool:
    """Return whether the certificate's usages allow it to sign documents."""
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    except UNREADABLE:
        return False
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature or usage.content_commitment):
            return False
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as exc:
        return exc.oid != x509.KeyUsage.oid
    except UNREADABLE:
        return False
    return not _DOCUMENT_PURPOSES.isdisjoint(purposes)


def _time_findings(
    certificate: x509.Certificate,
    *,
    claimed_at: Instant | None,
    proven_at: Instant | None,
    at: Instant,
    where: str,
) -> list[Finding]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    moment = at if proven_at is None else proven_at
    findings = []
    if moment < begins:
        findings.append(invalid("signature.not_yet_valid", "The certificate does not hold yet", where))
    elif moment > ends:
        findings.append(
            indeterminate(
                "signature.certificate_expired",
                "The certificate has ended, and nothing here shows that the signature is older",
                where,
            )
        )
    if claimed_at is None:
        return findings
    if proven_at is not None:
        if claimed_at > proven_at + CLOCKS_DIFFER:
            findings.append(
                indeterminate("signature.clock_off", "The signer's clock was ahead of the timestamp's", where)
            )
    elif claimed_at > at + CLOCKS_DIFFER:
        findings.append(
            indeterminate("signature.time_ahead", "The claimed time is later than the time of the check", where)
        )
    if not begins - CLOCKS_DIFFER <= claimed_at <= ends:
        findings.append(
            invalid("signature.outside_validity", "The claimed time is outside the certificate's validity", where)
        )
    return findings


def _revocation(status: Status, *, proven_at: Instant | None, claimed_at: Instant | None, where: str) -> list[Finding]:
    if status.state is RevocationState.UNKNOWN:
        return [indeterminate("signature.revocation_unknown", "Nobody says whether the certificate was revoked", where)]
    if status.revoked_at is None:
        return []
    since = f"The certificate was revoked at {format_instant(status.revoked_at)}"
    if proven_at is not None:
        if status.revoked_at <= proven_at:
            return [invalid("signature.revoked", f"{since}, before the signature is proven to exist", where)]
        return [valid("signature.revoked_later", f"{since}, after the signature was made", where)]
    if claimed_at is not None and claimed_at < status.revoked_at:
        return [
            indeterminate(
                "signature.revoked_unproven", f"{since}, and nothing proves that the signature is older", where
            )
        ]
    return [invalid("signature.revoked", f"{since}, before the signature says it was made", where)]

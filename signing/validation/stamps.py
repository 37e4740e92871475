"""Whether a timestamp proves a time: its form, what it is over, who made it, and whether that still holds.

Source: RFC 3161 sections 2.3, 2.4.2 and 4; ETSI EN 319 102-1 section 5.4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final

from asn1crypto import tsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from archive.kernel.instants import Instant, format_instant
from signing.chains import UNREADABLE
from signing.container import MalformedContainer
from signing.validation.paths import describe, find_path
from signing.validation.revocation import Evidence, Status
from signing.validation.signed_data import READING, SignedData, digester, integrity, read_signed_data
from signing.validation.trust import STAMPERS, TrustList
from signing.validation.verdict import RevocationState, Signer

CLOCKS_DIFFER: Final = timedelta(minutes=5)
_SOUND: Final = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class StampVerdict:
    """The judgement on a timestamp. `at` is what it states; it proves it only when the outcome is valid."""

    findings: Sequence[Finding]
    at: Instant | None = None
    by: Signer | None = None
    status: Status = Status(RevocationState.UNKNOWN)  # noqa: RUF009 - it is frozen
    has_long_term_material: bool = False

    @property
    def is_proof(self) -> bool:
        """Whether every finding is valid."""
        return bool(self.findings) and all(each.outcome is Outcome.VALID for each in self.findings)


def judge_stamp(
    raw: bytes,
    imprint: Callable[[str], bytes],
    *,
    trust: TrustList,
    evidence: Evidence,
    inside: Evidence,
    others: Sequence[x509.Certificate],
    horizon: Instant,
    at: Instant,
    where: str,
) -> StampVerdict:
    """Judge a token over what `imprint` hashes, as of `horizon`: a time at which the token surely existed, else `at`.

    `at` is the time of the check. `inside` is the part of the evidence that the document carries itself.
    """
    try:
        found = read_signed_data(raw, where=where)
        stated = _stated(found)
    except LiuhenError as exc:
        return StampVerdict((invalid("signature.timestamp_unreadable", str(exc)[:300], where),))
    states: Instant = stated["gen_time"].native.astimezone(UTC)
    findings = _broken(found, stated, imprint, where)
    if not _is_for_time_only(found.certificate):
        findings.append(
            invalid("signature.timestamp_key_usage", "The timestamp's certificate is not for timestamps alone", where)
        )
    if not found.certificate.not_valid_before_utc <= states <= found.certificate.not_valid_after_utc:
        findings.append(
            invalid("signature.timestamp_outside_validity", "The timestamp's certificate did not hold then", where)
        )
    if states > horizon + CLOCKS_DIFFER:
        findings.append(
            indeterminate("signature.time_ahead", "The timestamp states a time later than that of the check", where)
        )
    path = find_path(found.certificate, trust=trust, wanted=STAMPERS, others=(*found.others, *others), at=states)
    by = describe(found.certificate, path)
    status = Status(RevocationState.UNKNOWN)
    if path is None:
        findings.append(
            indeterminate("signature.timestamp_untrusted", "The timestamp's authority is not on the trust list", where)
        )
    else:
        if found.certificate.not_valid_after_utc < horizon:
            findings.append(
                indeterminate(
                    "signature.timestamp_expired",
                    "The timestamp's certificate has ended, and no later timestamp renewed it",
                    where,
                )
            )
        status = evidence.status(path, at=min(horizon, found.certificate.not_valid_after_utc), known_at=at)
        findings += _revocation(status, horizon, where)
    if not findings:
        findings = [
            valid("signature.timestamp", f"A timestamp proves {format_instant(states)}", where),
        ]
    has_material = path is not None and inside.status(path, at=states, known_at=at).state is RevocationState.GOOD
    return StampVerdict(tuple(findings), states, by, status, has_material)


def _stated(found: SignedData) -> Any:
    try:
        if found.content_type != "tst_info" or found.content is None:
            raise ValueError("this is a signature, not a timestamp")
        return tsp.TSTInfo.load(found.content, strict=True)
    except READING as exc:
        raise MalformedContainer(f"The timestamp cannot be read: {exc}") from exc


def _broken(found: SignedData, stated: Any, imprint: Callable[[str], bytes], where: str) -> list[Finding]:
    findings = [*found.findings, *integrity(found, digester(found.content or b""), where=where)]
    try:
        algorithm = stated["message_imprint"]["hash_algorithm"]["algorithm"].native
        if algorithm not in _SOUND:
            findings.append(invalid("signature.hash_too_weak", f"The timestamp is over {algorithm}", where))
        elif stated["message_imprint"]["hashed_message"].native != imprint(algorithm):
            findings.append(invalid("signature.timestamp_mismatch", "The timestamp is over other bytes", where))
    except READING as exc:
        findings.append(invalid("signature.timestamp_unreadable", str(exc)[:300], where))
    if not found.names_certificate:
        findings.append(
            indeterminate("signature.certificate_unbound", "The timestamp does not name its certificate", where)
        )
    return findings


def _revocation(status: Status, horizon: Instant, where: str) -> list[Finding]:
    if status.state is RevocationState.UNKNOWN:
        return [
            indeterminate(
                "signature.timestamp_revocation_unknown",
                "Nobody says whether the timestamp's certificate was revoked",
                where,
            )
        ]
    if status.revoked_at is not None and status.revoked_at <= horizon:
        return [
            indeterminate(
                "signature.timestamp_revoked",
                f"The timestamp's certificate was revoked at {format_instant(status.revoked_at)}",
                where,
            )
        ]
    return []


def _is_for_time_only(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    return found.critical and list(found.value) == [ExtendedKeyUsageOID.TIME_STAMPING]

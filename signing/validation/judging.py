"""The judgement on one container, whatever it stands in: what was signed, when for certain, by whom.

Import it late: pyHanko brings 20 MB of modules.
Source: ETSI EN 319 102-1 sections 5.3, 5.5 and 5.6.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509

from archive.kernel.findings import valid
from archive.kernel.instants import Instant
from signing.validation.revocation import Evidence
from signing.validation.signed_data import SignedData, digester, integrity
from signing.validation.signers import judge_signer
from signing.validation.stamps import StampVerdict, judge_stamp
from signing.validation.trust import TrustList
from signing.validation.verdict import Level, RevocationState, SignatureVerdict


@dataclass(frozen=True, slots=True)
class Material:
    """What signatures are judged by. `inside` is the part of the evidence that comes with what is judged."""

    trust: TrustList
    at: Instant
    evidence: Evidence
    inside: Evidence
    others: Sequence[x509.Certificate]


def judge_signed_data(
    signed: SignedData,
    digest_of: Callable[[str], bytes],
    *,
    material: Material,
    renewed_at: Instant | None = None,
    declared_at: Instant | None = None,
    where: str = "",
) -> SignatureVerdict:
    """Judge a container over the content whose digest `digest_of` gives.

    `renewed_at` is a time at which the whole surely existed, such as that of a later document timestamp;
    `declared_at` the claimed time where the container itself names none.
    """
    claimed_at = signed.claimed_at or declared_at
    broken = integrity(signed, digest_of, where=where)
    findings = [*signed.findings, *broken]
    if not broken:
        findings.append(valid("signature.intact", "Content and certificate are the ones that were signed", where))
    lists = Evidence.read(signed.revocation_lists, ())
    evidence, inside = material.evidence + lists, material.inside + lists
    others = (*signed.others, *material.others)
    stamp = None
    if signed.token is not None:
        stamp = judge_stamp(
            signed.token,
            digester(signed.signature),
            trust=material.trust,
            evidence=evidence,
            inside=inside,
            others=others,
            horizon=renewed_at or material.at,
            at=material.at,
            where=where,
        )
        findings += stamp.findings
    proven = [at for at in (renewed_at, _proven(stamp)) if at is not None]
    proven_at = min(proven, default=None)
    judged = judge_signer(
        signed.certificate,
        claimed_at=claimed_at,
        proven_at=proven_at,
        at=material.at,
        trust=material.trust,
        evidence=evidence,
        others=others,
        where=where,
    )
    level = Level.NONE
    if not broken and signed.names_certificate:
        level = Level.B_B if proven_at is None else Level.B_T
        moment = material.at if proven_at is None else proven_at
        is_told = judged.path is not None and (
            inside.status(judged.path, at=moment, known_at=material.at).state is not RevocationState.UNKNOWN
        )
        if is_told and stamp is not None and stamp.is_proof and stamp.has_long_term_material:
            level = Level.B_LT if renewed_at is None else Level.B_LTA
    return SignatureVerdict(
        field=where,
        is_document_timestamp=False,
        level=level,
        signer=judged.signer,
        claimed_at=claimed_at,
        proven_at=proven_at,
        timestamp_by=None if stamp is None else stamp.by,
        revocation=judged.status.state,
        revoked_at=judged.status.revoked_at,
        revocation_source=judged.status.source,
        revocation_told_at=judged.status.told_at,
        findings=(*findings, *judged.findings),
    )


def _proven(stamp: StampVerdict | None) -> Instant | None:
    return stamp.at if stamp is not None and stamp.is_proof else None

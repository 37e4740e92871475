"""What a judgement says: who, when, level, revocation, what changed; all of it as coded findings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from archive.kernel.findings import Finding, Outcome, worst
from archive.kernel.instants import Instant, format_instant


class Level(StrEnum):
    """The PAdES or CAdES level that a signature reaches. Source: ETSI EN 319 142-1 section 6.1."""

    NONE = "none"
    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"


class RevocationState(StrEnum):
    """What is known of a certificate's revocation."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class ChangeKind(StrEnum):
    """What one revision after a signature did."""

    SIGNATURE = "signature"
    TIMESTAMP = "timestamp"
    VALIDATION_MATERIAL = "validation_material"
    DESCRIPTION = "description"
    FORM_FILL = "form_fill"
    ANNOTATION = "annotation"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose certificate it is, and from when until when it holds.

    `trusted_as` names the entry of the trust list; empty where none vouches for it.
    """

    subject: str
    issuer: str
    serial: str
    sha256: str
    valid_from: Instant
    valid_until: Instant
    is_self_issued: bool
    trusted_as: str = ""
    trusted_for: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": self.serial,
            "sha256": self.sha256,
            "valid_from": format_instant(self.valid_from),
            "valid_until": format_instant(self.valid_until),
            "is_self_issued": self.is_self_issued,
            "trusted_as": self.trusted_as,
            "trusted_for": list(self.trusted_for),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a revision of a PDF added. `revision` counts from 1; `fields` are the form fields that it touched."""

    revision: int
    kind: ChangeKind
    fields: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"revision": self.revision, "kind": self.kind.value, "fields": list(self.fields)}


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """The judgement on one signature or document timestamp.

    `claimed_at` is what the signer says, `proven_at` what a valid timestamp proves. `is_kept` says whether the signer's
    own limits to later changes (DocMDP, FieldMDP) were kept; None where there was nothing to keep. What is known of a
    revocation was said by `revocation_source` (`crl`, `ocsp`) at `revocation_told_at`.
    """

    field: str
    is_document_timestamp: bool
    level: Level = Level.NONE
    signer: Signer | None = None
    claimed_at: Instant | None = None
    proven_at: Instant | None = None
    timestamp_by: Signer | None = None
    revocation: RevocationState = RevocationState.UNKNOWN
    revoked_at: Instant | None = None
    revocation_source: str = ""
    revocation_told_at: Instant | None = None
    revision: int = 0
    covers_whole_file: bool = False
    permission: int | None = None
    is_kept: bool | None = None
    changes: Sequence[Change] = ()
    findings: Sequence[Finding] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of the findings; without any it is indeterminate."""
        return worst(finding.outcome for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: outcome first."""
        return {
            "outcome": self.outcome.value,
            "field": self.field,
            "is_document_timestamp": self.is_document_timestamp,
            "level": self.level.value,
            "signer": None if self.signer is None else self.signer.as_json(),
            "claimed_at": _instant(self.claimed_at),
            "proven_at": _instant(self.proven_at),
            "timestamp_by": None if self.timestamp_by is None else self.timestamp_by.as_json(),
            "revocation": self.revocation.value,
            "revoked_at": _instant(self.revoked_at),
            "revocation_source": self.revocation_source,
            "revocation_told_at": _instant(self.revocation_told_at),
            "revision": self.revision,
            "covers_whole_file": self.covers_whole_file,
            "permission": self.permission,
            "is_kept": self.is_kept,
            "changes": [each.as_json() for each in self.changes],
            "findings": [each.as_json() for each in self.findings],
        }


@dataclass(frozen=True, slots=True)
class DocumentVerdict:
    """The judgement on a file: what holds for it as a whole, and each of its signatures in the order of revisions."""

    judged_at: Instant
    findings: Sequence[Finding] = ()
    signatures: Sequence[SignatureVerdict] = field(default_factory=tuple)
    revisions: int = 0

    @property
    def outcome(self) -> Outcome:
        """Valid only when every finding and every signature is; a file without signature is indeterminate."""
        if not self.signatures:
            return worst([Outcome.INDETERMINATE, *(each.outcome for each in self.findings)])
        return worst([*(each.outcome for each in self.findings), *(each.outcome for each in self.signatures)])

    @property
    def codes(self) -> frozenset[str]:
        """All codes of the file and of its signatures."""
        all_findings = [*self.findings, *(found for each in self.signatures for found in each.findings)]
        return frozenset(each.code for each in all_findings)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: outcome first, then the file's findings, then each signature."""
        return {
            "outcome": self.outcome.value,
            "judged_at": format_instant(self.judged_at),
            "revisions": self.revisions,
            "findings": [each.as_json() for each in self.findings],
            "signatures": [each.as_json() for each in self.signatures],
        }


def _instant(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)

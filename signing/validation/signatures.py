"""One signature inside a PDF: its place in the file, its container, its time, its signer, and what came after it.

Import it late: pyHanko brings 20 MB of modules.
Source: ETSI EN 319 102-1 sections 5.3 to 5.6; ISO 32000-2 section 12.8.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis.policy_api import DiffResult, ModificationLevel
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, indeterminate, invalid
from archive.kernel.instants import Instant
from signing.validation import structure
from signing.validation.changes import PARSING, History, added_visible_fields, entry
from signing.validation.judging import Material, judge_signed_data
from signing.validation.signed_data import read_signed_data, whole_element
from signing.validation.stamps import StampVerdict, judge_stamp
from signing.validation.verdict import Change, ChangeKind, Level, SignatureVerdict

_PADES: Final = "/ETSI.CAdES.detached"
_ALLOWED_FILTERS: Final = (_PADES, "/adbe.pkcs7.detached", "/ETSI.RFC3161")


@dataclass(frozen=True, slots=True)
class Context(Material):
    """What all signatures of a document are judged by."""

    history: History


@dataclass(frozen=True, slots=True)
class EmbeddedSignature:
    """A signature as it stands in the file. `place` tells what is wrong with its ranges, before anything else is."""

    name: str
    embedded: Any
    container: bytes
    place: Sequence[Finding]
    is_document_timestamp: bool

    @property
    def revision(self) -> int:
        """The revision that it signs, counted from 0."""
        signed: int = self.embedded.signed_revision
        return signed

    @property
    def end(self) -> int:
        """The byte after the last that it signs."""
        return int(self.embedded.byte_range[2]) + int(self.embedded.byte_range[3])


def read_embedded(reader: PdfFileReader, sig_field: Any, name: str, raw: structure.Bytes) -> EmbeddedSignature:
    """Return the signature in a field. Raises: MalformedContainer, what pyHanko raises."""
    embedded = EmbeddedPdfSignature(reader, sig_field, name)
    reference = embedded.sig_field.raw_get("/V").reference
    offset = reader.xrefs.get_historical_ref(reference, embedded.signed_revision)
    ranges = [int(each) if isinstance(each, generic.NumberObject) else -1 for each in embedded.byte_range]
    place = structure.gap_findings(
        raw, ranges, embedded.pkcs7_content, object_at=offset if isinstance(offset, int) else None, where=name
    )
    container = whole_element(embedded.pkcs7_content)
    place += structure.padding_findings(embedded.pkcs7_content, container, where=name)
    kind, form = entry(embedded.sig_object, "/Type") or "/Sig", entry(embedded.sig_object, "/SubFilter")
    is_timestamp = kind == "/DocTimeStamp" or form == "/ETSI.RFC3161"
    if form not in _ALLOWED_FILTERS or (is_timestamp and (kind, form) != ("/DocTimeStamp", "/ETSI.RFC3161")):
        place.append(indeterminate("signature.form_refused", f"This form of signature is not judged: {form}", name))
    return EmbeddedSignature(name, embedded, container, tuple(place), is_timestamp)


def proofs_of(found: Sequence[EmbeddedSignature], context: Context) -> Mapping[int, StampVerdict]:
    """Return the verdict on each document timestamp by its place in the list, judged from the last to the first.

    A later one that proves its time lets an earlier one be judged as of that time: that is what renewal is for.
    """
    proofs: dict[int, StampVerdict] = {}
    for number in reversed(range(len(found))):
        each = found[number]
        if each.is_document_timestamp:
            proofs[number] = judge_stamp(
                each.container,
                _range_digester(each.embedded),
                trust=context.trust,
                evidence=context.evidence,
                inside=context.inside,
                others=context.others,
                horizon=_horizon(each, found, proofs) or context.at,
                at=context.at,
                where=each.name,
            )
    return proofs


def judge_embedded(
    each: EmbeddedSignature,
    context: Context,
    found: Sequence[EmbeddedSignature],
    proofs: Mapping[int, StampVerdict],
) -> SignatureVerdict:
    """Judge one signature; `found` are all of the document, `proofs` the verdicts on its document timestamps."""
    changes = tuple(context.history.after(each.revision))
    is_kept, later = _later(each, changes, context)
    base = SignatureVerdict(
        field=each.name,
        is_document_timestamp=each.is_document_timestamp,
        revision=each.revision + 1,
        covers_whole_file=each.embedded.coverage is SignatureCoverageLevel.ENTIRE_FILE,
        permission=_permission(each.embedded),
        is_kept=is_kept,
        changes=changes,
    )
    findings = (*each.place, *later)
    if each.is_document_timestamp:
        proof = proofs[found.index(each)]
        return replace(
            base,
            signer=proof.by,
            claimed_at=proof.at,
            proven_at=proof.at if proof.is_proof else None,
            revocation=proof.status.state,
            revoked_at=proof.status.revoked_at,
            findings=(*findings, *proof.findings),
        )
    try:
        signed = read_signed_data(each.container, where=each.name)
    except LiuhenError as exc:
        return replace(base, findings=(*findings, invalid(exc.code, str(exc)[:300], each.name)))
    if signed.content_type != "data" or signed.content is not None:
        broken = invalid("signature.malformed", "The signature carries other content along", each.name)
        return replace(base, findings=(*findings, broken))
    judged = judge_signed_data(
        signed,
        _range_digester(each.embedded),
        material=context,
        renewed_at=_horizon(each, found, proofs),
        declared_at=_declared_time(each.embedded),
        where=each.name,
    )
    is_pades = entry(each.embedded.sig_object, "/SubFilter") == _PADES
    return replace(
        base,
        level=judged.level if is_pades else Level.NONE,
        signer=judged.signer,
        claimed_at=judged.claimed_at,
        proven_at=judged.proven_at,
        timestamp_by=judged.timestamp_by,
        revocation=judged.revocation,
        revoked_at=judged.revoked_at,
        revocation_source=judged.revocation_source,
        revocation_told_at=judged.revocation_told_at,
        findings=(*findings, *judged.findings),
    )


def _horizon(
    each: EmbeddedSignature, found: Sequence[EmbeddedSignature], proofs: Mapping[int, StampVerdict]
) -> Instant | None:
    """Return the earliest time that a later document timestamp proves, or None."""
    proven = [
        stamp.at
        for number, stamp in proofs.items()
        if stamp.at is not None
        and stamp.is_proof
        and not found[number].place
        and found[number].revision > each.revision
        and found[number].end > each.end
    ]
    return min(proven, default=None)


def _later(each: EmbeddedSignature, changes: Sequence[Change], context: Context) -> tuple[bool | None, list[Finding]]:
    """Return whether the signer's limits to changes were kept, and what is to be said of the changes."""
    where = each.name
    try:
        each.embedded.compute_integrity_info()
        summary = each.embedded.summarise_integrity_info()
    except (SignatureValidationError, *PARSING) as exc:
        return None, [
            indeterminate("signature.changes_unjudged", f"Later changes cannot be judged: {exc}"[:300], where)
        ]
    findings = []
    if each.embedded.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        findings.append(invalid("signature.not_whole", "The signature covers only a part of the document", where))
    permission = _permission(each.embedded)
    has_limits = permission is not None or each.embedded.fieldmdp is not None
    result = summary["diff_result"]
    level = result.modification_level if isinstance(result, DiffResult) else ModificationLevel.OTHER
    kinds = {change.kind for change in changes}
    if level is ModificationLevel.OTHER or level is ModificationLevel.ANNOTATIONS:
        if ChangeKind.ANNOTATION in kinds:
            findings.append(invalid("signature.annotated_after", "Notes were laid over the document later", where))
        if kinds - {ChangeKind.ANNOTATION} or not kinds:
            findings.append(invalid("signature.changed_after", "The document was changed after it was signed", where))
    elif not summary["docmdp_ok"]:
        findings.append(invalid("signature.limits_broken", "Something came later that the signer ruled out", where))
    elif ChangeKind.FORM_FILL in kinds:
        findings.append(
            indeterminate("signature.filled_after", "Fields of the form were filled in after it was signed", where)
        )
    elif ChangeKind.DESCRIPTION in kinds:
        findings.append(
            indeterminate("signature.described_after", "Something besides the content was changed later", where)
        )
    if added := added_visible_fields(context.history, each.revision):
        told = ", ".join(added[:5])
        findings.append(
            indeterminate(
                "signature.visible_field_added", f"A field that nobody signed was laid over it: {told}", where
            )
        )
    is_kept = bool(summary["docmdp_ok"]) and level is not ModificationLevel.OTHER
    return (is_kept if has_limits else None), findings


def _permission(embedded: Any) -> int | None:
    """Return the DocMDP level that the signer set. Source: ISO 32000-2 table 257."""
    level = embedded.docmdp_level
    return None if level is None else int(level.value)


def _range_digester(embedded: Any) -> Callable[[str], bytes]:
    return lambda name: bytes(embedded.compute_digest(name))


def _declared_time(embedded: Any) -> Instant | None:
    try:
        told = embedded.self_reported_timestamp
    except PARSING:
        return None
    return None if told is None or told.tzinfo is None else told.astimezone(UTC)

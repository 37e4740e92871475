"""The judgement on a signed PDF: each signature, each document timestamp, and the file around them.

Import it late: pyHanko brings 20 MB of modules. Foreign PDFs come here in the sandbox only (`ingest.documents`).
Not for several threads.
Source: ETSI EN 319 102-1 sections 5.3 to 5.6; ETSI EN 319 142-1 section 6; ISO 32000-2 section 12.8.
"""

import contextlib
import logging
import mmap
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO, Final

from cryptography import x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.crypt import AuthStatus
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields

from archive.kernel.findings import Finding, indeterminate, invalid
from archive.kernel.instants import Instant
from signing.chains import UNREADABLE
from signing.validation import structure
from signing.validation.changes import PARSING, History, entry, listed, resolved
from signing.validation.revocation import Evidence
from signing.validation.signatures import Context, EmbeddedSignature, judge_embedded, proofs_of, read_embedded
from signing.validation.trust import TrustList
from signing.validation.verdict import ChangeKind, DocumentVerdict

MOST_BYTES: Final = 1024 * 1024 * 1024
_LINEARISED_WITHIN: Final = 1024
_MOST_SIGNATURES: Final = 500
_MOST_REVISIONS: Final = 1000
_MOST_MATERIAL: Final = 2000

# What pyHanko says of each odd revision it says to the log too; here it is told by findings.
logging.getLogger("pyhanko").addHandler(logging.NullHandler())


def judge_document(
    pdf: bytes | BinaryIO,
    *,
    trust: TrustList,
    at: Instant,
    crls: Sequence[bytes] = (),
    ocsp_answers: Sequence[bytes] = (),
) -> DocumentVerdict:
    """Judge a PDF as of `at`: valid only where all signatures are, and nothing but them came after them.

    Whatever the bytes are, there is a verdict: what cannot be read is indeterminate, a contradiction invalid.
    """
    with _mapped(pdf) as raw:
        if len(raw) > MOST_BYTES:
            return DocumentVerdict(at, (indeterminate("document.too_large", "The document is too large to be judged"),))
        findings = structure.file_findings(raw)
        if len(structure.endings(raw)) > _MOST_REVISIONS:
            many = indeterminate("document.too_large", "The document has more revisions than are judged")
            return DocumentVerdict(at, (*findings, many))
        stream: BinaryIO = BytesIO(pdf) if isinstance(pdf, bytes) else pdf
        try:
            return _judged(stream, raw, findings, trust=trust, at=at, given=Evidence.read(crls, ocsp_answers))
        except (*PARSING, *UNREADABLE) as exc:
            said = str(exc)[:200] or type(exc).__name__
            unread = indeterminate("document.unreadable", f"The document cannot be read: {said}")
            return DocumentVerdict(at, (*findings, unread))


@contextlib.contextmanager
def _mapped(pdf: bytes | BinaryIO) -> Iterator[structure.Bytes]:
    if isinstance(pdf, bytes):
        yield pdf
        return
    size = pdf.seek(0, 2)
    if size == 0:  # nothing can be mapped
        yield b""
        return
    with mmap.mmap(pdf.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _judged(
    stream: BinaryIO,
    raw: structure.Bytes,
    findings: list[Finding],
    *,
    trust: TrustList,
    at: Instant,
    given: Evidence,
) -> DocumentVerdict:
    reader = PdfFileReader(stream)
    if reader.encrypted and reader.decrypt(b"").status == AuthStatus.FAILED:
        return DocumentVerdict(
            at, (*findings, indeterminate("document.encrypted", "The document opens with a password only"))
        )
    if reader.xrefs.hybrid_xrefs_present:
        findings.append(indeterminate("document.hybrid", "Different readers see different documents in this file"))
    findings += _layout(reader, raw)
    found, unread = _signatures(reader, raw)
    findings += unread
    inside, others = _material(reader)
    signed_in = {
        each.revision: ChangeKind.TIMESTAMP if each.is_document_timestamp else ChangeKind.SIGNATURE for each in found
    }
    context = Context(
        trust=trust, at=at, evidence=given + inside, inside=inside, others=others, history=History(reader, signed_in)
    )
    proofs = proofs_of(found, context)
    verdicts = [judge_embedded(each, context, found, proofs) for each in found]
    if not found and not unread:
        findings.append(indeterminate("document.unsigned", "The document has no signature"))
    return DocumentVerdict(at, tuple(findings), tuple(verdicts), reader.xrefs.total_revisions)


def _layout(reader: PdfFileReader, raw: structure.Bytes) -> list[Finding]:
    """Return what is wrong with the file, given its cross-reference sections, and whether it brings scripts."""
    revisions = range(reader.xrefs.total_revisions)
    starts = [reader.xrefs.get_startxref_for_revision(each) for each in revisions]
    is_linearised = b"/Linearized" in raw[:_LINEARISED_WITHIN]
    ends = [each.end for each in structure.endings(raw)]
    offsets: set[int] = set()
    packed: set[int] = set()
    is_late = False
    for each in revisions:
        section = reader.xrefs.get_xref_data(each)
        own = {offset for _, offset in section.standard_xrefs.values()}
        own.add(reader.xrefs.get_xref_container_info(each).start_location)
        # A revision adds objects of its own; one that lists what lay unlisted in an older one brings it out of hiding.
        if each > (1 if is_linearised else 0) and len(ends) == len(starts):
            is_late = is_late or any(offset < ends[each - 1] for offset in own)
            own = {offset for offset in own if offset >= ends[each - 1]}
        offsets |= own
        packed |= section.obj_streams_used
    findings = structure.revision_findings(raw, starts, is_linearised=is_linearised)
    findings += structure.object_findings(raw, offsets)
    if is_late:
        findings.append(invalid("document.objects_unearthed", "A revision uses what lay hidden in an older one"))
    is_active = structure.is_active(raw) or any(
        structure.has_active_names(_object(reader, number).data) for number in packed
    )
    if is_active:
        findings.append(
            indeterminate("document.active_content", "The document brings scripts or actions: it may show other things")
        )
    return findings


def _object(reader: PdfFileReader, number: int) -> Any:
    refer: Any = generic.IndirectObject  # typed in pyHanko but for its constructor
    return resolved(refer(number, 0, reader))


def _signatures(reader: PdfFileReader, raw: structure.Bytes) -> tuple[list[EmbeddedSignature], list[Finding]]:
    """Return the signatures in the order of their revisions, and what is wrong with those that cannot be read."""
    found: list[EmbeddedSignature] = []
    findings: list[Finding] = []
    seen = 0
    for name, _, sig_field in enumerate_sig_fields(reader, filled_status=True):
        seen += 1
        if seen > _MOST_SIGNATURES:
            findings.append(indeterminate("document.too_large", "The document has more signatures than are judged"))
            break
        try:
            found.append(read_embedded(reader, sig_field, name, raw))
        except (*PARSING, *UNREADABLE) as exc:
            said = str(exc)[:200] or type(exc).__name__
            findings.append(invalid("signature.malformed", f"The signature cannot be read: {said}", name))
    if structure.count_byte_ranges(raw) > seen:
        findings.append(
            indeterminate("document.stray_signature", "A signature stands in the file that the document does not show")
        )
    return sorted(found, key=lambda each: each.revision), findings


def _material(reader: PdfFileReader) -> tuple[Evidence, Sequence[x509.Certificate]]:
    """Return lists, answers and certificates of the document security store. ETSI EN 319 142-1 section 5.4.2."""
    store = entry(reader.root, "/DSS")
    if not isinstance(store, generic.DictionaryObject):
        return Evidence(), ()
    certificates = []
    for each in _streams(store, "/Certs"):
        with contextlib.suppress(*UNREADABLE):
            certificates.append(x509.load_der_x509_certificate(each))
    return Evidence.read(_streams(store, "/CRLs"), _streams(store, "/OCSPs")), tuple(certificates)


def _streams(store: Mapping[str, Any], key: str) -> list[bytes]:
    found = listed(store, key)[:_MOST_MATERIAL]
    return [each.data for each in found if isinstance(each, generic.StreamObject)]

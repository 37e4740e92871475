"""The bytes of a PDF before any parser has a say: revisions, ends, hidden objects, and the gap of each signature.

A parser forgives much; whoever forges a document lives on that. Here only the one sound form passes.
Source: ISO 32000-1 sections 7.5 and 12.8.1; Mainka and others, "Shadow Attacks" (NDSS 2021); Mladenov and others,
"1 Trillion Dollar Refund" (CCS 2019).
"""

import mmap
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from archive.kernel.findings import Finding, indeterminate, invalid

Bytes = bytes | mmap.mmap
_WHITE: Final = b"\0\t\n\f\r "
_END: Final = re.compile(rb"startxref[\0\t\n\f\r ]+(\d{1,12})[\0\t\n\f\r ]+%%EOF")
_EOF: Final = re.compile(rb"%%EOF")
_OBJECT: Final = re.compile(rb"(?<![0-9A-Za-z/+.\-])(\d{1,10})[\0\t\n\f\r ]+(\d{1,5})[\0\t\n\f\r ]+obj(?![A-Za-z0-9])")
_STREAM: Final = re.compile(rb"(?<![A-Za-z0-9])stream\r?\n")
_LENGTH: Final = re.compile(rb".*/Length[\0\t\n\f\r ]+(\d{1,10})(?![0-9]|[\0\t\n\f\r ]+\d+[\0\t\n\f\r ]+R)", re.DOTALL)
_HEAD_BYTES: Final = 1024
_BYTE_RANGE: Final = re.compile(rb"/ByteRange[\0\t\n\f\r ]*\[")
_GAP: Final = re.compile(rb"<(?:[0-9a-f]*|[0-9A-F]*)>")
_CONTENTS: Final = re.compile(rb"/Contents[\0\t\n\f\r ]*$")
_ACTIVE: Final = re.compile(
    rb"/(?:JavaScript|JS|Launch|ImportData|SubmitForm|Rendition|RichMedia|GoToE|XFA)(?![A-Za-z0-9])"
)
_ESCAPED: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_MOST_GAP_BYTES: Final = 8 * 1024 * 1024
_MOST_OBJECTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Ending:
    """One end of a revision: where its `startxref` points, and the byte after its `%%EOF`."""

    startxref: int
    end: int


def endings(pdf: Bytes) -> Sequence[Ending]:
    """Return the ends of all revisions that the bytes show; a PDF that is attached in a stream has its own."""
    return [Ending(int(found[1]), found.end()) for found in _found_outside(pdf, _END)]


def file_findings(pdf: Bytes) -> list[Finding]:
    """Return what is wrong with the file as bytes: its head, its tail, ends that belong to no revision."""
    findings = []
    if pdf[:5] != b"%PDF-":
        findings.append(invalid("document.no_header", "The file does not begin as a PDF"))
    found = endings(pdf)
    if not found:
        return [*findings, invalid("document.no_end", "The file has no end as a PDF has it")]
    tail = pdf[found[-1].end :]
    if tail.strip(_WHITE):
        findings.append(invalid("document.trailing_bytes", f"{len(tail)} bytes follow the end of the document"))
    if sum(1 for _ in _found_outside(pdf, _EOF)) != len(found):
        findings.append(
            indeterminate("document.odd_end", "An end of file stands where no revision of the document ends")
        )
    return findings


def revision_findings(pdf: Bytes, startxrefs: Sequence[int], *, is_linearised: bool) -> list[Finding]:
    """Return what is wrong with the chain of revisions, given where its cross-reference sections lie, oldest first."""
    shown = [each.startxref for each in endings(pdf)]
    # The first end of a linearised file points to nothing, as it should: ISO 32000-1 annex F.
    wanted = list(startxrefs)
    if is_linearised and shown and shown[0] == 0:
        shown = shown[1:]
        wanted = wanted[-len(shown) :] if shown else wanted
    if shown != wanted:
        return [invalid("document.revisions_broken", "The revisions that the file shows are not those that it names")]
    return []


def object_findings(pdf: Bytes, offsets: Collection[int]) -> list[Finding]:
    """Return whether objects stand in the file that no cross-reference section lists; `offsets` are the listed ones."""
    known = {_after_white(pdf, each) for each in offsets}
    hidden: list[int] = []
    for count, found in enumerate(_found_outside(pdf, _OBJECT)):
        if found.start() not in known:
            hidden.append(int(found[1]))
        if count >= _MOST_OBJECTS:
            return [indeterminate("document.too_large", "The document has more objects than are looked through")]
    if hidden:
        told = ", ".join(str(each) for each in hidden[:5])
        return [indeterminate("document.hidden_objects", f"Objects lie in the file that nothing refers to: {told}")]
    return []


def is_active(pdf: Bytes) -> bool:
    """Return whether the objects outside of streams name scripts or actions that start something."""
    return any(has_active_names(pdf[begin:end]) for begin, end in _outside_streams(pdf))


def has_active_names(text: bytes) -> bool:
    """Return whether scripts or actions that start something are named here, also with escapes in the name."""
    if _ACTIVE.search(text) is not None:
        return True
    return b"#" in text and _ACTIVE.search(_ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)) is not None


def _found_outside(pdf: Bytes, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
    """Give what matches outside of streams."""
    for begin, end in _outside_streams(pdf):
        yield from pattern.finditer(pdf, begin, end)


def _outside_streams(pdf: Bytes) -> Iterator[tuple[int, int]]:
    """Give the stretches between streams; a stream that nothing closes is none."""
    begin = at = 0
    while (found := _STREAM.search(pdf, at)) is not None:
        closed = _end_of_stream(pdf, found.start(), found.end())
        if closed < 0:
            break
        yield begin, found.end()
        begin = at = closed
    yield begin, len(pdf)


def _end_of_stream(pdf: Bytes, head: int, begin: int) -> int:
    """Return where the stream that begins at `begin` ends: where its length says, else at the first mark; or -1."""
    told = _LENGTH.search(pdf[max(0, head - _HEAD_BYTES) : head])
    if told is not None:
        closed = _after_white(pdf, begin + int(told[1]))
        if pdf[closed : closed + 9] == b"endstream":
            return closed
    return pdf.find(b"endstream", begin)


def _after_white(pdf: Bytes, at: int) -> int:
    while pdf[at : at + 1] and pdf[at : at + 1] in _WHITE:
        at += 1
    return at


def count_byte_ranges(pdf: Bytes) -> int:
    """Return how many signatures the bytes show, whether or not anything refers to them."""
    return sum(1 for _ in _found_outside(pdf, _BYTE_RANGE))


def gap_findings(
    pdf: Bytes, byte_range: Sequence[int], contents: bytes, *, object_at: int | None, where: str
) -> list[Finding]:
    """Return what is wrong with the two ranges of a signature and the gap between them.

    The first begins the file, the gap is the hexadecimal string of `contents` and nothing else, in one case of letters,
    it stands in the signature's own object (which begins at `object_at`), and the second reaches to an end of file.
    """
    if len(byte_range) != 4 or byte_range[0] != 0 or any(type(each) is not int or each < 0 for each in byte_range):
        return [invalid("signature.byte_range", "The ranges that are signed are not two of the whole file", where)]
    _, first, start, length = byte_range
    gap_bytes = start - first
    if not 2 <= gap_bytes <= _MOST_GAP_BYTES or start + length > len(pdf):
        return [invalid("signature.byte_range", "The ranges that are signed overlap, or end after the file", where)]
    gap = pdf[first:start]
    findings = []
    if _GAP.fullmatch(gap) is None or len(gap) % 2:
        return [invalid("signature.gap", "What is left out of the signature is more than the signature", where)]
    if bytes.fromhex(gap[1:-1].decode("ascii")) != contents:
        findings.append(invalid("signature.gap", "The signature does not stand where it is left out", where))
    before = pdf[max(0, first - 64) : first]
    is_inside = object_at is not None and object_at < first and pdf.find(b"endobj", object_at, first) < 0
    if not is_inside or _CONTENTS.search(before) is None:
        findings.append(invalid("signature.gap", "The signature does not stand in its own object", where))
    if not pdf[max(0, start + length - 8) : start + length].rstrip(_WHITE).endswith(b"%%EOF"):
        findings.append(invalid("signature.byte_range", "What is signed ends before the revision does", where))
    return findings


def padding_findings(contents: bytes, signature: bytes, *, where: str) -> list[Finding]:
    """Return whether something other than zeros follows the signature in its place."""
    if contents[len(signature) :].strip(b"\0"):
        return [invalid("signature.padding", "Something follows the signature in its place", where)]
    return []

"""PDFs written byte by byte, and revisions appended to them: for attacks that no library would write."""

import re
from collections.abc import Mapping

CONTENT = b"BT /F1 18 Tf 72 720 Td (Fine: 200 yuan) Tj ET"


def plain(
    objects: Mapping[int, bytes] | None = None, *, catalog: bytes = b"", page: bytes = b"", tail: bytes = b""
) -> bytes:
    """One page with a line of text. `objects` come on top; `catalog` and `page` are further entries of these two."""
    bodies = {
        1: b"<< /Type /Catalog /Pages 2 0 R " + catalog + b" >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> " + page + b" >>",
        4: stream(CONTENT),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        **(objects or {}),
    }
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = {}
    for number, body in sorted(bodies.items()):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    out += tail
    return bytes(
        out + _table(offsets, b"/Root 1 0 R /Size %d /ID [<00112233> <00112233>]" % (max(bodies) + 1), len(out))
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(content), entries, content)


def append(pdf: bytes, objects: Mapping[int, bytes], *, trailer: bytes = b"") -> bytes:
    """Append a revision with these objects, as any editor does."""
    out = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    offsets = {}
    for number, body in sorted(objects.items()):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    return bytes(out + _table(offsets, _trailer(pdf, max(objects, default=0)) + trailer, len(out)))


def point_to(pdf: bytes, offsets: Mapping[int, int]) -> bytes:
    """Append a revision that is a cross-reference table only: these numbers now mean what lies at these places."""
    out = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    return bytes(out + _table(offsets, _trailer(pdf, max(offsets)), len(out)))


def free(pdf: bytes, number: int) -> bytes:
    """Append a revision that takes an object away."""
    out = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    at = len(out)
    out += b"xref\n0 1\n0000000000 65535 f\r\n%d 1\n0000000000 00001 f\r\n" % number
    out += b"trailer\n<< %b >>\nstartxref\n%d\n%%%%EOF\n" % (_trailer(pdf, number), at)
    return bytes(out)


def object_text(pdf: bytes, number: int) -> bytes:
    """The newest body of an object that stands in the open."""
    found = re.findall(rb"(?<![0-9])%d 0 obj\s(.*?)\s*endobj" % number, pdf, re.DOTALL)
    body: bytes = found[-1]
    return body


def root_number(pdf: bytes) -> int:
    return int(re.findall(rb"/Root (\d+) 0 R", pdf)[-1])


def free_number(pdf: bytes) -> int:
    return max(int(each) for each in re.findall(rb"/Size (\d+)", pdf))


def byte_range(pdf: bytes, which: int = -1) -> tuple[int, int, int, int]:
    found = re.findall(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)", pdf)[which]
    a, b, c, d = (int(each) for each in found)
    return a, b, c, d


def _trailer(pdf: bytes, highest: int) -> bytes:
    prev = int(re.findall(rb"startxref\s+(\d+)", pdf)[-1])
    size = max(free_number(pdf), highest + 1)
    return b"/Root %d 0 R /Size %d /Prev %d /ID [<00112233> <00112233>] " % (root_number(pdf), size, prev)


def _table(offsets: Mapping[int, int], trailer: bytes, at: int) -> bytes:
    out = bytearray(b"xref\n0 1\n0000000000 65535 f\r\n")
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d 00000 n\r\n" % (number, offset)
    return bytes(out + b"trailer\n<< %b >>\nstartxref\n%d\n%%%%EOF\n" % (trailer, at))

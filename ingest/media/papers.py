"""Tell documents and archives apart by their first and last bytes, and say what can be done with each.

Names of entries are looked for, nothing is unpacked: contents are read in the sandbox only.
Source: APPNOTE (ZIP) 4.3.7, 4.3.12; MS-CFB 2.2, 2.6.1; OpenDocument 1.3 part 2 section 3.3; GB/T 33190 (OFD).
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ingest.media.allowed import Kind
from ingest.media.plain_text import reads_as_text

ENCRYPTED_OFFICE: Final = "application/encrypted"
"""An office document that opens with a password only: the kind of document lies inside."""
GZIP: Final = "application/gzip"


class Way(StrEnum):
    """How a document becomes readable: pages are drawn, or drawn once it is a PDF, or its text is shown, or nothing."""

    PAGES = "pages"
    OFFICE = "office"
    TEXT = "text"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Paper:
    """One kind of document or archive."""

    kind: Kind
    way: Way = Way.NONE


_WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_SHEET: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SLIDES: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_OPEN: Final = "application/vnd.oasis.opendocument."

PAPERS: Final[Mapping[str, Paper]] = {
    "application/pdf": Paper(Kind.DOCUMENT, Way.PAGES),
    **dict.fromkeys(
        (
            *(_WORD, _SHEET, _SLIDES, "application/msword", "application/vnd.ms-excel", "application/rtf"),
            *("application/vnd.ms-powerpoint", f"{_OPEN}text", f"{_OPEN}spreadsheet", f"{_OPEN}presentation"),
        ),
        Paper(Kind.DOCUMENT, Way.OFFICE),
    ),
    "text/plain": Paper(Kind.DOCUMENT, Way.TEXT),
    "application/ofd": Paper(Kind.DOCUMENT),
    "application/epub+zip": Paper(Kind.DOCUMENT),
    "application/vnd.ms-outlook": Paper(Kind.DOCUMENT),
    "application/x-cfb": Paper(Kind.DOCUMENT),
    ENCRYPTED_OFFICE: Paper(Kind.DOCUMENT),
    **dict.fromkeys(
        (
            *("application/zip", "application/x-7z-compressed", "application/vnd.rar", "application/x-tar", GZIP),
            *("application/x-bzip2", "application/x-xz", "application/zstd", "application/vnd.ms-cab-compressed"),
            *("application/x-iso9660-image",),
        ),
        Paper(Kind.ARCHIVE),
    ),
}

_STARTS: Final = (
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x1f\x8b\x08", GZIP),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"{\\rtf", "application/rtf"),
)
_PDF_WITHIN: Final = 1024
_ZIP: Final = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
_LOCAL: Final = re.compile(rb"PK\x03\x04.{22}(..)(..)", re.DOTALL)
_CENTRAL: Final = re.compile(rb"PK\x01\x02.{24}(..)", re.DOTALL)
_MOST_NAMES: Final = 2000
_CFB: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CFB_NAMES: Final = (
    ("EncryptedPackage", ENCRYPTED_OFFICE),
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
)
# Text that names other files or addresses for a player to open; it is never followed, and no document either.
_LISTS: Final = (b"#EXTM3U", b"ffconcat", b"v=0", b"[playlist]", b"file '", b'file "', b"file:")
_XML_LISTS: Final = (b"<MPD", b"<SmoothStreamingMedia", b"<smil", b"<asx", b"xspf.org")


def media_type_of(head: bytes, tail: bytes, directory: bytes) -> str:
    """Return the media type of a document or archive, a key of `PAPERS`, or nothing.

    `head` and `tail` are the file's two ends; `directory` is what stands where `directory_place` says.
    """
    for start, media_type in _STARTS:
        if head.startswith(start):
            return media_type
    if head.startswith(_ZIP):
        return _inside_zip(head, tail)
    if head.startswith(_CFB):
        return _inside_cfb(directory)
    rules = (
        (b"%PDF-" in head[:_PDF_WITHIN], "application/pdf"),
        (head[257:262] == b"ustar", "application/x-tar"),
        (head[32769:32774] == b"CD001", "application/x-iso9660-image"),
        (not is_list(head) and reads_as_text(head), "text/plain"),
    )
    return next((media_type for is_so, media_type in rules if is_so), "")


def is_list(head: bytes) -> bool:
    """Return whether this is text that points to other files for a player to open."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"<?xml", b"<")):
        return any(mark in text[:4096] for mark in _XML_LISTS)
    return text.startswith(_LISTS)


def directory_place(head: bytes) -> int:
    """Return where the directory of a compound file begins, 0 where there is none. Units: bytes."""
    if not head.startswith(_CFB) or len(head) < 512:
        return 0
    shift: int = struct.unpack_from("<H", head, 30)[0]
    first: int = struct.unpack_from("<I", head, 48)[0]
    return (first + 1) << shift if shift in {9, 12} and first < 0xFFFFFFFA else 0


def _inside_zip(head: bytes, tail: bytes) -> str:
    names = _zip_names(head, tail)
    first = head[38 : 38 + 100] if head[30:38] == b"mimetype" else b""
    for media_type in (f"{_OPEN}text", f"{_OPEN}spreadsheet", f"{_OPEN}presentation", "application/epub+zip"):
        if first.startswith(media_type.encode()):
            return media_type
    if b"OFD.xml" in names:
        return "application/ofd"
    if b"[Content_Types].xml" in names:
        for folder, media_type in ((b"word/", _WORD), (b"xl/", _SHEET), (b"ppt/", _SLIDES)):
            if any(name.startswith(folder) for name in names):
                return media_type
    return "application/zip"


def _zip_names(head: bytes, tail: bytes) -> set[bytes]:
    names: set[bytes] = set()
    for data, pattern, skipped in ((head, _LOCAL, 30), (tail, _CENTRAL, 46)):
        for number, found in enumerate(pattern.finditer(data)):
            if number == _MOST_NAMES:
                break
            start = found.start() + skipped
            names.add(data[start : start + int.from_bytes(found[1], "little")])
    return names


def _inside_cfb(directory: bytes) -> str:
    names = set()
    for at in range(0, len(directory) - 127, 128):
        length = int.from_bytes(directory[at + 64 : at + 66], "little")
        if 2 <= length <= 64:
            names.add(directory[at : at + length - 2].decode("utf-16-le", "replace"))
    return next((media_type for name, media_type in _CFB_NAMES if name in names), "application/x-cfb")

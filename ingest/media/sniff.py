"""Tell what a file is by its first bytes, never by its name.

Only formats of `allowed.FORMATS` get a demuxer; text of any kind never does.
"""

from dataclasses import dataclass
from typing import BinaryIO, Final

from ingest.media.allowed import FORMATS, Format, Kind

HEAD_BYTES: Final = 64 * 1024

_TS_SYNC: Final = 0x47
_TS_PACKET_BYTES: Final = (188, 192)
_TS_RUN: Final = 5

_MOV_BOXES: Final = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx", b"uuid")
)
_HEIF_BRANDS: Final = frozenset((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"))
_RIFF: Final = {b"AVI ": "avi", b"AVIX": "avi", b"WAVE": "wav", b"WEBP": "webp_pipe"}
_STARTS: Final = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"FLV\x01", "flv"),
    (b"DHAV", "dhav"),
    (b"DAHUA", "dhav"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"#!AMR", "amr"),
    (b"\xff\xd8\xff", "jpeg_pipe"),
    (b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
_LISTS: Final = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0", b"[playlist]", b"file ", b"file:")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What the bytes say. `format_name` is a key of `FORMATS`, or empty with the reason in `code` and `message`."""

    kind: Kind
    format_name: str = ""
    media_type: str = "application/octet-stream"
    code: str = ""
    message: str = ""

    @property
    def format(self) -> Format | None:
        """The row of the allow-list, or None."""
        return FORMATS.get(self.format_name)


def sniff(source: BinaryIO) -> Sniffed:
    """Return what `source` is. Reads at most two blocks of 64 KiB."""
    source.seek(0)
    head = source.read(HEAD_BYTES)
    if head.startswith(b"ID3") and len(head) >= 10:
        source.seek(10 + _syncsafe(head[6:10]))
        return _by_name(_after_id3(source.read(4)))
    name = _name_of(head)
    return _by_name(name) if name else _not_media(head)


def _name_of(head: bytes) -> str:
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] in {b"RIFF", b"RF64", b"BW64"}:
        return _RIFF.get(head[8:12], "")
    if head[4:8] in _MOV_BOXES:
        is_picture = head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
        return "" if is_picture else "mov"
    if (
        head.startswith(b"BM")
        and head[6:10] == bytes(4)
        and head[14:18] in {b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"}
    ):
        return "bmp_pipe"
    return _transport_stream(head) or _elementary(head)


def _transport_stream(head: bytes) -> str:
    """Look for five packets in a row; a recording that was cut may begin inside a packet."""
    for size in _TS_PACKET_BYTES:
        for start in range(min(size, len(head))):
            marks = head[start : start + size * _TS_RUN : size]
            if len(marks) == _TS_RUN and set(marks) == {_TS_SYNC}:
                return "mpegts"
    return ""


def _elementary(head: bytes) -> str:
    start = 4 if head.startswith(b"\0\0\0\1") else 3 if head.startswith(b"\0\0\1") else 0
    if start and len(head) > start + 1:
        first = head[start]
        if first & 0x9F in {0x07, 0x09}:
            return "h264"
        if head[start + 1] == 0x01 and first in {0x40, 0x42, 0x46}:
            return "hevc"
    if len(head) > 2 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:
            return "aac"
        # MPEG audio: sync, version and layer not reserved, bit rate and sample rate not reserved.
        if (
            head[1] & 0xE0 == 0xE0
            and head[1] & 0x18 != 0x08
            and head[1] & 0x06
            and head[2] >> 4 < 15
            and head[2] & 12 < 12
        ):
            return "mp3"
    return ""


def _after_id3(next_bytes: bytes) -> str:
    return "aac" if len(next_bytes) > 1 and next_bytes[0] == 0xFF and next_bytes[1] & 0xF6 == 0xF0 else "mp3"


def _by_name(name: str) -> Sniffed:
    found = FORMATS[name]
    return Sniffed(found.kind, name, found.media_type)


def _not_media(head: bytes) -> Sniffed:
    if not head:
        return Sniffed(Kind.OTHER, code="media.not_media", message="The file is empty")
    if head.startswith(b"%PDF-"):
        return Sniffed(
            Kind.DOCUMENT,
            media_type="application/pdf",
            code="media.not_media",
            message="The file is a PDF document, which is read and not played",
        )
    if head[4:8] == b"ftyp":
        return Sniffed(
            Kind.PHOTO,
            media_type="image/heif",
            code="media.format_not_allowed",
            message="The file is a HEIF picture, for which there is no view yet; it can be downloaded",
        )
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(_LISTS):
        return Sniffed(
            Kind.OTHER,
            code="media.not_media",
            message="The file is a list that points to other files; such lists are never followed",
        )
    return Sniffed(
        Kind.OTHER,
        code="media.not_media",
        message="The content is no footage, audio or photo, whatever the name says",
    )


def _syncsafe(four: bytes) -> int:
    return (four[0] & 127) << 21 | (four[1] & 127) << 14 | (four[2] & 127) << 7 | four[3] & 127

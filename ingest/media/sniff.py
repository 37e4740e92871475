"""Tell what a file is by its first bytes, never by its name.

Only formats of `allowed.FORMATS` get a demuxer; text of any kind never does. Documents and archives are told apart
by `papers.py`.
"""

import os
from dataclasses import dataclass
from typing import BinaryIO, Final

from ingest.media.allowed import FORMATS, Format, Kind
from ingest.media.papers import PAPERS, directory_place, is_list, media_type_of
from ingest.media.pictures import is_raw, pictures_in_a_row
from ingest.media.plain_text import reads_as_text

HEAD_BYTES: Final = 64 * 1024
_PICTURES_BYTES: Final = 4 * 1024 * 1024
_DIRECTORY_BYTES: Final = 16 * 1024

_TS_SYNC: Final = 0x47
_TS_PACKET_BYTES: Final = (188, 192, 204)
_TS_RUN: Final = 5

_MOV_BOXES: Final = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx", b"uuid")
)
_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"miaf"), "heic"),
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    b"crx ": "raw",
}
_RIFF: Final = {b"AVI ": "avi", b"AVIX": "avi", b"WAVE": "wav", b"WEBP": "webp_pipe"}
_STARTS: Final = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"IMKH", "mpeg"),  # recorders of Hikvision put 40 bytes before their program stream
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
    (b"caff\0\1", "caf"),
    (b".snd\0\0\0", "au"),
    (b"DKIF\0\0", "ivf"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "mxf"),
    *((start, "raw") for start in (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"\0MRM", b"FOVb")),
)
_DV: Final = (b"\x1f\x07\x00\x3f", b"\x1f\x07\x00\xbf")
_EAC3_FROM: Final = 11
_TIFF: Final = (b"II*\0", b"MM\0*")
_BITMAP_HEADERS: Final = (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")


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
    """Return what `source` is. Reads two ends of 64 KiB, and of what begins as a JPEG 4 MiB."""
    source.seek(0)
    head = source.read(HEAD_BYTES)
    if head.startswith(b"ID3") and len(head) >= 10:
        source.seek(10 + _syncsafe(head[6:10]))
        return _by_name(_after_id3(source.read(4)))
    if head.startswith(b"\xff\xfe") and reads_as_text(head):  # the mark of UTF-16 looks like MPEG audio
        return _paper(source, head)
    name = _name_of(head)
    if name == "jpeg_pipe":
        source.seek(0)
        name = "mjpeg" if pictures_in_a_row(source.read(_PICTURES_BYTES)) else name
    return _by_name(name) if name else _paper(source, head)


def _name_of(head: bytes) -> str:
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] in {b"RIFF", b"RF64", b"BW64"}:
        return _RIFF.get(head[8:12], "")
    if head[4:8] in _MOV_BOXES:
        return _BRANDS.get(head[8:12], "mov") if head[4:8] == b"ftyp" else "mov"
    is_bitmap = head.startswith(b"BM") and head[6:10] == bytes(4) and head[14:18] in _BITMAP_HEADERS
    rules = (
        (head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}, "aiff"),
        (head[:4] in _TIFF, "raw" if is_raw(head) else "tiff_pipe"),
        (is_bitmap, "bmp_pipe"),
        (head.startswith(_DV), "dv"),
    )
    found = next((name for is_so, name in rules if is_so), "")
    return found or _transport_stream(head) or _coded_video(head) or _coded_sound(head)


def _transport_stream(head: bytes) -> str:
    """Look for five packets in a row; a recording that was cut may begin inside a packet."""
    for size in _TS_PACKET_BYTES:
        for start in range(min(size, len(head))):
            marks = head[start : start + size * _TS_RUN : size]
            if len(marks) == _TS_RUN and set(marks) == {_TS_SYNC}:
                return "mpegts"
    return ""


def _coded_video(head: bytes) -> str:
    """Return the coding of a stream of pictures without container, by its first unit."""
    # H.263: a picture start code, and two bits of the type that are always so.
    if head[:2] == b"\0\0" and len(head) > 4 and head[2] & 0xFC == 0x80 and head[3] & 3 == 2:
        return "h263"
    start = 4 if head.startswith(b"\0\0\0\1") else 3 if head.startswith(b"\0\0\1") else 0
    if not start or len(head) < start + 5:
        return ""
    first, after = head[start], head[start + 1 :]
    is_object = first < 0x20 and after[:3] == b"\0\0\1" and 0x20 <= after[3] < 0x30
    rules = (
        (first & 0x9F in {0x07, 0x09}, "h264"),
        (after[0] == 0x01 and first in {0x40, 0x42, 0x46}, "hevc"),
        (first == 0xB3, "mpegvideo"),
        (first == 0xB0 or 0x20 <= first < 0x30 or is_object, "m4v"),
    )
    return next((name for is_so, name in rules if is_so), "")


def _coded_sound(head: bytes) -> str:
    """Return the coding of a stream of sound without container, by its first frame header."""
    if len(head) < 6:
        return ""
    is_mpeg = (
        # Sync, version and layer not reserved, bit rate and sample rate not reserved.
        head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08
        and bool(head[1] & 0x06)
        and head[2] >> 4 < 15
        and head[2] & 12 < 12
    )
    rules = (
        (head.startswith(b"\x0b\x77"), "eac3" if head[5] >> 3 >= _EAC3_FROM else "ac3"),
        (head[0] == 0xFF and head[1] & 0xF6 == 0xF0, "aac"),
        (is_mpeg, "mp3"),
    )
    return next((name for is_so, name in rules if is_so), "")


def _after_id3(next_bytes: bytes) -> str:
    return "aac" if len(next_bytes) > 1 and next_bytes[0] == 0xFF and next_bytes[1] & 0xF6 == 0xF0 else "mp3"


def _by_name(name: str) -> Sniffed:
    found = FORMATS[name]
    return Sniffed(found.kind, name, found.media_type)


def _paper(source: BinaryIO, head: bytes) -> Sniffed:
    """Return what the file is when it is no recording: a document, an archive, or nothing that is known."""
    if not head:
        return Sniffed(Kind.OTHER, code="media.not_media", message="The file is empty")
    place = directory_place(head)
    source.seek(place)
    directory = source.read(_DIRECTORY_BYTES) if place else b""
    source.seek(0, os.SEEK_END)
    source.seek(max(0, source.tell() - HEAD_BYTES))
    media_type = media_type_of(head, source.read(HEAD_BYTES), directory)
    if media_type:
        return Sniffed(PAPERS[media_type].kind, media_type=media_type)
    if is_list(head):
        return Sniffed(
            Kind.OTHER,
            code="media.not_media",
            message="The file is a list that points to other files; such lists are never followed",
        )
    return Sniffed(
        Kind.OTHER,
        code="media.not_media",
        message="The content is no footage, audio, photo, document or archive, whatever the name says",
    )


def _syncsafe(four: bytes) -> int:
    return (four[0] & 127) << 21 | (four[1] & 127) << 14 | (four[2] & 127) << 7 | four[3] & 127

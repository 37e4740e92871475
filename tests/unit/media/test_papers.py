"""Documents and archives are told apart by what stands at their two ends."""

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.media.allowed import Kind
from ingest.media.papers import ENCRYPTED_OFFICE, PAPERS, Way
from ingest.media.plain_text import encoding_of, language_of, readable
from ingest.media.sniff import sniff
from tests.support import papers


def zipped(*names: str, first: bytes = b"") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        if first:
            archive.writestr("mimetype", first)
        for name in names:
            archive.writestr(name, "x")
    return made.getvalue()


def with_far_names(folder: str) -> bytes:
    """An office file whose telling names stand in its last bytes only."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("media/large.bin", bytes(200_000))
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr(f"{folder}/document.xml", "x")
    return made.getvalue()


WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
CASES = [
    (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
    (b"\r\n\r\n%PDF-1.4\n", "application/pdf"),
    (zipped("[Content_Types].xml", "word/document.xml"), WORD),
    (with_far_names("word"), WORD),
    (
        zipped("[Content_Types].xml", "xl/workbook.xml"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        zipped("[Content_Types].xml", "ppt/presentation.xml"),
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    (zipped(first=b"application/vnd.oasis.opendocument.text"), "application/vnd.oasis.opendocument.text"),
    (zipped(first=b"application/epub+zip"), "application/epub+zip"),
    (zipped("OFD.xml", "Doc_0/Document.xml"), "application/ofd"),
    (zipped("word/document.xml"), "application/zip"),
    (zipped("a.mp4"), "application/zip"),
    (b"PK\5\6" + bytes(18), "application/zip"),
    (papers.compound("WordDocument"), "application/msword"),
    (papers.compound("Workbook"), "application/vnd.ms-excel"),
    (papers.compound("PowerPoint Document"), "application/vnd.ms-powerpoint"),
    (papers.compound("EncryptedPackage"), ENCRYPTED_OFFICE),
    (papers.compound("Anything"), "application/x-cfb"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-cfb"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 504, "application/x-cfb"),
    (b"{\\rtf1\\ansi x}", "application/rtf"),
    (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30), "application/x-7z-compressed"),
    (b"Rar!\x1a\x07\x01\0", "application/vnd.rar"),
    (b"\x1f\x8b\x08\0" + bytes(10), "application/gzip"),
    (b"BZh91AY", "application/x-bzip2"),
    (b"\xfd7zXZ\0\0", "application/x-xz"),
    (b"a.txt".ljust(257, b"\0") + b"ustar\0" + bytes(249), "application/x-tar"),
    (b"Notes of the inspection\n", "text/plain"),
    ("检查笔录".encode(), "text/plain"),
    ("检查笔录，现场未发现问题。".encode("gb18030"), "text/plain"),
    ("\ufeff检查".encode("utf-16-le"), "text/plain"),
    ("\ufeffNotes".encode("utf-16-be"), "text/plain"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>", "text/plain"),
    (b"<?xml version='1.0'?><note/>", "text/plain"),
]


@pytest.mark.parametrize(("data", "media_type"), CASES)
def test_each_is_told_by_its_bytes(data: bytes, media_type: str) -> None:
    found = sniff(io.BytesIO(data))
    assert (found.media_type, found.kind, found.code) == (media_type, PAPERS[media_type].kind, "")


def test_archives_have_no_way_to_be_read() -> None:
    assert {paper.way for paper in PAPERS.values() if paper.kind is Kind.ARCHIVE} == {Way.NONE}
    assert {paper.kind for paper in PAPERS.values()} == {Kind.ARCHIVE, Kind.DOCUMENT}


def test_a_directory_beyond_the_end_is_no_directory() -> None:
    data = bytearray(papers.compound("WordDocument"))
    struct.pack_into("<I", data, 48, 0xFFFFFFF0)
    assert sniff(io.BytesIO(data)).media_type == "application/x-cfb"


# ---- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"plain", "utf-8"),
        ("现场检查".encode()[:-1], "utf-8"),
        ("现场检查".encode("gbk"), "gb18030"),
        (b"\xef\xbb\xbfx", "utf-8-sig"),
        (b"\xff\xfex\0", "utf-16"),
        (b"", None),
        (b"  \n", None),
        (b"a\0b", None),
        (b"\x80\x81\x82", None),
        (bytes(range(128, 256)) * 4, None),
        (b"\xff\xfe\0\0", None),
    ],
)
def test_encodings(data: bytes, encoding: str | None) -> None:
    assert encoding_of(data) == encoding


@given(st.text(alphabet=st.characters(blacklist_categories=["C"]), min_size=1, max_size=200), st.integers(0, 3))
def test_any_text_in_utf8_is_text_even_when_it_is_cut(text: str, cut: int) -> None:
    data = text.encode()
    found = encoding_of(data[: max(1, len(data) - cut)])
    assert found is not None or not text.strip() or len(data) <= cut + 4


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("page\fpage", "page\fpage"),
        ("a\0b\x1b[31mc", "ab[31mc"),
        ("exe.\u202egnp", "exe.gnp"),
        ("\ud800x", "x"),
    ],
)
def test_what_is_kept_can_be_shown(text: str, kept: str) -> None:
    assert readable(text, most=100) == (kept, False)


def test_text_is_bounded() -> None:
    assert readable("x" * 101, most=100) == ("x" * 100, True)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("当事人未取得营业执照从事经营活动", "zh"),
        ("The inspection began at nine.", "en"),
        ("当事人 Zhang San 未取得营业执照从事经营", "zh"),
        ("12345", None),
    ],
)
def test_the_language_follows_from_the_letters(text: str, language: str | None) -> None:
    assert language_of(text) == language

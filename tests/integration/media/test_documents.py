"""Documents and archives are read in the sandbox: what is broken or mean costs little and leads nowhere."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.media.archives import MOST_ENTRIES, Entry, Listing, list_archive
from ingest.media.errors import Unplayable
from ingest.media.office import set_as_pdf
from ingest.media.pages import LONG_SIDE, _pages, bundle, draw_pages, pdf_facts, pdf_text
from ingest.media.papers import GZIP
from ingest.media.programs import PROGRAMS, check_programs, find_program
from ingest.media.sniff import sniff
from ingest.media.tools import Toolbox
from tests.support import hostile, papers

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
has_office = pytest.mark.skipif(
    not Path("/usr/lib/libreoffice/program/soffice.bin").exists(), reason="LibreOffice is not installed"
)


def listed(path: Path, toolbox: Toolbox) -> Listing:
    with path.open("rb") as file:
        media_type = sniff(file).media_type
    found = list_archive(path, toolbox=toolbox, media_type=media_type, now=NOW)
    assert Listing.from_json(found.as_json()) == found
    return found


# ---- pages ----------------------------------------------------------------------------------------------------------


def test_pages_are_drawn_in_stretches(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.pdf_of(tmp_path / "a.pdf", [papers.line(f"Page {number}") for number in range(1, 46)])
    facts = pdf_facts(path, toolbox=toolbox)
    assert (facts.pages, facts.has_script) == (45, False)
    said: list[int] = []
    drawn = draw_pages(path, toolbox=toolbox, out=tmp_path, pages=43, on_progress=said.append)
    assert [page.number for page in drawn.pages] == list(range(1, 44))
    assert {max(page.width, page.height) for page in drawn.pages} == {LONG_SIDE}
    assert said == sorted(said)
    assert drawn.findings == ()
    text = pdf_text(path, toolbox=toolbox, pages=45, without={2})
    assert text.text.split("\n\n\f")[:2] == ["Page 1", "Page 3"]
    assert (text.is_cut, "Page 45" in text.text) == (False, True)


def test_a_page_that_never_ends_is_left_out_and_named(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.pdf_that_never_ends(tmp_path / "a.pdf", page=2, pages=3)
    drawn = draw_pages(path, toolbox=toolbox, out=tmp_path, pages=3, page_cpu_s=1)
    assert [page.number for page in drawn.pages] == [1, 3]
    assert [(finding.code, finding.where) for finding in drawn.findings] == [("media.page_unreadable", "2")]


def test_a_bundle_can_be_opened_by_anything_and_is_always_the_same(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.pdf(tmp_path / "a.pdf", [["One"], ["Two"]])
    drawn = draw_pages(path, toolbox=toolbox, out=tmp_path, pages=2)
    places = bundle(drawn.pages, tmp_path / "a.zip")
    bundle(drawn.pages, tmp_path / "b.zip")
    data = (tmp_path / "a.zip").read_bytes()
    assert data == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as made:
        for place, name in zip(places, made.namelist(), strict=True):
            start, size = int(place["offset"]), int(place["size"])
            assert made.read(name) == data[start : start + size]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (papers.encrypted_pdf, "media.encrypted"),
        (lambda path: path.write_bytes(b"%PDF-1.7\n" + bytes(900)) and path, "media.unreadable"),
    ],
)
def test_what_has_no_pages(make: Callable[[Path], Path], reason: str, toolbox: Toolbox, tmp_path: Path) -> None:
    with pytest.raises(Unplayable) as caught:
        pdf_facts(make(tmp_path / "a.pdf"), toolbox=toolbox)
    assert caught.value.facts["reason"] == reason


def test_a_script_is_told_and_not_run(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.pdf_with_harm(tmp_path / "a.pdf", "http://127.0.0.1:9/")
    assert pdf_facts(path, toolbox=toolbox).has_script
    assert len(draw_pages(path, toolbox=toolbox, out=tmp_path, pages=1).pages) == 1


@pytest.mark.parametrize("seed", range(4))
def test_broken_documents_end_with_an_answer(seed: int, toolbox: Toolbox, tmp_path: Path) -> None:
    whole = papers.pdf(tmp_path / "whole.pdf", [["One"], ["Two"]])
    path = hostile.flipped(whole, tmp_path / "a.pdf", bits=60, after=0.02, seed=seed)
    try:
        facts = pdf_facts(path, toolbox=toolbox)
        pages = min(facts.pages, 5)
        ended = draw_pages(path, toolbox=toolbox, out=tmp_path, pages=pages, page_cpu_s=2).step["tool"]
        pdf_text(path, toolbox=toolbox, pages=pages)
    except Unplayable as exc:
        ended = str(exc.facts["reason"])
    assert ended.startswith(("media.", "pdftocairo"))


def test_pictures_that_are_links_cut_or_none_are_not_taken(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.pdf(tmp_path / "a.pdf", [["One"]])
    page = draw_pages(path, toolbox=toolbox, out=tmp_path, pages=1).pages[0]
    folder = tmp_path / "results"
    folder.mkdir()
    whole = page.path.read_bytes()
    (folder / "page-1.jpg").symlink_to(page.path)
    (folder / "page-2.jpg").write_bytes(whole[:-100])
    (folder / "page-3.jpg").write_text("secret", encoding="utf-8")
    (folder / "page-4.jpg").mkdir()
    (folder / "page-5.jpg").touch()
    (folder / "page-6.png").write_bytes(whole)
    (folder / "page-7.jpg").write_bytes(whole)
    assert [found.number for found in _pages(folder)] == [7]


# ---- office ---------------------------------------------------------------------------------------------------------


@has_office
def test_an_office_document_brings_nothing_from_elsewhere(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.docx_with_harm(tmp_path / "a.docx", "http://127.0.0.1:9/")
    made = set_as_pdf(path, toolbox=toolbox, out=tmp_path, media_type="wordprocessingml", most_pages=3)
    assert not hasattr(made, "code"), made
    facts = pdf_facts(made.path, toolbox=toolbox)  # type: ignore[union-attr]
    text = pdf_text(made.path, toolbox=toolbox, pages=facts.pages)  # type: ignore[union-attr]
    assert (facts.pages, text.text) == (1, "Readable all the same")


@has_office
def test_only_the_first_pages_are_set(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.docx(tmp_path / "a.docx", [f"Line {number}" for number in range(300)])
    made = set_as_pdf(path, toolbox=toolbox, out=tmp_path, media_type="wordprocessingml", most_pages=2)
    assert pdf_facts(made.path, toolbox=toolbox).pages == 2  # type: ignore[union-attr]


@has_office
def test_a_broken_office_document_says_so(toolbox: Toolbox, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(papers.docx(tmp_path / "whole.docx", ["x"]).read_bytes()[:600])
    made = set_as_pdf(path, toolbox=toolbox, out=tmp_path, media_type="wordprocessingml", most_pages=2)
    assert getattr(made, "code", "") == "media.unreadable"


# ---- archives -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_every_packing_of_a_tar_is_listed(name: str, toolbox: Toolbox, tmp_path: Path) -> None:
    packing = name.rpartition(".")[2].removeprefix("tar")
    path = papers.tar_file(tmp_path / name, ["现场/笔录 1.txt", "line\nbreak"], mode=f"w:{packing}")
    found = listed(path, toolbox)
    assert [(entry.name, entry.kind, entry.to) for entry in found.entries] == [
        ("现场/笔录 1.txt", "file", ""),
        ("line break", "file", ""),
        ("folder/", "folder", ""),
        ("link", "link", "../../etc/passwd"),
    ]
    assert found.entries[0].at.startswith("2026-03-02")
    assert (found.findings, found.is_cut, found.is_encrypted) == ((), False, False)


def test_a_zip_tells_what_it_claims(toolbox: Toolbox, tmp_path: Path) -> None:
    found = listed(papers.zip_file(tmp_path / "a.zip", {"a b.txt": b"x" * 123}), toolbox)
    assert [replace(entry, at=entry.at[:10]) for entry in found.entries] == [
        Entry("a b.txt", "file", 123, "2026-03-02")
    ]


def test_chinese_names_of_windows_are_read(toolbox: Toolbox, tmp_path: Path) -> None:
    found = listed(papers.gbk_zip(tmp_path / "a.zip", "现场检查照片.jpg"), toolbox)
    assert [entry.name for entry in found.entries] == ["现场检查照片.jpg"]


def test_names_can_be_shown(toolbox: Toolbox, tmp_path: Path) -> None:
    names = [
        "\u202egpj.exe",
        "a\tb",
        "back\\slash",
        "x" * 3000,
        "(link) -> y",
        "-rw-r--r--  0 0 0 5 Mar  2  2026 forged",
    ]
    found = listed(papers.tar_file(tmp_path / "a.tar", names, mode="w:"), toolbox)
    assert [entry.name for entry in found.entries[: len(names)]] == [
        "gpj.exe",
        "a b",
        "back\\slash",
        "x" * 400,
        "(link) -> y",
        names[5],
    ]


def test_a_long_list_is_cut(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.zip_file(tmp_path / "a.zip", {str(number): b"" for number in range(MOST_ENTRIES + 50)}, compression=0)
    found = listed(path, toolbox)
    assert (len(found.entries), found.is_cut) == (MOST_ENTRIES, True)


def test_bombs_are_listed_at_no_cost(toolbox: Toolbox, tmp_path: Path) -> None:
    found = listed(papers.zip_bomb(tmp_path / "a.zip", megabytes=10), toolbox)
    assert [entry.name for entry in found.entries] == [f"2-{number}.zip" for number in range(16)]
    found = listed(papers.tar_gz_bomb(tmp_path / "a.tar.gz", megabytes=60), toolbox)
    assert [(entry.name, entry.size) for entry in found.entries] == [("blanks", 60 * 1024 * 1024)]


def test_what_is_packed_alone_tells_its_name(toolbox: Toolbox, tmp_path: Path) -> None:
    path = papers.packed(tmp_path / "a.gz", "录音.wav", b"x" * 500)
    found = list_archive(path, toolbox=toolbox, media_type=GZIP, now=NOW)
    assert [(entry.name, entry.size) for entry in found.entries] == [("录音.wav", 500)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"7z\xbc\xaf\x27\x1c\0\4" + b"\xff" * 100, "media.unreadable"),
        (b"PK\3\4" + bytes(100), "media.unreadable"),
        (b"\x1f\x8b\x08\0" + bytes(6), "media.unreadable"),
    ],
)
def test_what_cannot_be_listed_says_so(data: bytes, code: str, toolbox: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    found = listed(tmp_path / "a", toolbox)
    assert [finding.code for finding in found.findings] == [code]
    assert found.entries == ()


# ---- programs -------------------------------------------------------------------------------------------------------


def test_doctor_names_what_is_there_and_what_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {finding.where for finding in check_programs()} == set(PROGRAMS)
    assert find_program("pdfinfo").version.removeprefix("pdfinfo ")[0].isdigit()
    monkeypatch.setattr("ingest.media.programs._SYSTEM_PATH", str(tmp_path))  # a machine that has none of them
    told = {finding.where: finding for finding in check_programs()}
    assert told["bsdtar"].outcome.value == "indeterminate"
    assert "libarchive-tools" in told["bsdtar"].message

"""Documents and archives through intake and jobs: what can be looked at is there, and the log tells of it."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.access.policy import Role
from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm
from archive.documents.listings import text_record
from archive.documents.texts import extracted_text, text_of
from archive.evidence.items import ItemView, evidence_item, looks
from archive.jobs.models import Job
from archive.kernel.ids import ObjectId
from archive.worker.loop import Worker
from ingest.contents import ARCHIVE, DOCUMENT, PAGES
from ingest.media.archives import Listing
from ingest.media.programs import find_program
from ingest.remaking import drop_renditions, missing, remake
from tests.support import papers
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.footage import make_pdf

has_office = pytest.mark.skipif(
    not Path("/usr/lib/libreoffice/program/soffice.bin").exists(), reason="LibreOffice is not installed"
)


def work(home: ArchiveHome) -> None:
    services = home.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)
    while worker.run_once(("prompt", "long")):
        pass
    with home.database.read() as tx:
        assert {job.state for job in tx.query(Job) if job.queue in {"prompt", "long"}} <= {"done"}


def view(home: ArchiveHome, object_id: ObjectId) -> ItemView:
    with home.database.read() as tx:
        return evidence_item(tx, object_id)


def look(home: ArchiveHome, object_id: ObjectId, name: str) -> dict[str, Any]:
    with home.database.read() as tx:
        return looks(tx, object_id)[name].found


def text(home: ArchiveHome, object_id: ObjectId) -> str | None:
    with home.database.read() as tx:
        return extracted_text(tx, object_id)


def test_a_pdf_ends_with_pages_and_text(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:
    made = papers.pdf(tmp_path / "a.pdf", [["First page"], ["Second page"], ["Third"]])
    object_id = home.deliver(dock, made.read_bytes(), "a.pdf")
    work(home)
    found = view(home, object_id)
    assert (found.item.play_state, found.item.play_reason, found.item.kind) == ("playable", None, "document")
    assert found.original.media_type == "application/pdf"
    pages = found.rendition(PAGES)
    assert pages is not None
    told = pages.recipe["pages"]
    assert [(page["number"], page["width"], page["height"]) for page in told] == [(n, 1131, 1600) for n in (1, 2, 3)]
    path = home.stored_file(home.services.renditions, pages.key)
    assert path is not None
    with zipfile.ZipFile(path) as bundle:  # whoever finds the file can open it with any program
        assert bundle.testzip() is None
        first = bundle.read("page-0001.jpg")
    with home.services.renditions.open(pages.key, offset=told[0]["offset"], length=told[0]["size"]) as part:
        assert part.read() == first
    assert text(home, object_id) == "First page\n\n\fSecond page\n\n\fThird"
    kept = look(home, object_id, DOCUMENT)
    assert (kept["pages"], kept["drawn"], kept["language"], kept["is_cut"]) == (3, 3, "en", False)
    home.assert_sound()


def test_the_log_tells_of_a_text_and_does_not_hold_it(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:
    made = make_pdf(tmp_path / "a.pdf", ["Confidential matter"])
    object_id = home.deliver(dock, made.read_bytes(), "a.pdf")
    work(home)
    details = [bytes(row[0]) for row in home.rows("SELECT detail FROM log_detail")]
    assert not any(b"Confidential" in detail for detail in details)
    told = [json.loads(detail) for detail in details if b'"look":"document"' in detail]
    kept = text(home, object_id)
    assert kept is not None
    assert [entry["text_sha256"] for entry in told] == [hashlib.sha256(kept.encode()).hexdigest()]


def test_a_text_that_was_changed_behind_the_archives_back_is_found(
    home: ArchiveHome, dock: EnrolledDock, tmp_path: Path
) -> None:
    home.deliver(dock, make_pdf(tmp_path / "a.pdf", ["Guilty"]).read_bytes(), "a.pdf")
    work(home)
    assert home.execute("UPDATE item_text SET text = 'Not guilty'") == 1
    assert [fault.code for fault in home.faults()] == ["fsck.row_changed"]
    assert home.execute("DELETE FROM item_text") == 1
    assert [fault.code for fault in home.faults()] == ["fsck.row_missing"]


def test_plain_text_is_a_document(home: ArchiveHome, dock: EnrolledDock) -> None:
    content = "现场检查笔录\r\n\u202e当事人未到场。"
    ids = [home.deliver(dock, content.encode(code), f"{code}.txt") for code in ("utf-8", "gb18030", "utf-16")]
    work(home)
    for object_id in ids:
        found = view(home, object_id)
        assert (found.item.play_state, found.item.kind, found.renditions) == ("playable", "document", [])
        assert text(home, object_id) == "现场检查笔录\n当事人未到场。"
        with home.database.read() as tx:
            row = text_of(tx, object_id)
        assert row is not None
        assert (row.language, row.is_cut) == ("zh", False)
    home.assert_sound()


@has_office
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.docx", lambda path: papers.docx(path, ["询问笔录", "Second line"])),
        ("a.xlsx", lambda path: papers.xlsx(path, [["询问笔录", "Second line"]])),
        ("a.rtf", lambda path: papers.rtf(path, "询问笔录 Second line")),
    ],
)
def test_office_documents_end_with_pages_and_text(
    name: str, make: Callable[[Path], Path], home: ArchiveHome, dock: EnrolledDock, tmp_path: Path
) -> None:
    object_id = home.deliver(dock, make(tmp_path / name).read_bytes(), name)
    work(home)
    found = view(home, object_id)
    assert (found.item.play_state, found.item.play_reason) == ("playable", None)
    pages = found.rendition(PAGES)
    assert pages is not None
    assert len(pages.recipe["pages"]) == 1
    assert [step["arguments"][0] for step in pages.recipe["before"]] == ["soffice.bin"]
    kept = text(home, object_id) or ""
    assert "询问笔录" in kept
    assert "Second line" in kept
    home.assert_sound()


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("encrypted.pdf", papers.encrypted_pdf, "media.encrypted"),
        ("broken.pdf", lambda path: path.write_bytes(b"%PDF-1.7\nnothing") and path, "media.unreadable"),
        ("a.ofd", lambda path: papers.zip_file(path, {"OFD.xml": b"<x/>"}), "media.no_converter"),
        ("secret.docx", lambda path: path.write_bytes(papers.compound("EncryptedPackage")) and path, "media.encrypted"),
    ],
)
def test_what_cannot_be_looked_at_says_why(
    name: str, make: Callable[[Path], Path], reason: str, home: ArchiveHome, dock: EnrolledDock, tmp_path: Path
) -> None:
    object_id = home.deliver(dock, make(tmp_path / name).read_bytes(), name)
    work(home)
    found = view(home, object_id)
    assert (found.item.play_state, found.item.play_reason, found.item.kind) == ("unplayable", reason, "document")
    assert found.item.play_note
    assert text(home, object_id) is None
    home.assert_sound()


def test_an_archive_is_listed_and_not_unpacked(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:
    made = papers.zip_file(tmp_path / "a.zip", {"现场/照片.jpg": b"x" * 300, "../../etc/passwd": b"y"})
    object_id = home.deliver(dock, made.read_bytes(), "a.zip")
    locked = home.deliver(dock, papers.encrypted_zip(tmp_path / "b.zip").read_bytes(), "b.zip")
    broken = home.deliver(dock, made.read_bytes()[:90], "c.zip")
    work(home)
    found = view(home, object_id)
    assert (found.item.play_state, found.item.kind, found.renditions) == ("playable", "archive", [])
    listing = Listing.from_json(look(home, object_id, ARCHIVE))
    assert [(entry.name, entry.size, entry.kind) for entry in listing.entries] == [
        ("现场/照片.jpg", 300, "file"),
        ("../../etc/passwd", 1, "file"),
    ]
    assert listing.size == 301
    assert look(home, locked, ARCHIVE)["is_encrypted"]
    assert view(home, locked).item.play_state == "playable"
    assert view(home, broken).item.play_state in {"damaged", "unplayable"}
    assert not any(path.name in {"passwd", "照片.jpg"} for path in home.path.rglob("*"))
    home.assert_sound()


def test_a_program_that_is_missing_is_told_on_the_item(
    home: ArchiveHome, dock: EnrolledDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is made to lack the programs; nothing of ours is replaced."""
    names = {"a.zip": papers.zip_file(tmp_path / "a.zip", {"x": b""}), "a.pdf": make_pdf(tmp_path / "a.pdf", ["x"])}
    ids = {name: home.deliver(dock, path.read_bytes(), name) for name, path in names.items()}
    monkeypatch.setattr("ingest.media.programs._SYSTEM_PATH", str(tmp_path))
    work(home)
    for object_id in ids.values():
        found = view(home, object_id)
        assert (found.item.play_state, found.item.play_reason) == ("unplayable", "media.tool_missing")
        assert "install the package" in (found.item.play_note or "")
    monkeypatch.undo()
    for name, object_id in ids.items():
        remake(home.services.workshop, object_id, ["archive" if name == "a.zip" else "document"])
    work(home)
    assert {view(home, object_id).item.play_state for object_id in ids.values()} == {"playable"}
    home.assert_sound()


def test_pages_that_were_dropped_are_made_again(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:
    object_id = home.deliver(dock, make_pdf(tmp_path / "a.pdf", ["x"]).read_bytes(), "a.pdf")
    plain = home.deliver(dock, b"Plain text has no pages.", "a.txt")
    work(home)
    before = view(home, object_id).rendition(PAGES)
    shop = home.services.workshop
    assert list(missing(shop)) == []
    drop_renditions(shop, object_id, by=home.person(Role.SUPERVISOR).actor)
    assert [(lack.object_id, lack.kinds) for lack in missing(shop)] == [(object_id, ("pages",))]
    remake(shop, object_id, ["pages"])
    work(home)
    after = view(home, object_id).rendition(PAGES)
    assert before is not None
    assert after is not None
    assert (after.sha256, after.recipe) == (before.sha256, before.recipe)
    assert view(home, plain).renditions == []
    home.assert_sound()


def test_the_text_of_a_record_is_read_when_it_is_filed(home: ArchiveHome, tmp_path: Path) -> None:
    handler = home.person(Role.CASE_HANDLER)
    object_id = file_text_record(
        home.database,
        home.services.objects,
        home.services.signer,
        case_id=home.case(),
        form=RecordForm.INSPECTION_RECORD,
        title="现场检查笔录",
        name="record.pdf",
        pdf=make_pdf(tmp_path / "a.pdf", ["What was found on site"]).read_bytes(),
        by=handler.actor,
        at=home.clock.now(),
    )
    assert text(home, object_id) is None
    work(home)
    assert text(home, object_id) == "What was found on site"
    with home.database.read() as tx:
        assert text_record(tx, object_id).record.pages == 1
    home.assert_sound()


def test_every_program_says_its_version() -> None:
    for name in ("pdfinfo", "pdftocairo", "pdftotext"):
        assert find_program(name).version.startswith(f"{name} ")

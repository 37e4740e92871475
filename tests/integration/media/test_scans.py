"""Scanned papers are looked at: pages that are too coarse, blank ones, and what cannot be searched."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm
from archive.documents.models import RecordScan
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.worker.loop import Worker
from ingest.media.scans import MOST_PAGES, ScanFacts, scan_facts
from tests.support import footage
from tests.support.archive_home import ArchiveHome, clock, dock, home

__all__ = ["clock", "dock", "home"]


def page(dots: int, *, blank: bool = False) -> Image.Image:
    """A page of A4 as a scanner gives it, at so many dots to the inch."""
    made = Image.new("L", (round(8.27 * dots), round(11.69 * dots)), 255)
    if not blank:
        pen = ImageDraw.Draw(made)
        for line in range(20):
            top = made.height * (line + 3) // 26
            pen.rectangle((made.width // 8, top, made.width * 7 // 8, top + made.height // 90), fill=20)
    return made


def scan(*pages: tuple[Image.Image, int]) -> bytes:
    """A PDF of pages, each at its dots to the inch."""
    out = io.BytesIO()
    first, *others = (image for image, _ in pages)
    first.save(out, "PDF", resolution=pages[0][1], save_all=True, append_images=others)
    return out.getvalue()


def looked_at(home: ArchiveHome, tmp_path: Path, pdf: bytes, pages: int) -> ScanFacts:
    (tmp_path / "a.pdf").write_bytes(pdf)
    (tmp_path / "out").mkdir()
    toolbox = home.services.workshop.toolbox()
    return scan_facts(tmp_path / "a.pdf", toolbox=toolbox, out=tmp_path / "out", pages=pages)


def test_a_sharp_scan_has_nothing_to_say(home: ArchiveHome, tmp_path: Path) -> None:
    found = looked_at(home, tmp_path, scan((page(200), 200), (page(200), 200)), 2)
    assert (found.looked, found.coarse, found.blank, found.unseen) == (2, (), (), ())
    assert found.least_dots in {199, 200}


def test_coarse_and_blank_pages_are_told_by_their_numbers(home: ArchiveHome, tmp_path: Path) -> None:
    found = looked_at(home, tmp_path, scan((page(100), 100), (page(100, blank=True), 100)), 2)
    assert found.coarse == (1, 2)
    assert found.blank == (2,)
    assert found.least_dots is not None
    assert found.least_dots < 110


def test_of_a_long_paper_the_first_pages_are_looked_at_and_it_is_told(home: ArchiveHome, tmp_path: Path) -> None:
    found = looked_at(home, tmp_path, scan(*[(page(20), 20)] * (MOST_PAGES + 2)), MOST_PAGES + 2)
    assert (found.pages, found.looked, found.unseen) == (MOST_PAGES + 2, MOST_PAGES, ())
    assert found.coarse == tuple(range(1, MOST_PAGES + 1))


def test_pages_that_could_not_be_looked_at_are_no_sharp_ones(home: ArchiveHome, tmp_path: Path) -> None:
    found = looked_at(home, tmp_path, b"%PDF-1.7\nnothing that could be read", 3)
    assert (found.coarse, found.blank, found.unseen) == ((), (), (1, 2, 3))


def test_a_paper_that_is_no_picture_has_no_sharpness(home: ArchiveHome, tmp_path: Path) -> None:
    found = looked_at(home, tmp_path, footage.make_pdf(tmp_path / "b.pdf", ["Service receipt"]).read_bytes(), 1)
    assert (found.least_dots, found.coarse, found.blank) == (None, (), ())


@pytest.mark.parametrize("dots", [100, 300])
def test_what_was_seen_is_kept_with_its_log_entry(home: ArchiveHome, dots: int) -> None:
    services = home.services
    pdf = scan((page(dots), dots))
    object_id = file_text_record(
        services.database, services.objects, services.signer, case_id=home.case("1"), form=RecordForm.SERVICE_RECEIPT,
        title="送达回证", name="a.pdf", pdf=pdf, by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    worker = Worker(home.database, handlers=services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([PROMPT, LONG]):
        pass
    with home.database.read() as tx:
        row = tx.get_one(RecordScan, ObjectId(object_id))
    assert row.found["coarse"] == ([1] if dots < 200 else [])
    assert row.found["has_text"] is False
    home.sequence()
    home.assert_sound()

"""The four-nature check: what is fit, what was changed, what nobody can judge; and its report."""

from pathlib import Path

import pytest

from archive.cases.terms import RecordForm
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId, VolumeId
from archive.ledger.entries import OPERATOR
from archive.volumes.checking import ask_for_check, is_being_checked
from archive.volumes.listings import checks_of
from archive.volumes.models import VolumeCheck
from archive.volumes.natures import Answers, VolumeQuestion, ask_index
from archive.worker.loop import Worker
from tests.support import document_judges as judges
from tests.support import footage
from tests.support.archive_home import ArchiveHome, clock, home
from tests.support.case_files import CaseFileScene, complete_case, scan

__all__ = ["clock", "home"]


@pytest.fixture
def real(home: ArchiveHome, tmp_path: Path) -> CaseFileScene:
    """A complete case with one more paper, a PDF that can be opened."""
    scene = complete_case(home)
    pdf = footage.make_pdf(tmp_path / "a.pdf", ["Service receipt"]).read_bytes()
    scan(home.services, scene.case_id, RecordForm.SERVICE_RECEIPT, "送达回证", pdf=pdf)
    return scene


def newest(scene: CaseFileScene, volume_id: VolumeId) -> VolumeCheck:
    with scene.home.database.read() as tx:
        return checks_of(tx, [volume_id])[volume_id][0]


def outcomes(scene: CaseFileScene, volume_id: VolumeId) -> dict[str, str | None]:
    return {each["check"]: each["outcome"] for each in newest(scene, volume_id).findings}


def test_a_volume_is_checked_by_its_job_and_what_was_changed_is_named(real: CaseFileScene, tmp_path: Path) -> None:
    home, volume_id = real.home, real.close()
    home.sequence()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once(["prompt", "long"]):
        pass
    ask_for_check(home.database, volume_id, by=OPERATOR, at=home.clock.now())
    ask_for_check(home.database, volume_id, by=OPERATOR, at=home.clock.now())
    with home.database.read() as tx:
        assert is_being_checked(tx, volume_id)
    while worker.run_once(["prompt", "long"]):
        pass
    row, found = newest(real, volume_id), outcomes(real, volume_id)
    assert row.number == 1
    faulty = {name: outcome for name, outcome in found.items() if outcome != "valid"}
    assert set(faulty) <= {"openable", "formats", "page_counts", "no_scripts", "no_encryption", "no_attachments"}, (
        faulty
    )
    assert found["index_signed"] == found["records_signed"] == found["digests"] == found["logged"] == "valid"
    with home.services.objects.open_file(_object(real, volume_id), row.path) as file:
        report = file.read()
    assert judges.pdfsig(report, tmp_path).count("Signature is Valid") == 1
    home.sequence()
    home.assert_sound()
    path = home.file_of(real.papers[RecordForm.FILING_FORM], "original/立案审批表.pdf")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"%")
    assert home.services.case_files.checker.check_volume(volume_id, by=OPERATOR) is Outcome.INVALID
    (digests,) = [each for each in newest(real, volume_id).findings if each["check"] == "digests"]
    assert (digests["outcome"], {fault["where"] for fault in digests["faults"]}) == ("invalid", {"1"})


def _object(scene: CaseFileScene, volume_id: VolumeId) -> ObjectId:
    from uuid import UUID

    (row,) = scene.home.rows("SELECT object_id FROM volume WHERE id = :id", id=scene.home.id_value(volume_id))
    return ObjectId(UUID(str(row[0])))


def test_what_the_index_alone_tells() -> None:
    line = {
        "number": 1, "section": "立案", "object": "x", "kind": "record", "title": "a", "date": "2026-01-01", "size": 1,
        "media_type": "application/pdf", "sha256": "0", "sha512": "0", "first_page": 1, "last_page": 2,
    }  # fmt: skip
    told = {"root": "00", "lines": [line, {**line, "number": 2, "first_page": 3, "last_page": 3}], "pages": 3}
    fine = Answers()
    ask_index(fine, told, root="00")
    assert fine.outcome is Outcome.VALID
    for broken, question in (
        ({**told, "root": "01"}, VolumeQuestion.INDEX_ROOT),
        ({**told, "pages": 4}, VolumeQuestion.PAGES_RUN),
        ({**told, "lines": [line, {**line, "number": 2}]}, VolumeQuestion.PAGES_RUN),
        ({**told, "lines": [{**line, "title": ""}], "pages": 2}, VolumeQuestion.METADATA),
        ({**told, "lines": [{**line, "media_type": "application/x-odd"}], "pages": 2}, VolumeQuestion.FORMATS),
    ):
        answers = Answers()
        ask_index(answers, broken, root="00")
        found = {each["check"]: each["outcome"] for each in answers.as_json()}
        assert found[question.value] in {"invalid", "indeterminate"}, question
        assert {name for name, outcome in found.items() if outcome not in {"valid", None}} == {question.value}
    assert Answers().outcome is Outcome.INDETERMINATE

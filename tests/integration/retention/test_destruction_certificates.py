"""The certificate of destruction: a PDF that judges of others take for good, in the long term, and what it says."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.ades.report import AdESPassed
from sqlalchemy import select

from archive.db.database import Database
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from retention.disposition.certificates import newest_certificate
from retention.disposition.certifying import CertificateDamaged
from retention.disposition.models import DisposalCertificate, Tombstone
from retention.disposition.terms import ListState
from signing.validation.documents import judge_document
from signing.validation.trust import TrustList
from signing.validation.verdict import Level
from tests.support import document_judges as judges
from tests.support.archive_home import ArchiveHome, EnrolledDock, flip
from tests.support.disposals import Disposal, new_disposal
from tests.support.due import due


@pytest.fixture
def disposal(home: ArchiveHome) -> Disposal:
    return new_disposal(home)


@pytest.fixture
def certified(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal) -> DisposalCertificate:
    """The certificate of a list of three, one of which was struck."""
    objects = [home.deliver(dock, f"recording {n}".encode(), f"{n}.mp4") for n in range(3)]
    home.sequence()
    due(home, *objects)
    list_id = disposal.propose()
    disposal.appraise(list_id, "first", struck={objects[1]: "shows the street as it was"})
    for name in ("second", "third"):
        disposal.appraise(list_id, name)
    disposal.decide(list_id)
    for name in ("watcher", "archivist"):
        disposal.supervise(list_id, name)
    home.clock.step(disposal.rules.period)
    home.sequence()
    disposal.work()
    assert disposal.state(list_id) is ListState.CERTIFIED, disposal.row(list_id).trouble
    return newest(home.database, list_id)


def newest(database: Database, list_id: object) -> DisposalCertificate:
    with database.read() as tx:
        found = newest_certificate(tx, list_id)  # type: ignore[arg-type]
    assert found is not None
    return found


def pdf_of(home: ArchiveHome, row: DisposalCertificate) -> bytes:
    return home.file_of(ObjectId(row.object_id), row.path).read_bytes()


def text_of(pdf: bytes, folder: Path) -> str:
    file = folder / "certificate.pdf"
    file.write_bytes(pdf)
    told = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True).stdout.decode()
    return "".join(told.split())


def test_it_is_signed_for_the_long_term(home: ArchiveHome, certified: DisposalCertificate, tmp_path: Path) -> None:
    pdf, root = pdf_of(home, certified), home.services.authority.root
    assert judges.lta(pdf, root.public_bytes(Encoding.DER), at=home.clock.now()).ades_subindic is AdESPassed.OK
    assert judges.qpdf(pdf, tmp_path).returncode == 0
    verdict = judge_document(pdf, trust=TrustList.embedded(root), at=home.clock.now())
    assert verdict.outcome is Outcome.VALID, [finding.code for finding in verdict.findings]
    assert verdict.signatures[0].level is Level.B_LTA


def test_it_says_who_what_and_where(
    home: ArchiveHome, disposal: Disposal, certified: DisposalCertificate, tmp_path: Path
) -> None:
    told, row = text_of(pdf_of(home, certified), tmp_path), disposal.row(certified.list_id)
    for name in ("Keeper", "First", "Second", "Third", "Head", "Watcher", "Archivist"):
        assert name in told, name
    for said in (row.number, row.sha256[:32], "Theirtimeisover", "showsthestreetasitwas"):
        assert "".join(said.split()) in told, said
    with home.database.read() as tx:
        stones = tx.scalars(select(Tombstone).where(Tombstone.list_id == certified.list_id)).all()
    assert len(stones) == 2
    for stone in stones:
        assert stone.sha256[:32] in told
        assert str(stone.object_id).replace("-", "")[:12] in told.replace("-", "")
    assert ".mp4" not in told, "no names"


def test_it_is_stamped_anew_in_time_and_never_over_damage(home: ArchiveHome, certified: DisposalCertificate) -> None:
    certifier = home.services.dispositions.certifier
    assert certified.renew_at is not None
    assert certifier.renew_due() == 0
    home.clock.step(certified.renew_at - home.clock.now())
    assert certifier.renew_due() == 1
    assert certifier.renew_due() == 0
    second = newest(home.database, certified.list_id)
    assert second.number == 2
    assert pdf_of(home, second).startswith(pdf_of(home, certified))
    home.sequence()
    home.assert_sound()
    flip(home.file_of(ObjectId(second.object_id), second.path))
    assert second.renew_at is not None
    home.clock.step(second.renew_at - home.clock.now())
    with pytest.raises(CertificateDamaged):
        certifier.renew_due()

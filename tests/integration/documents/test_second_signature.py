"""Records get a second signature with SM2 beside the PDF; it and the codes on papers are checked against what is there."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from archive.access.policy import Role
from archive.cases.sealing import seal_record
from archive.custody.models import CustodyEvent
from archive.documents.codes import CodeUnreadable, RecordCode, check_code
from archive.documents.drafts import draft, values_of
from archive.documents.record_setting import record_code
from archive.documents.records import SECOND_KEY, SECOND_SIGNATURE
from archive.documents.template_texts import template_of
from archive.documents.values import as_values
from archive.kernel.findings import Outcome
from archive.kernel.ids import DraftId, ObjectId
from archive.ledger.entries import ARCHIVE, OPERATOR
from ingest.judgements import Judgement
from ingest.own_judgements import NotSignedDocument, OwnDocuments, judge_object
from tests.integration.documents.test_signers import Office, office
from tests.support.archive_home import (
    ArchiveHome,
    SteppedClock,
    clock,
    dock,
    doom_commits,
    flip,
    make_home,
    spare_commits,
)

__all__ = ["clock", "dock", "office"]


@pytest.fixture
def home(database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    made = make_home(tmp_path, database_url, clock, sm2_signature=True)
    yield made
    made.services.close()


@pytest.fixture
def sealed(office: Office) -> DraftId:
    """A record with all its signatures, not filed yet."""
    draft_id = office.set("penalty_decision")
    seal_record(office.seals, draft_id, "agency", by=OPERATOR)
    return draft_id


def judged(home: ArchiveHome, object_id: ObjectId, folder: Path, *known: str) -> Judgement:
    folder.mkdir()
    services = home.services
    own = OwnDocuments(services.database, services.objects, known or services.known_second)
    return judge_object(own, services.judge, object_id, folder=folder, by=OPERATOR)


def openssl_accepts(pdf: Path, home: ArchiveHome, object_id: ObjectId, *, distid: str = "1234567812345678") -> bool:
    key, signature = home.local_file(object_id, SECOND_KEY), home.local_file(object_id, SECOND_SIGNATURE)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-digest", "sm3", "-in", pdf]
    ran = subprocess.run(
        [*command, "-pkeyopt", f"distid:{distid}", "-sigfile", signature], capture_output=True, check=False
    )
    return ran.returncode == 0 and b"Verified Successfully" in ran.stdout


def test_openssl_and_the_archive_accept_the_second_signature_and_refuse_a_tampered_one(
    home: ArchiveHome, sealed: DraftId, tmp_path: Path
) -> None:
    object_id = home.services.records.file_record(sealed)
    with home.database.read() as tx:
        original = f"original/{draft(tx, sealed).title}.pdf"
    pdf, copy = home.local_file(object_id, original), tmp_path / "tampered.pdf"
    assert openssl_accepts(pdf, home, object_id)
    assert not openssl_accepts(pdf, home, object_id, distid="1234567812345679")
    copy.write_bytes(pdf.read_bytes())
    flip(copy)
    assert not openssl_accepts(copy, home, object_id)

    found = judged(home, object_id, tmp_path / "valid")
    assert found.outcome is Outcome.VALID, found.as_json()
    assert found.second is not None
    assert found.second.report.outcome is Outcome.VALID
    home.services.renewals.long_term.extend_record(object_id, by=ARCHIVE)
    found = judged(home, object_id, tmp_path / "unknown key", "0" * 64)
    assert (found.outcome, found.cause) == (Outcome.INDETERMINATE, "signature.untrusted")
    assert found.verdict["signatures"][0]["level"] == "B-LTA"
    with home.database.read() as tx:
        events = tx.scalars(select(CustodyEvent.type).where(CustodyEvent.object_id == object_id)).all()
    assert list(events).count("validation.checked") == 2
    home.assert_sound()

    flip(home.file_of(object_id, SECOND_SIGNATURE))
    assert judged(home, object_id, tmp_path / "signature").outcome is Outcome.INVALID
    flip(home.file_of(object_id, SECOND_KEY), at=-60)
    assert judged(home, object_id, tmp_path / "key").outcome is not Outcome.VALID
    assert home.faults()


def test_a_filing_that_broke_off_goes_on_and_a_document_that_was_changed_is_invalid(
    home: ArchiveHome, sealed: DraftId, tmp_path: Path
) -> None:
    doom_commits(home.database)
    with pytest.raises(IntegrityError):
        home.services.records.file_record(sealed)
    spare_commits(home.database)
    object_id = home.services.records.file_record(sealed)
    home.assert_sound()
    with home.database.read() as tx:
        flip(home.file_of(object_id, f"original/{draft(tx, sealed).title}.pdf"))
    found = judged(home, object_id, tmp_path / "a")
    assert (found.outcome, found.cause) == (Outcome.INVALID, "document.not_as_preserved")
    with pytest.raises(NotSignedDocument):
        judged(home, home.deliver(home.dock(), b"clip"), tmp_path / "b")
    known = home.services.known_second
    home.services.close()
    home.settings = home.settings.model_copy(update={"sm2_signature": False})
    services = home.reopen()
    assert (services.known_second, services.records.second) == (known, None)


def test_the_code_on_a_paper_leads_to_its_record_for_those_who_may_see_it(home: ArchiveHome, sealed: DraftId) -> None:
    with home.database.read() as tx:
        row = draft(tx, sealed)
        template = template_of(tx, row)
        text = record_code(template, as_values(template, values_of(row)))
        code = RecordCode.parse(f" {text}\n")
        found = check_code(tx, code)
        assert (found.outcome, found.record and found.record.id) == (Outcome.VALID, sealed)
        for other in (replace(code, sha256="0" * 64), replace(code, number="云市监处罚〔2026〕13号")):
            assert check_code(tx, other).outcome is Outcome.INVALID
        strange = replace(code, number="〔2026〕99号", sha256="0" * 64)
        assert check_code(tx, strange).outcome is Outcome.INDETERMINATE
    stranger = home.person(Role.ADMINISTRATOR, "stranger")
    with home.database.seen_by(stranger.sight).read() as tx:
        assert check_code(tx, code).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize(
    "text",
    ["", "liuhen-record:2;a:1;;sha256:" + "0" * 64, "liuhen-record:1;a:1;;sha256:" + "0" * 63,
     "liuhen-record:1;a:0;;sha256:" + "0" * 64, "liuhen-record:1;A:1;;sha256:" + "0" * 64,
     "liuhen-record:1;a:1;1;2;sha256:" + "0" * 64, "https://example.org/"],
)  # fmt: skip
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(CodeUnreadable):
        RecordCode.parse(text)

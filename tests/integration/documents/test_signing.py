"""From draft to filed record: set by its template, signed step by step, filed once, every part in log and trail."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from archive.cases.drafting import begin_record, drop_record, save_record
from archive.cases.finished_records import FinishedRecords, RecordIncomplete
from archive.custody.events import custody_trail
from archive.documents import templates
from archive.documents.desk import Desk, DraftPdfDamaged
from archive.documents.drafts import DraftChanged, DraftEnded, DraftState, draft
from archive.documents.form_context import FormContext
from archive.documents.form_findings import FormUnfinished
from archive.documents.listings import text_record
from archive.documents.setting import set_draft
from archive.documents.signatures import Signed, SignedMeanwhile, SignedPdf, StepNotDue, add_signature, signing_of
from archive.documents.steps import Step
from archive.documents.templates import example_of
from archive.kernel.errors import Forbidden
from archive.kernel.ids import CaseId, CertificateId, DraftId, ObjectId
from archive.ledger.entries import OPERATOR
from archive.ports.revocations import RevocationReason
from archive.trust.certificates import CertificateEnded, NewCertificate
from archive.trust.requests import Wanted, change_register
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from signing.certificates import MANIFEST_SIGNING
from signing.document_keys import HeldKey
from signing.pades import DocumentSigner, Statement
from tests.support import document_judges as judges
from tests.support.archive_home import ArchiveHome, clock, dock, flip, home

__all__ = ["clock", "dock", "home"]

ALONE = replace(TrustRules.load(), second_person={act: frozenset() for act in TrustRules.load().second_person})
FOLDER = Path(templates.__file__).parent


@dataclass
class Room:
    """A desk, a key that signs, and a case."""

    home: ArchiveHome
    desk: Desk
    records: FinishedRecords
    signer: DocumentSigner
    certificate_id: CertificateId
    case_id: CaseId

    def begin(self, code: str = "inspection_record") -> DraftId:
        """A draft that holds the worked example of a template."""
        text, at = (FOLDER / f"{code}.toml").read_text("utf-8"), self.home.clock.now()
        return begin_record(
            self.home.database, text, case_id=self.case_id, title="记录", values=example_of(code), by=OPERATOR, at=at
        )

    def set(self, draft_id: DraftId, revision: int = 1) -> None:
        """Set it."""
        set_draft(self.desk, draft_id, revision=revision, by=OPERATOR, at=self.home.clock.now())

    def sign(
        self,
        draft_id: DraftId,
        place: str,
        *,
        before: Callable[[], object] = lambda: None,
        is_refusal: bool = False,
    ) -> bool:
        """Sign a step; what comes between the reading and the writing is `before`."""

        def made(pdf: bytes, step: Step, completes: bool) -> SignedPdf:
            before()
            return SignedPdf(self.signer.sign(pdf, step.field, Statement(is_last=completes)))

        signed = Signed(self.certificate_id, is_refusal=is_refusal)
        return add_signature(self.desk, draft_id, place, made, signed, by=OPERATOR, at=self.home.clock.now())

    def due(self, draft_id: DraftId) -> list[str]:
        """Which places may be signed now."""
        with self.home.database.read() as tx:
            return [step.place for step in signing_of(tx, draft_id).due]

    def finish(self, draft_id: DraftId) -> ObjectId:
        """Sign all that is required and file it."""
        while due := self.due(draft_id):
            self.sign(draft_id, due[-1])
        return self.records.file_record(draft_id)


@pytest.fixture
def room(home: ArchiveHome) -> Room:
    services = home.services
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = services.authority.issue(MANIFEST_SIGNING, public_key=key.public_key(), valid_from=home.clock.now())
    new = NewCertificate(certificate.public_bytes(Encoding.DER), KeyPurpose.OFFICER, UUID(int=5), KeyPlace.HOLDER)
    certificate_id = change_register(
        home.database, Wanted("新任", new=new), rules=ALONE, by=OPERATOR, at=home.clock.now()
    )
    # The worked examples name officers whom no register has.
    desk = replace(services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    return Room(
        home,
        desk,
        services.records,
        DocumentSigner(HeldKey(key, certificate, [services.authority.root]), home.clock, services.tsa.token),
        CertificateId(certificate_id),
        home.case("1"),
    )


def test_a_record_is_set_signed_by_all_and_filed(room: Room, tmp_path: Path) -> None:
    draft_id = room.begin()
    room.set(draft_id)
    order = []
    while due := room.due(draft_id):
        order.append(due[-1])
        assert room.sign(draft_id, due[-1]) is (room.due(draft_id) == [])
    object_id = room.records.file_record(draft_id)
    assert room.records.file_record(draft_id) == object_id == draft_id
    with room.home.database.read() as tx:
        row, view = draft(tx, draft_id), text_record(tx, object_id)
        trail = [line.type for line in custody_trail(tx, object_id)]
    assert (row.state, view.record.form) == (DraftState.FILED, "inspection_record")
    assert trail[0] == "record.set"
    assert sorted(trail[1 : 1 + len(order)]) == ["record.signed"] * len(order)
    assert {"record.filed", "case.link"} <= set(trail)
    pdf = room.home.file_of(object_id, view.original.content_path).read_bytes()
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == len(order)
    assert judges.qpdf(pdf, tmp_path).returncode == 0
    room.home.assert_sound()


def test_all_templates_come_to_their_end(room: Room) -> None:
    for code in templates.shipped_templates():
        draft_id = room.begin(code)
        room.set(draft_id)
        assert room.finish(draft_id) == draft_id, code
    room.home.assert_sound()


def test_what_is_not_finished_is_not_set(room: Room) -> None:
    draft_id = room.begin()
    values = {name: value for name, value in example_of("inspection_record").items() if name != "place"}
    revision = save_record(
        room.home.database, draft_id, revision=1, title="笔录", values=values, by=OPERATOR, at=room.home.clock.now()
    )
    with pytest.raises(FormUnfinished) as refused:
        room.set(draft_id, revision)
    assert {found.field for found in refused.value.findings} == {"place"}
    with pytest.raises(DraftChanged):
        room.set(draft_id, 1)
    room.home.assert_sound()


def test_what_is_set_is_not_written_in_any_more(room: Room) -> None:
    draft_id = room.begin()
    room.set(draft_id)
    at = room.home.clock.now()
    for again in (
        lambda: room.set(draft_id),
        lambda: save_record(room.home.database, draft_id, revision=1, title="笔录", values={}, by=OPERATOR, at=at),
        lambda: drop_record(room.home.database, draft_id, reason="重复", by=OPERATOR, at=at),
    ):
        with pytest.raises(DraftEnded):
            again()
    with pytest.raises(RecordIncomplete):
        room.records.file_record(draft_id)


def test_nobody_signs_out_of_turn_twice_or_over_another(room: Room) -> None:
    draft_id = room.begin()
    room.set(draft_id)
    with room.home.database.read() as tx:
        steps = signing_of(tx, draft_id).steps
    first, last = room.due(draft_id)[0], steps[-1].place
    assert first != last
    for place in (last, "nowhere"):
        with pytest.raises(StepNotDue):
            room.sign(draft_id, place)
    room.sign(draft_id, first)
    with pytest.raises(StepNotDue):
        room.sign(draft_id, first)
    second = room.due(draft_id)[-1]
    with pytest.raises(SignedMeanwhile):
        room.sign(draft_id, second, before=lambda: room.sign(draft_id, second))
    room.home.assert_sound()


def test_a_key_that_is_revoked_signs_nothing(room: Room) -> None:
    draft_id = room.begin()
    room.set(draft_id)
    at = room.home.clock.now()
    wanted = Wanted("遗失", of=room.certificate_id, revocation=RevocationReason.KEY_COMPROMISE, since=at)
    change_register(room.home.database, wanted, rules=ALONE, by=OPERATOR, at=room.home.clock.now())
    with pytest.raises(CertificateEnded):
        room.sign(draft_id, room.due(draft_id)[0])
    with room.home.database.read() as tx:
        assert len(signing_of(tx, draft_id).pdfs) == 1
    room.home.assert_sound()


class NotReviewed(Forbidden):
    """Legal review has not passed this decision."""

    code = "tests.not_reviewed"


class Guard:
    """Lets no seal pass."""

    def require_may_seal(self, *_: object, **__: object) -> None:
        """Refuse."""
        raise NotReviewed


def test_guards_are_asked_before_each_seal(room: Room) -> None:
    draft_id = room.begin("penalty_decision")
    room.set(draft_id)
    room.desk = replace(room.desk, seal_guards=[Guard()])
    (place,) = room.due(draft_id)
    with pytest.raises(NotReviewed):
        room.sign(draft_id, place)
    room.desk = replace(room.desk, seal_guards=[])
    assert room.sign(draft_id, place)
    assert room.home.types().count("record.sealed") == 1
    room.home.assert_sound()


def test_a_refusal_stands_in_the_log_as_one(room: Room) -> None:
    draft_id = room.begin("questioning_record")
    room.set(draft_id)
    room.sign(draft_id, "party", is_refusal=True)
    assert room.home.types().count("record.refused") == 1
    room.home.assert_sound()


def test_a_pdf_that_was_changed_is_not_signed_and_is_found(room: Room) -> None:
    draft_id = room.begin()
    room.set(draft_id)
    with room.home.database.read() as tx:
        key = signing_of(tx, draft_id).pdfs[-1].key
    path = room.home.raw / "drafts" / key
    flip(path)
    with pytest.raises(DraftPdfDamaged):
        room.sign(draft_id, room.due(draft_id)[0])
    assert [fault.code for fault in room.home.faults()] == ["fsck.draft_pdf_changed"]
    path.unlink()
    with pytest.raises(DraftPdfDamaged):
        room.sign(draft_id, room.due(draft_id)[0])
    assert [fault.code for fault in room.home.faults()] == ["fsck.draft_pdf_missing"]

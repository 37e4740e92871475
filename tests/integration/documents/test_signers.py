"""Officers, parties and agencies sign: each with the right key, in the right place, and as it looks on paper."""

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.ades.report import AdESPassed
from sqlalchemy.exc import IntegrityError

from archive.access.policy import Role
from archive.cases.drafting import begin_record
from archive.cases.finished_records import RecordIncomplete
from archive.cases.sealing import SealMissing, Seals, seal_record
from archive.db.sight import FIRST_UNIT
from archive.documents import templates
from archive.documents.drafts import DraftState, draft
from archive.documents.faces import SONG
from archive.documents.form_context import FormContext
from archive.documents.issuing import issue_seal, issue_to_officer
from archive.documents.late_stamps import LateStamps
from archive.documents.long_term import ExtensionDamaged, due_extensions, newest_extension
from archive.documents.setting import set_draft
from archive.documents.signatures import StepNotDue, signing_of
from archive.documents.signers import (
    NotYourCertificate,
    OfficerNotNamed,
    RefusalNotForeseen,
    SameSigner,
    SigningRoom,
    sign_as_officer,
    sign_by_hand,
)
from archive.documents.templates import example_of
from archive.jobs.queue import PROMPT
from archive.kernel.findings import Outcome
from archive.kernel.ids import AgencyId, CaseId, DraftId, KeyRequestId, OfficerId
from archive.ledger.entries import ARCHIVE, OPERATOR, Actor
from archive.organisation.models import FIRST_AGENCY
from archive.organisation.officers import OfficerFacts, OfficerNotFound, record_officer
from archive.organisation.units import AgencyNotFound
from archive.trust.certificates import CertificateEnded, CertificateNotFound, NewCertificate
from archive.trust.requests import Wanted, change_register, decide_key_request
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from archive.worker.loop import Worker
from signing.certificates import AGENCY_SEAL, HAND_CAPTURE, OFFICER_SIGNING, Profile
from signing.document_keys import HeldKey
from signing.documents import NothingToStamp
from signing.hand_signatures import HandSignature, Point, Refusal
from signing.late_tokens import add_token
from signing.pades import hand_records
from signing.pkcs12 import PassphraseRefused, open_pkcs12
from signing.timestamps import TsaUnreachable
from signing.typefaces import Typeface
from signing.validation.documents import judge_document
from signing.validation.trust import TrustList
from signing.validation.verdict import Level
from tests.support import document_judges as judges
from tests.support.archive_home import ArchiveHome, clock, dock, doom_commits, flip, home, spare_commits

__all__ = ["clock", "dock", "home"]

ALONE = replace(TrustRules.load(), second_person={act: frozenset() for act in TrustRules.load().second_person})
FOLDER = Path(templates.__file__).parent
HAND = HandSignature(
    "王某",
    [
        [
            Point(
                int(9000 + stroke * 15_000 + 6000 * math.sin(at / 4)), int(5000 + 400 * at), stroke * 900 + at * 9, 600
            )
            for at in range(30)
        ]
        for stroke in range(3)
    ],
)


@dataclass
class Office:
    """A room to sign in, two officers with keys, a seal, a case."""

    home: ArchiveHome
    room: SigningRoom
    seals: Seals
    case_id: CaseId
    officers: list[tuple[OfficerId, HeldKey, Actor]]

    def set(self, code: str) -> DraftId:
        """A set record that holds the worked example of a template."""
        text, at = (FOLDER / f"{code}.toml").read_text("utf-8"), self.home.clock.now()
        draft_id = begin_record(
            self.home.database, text, case_id=self.case_id, title="记录", values=example_of(code), by=OPERATOR, at=at
        )
        set_draft(self.room.desk, draft_id, revision=1, by=OPERATOR, at=self.home.clock.now())
        return draft_id

    def officer(self, draft_id: DraftId, place: str, who: int) -> bool:
        """Have one of the officers sign."""
        officer_id, key, actor = self.officers[who]
        return sign_as_officer(self.room, draft_id, place, key, officer_id=officer_id, by=actor)

    def pdf(self, draft_id: DraftId) -> bytes:
        """The newest PDF."""
        with self.home.database.read() as tx:
            key = signing_of(tx, draft_id).pdfs[-1].key
        return (self.home.raw / "drafts" / key).read_bytes()


def issue(home: ArchiveHome, profile: Profile, purpose: KeyPurpose, holder_id: UUID | None) -> HeldKey:
    """A key with a certificate that is in the register."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = home.services.authority.issue(profile, public_key=key.public_key(), valid_from=home.clock.now())
    new = NewCertificate(made.public_bytes(Encoding.DER), purpose, holder_id, KeyPlace.FILE)
    change_register(home.database, Wanted("新", new=new), rules=ALONE, by=OPERATOR, at=home.clock.now())
    return HeldKey(key, made, [home.services.authority.root])


@pytest.fixture
def office(home: ArchiveHome) -> Office:
    named = example_of("questioning_record")["officers"]
    officers = []
    for given in (*named, {"name": "赵六", "certificate_number": "YN0999"}):
        facts = OfficerFacts(given["certificate_number"], given["name"], "局", "队")
        officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())
        actor = home.person(Role.OFFICER, f"o{given['certificate_number']}", officer_id=officer_id).actor
        officers.append((officer_id, issue(home, OFFICER_SIGNING, KeyPurpose.OFFICER, officer_id), actor))
    capture = issue(home, HAND_CAPTURE, KeyPurpose.CAPTURE, None)
    seal = issue(home, AGENCY_SEAL, KeyPurpose.SEAL, FIRST_UNIT)
    desk = replace(home.services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    room = SigningRoom(desk, home.clock, home.services.tsa.token, Typeface(SONG), lambda: capture)
    return Office(home, room, Seals(room, lambda _: seal), home.case("1"), officers)


def test_a_questioning_record_is_signed_by_the_party_on_every_page_and_by_two_officers(
    office: Office, tmp_path: Path
) -> None:
    draft_id = office.set("questioning_record")
    sign_by_hand(office.room, draft_id, "party", HAND, by=OPERATOR)
    assert office.officer(draft_id, "officer.1", 0) is False
    office.officer(draft_id, "officer.2", 1)
    pdf = office.pdf(draft_id)
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 3
    assert judges.qpdf(pdf, tmp_path).returncode == 0
    assert hand_records(pdf) == {"party": HAND}
    office.home.assert_sound()


def test_a_decision_is_sealed_in_its_place_and_across_the_pages(office: Office, tmp_path: Path) -> None:
    draft_id = office.set("penalty_decision")
    assert seal_record(office.seals, draft_id, "agency", by=OPERATOR)
    assert judges.pdfsig(office.pdf(draft_id), tmp_path).count("Signature is Valid") == 1
    assert office.home.services.records.file_record(draft_id) == draft_id
    office.home.assert_sound()


def test_a_party_that_refuses_is_written_down_with_reason_and_witness(office: Office, tmp_path: Path) -> None:
    draft_id = office.set("questioning_record")
    refusal = Refusal("王某", "认为记录不完整", "李某（物业）", "BWC0117")
    sign_by_hand(office.room, draft_id, "party", refusal, by=OPERATOR)
    assert hand_records(office.pdf(draft_id)) == {"party": refusal}
    assert office.home.types().count("record.refused") == 1
    other = office.set("address_confirmation")
    with office.home.database.read() as tx:
        (due, *_) = signing_of(tx, other).due
    if not due.may_refuse:
        with pytest.raises(RefusalNotForeseen):
            sign_by_hand(office.room, other, due.place, refusal, by=OPERATOR)


def test_an_officer_signs_with_the_own_certificate_and_where_named(office: Office) -> None:
    draft_id = office.set("questioning_record")
    sign_by_hand(office.room, draft_id, "party", HAND, by=OPERATOR)
    one, two, other = office.officers
    with pytest.raises(NotYourCertificate):
        sign_as_officer(office.room, draft_id, "officer.1", two[1], officer_id=one[0], by=one[2])
    with pytest.raises(OfficerNotNamed):
        sign_as_officer(office.room, draft_id, "officer.1", other[1], officer_id=other[0], by=other[2])
    with pytest.raises(OfficerNotFound):
        sign_as_officer(office.room, draft_id, "officer.1", one[1], officer_id=OfficerId(UUID(int=1)), by=one[2])
    key = ec.generate_private_key(ec.SECP256R1())
    made = office.home.services.authority.issue(
        OFFICER_SIGNING, public_key=key.public_key(), valid_from=office.home.clock.now()
    )
    with pytest.raises(CertificateNotFound):
        sign_as_officer(office.room, draft_id, "officer.1", HeldKey(key, made), officer_id=one[0], by=one[2])
    office.officer(draft_id, "officer.1", 0)
    with pytest.raises(SameSigner):
        office.officer(draft_id, "officer.2", 0)
    with pytest.raises(StepNotDue):
        sign_by_hand(office.room, draft_id, "officer.2", HAND, by=OPERATOR)


def test_without_a_seal_nothing_is_sealed(office: Office) -> None:
    draft_id = office.set("penalty_decision")
    office.home.clock.step(AGENCY_SEAL.valid)
    with pytest.raises(SealMissing):
        seal_record(office.seals, draft_id, "agency", by=OPERATOR)
    with pytest.raises(StepNotDue):
        seal_record(office.seals, draft_id, "nowhere", by=OPERATOR)


def test_an_officer_gets_a_file_of_keys_signs_with_it_and_gets_a_new_one(office: Office, tmp_path: Path) -> None:
    services, (officer_id, _, actor) = office.home.services, office.officers[0]
    passphrase, at = "十二个字符以上的口令-1", office.home.clock.now()
    made = issue_to_officer(services.issuer, officer_id, passphrase=passphrase, by=OPERATOR, at=at)
    with pytest.raises(PassphraseRefused):
        issue_to_officer(services.issuer, officer_id, passphrase="short", by=OPERATOR, at=office.home.clock.now())
    with pytest.raises(OfficerNotFound):
        issue_to_officer(
            services.issuer, OfficerId(UUID(int=1)), passphrase=passphrase, by=OPERATOR, at=office.home.clock.now()
        )
    draft_id = office.set("questioning_record")
    sign_by_hand(services.seals.room, draft_id, "party", HAND, by=OPERATOR)
    key = open_pkcs12(made.pkcs12, passphrase=passphrase, at=office.home.clock.now())
    sign_as_officer(office.room, draft_id, "officer.1", key, officer_id=officer_id, by=actor)
    other = office.set("questioning_record")
    sign_by_hand(services.seals.room, other, "party", HAND, by=OPERATOR)
    with pytest.raises(CertificateEnded):  # the one that was before is replaced
        office.officer(other, "officer.1", 0)
    assert judges.pdfsig(office.pdf(draft_id), tmp_path).count("Signature is Valid") == 2
    assert passphrase.encode() not in made.pkcs12
    office.home.assert_sound()


def test_the_seal_of_an_agency_is_made_by_two_people_and_opened_where_it_is(office: Office) -> None:
    services, at = office.home.services, office.home.clock.now()
    one, two = (office.home.person(Role.ADMINISTRATOR, name).actor for name in ("one", "two"))
    with pytest.raises(AgencyNotFound):
        issue_seal(services.issuer, AgencyId(UUID(int=1)), by=one, at=at)
    request_id = issue_seal(services.issuer, AgencyId(FIRST_AGENCY), by=one, at=at)
    draft_id = office.set("penalty_decision")
    decide_key_request(
        office.home.database,
        KeyRequestId(request_id),
        is_approved=True,
        words="",
        by=two,
        at=office.home.clock.now(),
    )
    seals = replace(services.seals, room=replace(services.seals.room, desk=office.room.desk))
    assert seal_record(seals, draft_id, "agency", by=one)
    office.home.assert_sound()


def down(_: bytes) -> bytes:
    """An authority of time that does not answer."""
    raise TsaUnreachable


def test_an_authority_that_is_down_keeps_nobody_from_signing_and_the_record_waits(
    office: Office, tmp_path: Path
) -> None:
    draft_id = office.set("penalty_decision")
    database, token = office.home.database, office.home.services.tsa.token
    assert (
        seal_record(replace(office.seals, room=replace(office.room, token=down)), draft_id, "agency", by=OPERATOR)
        is False
    )
    with database.read() as tx:
        standing = signing_of(tx, draft_id)
    assert (standing.awaits_time, standing.is_complete, standing.due) == (True, False, [])
    with pytest.raises(RecordIncomplete):
        office.home.services.records.file_record(draft_id)
    stamps = LateStamps(office.room.desk, down, office.home.clock)
    with pytest.raises(TsaUnreachable):
        stamps.stamp_record(draft_id)
    before = office.pdf(draft_id)
    for _ in range(2):
        replace(stamps, token=token).stamp_record(draft_id)
    after = office.pdf(draft_id)
    assert len(after) == len(before)
    assert judges.pdfsig(after, tmp_path).count("Signature is Valid") == 1
    root = office.home.services.authority.root.public_bytes(Encoding.DER)
    (status,) = judges.statuses(after, root, at=office.home.clock.now()).values()
    assert status.bottom_line
    assert status.timestamp_validity.valid
    with pytest.raises(NothingToStamp):
        add_token(after, token)
    with database.read() as tx:
        assert signing_of(tx, draft_id).is_complete
    assert office.home.services.records.file_record(draft_id) == draft_id
    assert office.home.types().count("record.stamped") == 1
    office.home.assert_sound()


def test_the_job_asks_until_the_authority_answers_and_the_record_is_filed(office: Office) -> None:
    services, draft_id = office.home.services, office.set("penalty_decision")
    seal_record(replace(office.seals, room=replace(office.room, token=down)), draft_id, "agency", by=OPERATOR)
    asked = []

    def slow(imprint: bytes) -> bytes:
        asked.append(imprint)
        return services.tsa.token(imprint) if len(asked) > 2 else down(imprint)

    handlers = {**services.handlers, **LateStamps(office.room.desk, slow, office.home.clock).handlers}
    worker = Worker(office.home.database, handlers=handlers, clock=office.home.clock, lease_s=60)
    for _ in range(4):
        while worker.run_once([PROMPT]):
            pass
        office.home.clock.step(timedelta(minutes=2))
    assert len(asked) == 3
    with office.home.database.read() as tx:
        assert draft(tx, draft_id).state == DraftState.FILED
    office.home.assert_sound()


def test_a_document_that_has_its_time_or_was_signed_by_others_gets_none(office: Office) -> None:
    draft_id = office.set("penalty_decision")
    with pytest.raises(NothingToStamp):
        add_token(office.pdf(draft_id), office.home.services.tsa.token)


def test_a_filed_record_is_extended_for_decades_and_renewed_in_time(office: Office, tmp_path: Path) -> None:
    services, draft_id = office.home.services, office.set("penalty_decision")
    seal_record(office.seals, draft_id, "agency", by=OPERATOR)
    object_id = services.records.file_record(draft_id)
    doom_commits(office.home.database)
    with pytest.raises(IntegrityError):
        services.renewals.long_term.extend_record(object_id, by=ARCHIVE)
    spare_commits(office.home.database)
    first = services.renewals.long_term.extend_record(object_id, by=ARCHIVE)  # past what the first attempt left
    assert first.number == 1
    pdf = office.home.file_of(object_id, first.path).read_bytes()
    root = services.authority.root.public_bytes(Encoding.DER)
    assert judges.lta(pdf, root, at=office.home.clock.now()).ades_subindic is AdESPassed.OK
    assert judges.qpdf(pdf, tmp_path).returncode == 0
    verdict = judge_document(pdf, trust=TrustList.embedded(services.authority.root), at=office.home.clock.now())
    assert verdict.outcome is Outcome.VALID, [finding.code for finding in verdict.findings]
    assert verdict.signatures[0].level is Level.B_LTA
    assert first.renew_at is not None
    with office.home.database.read() as tx:
        assert due_extensions(tx, at=office.home.clock.now()) == []
        assert due_extensions(tx, at=first.renew_at) == [object_id]
    second = services.renewals.long_term.extend_record(object_id, by=ARCHIVE)
    assert office.home.file_of(object_id, second.path).read_bytes().startswith(pdf)
    office.home.assert_sound()
    flip(office.home.file_of(object_id, second.path))
    with pytest.raises(ExtensionDamaged):
        services.renewals.long_term.extend_record(object_id, by=ARCHIVE)
    assert "fsck.extension_changed" in {fault.code for fault in office.home.faults()}


def test_the_job_renews_what_is_due_and_nothing_else(office: Office) -> None:
    services, draft_id = office.home.services, office.set("penalty_decision")
    seal_record(office.seals, draft_id, "agency", by=OPERATOR)
    object_id = services.records.file_record(draft_id)
    assert services.renewals.renew_due() == 0
    first = services.renewals.long_term.extend_record(object_id, by=ARCHIVE)
    assert services.renewals.renew_due() == 0
    assert first.renew_at is not None
    office.home.clock.step(first.renew_at - office.home.clock.now())
    assert services.renewals.renew_due() == 1
    assert services.renewals.renew_due() == 0
    with office.home.database.read() as tx:
        newest = newest_extension(tx, object_id)
    assert newest is not None
    assert newest.number == 2
    assert newest.ends_at is not None
    assert first.ends_at is not None
    assert newest.ends_at > first.ends_at
    office.home.assert_sound()

"""The register of certificates: written down once, replaced, revoked with what they signed, some by two people only."""

import importlib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.cases.drafting import begin_record
from archive.db.sight import FIRST_UNIT
from archive.documents import templates
from archive.documents.form_context import FormContext
from archive.documents.setting import set_draft
from archive.documents.signatures import Signed, SignedPdf, add_signature, signing_of
from archive.documents.templates import example_of
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CertificateId, KeyRequestId
from archive.ports.revocations import RevocationReason
from archive.trust.certificates import (
    CertificateEnded,
    CertificateKnown,
    CertificateNotFound,
    CertificateRefused,
    NewCertificate,
    certificate_by_sha256,
    certificates_of,
    revoked_certificates,
    uses_of,
)
from archive.trust.events import key_history
from archive.trust.models import KeyRequest
from archive.trust.register import CertificateRegister
from archive.trust.requests import (
    KeyRequestDecided,
    KeyRequestNotFound,
    OwnKeyRequest,
    Wanted,
    change_register,
    decide_key_request,
    waiting_key_requests,
)
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from signing.certificates import MANIFEST_SIGNING
from signing.ocsp import EmbeddedOcsp
from signing.revocation import crl
from tests.support.archive_home import ArchiveHome, clock, dock, home

__all__ = ["clock", "dock", "home"]

RULES = TrustRules.load()
OFFICER = UUID(int=5)


def new(home: ArchiveHome, purpose: KeyPurpose = KeyPurpose.OFFICER, holder_id: UUID = OFFICER) -> NewCertificate:
    """A certificate of the archive's own authority."""
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = home.services.authority.issue(MANIFEST_SIGNING, public_key=public_key, valid_from=home.clock.now())
    return NewCertificate(made.public_bytes(Encoding.DER), purpose, holder_id, KeyPlace.HOLDER)


def change(home: ArchiveHome, wanted: Wanted, by: Caller) -> UUID:
    """Have somebody change the register, or ask for it."""
    return change_register(home.database, wanted, rules=RULES, by=by.actor, at=home.clock.now())


def decide(home: ArchiveHome, request_id: UUID, by: Caller, *, is_approved: bool = True, words: str = "") -> None:
    """Have somebody decide."""
    decide_key_request(
        home.database,
        KeyRequestId(request_id),
        is_approved=is_approved,
        words=words,
        by=by.actor,
        at=home.clock.now(),
    )


def sign(home: ArchiveHome, certificate_id: UUID, by: Caller) -> UUID:
    """Have a record signed, by a key that only says so; return which."""
    desk = replace(home.services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    text = (Path(templates.__file__).parent / "inspection_record.toml").read_text("utf-8")
    values, case_id = example_of("inspection_record"), home.case(f"案 {uuid4()}")
    database, at = home.database, home.clock.now
    draft_id = begin_record(database, text, case_id=case_id, title="笔录", values=values, by=by.actor, at=at())
    set_draft(desk, draft_id, revision=1, by=by.actor, at=at())
    with database.read() as tx:
        place = signing_of(tx, draft_id).due[0].place
        signed = Signed(CertificateId(certificate_id))
    add_signature(desk, draft_id, place, lambda pdf, *_: SignedPdf(pdf + b"% signed"), signed, by=by.actor, at=at())
    return draft_id


def test_one_is_written_down_once(home: ArchiveHome) -> None:
    admin, given = home.person(Role.ADMINISTRATOR), new(home)
    certificate_id = change(home, Wanted("新任", new=given), admin)
    with pytest.raises(CertificateKnown):
        change(home, Wanted("新任", new=given), admin)
    found = x509.load_der_x509_certificate(given.certificate)
    with home.database.read() as tx:
        (row,) = certificates_of(tx, OFFICER, KeyPurpose.OFFICER, at=home.clock.now())
        assert row.id == certificate_id
        assert (row.serial, row.not_after) == (f"{found.serial_number:x}", found.not_valid_after_utc)
        same = certificate_by_sha256(tx, row.sha256)
        assert same is not None
        assert same.id == certificate_id
        assert certificates_of(tx, OFFICER, KeyPurpose.SEAL, at=home.clock.now()) == []
        late = home.clock.now() + timedelta(days=365 * 11)
        assert certificates_of(tx, OFFICER, KeyPurpose.OFFICER, at=late) == []
    home.assert_sound()


def test_a_revocation_lists_what_was_signed_since_then(home: ArchiveHome) -> None:
    admin, officer = home.person(Role.ADMINISTRATOR), home.person(Role.OFFICER)
    certificate_id = CertificateId(change(home, Wanted("新任", new=new(home)), admin))
    before = sign(home, certificate_id, officer)
    since = home.clock.now()
    after = [sign(home, certificate_id, officer) for _ in range(2)]
    wanted = Wanted("证书遗失", of=certificate_id, revocation=RevocationReason.KEY_COMPROMISE, since=since)
    assert change(home, wanted, admin) == certificate_id
    with home.database.read() as tx:
        assert [use.ref_id for use in uses_of(tx, certificate_id, since=since)] == after
        assert before in [use.ref_id for use in uses_of(tx, certificate_id, since=since - timedelta(hours=1))]
        assert [row.id for row in revoked_certificates(tx)] == [certificate_id]
        assert certificates_of(tx, OFFICER, KeyPurpose.OFFICER, at=home.clock.now()) == []
    for again in (lambda: sign(home, certificate_id, officer), lambda: change(home, wanted, admin)):
        with pytest.raises(CertificateEnded):
            again()
    home.assert_sound()


def test_what_is_revoked_stands_in_the_list_of_the_authority_and_in_its_answers(home: ArchiveHome) -> None:
    admin, authority = home.person(Role.ADMINISTRATOR), home.services.authority
    register = CertificateRegister(home.database, authority.root)
    gone, good = (new(home) for _ in range(2))
    ids = [CertificateId(change(home, Wanted("新任", new=given), admin)) for given in (gone, good)]
    since = home.clock.now()
    wanted = Wanted("证书遗失", of=ids[0], revocation=RevocationReason.KEY_COMPROMISE, since=since)
    change(home, wanted, admin)
    found = x509.load_der_x509_crl(crl(authority, home.clock, register=register))
    certificates = [x509.load_der_x509_certificate(given.certificate) for given in (gone, good)]
    (entry,) = found
    assert entry.serial_number == certificates[0].serial_number
    assert entry.revocation_date_utc == since.replace(microsecond=0)
    responder = EmbeddedOcsp(authority, register, home.clock)
    states = []
    for certificate in certificates:
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, authority.root, hashes.SHA1()).build()
        answer = ocsp.load_der_ocsp_response(responder.respond(asked.public_bytes(Encoding.DER)))
        states.append(answer.certificate_status)
    assert states == [ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.GOOD]
    assert not register.is_issued(5)


def test_one_that_is_replaced_signs_nothing_more_and_stays_good(home: ArchiveHome) -> None:
    admin, officer = home.person(Role.ADMINISTRATOR), home.person(Role.OFFICER)
    old = CertificateId(change(home, Wanted("新任", new=new(home)), admin))
    sign(home, old, officer)
    fresh = CertificateId(change(home, Wanted("到期更换", new=new(home), of=old), admin))
    with pytest.raises(CertificateEnded):
        sign(home, old, officer)
    sign(home, fresh, officer)
    with home.database.read() as tx:
        assert [row.id for row in certificates_of(tx, OFFICER, KeyPurpose.OFFICER, at=home.clock.now())] == [fresh]
        assert revoked_certificates(tx) == []
    for other in (new(home, holder_id=uuid4()), new(home, KeyPurpose.CAPTURE)):
        with pytest.raises(InvalidInput):
            change_register(
                home.database, Wanted("到期更换", new=other, of=fresh), rules=ALONE, by=admin.actor, at=home.clock.now()
            )
    home.assert_sound()


ALONE = replace(RULES, second_person={act: frozenset() for act in RULES.second_person})


def test_a_seal_takes_two_people(home: ArchiveHome) -> None:
    one, two = home.person(Role.ADMINISTRATOR, "one"), home.person(Role.ADMINISTRATOR, "two")
    seal = new(home, KeyPurpose.SEAL, FIRST_UNIT)
    request_id = change(home, Wanted("启用电子印章", new=seal), one)
    with home.database.read() as tx:
        assert [row.id for row in waiting_key_requests(tx)] == [request_id]
        assert certificates_of(tx, FIRST_UNIT, KeyPurpose.SEAL, at=home.clock.now()) == []
    with pytest.raises(OwnKeyRequest):
        decide(home, request_id, one)
    decide(home, request_id, two)
    with pytest.raises(KeyRequestDecided):
        decide(home, request_id, two)
    with home.database.read() as tx:
        (row,) = certificates_of(tx, FIRST_UNIT, KeyPurpose.SEAL, at=home.clock.now())
        assert (row.certificate, row.registered_by) == (seal.certificate, two.actor.id)
        assert waiting_key_requests(tx) == []
    wanted = Wanted("停用", of=CertificateId(row.id), revocation=RevocationReason.CESSATION, since=home.clock.now())
    request_id = change(home, wanted, two)
    with pytest.raises(InvalidInput):
        decide(home, request_id, one, is_approved=False)
    decide(home, request_id, one, is_approved=False, words="仍在使用")
    with home.database.read() as tx:
        assert revoked_certificates(tx) == []
        assert tx.get_one(KeyRequest, request_id).answer == "仍在使用"
    decide(home, change(home, wanted, two), one)
    with home.database.read() as tx:
        assert [found.id for found in revoked_certificates(tx)] == [row.id]
    home.assert_sound()


def test_what_cannot_be_done_any_more_is_not_agreed_to(home: ArchiveHome) -> None:
    one, two = home.person(Role.ADMINISTRATOR, "one"), home.person(Role.ADMINISTRATOR, "two")
    seal = new(home, KeyPurpose.SEAL, FIRST_UNIT)
    requests = [change(home, Wanted("启用电子印章", new=seal), one) for _ in range(2)]
    decide(home, requests[0], two)
    with pytest.raises(CertificateKnown):
        decide(home, requests[1], two)
    with home.database.read() as tx:
        assert [row.id for row in waiting_key_requests(tx)] == [requests[1]], "nothing of it was done"
    decide(home, requests[1], two, is_approved=False, words="重复")
    home.assert_sound()


def test_what_is_wrong_is_refused(home: ArchiveHome) -> None:
    admin, given, at = home.person(Role.ADMINISTRATOR), new(home), home.clock.now()
    for bad in (b"", b"no certificate", given.certificate + b"\0", bytes(70_000)):
        with pytest.raises(CertificateRefused):
            change(home, Wanted("新任", new=replace(given, certificate=bad)), admin)
    nobody = CertificateId(uuid4())
    lost = RevocationReason.KEY_COMPROMISE
    with pytest.raises(CertificateNotFound):
        change(home, Wanted("遗失", of=nobody, revocation=lost, since=at), admin)
    with pytest.raises(KeyRequestNotFound):
        decide(home, uuid4(), admin)
    certificate_id = CertificateId(change(home, Wanted("新任", new=given), admin))
    for since in (at - timedelta(days=400), home.clock.now() + timedelta(days=1)):
        with pytest.raises(InvalidInput):
            change(home, Wanted("遗失", of=certificate_id, revocation=lost, since=since), admin)
    for half in (
        Wanted("无"),
        Wanted("无", of=certificate_id),
        Wanted("无", of=certificate_id, revocation=lost),
        Wanted("无", new=given, revocation=lost, since=at),
        Wanted(" ", of=certificate_id, revocation=lost, since=at),
    ):
        with pytest.raises(InvalidInput):
            change(home, half, admin)
    home.assert_sound()


def test_what_was_logged_before_there_were_histories_becomes_one(home: ArchiveHome) -> None:
    one, two = home.person(Role.ADMINISTRATOR, "one"), home.person(Role.ADMINISTRATOR, "two")
    old = CertificateId(change(home, Wanted("新任", new=new(home)), one))
    fresh = change(home, Wanted("到期更换", new=new(home), of=old), one)
    request_id = change(home, Wanted("启用电子印章", new=new(home, KeyPurpose.SEAL, FIRST_UNIT)), one)
    decide(home, request_id, two, words="同意")
    migration = importlib.import_module("archive.db.migrations.versions.0023_key_events")
    columns = {"entry_id": sa.Uuid(), "ref_id": sa.Uuid(), "type": sa.String(), "actor_id": sa.Uuid()}
    events = sa.table(
        "key_event",
        *(sa.column(name, kind) for name, kind in columns.items()),
        sa.column("at", sa.DateTime(timezone=True)),
    )
    with home.database.begin() as tx:
        tx.execute(sa.delete(events))
        migration._fill_history(tx.connection(), events)
    home.assert_sound()
    with home.database.read() as tx:
        told = [(line.event.type.removeprefix("admin.certificate_"), line.words) for line in key_history(tx, [old])]
        assert told == [("replaced", "到期更换"), ("registered", "新任")]
        assert [line.words for line in key_history(tx, [fresh])] == ["到期更换"]
        assert [line.words for line in key_history(tx, [request_id])] == ["同意", "启用电子印章"]

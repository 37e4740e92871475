"""The seal of an agency in a token of SoftHSM2: registered, sealing records, waited for while the token is away."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from archive.access.policy import Role
from archive.adapters.pkcs11_keys import Pkcs11KeyMissing, Pkcs11TokenMissing
from archive.cases.drafting import begin_record
from archive.cases.sealing import Seals, seal_record
from archive.documents import templates
from archive.documents.form_context import FormContext
from archive.documents.issuing import TokenNotSet, decide, register_token_seal
from archive.documents.setting import set_draft
from archive.documents.signatures import signing_of
from archive.documents.templates import example_of
from archive.kernel.ids import AgencyId, DraftId, KeyRequestId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_AGENCY
from archive.settings import Settings, SettingsInvalid
from archive.wiring import build_services
from signing import subjects
from signing.certificates import AGENCY_SEAL, MANIFEST_SIGNING
from signing.document_keys import CertificateExpired, CertificateUnreadable, KeyNotOfCertificate, PrivateKeyGiven
from tests.support import document_judges as judges
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.deployment import new_database
from tests.support.softhsm import LABEL, MODULE, SoftToken, soft_token

AGENCY = AgencyId(FIRST_AGENCY)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    with soft_token(tmp_path_factory.mktemp("token")) as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, token: SoftToken) -> Iterator[ArchiveHome]:
    folder = tmp_path_factory.mktemp("home")
    made = make_home(folder, new_database(folder / "a.sqlite3"), SteppedClock(), **settings(token))
    yield made
    made.services.close()


def settings(token: SoftToken, label: str = LABEL) -> dict[str, object]:
    return {"pkcs11_module": MODULE, "pkcs11_token": label, "pkcs11_pin_file": token.pin_file}


def seals(home: ArchiveHome) -> Seals:
    """The house's own, where a record is of the day of the example."""
    found = home.services.seals
    desk = replace(found.room.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    return replace(found, room=replace(found.room, desk=desk))


def new_record(home: ArchiveHome, number: str) -> DraftId:
    text, at = (Path(templates.__file__).parent / "penalty_decision.toml").read_text("utf-8"), home.clock.now()
    draft_id = begin_record(
        home.database, text, case_id=home.case(number), title="决定", values=example_of("penalty_decision"), by=OPERATOR,
        at=at,
    )  # fmt: skip
    set_draft(seals(home).room.desk, draft_id, revision=1, by=OPERATOR, at=home.clock.now())
    return draft_id


def test_a_seal_in_a_token_seals_a_record_and_a_token_that_is_away_is_waited_for(
    home: ArchiveHome, token: SoftToken, tmp_path: Path
) -> None:
    issuer, authority = home.services.issuer, home.services.authority
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    subject = subjects.agency("局", name="某局")
    certificate, of_other, no_seal = (
        authority.issue(profile, public_key=one.public_key(), valid_from=home.clock.now(), subject=subject)
        for profile, one in ((AGENCY_SEAL, key), (AGENCY_SEAL, other), (MANIFEST_SIGNING, other))
    )
    token.put_key("seal", key, 1)
    with pytest.raises(Pkcs11KeyMissing):
        register_token_seal(issuer, AGENCY, label="nobody", by=OPERATOR, at=home.clock.now())
    for bad, error in (
        (of_other.public_bytes(Encoding.PEM), KeyNotOfCertificate),
        (no_seal.public_bytes(Encoding.DER), KeyNotOfCertificate),
        (b"no certificate", CertificateUnreadable),
        (token.folder.joinpath("seal.pem").read_bytes(), PrivateKeyGiven),
    ):
        with pytest.raises(error):
            register_token_seal(issuer, AGENCY, label="seal", file=bad, by=OPERATOR, at=home.clock.now())
    with pytest.raises(CertificateExpired):
        late = home.clock.now() + AGENCY_SEAL.valid * 2
        register_token_seal(
            issuer, AGENCY, label="seal", file=certificate.public_bytes(Encoding.PEM), by=OPERATOR, at=late
        )
    token.put_certificate("seal", certificate, 1)
    asked = register_token_seal(issuer, AGENCY, label="seal", by=OPERATOR, at=home.clock.now())
    two = home.person(Role.ADMINISTRATOR, "two")
    decide(issuer, KeyRequestId(asked), is_approved=True, words="", by=two.actor, at=home.clock.now())

    draft_id = new_record(home, "1")
    away = build_services(home.settings.model_copy(update={"pkcs11_token": "elsewhere"}), clock=home.clock)
    with pytest.raises(Pkcs11TokenMissing) as told:
        seal_record(replace(seals(home), key_of=away.seals.key_of), draft_id, "agency", by=OPERATOR)
    assert told.value.retryable
    none = {"pkcs11_module": None, "pkcs11_token": None, "pkcs11_pin_file": None}
    without = build_services(home.settings.model_copy(update=none), clock=home.clock)
    with pytest.raises(TokenNotSet):
        seal_record(replace(seals(home), key_of=without.seals.key_of), draft_id, "agency", by=OPERATOR)
    with pytest.raises(TokenNotSet):
        register_token_seal(without.issuer, AGENCY, label="seal", by=OPERATOR, at=home.clock.now())
    for services in (away, without):
        services.close()
    with home.database.read() as tx:
        assert [step.place for step in signing_of(tx, draft_id).due] == ["agency"], "the record waits"

    assert seal_record(seals(home), draft_id, "agency", by=OPERATOR)
    with home.database.read() as tx:
        pdf = (home.raw / "drafts" / signing_of(tx, draft_id).pdfs[-1].key).read_bytes()
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 1
    assert home.services.records.file_record(draft_id) == draft_id
    home.assert_sound()


def test_the_three_settings_of_a_token_are_set_together(home: ArchiveHome) -> None:
    for half in ({"pkcs11_token": None}, {"pkcs11_pin_file": None}, {"pkcs11_module": None}):
        with pytest.raises(SettingsInvalid):
            build_services(Settings.model_copy(home.settings, update=half))

"""Certificates of people and agencies: their subjects, revoking them, lists with rising numbers, answers to OCSP.

The judges are `openssl` and pyhanko-certvalidator.
"""

import asyncio
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import InvalidCertificateError, RevokedError

from archive.ports.revocations import Revocation, RevocationReason
from signing import certificates, revocation, subjects
from signing.authority import EmbeddedAuthority
from signing.ocsp import EmbeddedOcsp
from signing.subjects import BadStatusAddress, BadSubject, StatusAddresses
from signing.validation.paths import find_path
from signing.validation.revocation import Evidence
from signing.validation.trust import SIGNERS, TrustList
from signing.validation.verdict import RevocationState
from tests.unit.signing import pki

DAY = timedelta(days=1)


@dataclass
class Register:
    """A register in memory."""

    issued: set[int] = field(default_factory=set)
    known: list[Revocation] = field(default_factory=list)

    def revocations(self) -> Iterable[Revocation]:
        return list(self.known)

    def is_issued(self, serial: int) -> bool:
        return serial in self.issued


@dataclass
class Office:
    authority: EmbeddedAuthority
    clock: pki.StandingClock
    register: Register

    def hire(self, name: str = "李明", *, addresses: StatusAddresses | None = None) -> x509.Certificate:
        made = self.authority.issue(
            certificates.OFFICER_SIGNING,
            public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
            valid_from=pki.START,
            subject=subjects.person("昆明市某局", name=name, number="25010012345"),
            addresses=addresses,
        )
        self.register.issued.add(made.serial_number)
        return made

    def revoke(self, certificate: x509.Certificate, reason: RevocationReason) -> x509.CertificateRevocationList:
        self.register.known.append(Revocation(certificate.serial_number, self.clock.now(), reason))
        return x509.load_der_x509_crl(revocation.crl(self.authority, self.clock, register=self.register))

    @property
    def responder(self) -> EmbeddedOcsp:
        return EmbeddedOcsp(self.authority, self.register, self.clock)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    authority = EmbeddedAuthority.create(tmp_path / "ca", organisation="昆明市某局", valid_from=pki.START)
    return Office(authority, pki.StandingClock(), Register())


def asked(certificate: x509.Certificate, root: x509.Certificate, *, nonce: bytes | None = None) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, root, hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


# ---- subjects and profiles ------------------------------------------------------------------------------------------


def test_an_officer_is_named_with_the_number_of_the_certificate(office: Office) -> None:
    made = office.hire()
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "李明"
    assert made.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)[0].value == "25010012345"
    assert made.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)[0].value == certificates.SELF_ISSUED
    made.verify_directly_issued_by(office.authority.root)
    kinds = {type(each.value) for each in made.extensions}
    assert not kinds & {x509.CRLDistributionPoints, x509.AuthorityInformationAccess}


@pytest.mark.parametrize(
    ("profile", "commits"),
    [(certificates.OFFICER_SIGNING, True), (certificates.AGENCY_SEAL, True), (certificates.HAND_CAPTURE, False)],
    ids=lambda each: getattr(each, "role", ""),
)
def test_who_signs_documents(office: Office, profile: certificates.Profile, commits: bool) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = office.authority.issue(profile, public_key=key, valid_from=pki.START)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.content_commitment, usage.key_cert_sign) == (True, commits, False)
    assert certificates.DOCUMENT_SIGNING in made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert made.not_valid_after_utc - made.not_valid_before_utc == profile.valid


def test_a_seal_names_its_agency() -> None:
    name = subjects.agency("昆明市某局", name="昆明市某局印章", number="11530100015114999X")
    assert "昆明市某局印章" in name.rfc4514_string()


@pytest.mark.parametrize(
    ("name", "number"), [("", "1"), ("  ", "1"), ("a\nb", "1"), ("名" * 22, "1"), ("a", ""), ("a", "号")]
)
def test_what_cannot_be_a_subject(name: str, number: str) -> None:
    with pytest.raises(BadSubject):
        subjects.person("局", name=name, number=number)


def test_addresses_stand_in_a_certificate_when_they_are_set(office: Office) -> None:
    addresses = StatusAddresses(crl=["http://archive.example/root.crl"], ocsp=["http://archive.example/ocsp"])
    extensions = office.hire(addresses=addresses).extensions
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == "http://archive.example/root.crl"
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert access[0].access_location.value == "http://archive.example/ocsp"


@pytest.mark.parametrize("given", ["", "ftp://a/", "http://", "http://a b/", "https://a/\n", "javascript:1"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(BadStatusAddress):
        StatusAddresses(crl=[given])


# ---- lists ----------------------------------------------------------------------------------------------------------


def test_a_revocation_stands_in_the_next_list_with_time_and_reason(office: Office) -> None:
    officer, other = office.hire(), office.hire("王芳")
    first = x509.load_der_x509_crl(revocation.crl(office.authority, office.clock, register=office.register))
    second = office.revoke(officer, RevocationReason.KEY_COMPROMISE)
    entry = second.get_revoked_certificate_by_serial_number(officer.serial_number)
    assert entry is not None
    assert entry.revocation_date_utc == pki.SIGNED_AT.replace(microsecond=0)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert second.get_revoked_certificate_by_serial_number(other.serial_number) is None
    numbers = [each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for each in (first, second)]
    assert numbers[0] < numbers[1]
    third = office.revoke(other, RevocationReason.UNSPECIFIED)
    assert {each.serial_number for each in third} == {officer.serial_number, other.serial_number}


def test_nothing_changes_without_a_revocation(office: Office) -> None:
    first = revocation.crl(office.authority, office.clock, register=office.register)
    assert revocation.crl(office.authority, office.clock, register=office.register) == first


def test_a_revocation_is_never_taken_back(office: Office) -> None:
    officer = office.hire()
    office.revoke(officer, RevocationReason.SUPERSEDED)
    office.register.known.clear()
    office.clock.at += 15 * DAY
    later = x509.load_der_x509_crl(revocation.crl(office.authority, office.clock, register=office.register))
    assert later.get_revoked_certificate_by_serial_number(officer.serial_number) is not None


def test_openssl_reads_the_list(office: Office, tmp_path: Path) -> None:
    officer, other = office.hire(), office.hire("王芳")
    (tmp_path / "root.pem").write_bytes(office.authority.root.public_bytes(Encoding.PEM))
    crl = office.revoke(officer, RevocationReason.KEY_COMPROMISE)
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    answers = []
    for number, each in enumerate((officer, other)):
        (tmp_path / f"{number}.pem").write_bytes(each.public_bytes(Encoding.PEM))
        command = [
            "openssl",
            "verify",
            "-crl_check",
            "-attime",
            str(int(pki.SIGNED_AT.timestamp())),
            "-CAfile",
            "root.pem",
            "-CRLfile",
            "crl.pem",
            f"{number}.pem",
        ]
        answers.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False))
    assert "certificate revoked" in answers[0].stderr
    assert answers[1].stdout.strip().endswith("OK")


# ---- OCSP -----------------------------------------------------------------------------------------------------------


def test_good_revoked_unknown(office: Office) -> None:
    good, gone = office.hire(), office.hire("王芳")
    office.revoke(gone, RevocationReason.PRIVILEGE_WITHDRAWN)
    stranger = pki.certificate("stranger", key=ec.generate_private_key(ec.SECP256R1()))
    root = office.authority.root
    told = [ocsp.load_der_ocsp_response(office.responder.respond(asked(each, root))) for each in (good, gone, stranger)]
    assert [each.certificate_status for each in told] == [
        ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN,
    ]  # fmt: skip
    assert told[1].revocation_time_utc == pki.SIGNED_AT.replace(microsecond=0)
    assert told[1].revocation_reason is x509.ReasonFlags.privilege_withdrawn


def test_another_issuer_is_unknown(office: Office) -> None:
    officer = office.hire()
    root = pki.certificate("other root", key=ec.generate_private_key(ec.SECP256R1()), is_ca=True)
    answer = ocsp.load_der_ocsp_response(office.responder.respond(asked(officer, root)))
    assert answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_the_nonce_is_echoed(office: Office) -> None:
    request = asked(office.hire(), office.authority.root, nonce=b"0123456789abcdef")
    answer = ocsp.load_der_ocsp_response(office.responder.respond(request))
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"0123456789abcdef"


@pytest.mark.parametrize("request_bytes", [b"", b"junk", b"\x30\x00", b"\0" * 10_000])
def test_what_is_no_request(office: Office, request_bytes: bytes) -> None:
    answer = ocsp.load_der_ocsp_response(office.responder.respond(request_bytes))
    assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_a_nonce_too_long_and_a_request_for_two(office: Office) -> None:
    officer, root = office.hire(), office.authority.root
    answer = ocsp.load_der_ocsp_response(office.responder.respond(asked(officer, root, nonce=b"x" * 200)))
    assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    two = asn1_ocsp.OCSPRequest.load(asked(officer, root)).copy()
    listed = two["tbs_request"]["request_list"]
    listed.append(listed[0].copy())
    answer = ocsp.load_der_ocsp_response(office.responder.respond(two.dump(force=True)))
    assert answer.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED


def test_the_responder_is_delegated_and_renewed(office: Office) -> None:
    _, first = office.responder.prepare()
    assert ExtendedKeyUsageOID.OCSP_SIGNING in first.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert first.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert office.responder.prepare()[1] == first
    office.clock.at += 70 * DAY
    assert office.responder.prepare()[1] != first


def test_openssl_accepts_the_answer(office: Office, tmp_path: Path) -> None:
    good, gone = office.hire(), office.hire("王芳")
    office.revoke(gone, RevocationReason.KEY_COMPROMISE)
    (tmp_path / "root.pem").write_bytes(office.authority.root.public_bytes(Encoding.PEM))
    for each, word in ((good, "good"), (gone, "revoked")):
        (tmp_path / "asked.pem").write_bytes(each.public_bytes(Encoding.PEM))
        subprocess.run(
            ["openssl", "ocsp", "-issuer", "root.pem", "-cert", "asked.pem", "-reqout", "request.der"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        (tmp_path / "answer.der").write_bytes(office.responder.respond((tmp_path / "request.der").read_bytes()))
        told = subprocess.run(
            ["openssl", "ocsp", "-issuer", "root.pem", "-cert", "asked.pem", "-reqin", "request.der", "-no_nonce", "-respin",
             "answer.der", "-CAfile", "root.pem", "-validity_period", "400000000", "-attime", str(int(pki.SIGNED_AT.timestamp()))],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Response verify OK" in told.stderr
        assert f"asked.pem: {word}" in told.stdout


def test_certvalidator_accepts_the_answer(office: Office) -> None:
    # It asks for OCSP answers only where the certificate says that there are any.
    addresses = StatusAddresses(ocsp=["http://archive.example/ocsp"])
    good, gone = office.hire(addresses=addresses), office.hire("王芳", addresses=addresses)
    office.revoke(gone, RevocationReason.KEY_COMPROMISE)
    root = office.authority.root
    at = pki.SIGNED_AT + timedelta(minutes=5)
    for each in (good, gone):
        answer = asn1_ocsp.OCSPResponse.load(office.responder.respond(asked(each, root)))
        context = ValidationContext(
            trust_roots=[asn1_x509.Certificate.load(root.public_bytes(Encoding.DER))],
            ocsps=[answer],
            moment=at,
            revocation_mode="require",
            allow_fetching=False,
        )
        leaf = asn1_x509.Certificate.load(each.public_bytes(Encoding.DER))
        validator = CertificateValidator(leaf, validation_context=context)
        if each is good:
            asyncio.run(validator.async_validate_usage({"digital_signature"}))
        else:
            with pytest.raises((RevokedError, InvalidCertificateError), match="revoked"):
                asyncio.run(validator.async_validate_usage({"digital_signature"}))


def test_our_own_check_accepts_the_answer(office: Office) -> None:
    good, gone = office.hire(), office.hire("王芳")
    office.revoke(gone, RevocationReason.KEY_COMPROMISE)
    root, at = office.authority.root, pki.SIGNED_AT
    trust = TrustList.embedded(root)
    for each, state in ((good, RevocationState.GOOD), (gone, RevocationState.REVOKED)):
        path = find_path(each, trust=trust, wanted=SIGNERS, others=(), at=at)
        assert path is not None
        evidence = Evidence.read((), [office.responder.respond(asked(each, root))])
        assert evidence.status(path, at=at, known_at=at).state is state
        assert Evidence().status(path, at=at, known_at=at).state is RevocationState.UNKNOWN


def test_an_answer_of_somebody_else_says_nothing(office: Office, tmp_path: Path) -> None:
    officer = office.hire()
    root, at = office.authority.root, pki.SIGNED_AT
    other = EmbeddedAuthority.create(tmp_path / "other", organisation="别局", valid_from=pki.START)
    key, certificate = EmbeddedOcsp(other, office.register, office.clock).prepare()
    forged = (
        ocsp.OCSPResponseBuilder()
        .add_response(officer, root, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, at, at + DAY, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        .certificates([certificate])
        .sign(key, hashes.SHA256())
    )
    path = find_path(officer, trust=TrustList.embedded(root), wanted=SIGNERS, others=(), at=at)
    assert path is not None
    evidence = Evidence.read((), [forged.public_bytes(Encoding.DER)])
    assert evidence.status(path, at=at, known_at=at).state is RevocationState.UNKNOWN


@pytest.mark.parametrize("has_no_check", [True, False])
def test_a_responder_that_might_be_revoked_itself_says_nothing(office: Office, has_no_check: bool) -> None:
    officer, root, at = office.hire(), office.authority.root, pki.SIGNED_AT
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [pki.key_usage(digital_signature=True), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])]
    responder = pki.certificate(
        "responder", key=key, issuer=root, issuer_key=office.authority._key_of("root.key.pem", root),
        extensions=[*extensions, x509.OCSPNoCheck()] if has_no_check else extensions,
    )  # fmt: skip
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response(officer, root, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, at, at + DAY, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
        .sign(key, hashes.SHA256())
    )
    path = find_path(officer, trust=TrustList.embedded(root), wanted=SIGNERS, others=(), at=at)
    assert path is not None
    evidence = Evidence.read((), [answer.public_bytes(Encoding.DER)])
    state = evidence.status(path, at=at, known_at=at).state
    assert state is (RevocationState.GOOD if has_no_check else RevocationState.UNKNOWN)

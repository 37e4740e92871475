"""The status of certificates at public addresses, as OpenSSL asks for it; a revocation is in the list at once."""

import base64
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from archive.documents.issuing import issue_seal, issue_to_officer, register_of_officer, revoke
from archive.kernel.ids import AgencyId, CertificateId, OfficerId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_AGENCY
from archive.organisation.officers import OfficerFacts, record_officer
from archive.ports.revocations import RevocationReason
from archive.trust.models import KeyCertificate, KeyRequest
from archive.web.app import create_app
from signing.ocsp import MOST_REQUEST_BYTES
from tests.support import seed
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.deployment import new_database
from tests.support.document_pki import DocumentPki, MovedClock

ADDRESS = "http://pki.bureau.example"


@dataclass
class Office:
    """An archive with an address for its status, and where it is served."""

    home: ArchiveHome
    base: str
    folder: Path

    def certificate(self) -> KeyCertificate:
        """Issue a certificate to a new officer."""
        facts = OfficerFacts(f"YN{uuid4().hex[:8]}", "赵六", "局", "队")
        officer_id = OfficerId(record_officer(self.home.database, facts, by=OPERATOR, at=self.home.clock.now()))
        made = issue_to_officer(
            self.home.services.issuer, officer_id, passphrase="x" * 20, by=OPERATOR, at=self.home.clock.now()
        )
        with self.home.database.read() as tx:
            return tx.get_one(KeyCertificate, made.outcome)

    def revoke(self, certificate_id: UUID) -> None:
        at = self.home.clock.now()
        revoke(
            self.home.services.issuer, CertificateId(certificate_id), reason=RevocationReason.KEY_COMPROMISE,
            words="遗失", since=at, by=OPERATOR, at=at,
        )  # fmt: skip

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.base + path, trust_env=False)


def pem(row: KeyCertificate) -> bytes:
    return x509.load_der_x509_certificate(row.certificate).public_bytes(Encoding.PEM)


def openssl(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("status")
    home = make_home(folder, new_database(folder / "a.sqlite3"), public_pki_address=ADDRESS)
    with seed.listening(create_app(home.services)) as base:
        yield Office(home, base, folder)
    home.services.close()


def test_a_certificate_names_where_its_status_can_be_had(office: Office) -> None:
    told = openssl("x509", "-in", office.file("cert.pem", pem(office.certificate())), "-noout", "-text").stdout
    for name in ("root.crl", "ocsp", "root.cer"):
        assert f"URI:{ADDRESS}/pki/{name}" in told
    waiting = issue_seal(office.home.services.issuer, AgencyId(FIRST_AGENCY), by=OPERATOR, at=office.home.clock.now())
    with office.home.database.read() as tx:
        seal = x509.load_der_x509_certificate(tx.get_one(KeyRequest, waiting).certificate or b"")
    assert seal.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    office.home.services.seals.room.capture()
    assert office.home.count("key_certificate", "purpose = 'capture'") == 1


def test_openssl_finds_in_the_list_what_was_revoked_a_moment_ago(office: Office) -> None:
    good, gone = office.certificate(), office.certificate()
    root = office.file("root.pem", office.get("/pki/root.pem").content)

    def judged(row: KeyCertificate) -> subprocess.CompletedProcess[str]:
        answer = office.get("/pki/root.crl")
        assert answer.headers["content-type"] == "application/pkix-crl"
        assert "max-age=300" in answer.headers["cache-control"]
        list_ = office.file("root.crl", answer.content)
        assert "verify OK" in openssl("crl", "-inform", "DER", "-in", list_, "-CAfile", root, "-noout").stderr
        made = openssl("crl", "-inform", "DER", "-in", list_, "-out", office.folder / "crl.pem")
        assert made.returncode == 0
        file = office.file("cert.pem", pem(row))
        return openssl("verify", "-crl_check", "-CAfile", root, "-CRLfile", office.folder / "crl.pem", file)

    assert [judged(row).returncode for row in (good, gone)] == [0, 0]
    office.revoke(gone.id)
    on_disk = x509.load_der_x509_crl((office.home.path / "ca" / "root.crl").read_bytes())
    assert on_disk.get_revoked_certificate_by_serial_number(int(gone.serial, 16)) is not None, "before anybody asks"
    assert "certificate revoked" in judged(gone).stderr
    assert judged(good).returncode == 0


def test_openssl_asks_the_responder(office: Office) -> None:
    row = office.certificate()
    root = office.file("root.pem", office.get("/pki/root.pem").content)
    file = office.file("cert.pem", pem(row))

    def asked() -> str:
        done = openssl(
            "ocsp", "-issuer", root, "-cert", file, "-url", f"{office.base}/pki/ocsp", "-CAfile", root
        )  # fmt: skip
        assert "Response verify OK" in done.stderr, done.stderr
        return done.stdout

    assert f"{file}: good" in asked()
    office.revoke(row.id)
    assert "revoked" in asked()
    assert "keyCompromise" in asked()


def test_an_answer_to_a_request_in_the_address_may_be_kept_for_a_while(office: Office) -> None:
    row, root = office.certificate(), office.home.services.authority.root
    certificate = x509.load_der_x509_certificate(row.certificate)
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, root, hashes.SHA1())
    asked = base64.b64encode(builder.build().public_bytes(Encoding.DER)).decode()
    for encoded in (asked, quote(asked, safe="")):
        answer = office.get(f"/pki/ocsp/{encoded}")
        assert answer.headers["content-type"] == "application/ocsp-response"
        found = ocsp.load_der_ocsp_response(answer.content)
        assert found.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert answer.headers["cache-control"] == "max-age=300, public, no-transform, must-revalidate"
        assert {"last-modified", "expires", "etag"} <= set(answer.headers)
    with_nonce = builder.add_extension(x509.OCSPNonce(b"0123456789abcdef"), critical=False).build()
    once = office.get(f"/pki/ocsp/{quote(base64.b64encode(with_nonce.public_bytes(Encoding.DER)).decode(), safe='')}")
    assert once.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("asked", ["", "x", "***", "A" * 5, "A" * 12_000, "AAAA=AAA", "%00"])
def test_what_is_no_request_is_told_so_and_kept_by_nobody(office: Office, asked: str) -> None:
    answer = office.get(f"/pki/ocsp/{asked}")
    assert answer.status_code == 400
    assert ocsp.load_der_ocsp_response(answer.content).response_status is (ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    assert answer.headers["cache-control"] == "no-store"


def test_a_request_that_is_too_large_is_not_read(office: Office) -> None:
    for size, status in ((MOST_REQUEST_BYTES, 200), (MOST_REQUEST_BYTES + 1, 413), (1 << 20, 413)):
        assert httpx.post(f"{office.base}/pki/ocsp", content=bytes(size), trust_env=False).status_code == status


def test_the_root_is_given_in_both_forms(office: Office) -> None:
    der = office.get("/pki/root.cer")
    assert der.headers["content-type"] == "application/pkix-cert"
    assert der.content == office.home.services.authority.root.public_bytes(Encoding.DER)
    assert office.get("/pki/root.pem").content == office.home.services.authority.root_pem


def test_certificates_of_others_are_no_concern_of_our_list(office: Office) -> None:
    other = DocumentPki(MovedClock(office.home.clock.now()))
    facts = OfficerFacts("YN 外", "钱七", "局", "队")
    officer_id = OfficerId(record_officer(office.home.database, facts, by=OPERATOR, at=office.home.clock.now()))
    der = other.signer("CN=钱七").certificate
    done = register_of_officer(
        office.home.services.issuer, officer_id, der, by=OPERATOR, at=office.home.clock.now()
    )  # fmt: skip
    serial = x509.load_der_x509_certificate(der).serial_number
    assert not office.home.services.ocsp.register.is_issued(serial)
    office.revoke(done)
    found = x509.load_der_x509_crl(office.get("/pki/root.crl").content)
    assert found.get_revoked_certificate_by_serial_number(serial) is None
    office.home.assert_sound()

"""Certificates on the command line: issued, listed, shown, brought along, replaced, revoked."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from archive.access.policy import Role
from archive.cli.main import run
from archive.documents.issuing import decide
from archive.kernel.ids import KeyRequestId
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.trust.requests import waiting_key_requests
from signing.pkcs12 import open_pkcs12
from tests.support.archive_home import ArchiveHome, clock, home
from tests.support.document_pki import DocumentPki, MovedClock

__all__ = ["clock", "home"]

PASSPHRASE = "twelve characters or more"


@pytest.fixture
def liuhen(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command about certificates in this home; return its exit code and what it printed."""
    monkeypatch.setenv("LIUHEN_HOME", str(home.path))
    monkeypatch.setenv("LIUHEN_DATABASE_URL", home.settings.effective_database_url)

    def ran(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["certificates", *(str(argument) for argument in arguments)])
        printed = capsys.readouterr()
        return code, printed.out if code == 0 else printed.err

    return ran


def test_a_certificate_from_its_issue_to_its_revocation(home: ArchiveHome, liuhen: Any, tmp_path: Path) -> None:
    record_officer(home.database, OfficerFacts("YN1", "赵六", "局", "队"), by=OPERATOR, at=home.clock.now())
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    out = tmp_path / "zhao.p12"
    code, told = liuhen("issue", "YN1", "--out", out, "--passphrase-file", tmp_path / "passphrase")
    assert code == 0
    assert PASSPHRASE not in told
    assert out.stat().st_mode & 0o777 == 0o600
    key = open_pkcs12(out.read_bytes(), passphrase=PASSPHRASE, at=home.clock.now())
    assert "[input.invalid]" in liuhen("issue", "YN1", "--out", out)[1], "a file that is there is not touched"
    assert "[access.officer_not_found]" in liuhen("issue", "YN2", "--out", tmp_path / "b")[1]

    (first,) = json.loads(liuhen("list", "--json", "--holder", "赵")[1])
    assert (first["purpose"], first["holder"], first["state"]) == ("officer", "赵六", "valid")
    assert first["id"] in liuhen("list", "--purpose", "officer", "--state", "valid")[1]
    assert liuhen("list", "--state", "revoked") == (0, "")
    pem = liuhen("show", first["id"], "--pem")[1]
    assert x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER) == key.certificate
    assert "CN=赵六" in liuhen("show", first["id"])[1]

    fresh = tmp_path / "again.p12"
    told = liuhen("replace", first["id"], "--out", fresh)[1]
    passphrase = told.rstrip().rpartition(" ")[2]
    open_pkcs12(fresh.read_bytes(), passphrase=passphrase, at=home.clock.now())
    der = DocumentPki(MovedClock(home.clock.now())).signer("赵六").certificate
    (tmp_path / "outside.der").write_bytes(der)
    second = json.loads(liuhen("list", "--json", "--state", "valid")[1])[0]
    code, told = liuhen("replace", second["id"], "--certificate", tmp_path / "outside.der")
    third = json.loads(liuhen("show", told.split()[1], "--json")[1])
    assert third["rotation"] == [first["id"], second["id"], third["id"]]
    assert liuhen("revoke", third["id"], "--reason", "keyCompromise", "--words", "遗失")[0] == 0
    shown = json.loads(liuhen("show", third["id"], "--json")[1])
    assert (shown["state"], shown["revocation_reason"]) == ("revoked", "keyCompromise")
    early = ("--reason", "superseded", "--words", "x", "--since", "2001-01-01T00:00:00")
    assert "[input.invalid]" in liuhen("revoke", second["id"], *early)[1]
    (tmp_path / "other.der").write_bytes(DocumentPki(MovedClock(home.clock.now())).signer("赵六").certificate)
    assert liuhen("register", "--officer", "YN1", "--certificate", tmp_path / "other.der")[0] == 0
    assert "[trust.certificate_known]" in liuhen(
        "register", "--officer", "YN1", "--certificate", tmp_path / "other.der"
    )[1]  # fmt: skip
    home.assert_sound()


def test_a_seal_waits_for_an_administrator(home: ArchiveHome, liuhen: Any) -> None:
    code, told = liuhen("issue-seal", "1")
    assert (code, "waits for an administrator" in told) == (0, True)
    assert "[organisation.agency_not_found]" in liuhen("issue-seal", "no such")[1]
    with home.database.read() as tx:
        (request,) = waiting_key_requests(tx)
    admin = home.person(Role.ADMINISTRATOR)
    issuer, request_id = home.services.issuer, KeyRequestId(request.id)
    decide(issuer, request_id, is_approved=True, words="", by=admin.actor, at=home.clock.now())
    (seal,) = json.loads(liuhen("list", "--json", "--purpose", "seal")[1])
    assert "waits for an administrator" in liuhen("replace", seal["id"])[1]
    assert "[trust.token_not_set]" in liuhen("replace", seal["id"], "--label", "x")[1]
    assert "[trust.token_not_set]" in liuhen("register", "--seal-of", "1", "--label", "x")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "01a22a98-b5e8-770c-97ae-9572207112e8"),
        ("show", "no-id"),
        ("register",),
        ("register", "--seal-of", "1"),
        ("replace", "01a22a98-b5e8-770c-97ae-9572207112e8"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(liuhen: Any, arguments: tuple[str, ...]) -> None:
    code, told = liuhen(*arguments)
    assert code in {64, 66}
    assert len(told.splitlines()) == 1

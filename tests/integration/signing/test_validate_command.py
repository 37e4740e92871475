"""`liuhen validate` as scripts meet it: three outcomes, three exit codes, with and without an archive."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from archive.cli.main import run
from archive.kernel.clock import SystemClock
from signing.pades import PadesSigner
from tests.support import document_judges, pdf_bytes
from tests.support.archive_home import ArchiveHome, clock, home
from tests.support.signed_pdfs import SIGNED_AT, World, crl, issue
from tests.unit.signing import pki

__all__ = ["clock", "home"]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    folder = tmp_path_factory.mktemp("list")
    (folder / "root.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    (folder / "root.crl").write_bytes(crl(world.root, at=SystemClock().now()))
    (folder / "trust.toml").write_text(
        'version = 1\n[[trusted]]\nname = "CA"\nfor = ["all"]\nfrom = 2020-01-01T00:00:00Z\nsource = "on paper"\n'
        'certificate = "root.pem"\n'
    )
    return folder


def test_a_document_by_lists_alone(
    world: World, trust: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, signed = tmp_path / "a.pdf", world.sign(pdf_bytes.plain())
    file.write_bytes(signed)
    assert run(["validate", str(file), "--trust", str(trust), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["cause"], told["checked"]) == ("valid", "", str(file))
    assert told["verdict"]["signatures"][0]["signer"]["trusted_as"] == f"{trust.name}: CA"
    assert [each["name"] for each in told["trust_lists"]] == [trust.name]
    assert run(["validate", str(file)]) == 2
    assert "signature.untrusted" in capsys.readouterr().err
    file.write_bytes(signed.replace(b"MediaBox [0 0", b"MediaBox [0 1", 1))
    assert run(["validate", str(file), "--trust", str(trust)]) == 1
    assert "invalid: " in capsys.readouterr().out


def test_a_signature_in_a_file_of_its_own_cannot_steer_the_terminal(
    world: World, trust: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, p7s, signer = tmp_path / "a.bin", tmp_path / "a.p7s", issue("Li\x1b[2J", world.root)
    content.write_bytes(b"content")
    p7s.write_bytes(pki.sign_anyway(b"content", key=signer.key, certificate=signer.certificate, at=SIGNED_AT))
    assert run(["validate", str(content), "--signature", str(p7s), "--trust", str(trust)]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "Li\\x1b[2J" in told
    content.write_bytes(b"other")
    assert run(["validate", str(content), "--signature", str(p7s), "--trust", str(trust)]) == 1


def test_a_report_needs_an_archive_which_logs_it(
    home: ArchiveHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, file, report = home.services, tmp_path / "a.pdf", tmp_path / "report.pdf"
    signer = PadesSigner(
        services.authority.manifest_key(), services.authority.manifest_certificate, home.clock, services.tsa.token
    )
    file.write_bytes(signer.sign_pdf(pdf_bytes.plain(), reason="test"))
    assert run(["validate", str(file), "--report", str(report), "--home", str(tmp_path / "none")]) == 66
    assert not report.exists()
    monkeypatch.setenv("LIUHEN_DATABASE_URL", services.settings.database_url)
    assert run(["validate", str(file), "--report", str(report), "--home", str(home.path)]) == 0
    assert document_judges.pdfsig(report.read_bytes(), tmp_path).count("Signature is Valid") == 1
    assert home.types().count("validation.reported") == 1
    home.assert_sound()

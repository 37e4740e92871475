"""Signed documents, judged by poppler, pyHanko's validation and a timestamp authority of OpenSSL."""

import asyncio
import hashlib
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from archive.documents.typesetting import Typesetter
from archive.kernel.clock import SystemClock
from signing.authority import EmbeddedAuthority
from signing.cades import SignerNotValid
from signing.documents import DocumentUnreadable
from signing.pades import PadesSigner
from signing.tsa import EmbeddedTsa

AT = datetime(2026, 3, 2, 8, 0, 0, tzinfo=UTC)
_TSA = """\
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[req]
distinguished_name = name
[name]
[ext]
basicConstraints = CA:TRUE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
"""


def case_data(name: str = "a.mp4") -> Mapping[str, Any]:
    found = {
        "name": name,
        "class": "x",
        "size": 3,
        "method": "m",
        "received": "t",
        "path": "p",
        "sha256": "ab" * 32,
        "sha512": "cd" * 64,
    }
    return {
        "case": {"number": "昆市监罚〔2026〕1号", "title": "无证经营案", "subject": {"name": "某某店"}},
        "organisation": "局", "made": "t", "made_by": "i", "package": "x", "origin": "a/log", "checkpoint": {"size": 12},
        "objects": [found] * 3,
    }  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedAuthority:
    folder = tmp_path_factory.mktemp("pades") / "ca"
    return EmbeddedAuthority.create(folder, organisation="局", valid_from=SystemClock().now() - timedelta(hours=1))


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "tsa.cnf").write_text(_TSA.format(folder=folder))
    (folder / "serial").write_text("01\n")
    openssl("req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "3", "-subj", "/CN=TSA of a test", "-extensions", "ext",
            "-config", folder / "tsa.cnf", "-keyout", folder / "tsa.key", "-out", folder / "tsa.pem")  # fmt: skip
    return folder


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def token_of(folder: Path, imprint: bytes) -> bytes:
    openssl("ts", "-query", "-digest", imprint.hex(), "-sha256", "-cert", "-out", folder / "query")
    openssl(
        "ts",
        "-reply",
        "-config",
        folder / "tsa.cnf",
        "-queryfile",
        folder / "query",
        "-token_out",
        "-out",
        folder / "token",
    )
    return (folder / "token").read_bytes()


def signed(authority: EmbeddedAuthority, pdf: bytes, **given: Any) -> bytes:
    signer = PadesSigner(authority.manifest_key(), authority.manifest_certificate, SystemClock(), **given)
    return signer.sign_pdf(pdf, reason="List of electronic data")


def test_the_same_data_gives_the_same_bytes() -> None:
    first, second = Typesetter("list"), Typesetter("list")
    assert first.set_pdf(case_data(), at=AT) == first.set_pdf(case_data(), at=AT) == second.set_pdf(case_data(), at=AT)
    assert b"pdfaid:part>2" in first.set_pdf(case_data(), at=AT)


@pytest.mark.parametrize("name", ["\u202egpj.证据😀.mp4", "长" * 1000, "#let x = 1", "$ * _ ` @ <a> //", "a\nb", "𠮷"])
def test_every_name_can_be_set(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.pdf").write_bytes(Typesetter("list").set_pdf(case_data(name), at=AT))
    text = subprocess.run(
        ["pdftotext", "-raw", tmp_path / "list.pdf", "-"], check=True, capture_output=True, text=True
    ).stdout
    if name == "𠮷":
        assert "〔U+20BB7〕" in text
    if name == "a\nb":
        assert "a〔U+000A〕b" in text
    assert "完整性校验值" in text


def test_a_signature_with_timestamp_is_valid_to_others(authority: EmbeddedAuthority, tsa: Path, tmp_path: Path) -> None:
    pdf = signed(
        authority, Typesetter("list").set_pdf(case_data(), at=AT), token=lambda imprint: token_of(tsa, imprint)
    )
    (tmp_path / "list.pdf").write_bytes(pdf)
    told = subprocess.run(["pdfsig", tmp_path / "list.pdf"], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in told
    assert "ETSI.CAdES.detached" in told
    status = asyncio.run(_judged(pdf, authority, (tsa / "tsa.pem").read_bytes()))
    assert status.intact
    assert status.valid
    assert status.trusted
    assert status.bottom_line
    assert status.timestamp_validity.valid
    assert status.timestamp_validity.intact


def test_a_timestamp_of_the_embedded_authority_is_valid_to_others(authority: EmbeddedAuthority) -> None:
    token = EmbeddedTsa(authority, SystemClock()).token
    pdf = signed(authority, Typesetter("list").set_pdf(case_data(), at=AT), token=token)
    status = asyncio.run(_judged(pdf, authority, authority.root_pem))
    assert status.bottom_line
    assert status.timestamp_validity.valid
    assert status.timestamp_validity.trusted


def test_a_changed_byte_is_found(authority: EmbeddedAuthority, tmp_path: Path) -> None:
    pdf = bytearray(signed(authority, Typesetter("list").set_pdf(case_data(), at=AT)))
    pdf[1000] ^= 1
    (tmp_path / "list.pdf").write_bytes(pdf)
    told = subprocess.run(["pdfsig", tmp_path / "list.pdf"], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" not in told


def test_what_is_no_pdf_and_a_certificate_that_has_ended_are_refused(authority: EmbeddedAuthority) -> None:
    with pytest.raises(DocumentUnreadable):
        signed(authority, hashlib.sha256(b"").digest() * 50)

    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(days=30 * 365)

    with pytest.raises(SignerNotValid):
        PadesSigner(authority.manifest_key(), authority.manifest_certificate, Later()).sign_pdf(b"%PDF-", reason="x")


async def _judged(pdf: bytes, authority: EmbeddedAuthority, root_of_times: bytes) -> Any:
    from asn1crypto import pem, x509

    ders = [pem.unarmor(raw[raw.index(b"-----BEGIN") :])[2] for raw in (authority.root_pem, root_of_times)]
    context, times = (ValidationContext(trust_roots=[x509.Certificate.load(der)]) for der in ders)
    signature = PdfFileReader(BytesIO(pdf)).embedded_signatures[0]
    return await async_validate_pdf_signature(signature, context, times)

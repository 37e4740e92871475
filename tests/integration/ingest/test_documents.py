"""Documents from outside are judged in the sandbox, whatever they are; the process dies rather than the archive."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.documents import JUDGING, judge_in_sandbox
from ingest.media.sandbox import Limits, Sandbox
from signing.validation.requests import ValidationRequest
from tests.support import pdf_bytes
from tests.support.signed_pdfs import CHECKED_AT, World
from tests.unit.signing import pki


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def request_of(world: World) -> ValidationRequest:
    return ValidationRequest(kind="pdf", at=CHECKED_AT, trust=world.trust, crls=world.crls)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox("required")


def codes(told: object) -> set[str]:
    return {each["code"] for each in told["findings"]}  # type: ignore[index]


def test_the_same_verdict_as_outside(
    world: World, request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "signed.pdf"
    file.write_bytes(world.sign(pdf_bytes.plain()))
    told = judge_in_sandbox(file, request_of, sandbox=sandbox)
    assert told == json.loads(json.dumps(world.judge(file.read_bytes()).as_json()))
    assert told["outcome"] == "valid"


def test_a_container_in_the_sandbox(world: World, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "manifest.p7s"
    officer = world.officer
    file.write_bytes(pki.sign_anyway(b"content", key=officer.key, certificate=officer.certificate, at=CHECKED_AT))
    asked = ValidationRequest("container", CHECKED_AT, world.trust, crls=world.crls, content=b"content")
    assert judge_in_sandbox(file, asked, sandbox=sandbox)["outcome"] == "valid"
    assert judge_in_sandbox(file, replace(asked, content=b"other"), sandbox=sandbox)["outcome"] == "invalid"


@pytest.fixture(scope="module")
def long_document(world: World) -> bytes:
    """A document of 5,001 pages that two officers signed."""
    kids = b" ".join(b"%d 0 R" % (10 + number) for number in range(5000))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>"
    pages = {2: b"<< /Type /Pages /Kids [3 0 R " + kids + b"] /Count 5001 >>"}
    pages |= {10 + number: page for number in range(5000)}
    return world.sign(world.sign(pdf_bytes.plain(pages)), by=world.second, field="Sig2")


@pytest.mark.parametrize("limits", [replace(JUDGING, wall_s=1), replace(JUDGING, cpu_s=1)], ids=["wall", "processor"])
def test_too_much_time(
    long_document: bytes, request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path, limits: Limits
) -> None:
    file = tmp_path / "slow.pdf"
    file.write_bytes(long_document)
    told = judge_in_sandbox(file, request_of, sandbox=sandbox, limits=limits)
    assert (told["outcome"], codes(told)) == ("indeterminate", {"document.too_costly"})


def test_too_much_memory(request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "large.pdf"
    with file.open("wb") as out:
        out.write(pdf_bytes.plain())
        out.truncate(700 * 1024 * 1024)
    told = judge_in_sandbox(file, replace(request_of, memory_bytes=400 * 1024 * 1024), sandbox=sandbox)
    assert told["outcome"] != "valid"
    assert codes(told) & {"document.too_costly", "document.unreadable"}


def test_a_reader_that_breaks_down(request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "any.pdf"
    file.write_bytes(pdf_bytes.plain())
    told = judge_in_sandbox(file, request_of, sandbox=sandbox, limits=replace(JUDGING, memory_bytes=40 * 1024 * 1024))
    assert (told["outcome"], codes(told)) == ("indeterminate", {"document.unreadable"})


def test_a_file_that_is_not_there(request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        judge_in_sandbox(tmp_path / "none.pdf", request_of, sandbox=sandbox)


def test_five_thousand_pages(
    long_document: bytes, request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "long.pdf"
    file.write_bytes(long_document)
    assert judge_in_sandbox(file, request_of, sandbox=sandbox)["outcome"] == "valid"


def test_half_a_gigabyte(world: World, request_of: ValidationRequest, sandbox: Sandbox, tmp_path: Path) -> None:
    """The large part is one stream of a scan that is not packed."""
    file = tmp_path / "large.pdf"
    file.write_bytes(pdf_bytes.plain({6: pdf_bytes.stream(bytes(500 * 1024 * 1024), b"/Type /XObject")}))
    told = judge_in_sandbox(file, request_of, sandbox=sandbox)
    assert (told["outcome"], codes(told)) == ("indeterminate", {"document.unsigned"})


@pytest.mark.parametrize("given", [b"", b"{}", b'{"v":1}', b"\xff"])
def test_a_wrong_request_is_refused(given: bytes, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_bytes(given)
    ran = subprocess.run(
        [sys.executable, "-m", "signing.validation", "/dev/null", file], capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (64, b"")


def test_the_request_may_be_a_file(world: World, request_of: ValidationRequest, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_bytes(request_of.encode())
    (tmp_path / "signed.pdf").write_bytes(world.sign(pdf_bytes.plain()))
    ran = subprocess.run(
        [sys.executable, "-m", "signing.validation", "signed.pdf", "request.json"],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[3])}, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(ran.stdout)["outcome"] == "valid"

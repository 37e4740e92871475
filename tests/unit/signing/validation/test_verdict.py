"""The verdict's own rules, and that its format tells every code."""

import re
from pathlib import Path

import pytest

from archive.kernel.canonical import canonical_json
from archive.kernel.findings import Outcome, indeterminate, invalid, valid
from signing.validation.requests import BadValidationRequest, ValidationRequest
from signing.validation.verdict import DocumentVerdict, SignatureVerdict
from tests.support import pdf_bytes
from tests.support.signed_pdfs import CHECKED_AT, World

_ROOT = Path(__file__).parents[4]
_GOOD, _BAD, _OPEN = valid("a", "x"), invalid("b", "x"), indeterminate("c", "x")


def signature(*findings: object) -> SignatureVerdict:
    return SignatureVerdict(field="f", is_document_timestamp=False, findings=findings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("findings", "signatures", "outcome"),
    [
        ((), (), Outcome.INDETERMINATE),
        ((_GOOD,), (), Outcome.INDETERMINATE),
        ((_BAD,), (), Outcome.INVALID),
        ((), (signature(),), Outcome.INDETERMINATE),
        ((), (signature(_GOOD),), Outcome.VALID),
        ((_OPEN,), (signature(_GOOD),), Outcome.INDETERMINATE),
        ((), (signature(_GOOD), signature(_GOOD, _OPEN)), Outcome.INDETERMINATE),
        ((_OPEN,), (signature(_GOOD), signature(_BAD)), Outcome.INVALID),
    ],
)
def test_the_worst_decides(findings: tuple, signatures: tuple, outcome: Outcome) -> None:  # type: ignore[type-arg]
    assert DocumentVerdict(CHECKED_AT, findings, signatures).outcome is outcome


def test_it_has_a_canonical_form(world: World, signed: bytes) -> None:
    for pdf in (signed, world.archive(signed, at=CHECKED_AT), pdf_bytes.plain(), b""):
        assert canonical_json(world.judge(pdf).as_json())


def test_the_format_tells_every_code() -> None:
    told = set(
        re.findall(r"`((?:document|signature)\.[a-z_]+)`", (_ROOT / "docs/formats/verdict.md").read_text("utf-8"))
    )
    used = {
        code
        for path in [*(_ROOT / "signing/validation").glob("*.py"), _ROOT / "ingest/documents.py"]
        for code in re.findall(r"\"((?:document|signature)\.[a-z_]+)\"", path.read_text("utf-8"))
    }
    assert used | {"signature.malformed"} == told


def test_a_request_survives_its_encoding(world: World) -> None:
    asked = ValidationRequest("container", CHECKED_AT, world.trust, world.crls, [b"answer"], b"content", 5, 1 << 30)
    again = ValidationRequest.decode(asked.encode())
    assert again.encode() == asked.encode()
    assert (list(again.crls), again.content, again.cpu_s) == (list(world.crls), b"content", 5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"kind":"pdf"', b'"kind":"doc"'),
        (b'"v":1', b'"v":2'),
        (b'"cpu_s":120', b'"cpu_s":null'),
        (b'"crls":[]', b'"crls":["?"]'),
        (b'"crls":[]', b'"crls":5'),
        (b'"ocsp":[]', b'"ocs":[]'),
    ],
)
def test_a_wrong_request_is_refused(world: World, old: bytes, new: bytes) -> None:
    raw = ValidationRequest("pdf", CHECKED_AT, world.trust).encode()
    assert raw.count(old) == 1 or old == b'"v":1'
    with pytest.raises(BadValidationRequest):
        ValidationRequest.decode(raw.replace(old, new))

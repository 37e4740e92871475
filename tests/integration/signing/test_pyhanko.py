"""pyHanko's validator judges our signatures, and its own signer makes some that we judge."""

import asyncio
from typing import Any

import pytest
from asn1crypto import cms, x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko_certvalidator import ValidationContext

from archive.kernel.findings import Outcome
from signing.cades import check_detached
from tests.integration.signing.conftest import Signed
from tests.unit.signing.pki import MANIFEST, SIGNED_AT, sign_anyway


def judged(signed: Signed, content: bytes) -> Any:
    parsed = cms.ContentInfo.load(signed.p7s.read_bytes(), strict=True)
    root = x509.Certificate.load(signed.authority.root.public_bytes(Encoding.DER))
    context = ValidationContext(trust_roots=[root], moment=SIGNED_AT, allow_fetching=False)
    return asyncio.run(async_validate_detached_cms(content, parsed["content"], signer_validation_context=context))


def test_pyhanko_accepts_ours(signed: Signed) -> None:
    status = judged(signed, MANIFEST)
    assert status.intact
    assert status.valid
    assert status.trusted
    assert status.bottom_line
    assert status.signer_reported_dt == SIGNED_AT.replace(microsecond=0)


def test_pyhanko_refuses_other_content(signed: Signed) -> None:
    status = judged(signed, MANIFEST + b" ")
    assert not status.intact
    assert not status.bottom_line


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_a_signature_made_by_pyhanko_is_valid_for_us(signed: Signed, digest: str) -> None:
    authority = signed.authority
    theirs = sign_anyway(
        MANIFEST, key=authority.manifest_key(), certificate=authority.manifest_certificate, digest=digest
    )
    report = check_detached(MANIFEST, theirs, trust_roots_pem=authority.root_pem, at=SIGNED_AT)
    assert report.outcome is Outcome.VALID, report

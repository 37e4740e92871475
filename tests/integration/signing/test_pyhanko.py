"""pyHanko, a CAdES implementation that is not ours, judges our signatures and makes some that we judge."""

import asyncio
from typing import Any

import pytest
from asn1crypto import cms, keys, x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes, SimpleSigner
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from archive.kernel.findings import Outcome
from signing.cades import check_detached
from tests.integration.signing.conftest import Signed
from tests.unit.signing.pki import MANIFEST, SIGNED_AT


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
    theirs = SimpleSigner(
        signing_cert=x509.Certificate.load(authority.manifest_certificate.public_bytes(Encoding.DER)),
        signing_key=keys.PrivateKeyInfo.load(
            authority.manifest_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        ),
        cert_registry=SimpleCertificateStore(),
        embed_roots=False,
    )
    made = asyncio.run(
        theirs.async_sign_general_data(
            MANIFEST,
            digest,
            use_cades=True,
            signed_attr_settings=PdfCMSSignedAttributes(signing_time=SIGNED_AT.replace(microsecond=0)),
        )
    )
    report = check_detached(MANIFEST, made.dump(), trust_roots_pem=authority.root_pem, at=SIGNED_AT)
    assert report.outcome is Outcome.VALID, report

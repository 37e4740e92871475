"""Containers in files of their own: ours, those of OpenSSL, with and without their content; nothing changed passes."""

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes, SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from archive.kernel.findings import Outcome
from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner
from signing.validation.containers import judge_container
from signing.validation.trust import TrustList
from signing.validation.verdict import DocumentVerdict, Level
from tests.support import signed_pdfs as made
from tests.support.signed_pdfs import CHECKED_AT, SIGNED_AT, World
from tests.unit.signing import pki
from tests.unit.signing.validation.test_documents import bad


def stamped(world: World, content: bytes = pki.MANIFEST) -> bytes:
    certificate, key = world.officer.asn1()
    signer = SimpleSigner(certificate, key, cert_registry=SimpleCertificateStore())
    settings = PdfCMSSignedAttributes(signing_time=SIGNED_AT)
    coroutine = signer.async_sign_general_data(
        content, "sha256", use_cades=True, signed_attr_settings=settings, timestamper=world.stamper(SIGNED_AT)
    )
    raw: bytes = asyncio.run(coroutine).dump()
    return raw


def judge(world: World, content: bytes | None, raw: bytes, **changes: object) -> DocumentVerdict:
    options: dict[str, object] = {"trust": world.trust, "at": CHECKED_AT, "crls": world.crls, **changes}
    return judge_container(content, raw, **options)  # type: ignore[arg-type]


def test_one_of_this_archive(authority: EmbeddedAuthority, signature: bytes) -> None:
    root = made.Identity(authority._key_of("root.key.pem", authority.root), authority.root)
    verdict = judge_container(
        pki.MANIFEST, signature, trust=TrustList.embedded(authority.root), at=pki.SIGNED_AT + timedelta(hours=1),
        crls=[made.crl(root, at=pki.SIGNED_AT)],
    )  # fmt: skip
    (one,) = verdict.signatures
    assert (verdict.outcome, bad(verdict), one.level) == (Outcome.VALID, set(), Level.B_B)
    assert one.signer is not None
    assert one.signer.is_self_issued


def test_with_a_timestamp(world: World) -> None:
    verdict = judge(world, pki.MANIFEST, stamped(world))
    assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())
    assert (verdict.signatures[0].level, verdict.signatures[0].proven_at) == (Level.B_T, SIGNED_AT)


def test_over_other_content(world: World) -> None:
    verdict = judge(world, pki.MANIFEST + b" ", stamped(world))
    assert (verdict.outcome, "signature.digest_mismatch" in bad(verdict)) == (Outcome.INVALID, True)


def test_without_the_content_nothing_is_said(world: World) -> None:
    verdict = judge(world, None, stamped(world))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"signature.content_missing"})


def openssl_signed(world: World, folder: Path, *options: str) -> bytes:
    raw = world.officer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(raw)
    (folder / "cert.pem").write_bytes(world.officer.certificate.public_bytes(Encoding.PEM))
    (folder / "content").write_bytes(pki.MANIFEST)
    form = "PEM" if "PEM" in options else "DER"
    further = [each for each in options if each != "PEM"]
    subprocess.run(
        ["openssl", "cms", "-sign", "-binary", "-in", "content", "-signer", "cert.pem", "-inkey", "key.pem",
         "-outform", form, "-out", "made.p7s", *further],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "made.p7s").read_bytes()


@pytest.mark.parametrize("options", [("-cades",), ("-cades", "-nodetach"), ("-cades", "PEM"), ()], ids=str)
def test_those_of_openssl(world: World, tmp_path: Path, options: tuple[str, ...]) -> None:
    raw = openssl_signed(world, tmp_path, *options)
    content = None if "-nodetach" in options else pki.MANIFEST
    # OpenSSL takes the clock of this machine for the time that is claimed.
    claimed = judge(world, content, raw).signatures[0].claimed_at
    assert claimed is not None
    verdict = judge(world, content, raw, at=claimed, crls=[made.crl(world.root, at=claimed)])
    assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())
    assert verdict.signatures[0].level is (Level.B_B if options else Level.NONE)


def test_content_that_is_carried_and_given_has_to_agree(world: World, tmp_path: Path) -> None:
    raw = openssl_signed(world, tmp_path, "-cades", "-nodetach")
    verdict = judge(world, pki.MANIFEST + b"x", raw)
    assert (verdict.outcome, bad(verdict)) == (Outcome.INVALID, {"signature.digest_mismatch"})


def test_a_timestamp_is_no_signature(world: World) -> None:
    info = cms.ContentInfo.load(stamped(world))["content"]["signer_infos"][0]
    token = next(
        each["values"][0] for each in info["unsigned_attrs"] if each["type"].native == "signature_time_stamp_token"
    )
    verdict = judge(world, pki.MANIFEST, token.dump())
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"signature.form_refused"})


def test_two_signers_are_refused(world: World) -> None:
    whole = cms.ContentInfo.load(stamped(world))
    infos = whole["content"]["signer_infos"]
    infos.append(infos[0])
    verdict = judge(world, pki.MANIFEST, whole.dump(force=True))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INVALID, {"signature.malformed"})


def test_a_certificate_that_was_slipped_in_is_seen(world: World) -> None:
    whole = cms.ContentInfo.load(stamped(world))
    whole["content"]["certificates"].append(world.second.asn1()[0])
    assert bad(judge(world, pki.MANIFEST, whole.dump(force=True))) == {"signature.stray_certificate"}


def test_an_attribute_that_nobody_signed_is_seen(world: World) -> None:
    whole = cms.ContentInfo.load(stamped(world))
    attribute = cms.CMSAttribute({"type": "1.2.3.4", "values": [cms.OctetString(b"x")]})
    whole["content"]["signer_infos"][0]["unsigned_attrs"].append(attribute)
    assert "signature.unsigned_attribute" in bad(judge(world, pki.MANIFEST, whole.dump(force=True)))


def test_no_byte_can_be_changed(world: World) -> None:
    raw = stamped(world)
    survivors = []
    for place in range(0, len(raw), 7):
        for bit in (1, 0x80):
            changed = bytearray(raw)
            changed[place] ^= bit
            if judge(world, pki.MANIFEST, bytes(changed)).outcome is Outcome.VALID:
                survivors.append((place, bit))
    assert survivors == []
    for cut in (0, 10, len(raw) - 1):
        assert judge(world, pki.MANIFEST, raw[:cut]).outcome is Outcome.INVALID
    assert judge(world, pki.MANIFEST, raw + b"\0").outcome is not Outcome.VALID


def test_our_own_signer_and_this_check_agree(signer: CadesSigner, authority: EmbeddedAuthority) -> None:
    raw = signer.sign_detached(b"something else")
    verdict = judge_container(b"something else", raw, trust=TrustList.embedded(authority.root), at=pki.SIGNED_AT)
    assert bad(verdict) == {"signature.revocation_unknown"}

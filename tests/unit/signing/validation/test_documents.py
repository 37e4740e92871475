"""Judging signed PDFs: who, when, level, revocation, time, renewal; the outcomes agree with pyHanko and pdfsig."""

import asyncio
import subprocess
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
import typst
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import PdfSignatureValidationSpec, SignatureValidationSpec
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleCertificateStore, SimpleTrustManager

from archive.kernel.findings import Outcome
from signing.validation.trust import Purpose, TrustList
from signing.validation.verdict import ChangeKind, Level, RevocationState
from tests.support import pdf_bytes
from tests.support import signed_pdfs as made
from tests.support.signed_pdfs import CHECKED_AT, SIGNED_AT, START, World
from tests.unit.signing import pki

DAY = timedelta(days=1)


def bad(verdict: object) -> set[str]:
    """The codes of all findings that are not valid."""
    everything = [*verdict.findings, *(found for each in verdict.signatures for found in each.findings)]  # type: ignore[attr-defined]
    return {each.code for each in everything if each.outcome is not Outcome.VALID}


def test_a_signature_with_its_timestamp_is_valid(world: World, signed: bytes, tmp_path: Path) -> None:
    verdict = world.judge(signed)
    (one,) = verdict.signatures
    assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())
    assert (one.level, one.revocation, one.proven_at) == (Level.B_T, RevocationState.GOOD, SIGNED_AT)
    assert one.signer is not None
    assert one.signer.subject == "CN=Officer Li"
    assert not one.signer.is_self_issued
    assert one.covers_whole_file
    assert one.changes == ()
    file = tmp_path / "signed.pdf"
    file.write_bytes(signed)
    told = subprocess.run(["pdfsig", "-nocert", file], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in told
    assert "Total document signed" in told


def test_a_signature_without_timestamp_is_basic(world: World, plain: bytes) -> None:
    (one,) = world.judge(world.sign(plain, stamped_at=None)).signatures
    assert (one.outcome, one.level, one.proven_at, one.claimed_at) == (Outcome.VALID, Level.B_B, None, SIGNED_AT)


def test_a_plain_cms_signature_has_no_level(world: World, plain: bytes) -> None:
    (one,) = world.judge(world.sign(plain, subfilter=SigSeedSubFilter.ADOBE_PKCS7_DETACHED)).signatures
    assert (one.outcome, one.level) == (Outcome.VALID, Level.NONE)


def test_no_word_on_revocation_is_not_valid(world: World, signed: bytes) -> None:
    verdict = world.judge(signed, crls=())
    assert verdict.outcome is Outcome.INDETERMINATE
    assert bad(verdict) == {"signature.revocation_unknown", "signature.timestamp_revocation_unknown"}


def test_an_unsigned_document_is_not_valid(world: World, plain: bytes) -> None:
    verdict = world.judge(plain)
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"document.unsigned"})


def test_an_unknown_authority_is_signer_not_established(world: World, signed: bytes) -> None:
    verdict = world.judge(signed, trust=TrustList())
    assert verdict.outcome is Outcome.INDETERMINATE
    assert bad(verdict) == {"signature.untrusted", "signature.timestamp_untrusted"}


def test_a_namesake_of_the_authority_is_a_forgery(world: World, plain: bytes) -> None:
    other = World()
    verdict = world.judge(other.sign(plain, stamped_at=None))
    assert bad(verdict) in ({"signature.untrusted"}, {"signature.certificate_forged"})
    assert verdict.outcome is not Outcome.VALID


def test_trust_is_for_a_purpose_and_a_time(world: World, signed: bytes) -> None:
    for entry, code in (
        (made.trusted(world.root, Purpose.TIMESTAMPS), "signature.untrusted"),
        (made.trusted(world.root, Purpose.PEOPLE), "signature.timestamp_untrusted"),
        (made.trusted(world.root, since=SIGNED_AT + DAY / 2), "signature.timestamp_untrusted"),
        (made.trusted(world.root, until=SIGNED_AT), "signature.untrusted"),
    ):
        verdict = world.judge(signed, trust=TrustList((entry,)))
        assert verdict.outcome is Outcome.INDETERMINATE
        assert code in bad(verdict)


def test_the_embedded_authority_is_marked(world: World, signed: bytes) -> None:
    verdict = world.judge(signed, trust=TrustList.embedded(world.root.certificate))
    assert verdict.outcome is Outcome.VALID
    assert all(each.signer is not None and each.signer.is_self_issued for each in verdict.signatures)


@pytest.mark.parametrize(
    ("revoked_at", "outcome", "code"),
    [
        (SIGNED_AT - DAY, Outcome.INVALID, "signature.revoked"),
        (SIGNED_AT, Outcome.INVALID, "signature.revoked"),
        (SIGNED_AT + DAY / 2, Outcome.VALID, "signature.revoked_later"),
    ],
)
def test_revoked_before_or_after_the_proven_time(
    world: World, signed: bytes, revoked_at: object, outcome: Outcome, code: str
) -> None:
    verdict = world.judge(signed, crls=[made.crl(world.root, revoked=[(world.officer, revoked_at)])])  # type: ignore[list-item]
    assert (verdict.outcome, verdict.signatures[0].revocation) == (outcome, RevocationState.REVOKED)
    assert code in verdict.codes


def test_revoked_without_a_proven_time(world: World, plain: bytes) -> None:
    basic = world.sign(plain, stamped_at=None)
    later = world.judge(basic, crls=[made.crl(world.root, revoked=[(world.officer, SIGNED_AT + DAY / 2)])])
    before = world.judge(basic, crls=[made.crl(world.root, revoked=[(world.officer, SIGNED_AT - DAY)])])
    assert (later.outcome, bad(later)) == (Outcome.INDETERMINATE, {"signature.revoked_unproven"})
    assert (before.outcome, bad(before)) == (Outcome.INVALID, {"signature.revoked"})


def test_a_revoked_timestamp_proves_nothing(world: World, signed: bytes) -> None:
    verdict = world.judge(signed, crls=[made.crl(world.root, revoked=[(world.tsa, CHECKED_AT - DAY / 4)])])
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"signature.timestamp_revoked"})
    assert verdict.signatures[0].proven_at is None


def test_a_list_of_another_authority_says_nothing(world: World, signed: bytes) -> None:
    stranger = made.new_root()
    verdict = world.judge(signed, crls=[made.crl(stranger), b"no list", made.crl(world.root, at=CHECKED_AT + 99 * DAY)])
    assert "signature.revocation_unknown" in bad(verdict)


def test_an_expired_certificate_counts_with_a_timestamp_only(world: World, plain: bytes) -> None:
    at = world.officer.certificate.not_valid_after_utc + DAY
    lists = [made.crl(world.root, at=at), made.crl(world.root)]
    stamped = world.judge(world.sign(plain), at=at, crls=lists)
    assert (stamped.outcome, bad(stamped)) == (Outcome.VALID, set())
    basic = world.judge(world.sign(plain, stamped_at=None), at=at, crls=lists)
    assert (basic.outcome, bad(basic) & {"signature.certificate_expired"}) == (
        Outcome.INDETERMINATE, {"signature.certificate_expired"},
    )  # fmt: skip


def test_not_yet_valid(world: World, plain: bytes) -> None:
    later = made.issue("Officer Zhao", world.root, valid_from=SIGNED_AT + 10 * DAY)
    verdict = world.judge(world.sign(plain, by=later))
    assert verdict.outcome is Outcome.INVALID
    assert {"signature.not_yet_valid", "signature.outside_validity"} <= bad(verdict)


@pytest.mark.parametrize(
    "usage",
    [
        [pki.key_usage(key_encipherment=True)],
        [pki.key_usage(digital_signature=True), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])],
        [],
    ],
    ids=["encryption", "web server", "nothing said"],
)
def test_wrong_key_usage(world: World, plain: bytes, usage: list[x509.ExtensionType]) -> None:
    wrong = made.issue("Server", world.root, extensions=usage)
    verdict = world.judge(world.sign(plain, by=wrong))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INVALID, {"signature.key_usage"})


def test_a_timestamp_of_somebody_who_is_no_authority(world: World, plain: bytes) -> None:
    not_one = made.issue("Officer Sun", world.root, key=rsa.generate_private_key(65537, 2048))
    verdict = world.judge(world.sign(plain, tsa=not_one))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INVALID, {"signature.timestamp_key_usage"})


def test_a_timestamp_of_an_unknown_authority(world: World, plain: bytes) -> None:
    other = made.new_root("Elsewhere")
    verdict = world.judge(world.sign(plain, tsa=made.issue("Foreign time", other, is_stamper=True)))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"signature.timestamp_untrusted"})


def test_clocks_that_are_off(world: World, plain: bytes) -> None:
    ahead = world.judge(world.sign(plain, at=SIGNED_AT + timedelta(minutes=30)))
    assert (ahead.outcome, bad(ahead)) == (Outcome.INDETERMINATE, {"signature.clock_off"})
    future = world.judge(world.sign(plain, at=CHECKED_AT + 2 * DAY, stamped_at=None))
    assert (future.outcome, bad(future)) == (Outcome.INDETERMINATE, {"signature.time_ahead"})
    stamp = world.judge(world.sign(plain, stamped_at=CHECKED_AT + 2 * DAY))
    assert (stamp.outcome, bad(stamp)) == (Outcome.INDETERMINATE, {"signature.time_ahead"})


def test_what_is_too_weak_or_not_judged(world: World, plain: bytes) -> None:
    sha1 = world.judge(world.sign(plain, digest="sha1", stamped_at=None))
    assert sha1.outcome is Outcome.INVALID
    assert "signature.hash_too_weak" in bad(sha1)
    short = made.issue("Short", world.root, key=rsa.generate_private_key(65537, 1024))
    weak = world.judge(world.sign(plain, by=short, stamped_at=None))
    assert weak.outcome is Outcome.INVALID
    assert "signature.key_too_weak" in bad(weak)
    edwards = made.issue("Edwards", world.root, key=ed25519.Ed25519PrivateKey.generate())
    unjudged = world.judge(world.sign(plain, by=edwards, stamped_at=None, digest="sha512"))
    assert unjudged.outcome is Outcome.INDETERMINATE
    assert "signature.algorithm_unjudged" in bad(unjudged)


def test_two_officers_and_what_came_later(world: World, signed: bytes) -> None:
    both = world.sign(signed, by=world.second, field="Sig2", box=(50, 50, 200, 90))
    verdict = world.judge(both)
    assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())
    first, second = verdict.signatures
    assert [each.kind for each in first.changes] == [ChangeKind.SIGNATURE]
    assert (first.covers_whole_file, second.covers_whole_file) == (False, True)


def test_the_limits_of_a_certifying_signer_are_kept(world: World, plain: bytes) -> None:
    certified = world.sign(plain, certify=MDPPerm.FILL_FORMS)
    assert world.judge(certified).outcome is Outcome.VALID
    both = world.judge(world.sign(certified, by=world.second, field="Sig2"))
    assert (both.outcome, both.signatures[0].permission, both.signatures[0].is_kept) == (Outcome.VALID, 2, True)


def test_documents_of_other_writers(world: World, plain: bytes, tmp_path: Path) -> None:
    """Typeset ones, and ones whose objects and tables are packed."""
    (tmp_path / "a.typ").write_text("A page #pagebreak() and another", "utf-8")
    typeset = typst.compile(str(tmp_path / "a.typ"))
    writer = copy_into_new_writer(PdfFileReader(BytesIO(plain)), writer_kwargs={"stream_xrefs": True})
    packed = BytesIO()
    writer.write(packed)
    for pdf in (typeset, packed.getvalue()):
        verdict = world.judge(world.archive(world.sign(pdf), at=CHECKED_AT))
        assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())


def test_a_document_may_carry_another_one(world: World, signed: bytes) -> None:
    """A signed PDF lies in a stream of its own, not packed; its ends and its signature are not those of the outer one."""
    outer = pdf_bytes.plain({6: pdf_bytes.stream(signed, b"/Type /EmbeddedFile")})
    assert bad(world.judge(outer)) == {"document.unsigned"}
    assert bad(world.judge(world.sign(outer))) == set()


def filled_and_signed(world: World, pdf: bytes, by: World) -> bytes:
    """Fill in a field and sign in one revision, as marks on each page are set."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    field = writer.root["/AcroForm"]["/Fields"][0]
    field["/V"] = generic.pdf_string("seen")
    writer.update_container(field)
    certificate, key = by.second.asn1()
    out = BytesIO()
    signer = made._Signer(
        PdfSignatureMetadata(field_name="Sig2", subfilter=SigSeedSubFilter.PADES),
        signer=SimpleSigner(certificate, key, cert_registry=SimpleCertificateStore()),
        timestamper=world.stamper(SIGNED_AT),
    )
    signer.at = SIGNED_AT
    asyncio.run(signer.async_sign_pdf(writer, output=out, bytes_reserved=16384))
    return out.getvalue()


def test_what_is_filled_in_and_signed_in_one_step_is_that_signers(world: World) -> None:
    mark = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (mark) /Rect [72 690 300 715] /P 3 0 R /DA (/F1 12 Tf) >>"
    form = pdf_bytes.plain({6: mark}, catalog=b"/AcroForm << /Fields [6 0 R] >>", page=b"/Annots [6 0 R]")
    first = world.sign(form)
    verdict = world.judge(filled_and_signed(world, first, world))
    assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())
    (change,) = verdict.signatures[0].changes
    assert (change.kind, change.fields) == (ChangeKind.SIGNATURE, ["mark"])
    stranger = world.judge(filled_and_signed(world, first, World(root=made.new_root("Stranger"))))
    assert (stranger.outcome, bad(stranger)) == (Outcome.INDETERMINATE, {"signature.untrusted"})


def test_an_authority_between_has_to_be_vouched_for_too(world: World, plain: bytes) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = world.root
    between = made.Identity(
        key,
        pki.certificate(
            "Between",
            key=key,
            issuer=root.certificate,
            issuer_key=root.key,
            is_ca=True,
            path_length=0,
            valid_from=START,
        ),
    )
    signed = world.sign(plain, by=made.issue("Officer Qian", between))
    trust = TrustList((made.trusted(root),), (between.certificate,))
    lists = {"root": made.crl(root), "between": made.crl(between), "gone": made.crl(root, revoked=[(between, START)])}

    def told(*names: str) -> set[str]:
        return bad(world.judge(signed, trust=trust, crls=[lists[name] for name in names]))

    assert told("root", "between") == set()
    assert told("root") == {"signature.revocation_unknown"}
    assert told("gone", "between") == {"signature.revoked"}
    assert "signature.untrusted" in bad(world.judge(signed))


# ---- long term ------------------------------------------------------------------------------------------------------


def test_archived_it_reaches_the_highest_level(world: World, signed: bytes) -> None:
    archived = world.archive(signed, at=CHECKED_AT)
    verdict = world.judge(archived, crls=())
    signature, stamp = verdict.signatures
    assert (verdict.outcome, bad(verdict)) == (Outcome.VALID, set())
    assert (signature.level, stamp.is_document_timestamp, stamp.proven_at) == (Level.B_LTA, True, CHECKED_AT)
    assert [each.kind for each in signature.changes] == [ChangeKind.VALIDATION_MATERIAL, ChangeKind.TIMESTAMP]


def test_ten_years_with_and_without_renewal(world: World, signed: bytes) -> None:
    archived = world.archive(signed, at=CHECKED_AT)
    renewed_at = START + timedelta(days=9 * 365)
    young = made.issue(
        "Timestamps 2", world.root, is_stamper=True, valid_from=renewed_at - DAY, valid=timedelta(days=3650)
    )
    renewed = world.archive(
        archived, at=renewed_at, tsa=young, crls=[made.crl(world.root, at=renewed_at)], certificates=[world.tsa]
    )
    at = START + timedelta(days=11 * 365)
    fresh = [made.crl(world.root, at=at)]
    kept = world.judge(renewed, at=at, crls=fresh)
    assert (kept.outcome, bad(kept)) == (Outcome.VALID, set())
    assert kept.signatures[0].level is Level.B_LTA
    left = world.judge(archived, at=at, crls=fresh)
    assert left.outcome is Outcome.INDETERMINATE
    assert "signature.timestamp_expired" in bad(left)
    assert [each.proven_at for each in left.signatures] == [None, None]


def test_pyhanko_agrees_on_what_was_archived(world: World, signed: bytes) -> None:
    archived = world.archive(signed, at=CHECKED_AT)
    trust = SimpleTrustManager.build(trust_roots=[world.root.asn1()[0]])
    policy = CertValidationPolicySpec(trust_manager=trust, revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO))
    spec = PdfSignatureValidationSpec(SignatureValidationSpec(cert_validation_policy=policy))
    signature = PdfFileReader(BytesIO(archived)).embedded_signatures[0]
    at = CHECKED_AT + timedelta(minutes=1)
    result = asyncio.run(
        ades_lta_validation(signature, pdf_validation_spec=spec, timing_info=ValidationTimingInfo(at, at, True))
    )
    assert result.ades_subindic is AdESPassed.OK

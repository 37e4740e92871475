"""Detached signatures: what is valid, what each change is called, and that nothing slips through."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import cms, core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.kernel.findings import Outcome, Report
from archive.ports.keys import ManifestSigner
from signing import container, der
from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner, KeyMismatch, SignerNotValid, check_detached
from signing.chains import BadTrustRoots
from signing.container import MalformedContainer, RefusedAlgorithm, SigningFault
from signing.pyhanko_signer import without_waiting
from tests.unit.signing import pki
from tests.unit.signing.pki import MANIFEST, MAY_SIGN, SIGNED_AT, START, codes

NOW = SIGNED_AT + timedelta(days=1)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def root_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def root(root_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return pki.certificate("root", key=root_key, is_ca=True, valid=timedelta(days=2000))


def reassembled(p7s: bytes, **changes: bytes) -> bytes:
    """Return the container with some of its parts replaced, everything else in order."""
    parts = container.take_apart(p7s)
    given = {
        "certificate": parts.certificate,
        "digest_algorithm": der.sequence(der.oid("2.16.840.1.101.3.4.2.1")),
        "signature_algorithm": der.sequence(der.oid("1.2.840.10045.4.3.2")),
        "signed_attributes": parts.signed_attributes,
        "signature": parts.signature,
    }
    return container.put_together(**{**given, **changes})


def attributes_in(p7s: bytes) -> list[bytes]:
    reader = der.Reader(container.take_apart(p7s).signed_attributes).enter(der.SET)
    return [reader.take_whole(der.SEQUENCE) for _ in range(4)]


def attribute(oid: str, *values: bytes) -> bytes:
    return der.sequence(der.oid(oid), der.set_of(*values))


def check(p7s: bytes, roots: bytes, *, content: bytes = MANIFEST, at: datetime = NOW) -> Report:
    return check_detached(content, p7s, trust_roots_pem=roots, at=at)


def test_what_we_sign_is_valid(authority: EmbeddedAuthority, signer: CadesSigner) -> None:
    port: ManifestSigner = signer
    report = check_detached(
        MANIFEST, port.sign_detached(MANIFEST), trust_roots_pem=authority.root_pem, at=SIGNED_AT, where="m.p7s"
    )
    assert report.outcome is Outcome.VALID
    assert codes(report) == ["signature.intact", "signature.valid"]
    assert {finding.where for finding in report.findings} == {"m.p7s"}
    told = report.findings[1].message
    assert "CN=昆明市某局 manifest signing" in told
    assert "claimed time 2026-11-27T08:00:00.000000Z" in told


@given(st.binary(max_size=5000))
def test_any_content(authority: EmbeddedAuthority, signer: CadesSigner, content: bytes) -> None:
    p7s = signer.sign_detached(content)
    assert check(p7s, authority.root_pem, content=content).outcome is Outcome.VALID
    assert codes(check(p7s, authority.root_pem, content=content + b"\n")) == ["signature.digest_mismatch"]


def test_the_container_holds_what_it_should(authority: EmbeddedAuthority, signature: bytes) -> None:
    parsed = cms.ContentInfo.load(signature, strict=True)
    signed_data = parsed["content"]
    assert signed_data["encap_content_info"].native == {"content_type": "data", "content": None}
    certificates = [each.chosen.dump() for each in signed_data["certificates"]]
    assert certificates == [authority.manifest_certificate.public_bytes(Encoding.DER)]
    assert signed_data["crls"].native is None
    (info,) = signed_data["signer_infos"]
    assert info["unsigned_attrs"].native is None
    assert [each["type"].dotted for each in info["signed_attrs"]] == [
        "1.2.840.113549.1.9.3",  # contentType
        "1.2.840.113549.1.9.5",  # signingTime
        "1.2.840.113549.1.9.4",  # messageDigest
        "1.2.840.113549.1.9.16.2.47",  # signingCertificateV2
    ]
    assert info["signed_attrs"][1]["values"].native == [SIGNED_AT.replace(microsecond=0)]
    bare = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))  # RFC 5754 section 2: no parameters
    assert info["digest_algorithm"].dump() == bare
    assert signed_data["digest_algorithms"].dump() == der.set_of(bare)


def test_every_changed_byte_of_the_content_is_reported(authority: EmbeddedAuthority, signature: bytes) -> None:
    for position in range(len(MANIFEST)):
        changed = bytearray(MANIFEST)
        changed[position] ^= 1 << position % 8
        report = check(signature, authority.root_pem, content=bytes(changed))
        assert codes(report) == ["signature.digest_mismatch"], position
        assert report.outcome is Outcome.INVALID


def test_every_flipped_bit_of_the_container_is_reported(authority: EmbeddedAuthority, signature: bytes) -> None:
    survivors = []
    for position in range(len(signature)):
        for bit in range(8):
            changed = bytearray(signature)
            changed[position] ^= 1 << bit
            if check(bytes(changed), authority.root_pem).outcome is not Outcome.INVALID:
                survivors.append((position, bit))
    assert survivors == []


def test_every_missing_byte_and_every_end_is_reported(authority: EmbeddedAuthority, signature: bytes) -> None:
    for position in range(len(signature)):
        without = signature[:position] + signature[position + 1 :]
        for changed in (without, signature[:position]):
            assert check(changed, authority.root_pem).outcome is Outcome.INVALID, position


@pytest.mark.parametrize("junk", [b"\0", b"\n", b"0\x00", b"x" * 100_000])
def test_appended_bytes_are_refused(authority: EmbeddedAuthority, signature: bytes, junk: bytes) -> None:
    for changed in (signature + junk, junk + signature):
        assert codes(check(changed, authority.root_pem)) == ["signature.malformed"]
    assert codes(check(signature + signature, authority.root_pem)) == ["signature.malformed"]


@given(st.data())
@settings(max_examples=150)
def test_no_edit_of_the_container_stays_valid(
    authority: EmbeddedAuthority, signature: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(signature) - 1))
    end = data.draw(st.integers(start, min(start + 40, len(signature))))
    changed = signature[:start] + data.draw(st.binary(max_size=40)) + signature[end:]
    is_same = changed == signature
    assert (check(changed, authority.root_pem).outcome is Outcome.VALID) == is_same


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(authority: EmbeddedAuthority, raw: bytes) -> None:
    assert check(raw, authority.root_pem).outcome is Outcome.INVALID


def _edited(p7s: bytes, edit: Any) -> bytes:
    """Return the container after an edit through asn1crypto, which encodes everything anew."""
    parsed = cms.ContentInfo.load(p7s)
    edit(parsed["content"])
    changed: bytes = parsed.dump(force=True)
    assert changed != p7s
    return changed


def _add_certificate(authority: EmbeddedAuthority) -> Any:
    def edit(signed_data: Any) -> None:
        root = cms.Certificate.load(authority.root.public_bytes(Encoding.DER))
        signed_data["certificates"].append(cms.CertificateChoices(name="certificate", value=root))

    return edit


def _add_unsigned_attribute(signed_data: Any) -> None:
    attribute = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.Null()]})
    signed_data["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes([attribute])


def _embed_content(signed_data: Any) -> None:
    signed_data["encap_content_info"] = {"content_type": "data", "content": MANIFEST}


def _sign_twice(signed_data: Any) -> None:
    signed_data["signer_infos"] = [signed_data["signer_infos"][0], signed_data["signer_infos"][0]]


def _raise_version(signed_data: Any) -> None:
    signed_data["version"] = "v3"


def _add_digest_algorithm(signed_data: Any) -> None:
    signed_data["digest_algorithms"].append({"algorithm": "sha1"})


def _drop_signed_attributes(signed_data: Any) -> None:
    signed_data["signer_infos"][0]["signed_attrs"] = None


@pytest.mark.parametrize(
    "edit",
    [
        _add_unsigned_attribute,
        _embed_content,
        _sign_twice,
        _raise_version,
        _add_digest_algorithm,
        _drop_signed_attributes,
    ],
)
def test_additions_outside_the_signed_part_are_refused(
    authority: EmbeddedAuthority, signature: bytes, edit: Any
) -> None:
    assert codes(check(_edited(signature, edit), authority.root_pem)) == ["signature.malformed"]


def test_a_second_certificate_is_refused(authority: EmbeddedAuthority, signature: bytes) -> None:
    assert codes(check(_edited(signature, _add_certificate(authority)), authority.root_pem)) == ["signature.malformed"]


def test_other_encodings_of_the_same_are_refused(authority: EmbeddedAuthority, signature: bytes) -> None:
    body = der.Reader(signature).take(der.SEQUENCE)
    size = len(body).to_bytes(2, "big")
    for changed in (
        b"\x30\x80" + body + b"\0\0",  # indefinite length
        b"\x30\x83\0" + size + body,  # longer than needed
    ):
        assert codes(check(changed, authority.root_pem)) == ["signature.malformed"]
    assert b"\x30\x82" + size + body == signature


def test_the_other_form_of_an_ecdsa_signature_changes_nothing_that_is_signed(
    authority: EmbeddedAuthority, signature: bytes
) -> None:
    """(r, n - s) verifies wherever (r, s) does: it is known that anybody can rewrite one into the other."""
    parts = container.take_apart(signature)
    r, s = decode_dss_signature(parts.signature)
    twin = reassembled(signature, signature=encode_dss_signature(r, P256_ORDER - s))
    assert twin != signature
    assert check(twin, authority.root_pem).outcome is Outcome.VALID
    assert container.take_apart(twin).signed_attributes == parts.signed_attributes


def test_a_root_that_was_not_given_leaves_it_open(
    authority: EmbeddedAuthority, signature: bytes, tmp_path: Any
) -> None:
    other = EmbeddedAuthority.create(tmp_path / "ca", organisation="昆明市某局", valid_from=START)
    for roots in (other.root_pem, b"", b"\n", pki.pem(authority.manifest_certificate)):
        report = check(signature, roots)
        assert codes(report) == ["signature.intact", "signature.untrusted"]
        assert report.outcome is Outcome.INDETERMINATE
    assert check(signature, other.root_pem + authority.root_pem).outcome is Outcome.VALID


def test_broken_trust_roots_are_the_callers_error(signature: bytes) -> None:
    with pytest.raises(BadTrustRoots):
        check(signature, b"no certificate")


def test_a_certificate_that_borrows_the_roots_name_is_forged(
    authority: EmbeddedAuthority, key: ec.EllipticCurvePrivateKey
) -> None:
    root_id = authority.root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    forged = pki.certificate(
        "archive",
        key=key,
        issuer=authority.root,
        issuer_key=ec.generate_private_key(ec.SECP256R1()),
        identifier=root_id,
    )
    report = check(pki.sign_anyway(MANIFEST, key=key, certificate=forged), authority.root_pem)
    assert codes(report) == ["signature.intact", "signature.certificate_forged"]
    assert report.outcome is Outcome.INVALID


def test_a_self_signed_signer_is_not_trusted(authority: EmbeddedAuthority, key: ec.EllipticCurvePrivateKey) -> None:
    own = pki.certificate("archive", key=key)
    report = check(pki.sign_anyway(MANIFEST, key=key, certificate=own), authority.root_pem)
    assert codes(report) == ["signature.intact", "signature.untrusted"]


def test_the_certificate_is_signed_along(
    authority: EmbeddedAuthority, signature: bytes, root: x509.Certificate, root_key: Any
) -> None:
    """Another certificate for the same key, put in the place of the first, is noticed."""
    twin = pki.certificate("archive", key=authority.manifest_key(), issuer=root, issuer_key=root_key)
    swapped = reassembled(signature, certificate=twin.public_bytes(Encoding.DER))
    assert codes(check(swapped, pki.pem(root))) == ["signature.certificate_mismatch"]


def test_the_key_of_the_web_server_signs_no_manifest(authority: EmbeddedAuthority) -> None:
    tls_key = load_pem_private_key(authority.tls_path.read_bytes(), None)
    assert isinstance(tls_key, ec.EllipticCurvePrivateKey)
    p7s = pki.sign_anyway(MANIFEST, key=tls_key, certificate=authority.tls_certificate())
    assert codes(check(p7s, authority.root_pem)) == ["signature.intact", "signature.key_usage"]


@pytest.mark.parametrize(
    ("extensions", "is_refused"),
    [
        (MAY_SIGN, False),
        ([pki.key_usage(content_commitment=True)], False),
        ([pki.key_usage(digital_signature=True)], False),
        ([MAY_SIGN[0], x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")])], False),
        ([], True),
        ([pki.key_usage(key_agreement=True)], True),
        ([MAY_SIGN[0], x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])], True),
    ],
)
def test_key_usage(
    root: x509.Certificate, root_key: Any, key: ec.EllipticCurvePrivateKey, extensions: Any, is_refused: bool
) -> None:
    leaf = pki.certificate("archive", key=key, issuer=root, issuer_key=root_key, extensions=extensions)
    report = check(pki.sign_anyway(MANIFEST, key=key, certificate=leaf), pki.pem(root))
    assert codes(report)[1:] == (["signature.key_usage"] if is_refused else ["signature.valid"])


def test_time(root: x509.Certificate, root_key: Any, key: ec.EllipticCurvePrivateKey) -> None:
    leaf = pki.certificate("archive", key=key, issuer=root, issuer_key=root_key)
    end = leaf.not_valid_after_utc
    second = timedelta(seconds=1)

    def judged(claimed: datetime, at: datetime) -> list[str]:
        return codes(check(pki.sign_anyway(MANIFEST, key=key, certificate=leaf, at=claimed), pki.pem(root), at=at))[1:]

    assert judged(START, START) == ["signature.valid"]
    assert judged(end, end) == ["signature.valid"]
    assert judged(SIGNED_AT, SIGNED_AT) == ["signature.valid"]
    assert judged(SIGNED_AT, SIGNED_AT - second) == ["signature.time_ahead"]
    assert judged(SIGNED_AT, end + second) == ["signature.certificate_expired"]
    assert "signature.outside_validity" in judged(START - second, NOW)
    assert "signature.outside_validity" in judged(end + second, end + 2 * second)
    assert check(pki.sign_anyway(MANIFEST, key=key, certificate=leaf, at=end + second), pki.pem(root)).outcome is (
        Outcome.INVALID
    )


def test_a_root_that_has_ended(key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey) -> None:
    short = pki.certificate("root", key=root_key, is_ca=True, valid=timedelta(days=30))
    leaf = pki.certificate("archive", key=key, issuer=short, issuer_key=root_key)
    p7s = pki.sign_anyway(MANIFEST, key=key, certificate=leaf)
    assert check(p7s, pki.pem(short)).outcome is Outcome.VALID
    late = check(p7s, pki.pem(short), at=START + timedelta(days=60))
    assert codes(late) == ["signature.intact", "signature.certificate_expired"]
    assert late.outcome is Outcome.INDETERMINATE


def test_intermediates(key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey) -> None:
    root = pki.certificate("root", key=root_key, is_ca=True, path_length=1)
    middle_key = ec.generate_private_key(ec.SECP384R1())
    middle = pki.certificate("middle", key=middle_key, issuer=root, issuer_key=root_key, is_ca=True, path_length=0)
    leaf = pki.certificate("archive", key=key, issuer=middle, issuer_key=middle_key)
    p7s = pki.sign_anyway(MANIFEST, key=key, certificate=leaf)
    assert codes(check(p7s, pki.pem(middle, root)))[1:] == ["signature.valid"]
    assert codes(check(p7s, pki.pem(root)))[1:] == ["signature.untrusted"]
    assert codes(check(p7s, pki.pem(middle)))[1:] == ["signature.untrusted"]


def test_old_authorities_without_key_identifiers(key: Any, root_key: Any) -> None:
    bare = pki.certificate("root", key=root_key, is_ca=True, has_identifiers=False)
    leaf = pki.certificate("archive", key=key, issuer=bare, issuer_key=root_key, has_identifiers=False)
    p7s = pki.sign_anyway(MANIFEST, key=key, certificate=leaf)
    assert check(p7s, pki.pem(bare)).outcome is Outcome.VALID
    other = pki.certificate("root", key=key, is_ca=True, has_identifiers=False)
    assert codes(check(p7s, pki.pem(other)))[1:] == ["signature.certificate_forged"]


def test_a_certificate_that_may_not_issue(
    key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey
) -> None:
    no_authority = pki.certificate("root", key=root_key)
    leaf = pki.certificate("archive", key=key, issuer=no_authority, issuer_key=root_key)
    p7s = pki.sign_anyway(MANIFEST, key=key, certificate=leaf)
    assert codes(check(p7s, pki.pem(no_authority)))[1:] == ["signature.untrusted"]


@pytest.mark.parametrize(
    ("kind", "digest", "is_allowed"),
    [
        ("P-384", "sha384", True),
        ("P-521", "sha512", True),
        ("RSA 3072", "sha256", True),
        ("RSA 2048", "sha256", False),
        ("brainpool", "sha256", False),
    ],
)
def test_algorithms(root: x509.Certificate, root_key: Any, kind: str, digest: str, is_allowed: bool) -> None:
    key: pki.PrivateKey
    match kind.split():
        case ["RSA", bits]:
            key = rsa.generate_private_key(public_exponent=65537, key_size=int(bits))
        case ["brainpool"]:
            key = ec.generate_private_key(ec.BrainpoolP256R1())
        case _:
            key = ec.generate_private_key({"P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[kind]())
    leaf = pki.certificate("archive", key=key, issuer=root, issuer_key=root_key)
    report = check(pki.sign_anyway(MANIFEST, key=key, certificate=leaf, digest=digest), pki.pem(root))
    assert codes(report) == (["signature.intact", "signature.valid"] if is_allowed else ["signature.algorithm_refused"])
    if is_allowed:
        signer = CadesSigner(key=key, certificate=leaf, clock=pki.StandingClock())
        assert check(signer.sign_detached(MANIFEST), pki.pem(root)).outcome is Outcome.VALID
    else:
        with pytest.raises(KeyMismatch):
            CadesSigner(key=key, certificate=leaf, clock=pki.StandingClock())


def test_algorithms_that_contradict_each_other(root: x509.Certificate, root_key: Any, signature: bytes) -> None:
    """An RSA identifier beside an elliptic key, and SHA-512 with ECDSA beside a SHA-256 digest."""
    for identifier in (
        der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL),
        der.sequence(der.oid("1.2.840.10045.4.3.4")),
    ):
        mixed = reassembled(signature, signature_algorithm=identifier)
        assert check(mixed, pki.pem(root)).outcome is Outcome.INVALID


@pytest.mark.parametrize("part", ["digest_algorithm", "signature_algorithm"])
def test_unlisted_identifiers_are_refused(signature: bytes, part: str) -> None:
    sha1 = der.sequence(der.oid("1.3.14.3.2.26"))
    with pytest.raises(RefusedAlgorithm):
        container.take_apart(reassembled(signature, **{part: sha1}))


def test_a_certificate_with_a_key_of_an_unknown_kind(signature: bytes, root: x509.Certificate, root_key: Any) -> None:
    """An SM2 certificate, as a Chinese authority issues it: refused by name, not by a crash."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = pki.certificate("archive", key=key, issuer=root, issuer_key=root_key).public_bytes(Encoding.DER)
    curve = der.oid("1.2.840.10045.3.1.7")
    sm2 = der.oid("1.2.156.10197.1.301")
    assert len(curve) == len(sm2)
    strange = leaf.replace(curve, sm2)
    raw = reassembled(signature, certificate=strange)
    assert codes(check(raw, pki.pem(root))) == ["signature.algorithm_refused"]


def test_times_around_2050() -> None:
    """UTCTime ends with 2049: two digits of a year say nothing beyond."""
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime(2049, 12, 1, tzinfo=UTC)
    leaf = pki.certificate("archive", key=key, valid_from=start)
    for at, tag in ((start, 0x17), (start + timedelta(days=60), 0x18)):
        p7s = CadesSigner(key=key, certificate=leaf, clock=pki.StandingClock(at)).sign_detached(MANIFEST)
        (info,) = cms.ContentInfo.load(p7s)["content"]["signer_infos"]
        (time,) = next(each["values"] for each in info["signed_attrs"] if each["type"].native == "signing_time")
        assert time.dump()[0] == tag
        assert container.take_apart(p7s).signing_time == at


@given(st.integers(-631_152_000, 7_258_118_400), st.integers(0, 999_999))
def test_any_claimed_time_comes_back(key: ec.EllipticCurvePrivateKey, second: int, microsecond: int) -> None:
    """Units: seconds from 1970, from 1950 to 2200."""
    at = datetime.fromtimestamp(second, UTC)
    leaf = pki.certificate(
        "archive", key=key, valid_from=datetime(1950, 1, 1, tzinfo=UTC), valid=timedelta(days=251 * 366)
    )
    clock = pki.StandingClock(at.replace(microsecond=microsecond))
    p7s = CadesSigner(key=key, certificate=leaf, clock=clock).sign_detached(MANIFEST)
    assert container.take_apart(p7s).signing_time == at


CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = (f"1.2.840.113549.1.9.{arc}" for arc in (3, 4, 5))
# Which of the four (content type, signing time, message digest, certificate) goes, and what comes.
REARRANGED = {
    "content type missing": (0, []),
    "certificate missing": (3, []),
    "one more": (None, [attribute("1.2.3", der.NULL)]),
    "another instead": (1, [attribute("1.2.3", der.NULL)]),
    "signing time twice": (0, [attribute(SIGNING_TIME, der.element(0x17, b"261127080001Z"))]),
    "time without seconds": (1, [attribute(SIGNING_TIME, der.element(0x17, b"2611270800Z"))]),
    "second 60": (1, [attribute(SIGNING_TIME, der.element(0x17, b"261127080060Z"))]),
    "no such day": (1, [attribute(SIGNING_TIME, der.element(0x17, b"260230080000Z"))]),
    "GeneralizedTime before 2050": (1, [attribute(SIGNING_TIME, der.element(0x18, b"20261127080000Z"))]),
    "fraction of a second": (1, [attribute(SIGNING_TIME, der.element(0x18, b"20511127080000.5Z"))]),
    "other digits": (1, [attribute(SIGNING_TIME, der.element(0x17, "２61127080000Z".encode()))]),
    "one digit for the month": (1, [attribute(SIGNING_TIME, der.element(0x17, b"2691127080000Z"))]),
    "time and more": (1, [attribute(SIGNING_TIME, der.element(0x17, b"261127080000Z"), der.NULL)]),
    "no digest": (2, [attribute(MESSAGE_DIGEST, der.NULL)]),
    "digest and more": (2, [attribute(MESSAGE_DIGEST, der.element(0x04, bytes(32)), der.NULL)]),
    "another content type": (0, [attribute(CONTENT_TYPE, der.oid("1.2.3"))]),
    "two content types": (0, [attribute(CONTENT_TYPE, der.oid("1.2.840.113549.1.7.1"), der.NULL)]),
}


@pytest.mark.parametrize(("gone", "added"), REARRANGED.values(), ids=REARRANGED.keys())
def test_signed_attributes_in_another_form_are_refused(signature: bytes, gone: int | None, added: list[bytes]) -> None:
    """Also when the signer himself signed them so: one meaning, one form."""
    kept = [each for number, each in enumerate(attributes_in(signature)) if number != gone]
    raw = reassembled(signature, signed_attributes=der.set_of(*kept, *added))
    with pytest.raises(MalformedContainer):
        container.take_apart(raw)


def test_unsorted_attributes_are_refused(signature: bytes) -> None:
    backwards = der.element(der.SET, *reversed(attributes_in(signature)))
    with pytest.raises(MalformedContainer, match="one form"):
        container.take_apart(reassembled(signature, signed_attributes=backwards))


def test_the_signer_refuses_a_key_that_is_not_the_certificates(authority: EmbeddedAuthority, key: Any) -> None:
    with pytest.raises(KeyMismatch):
        CadesSigner(key=key, certificate=authority.manifest_certificate, clock=pki.StandingClock())
    edwards = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(KeyMismatch):
        CadesSigner(
            key=edwards,  # type: ignore[arg-type]
            certificate=authority.manifest_certificate,
            clock=pki.StandingClock(),
        )


def test_the_signer_refuses_to_sign_outside_its_certificate(authority: EmbeddedAuthority) -> None:
    clock = pki.StandingClock()
    signer = CadesSigner(key=authority.manifest_key(), certificate=authority.manifest_certificate, clock=clock)
    assert signer.certificate == authority.manifest_certificate
    for at in (START - timedelta(seconds=1), authority.manifest_certificate.not_valid_after_utc + timedelta(seconds=1)):
        clock.at = at
        with pytest.raises(SignerNotValid):
            signer.sign_detached(MANIFEST)
    clock.at = START
    signer.sign_detached(MANIFEST)


def test_many_threads_sign_with_one_signer(authority: EmbeddedAuthority, signer: CadesSigner) -> None:
    outcomes: list[Outcome] = []

    def work(number: int) -> None:
        content = str(number).encode()
        outcomes.append(check(signer.sign_detached(content), authority.root_pem, content=content).outcome)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Outcome.VALID] * 16


def test_the_first_signatures_of_a_process_may_come_together(signer: CadesSigner) -> None:
    """asn1crypto sets up its classes when they are first used, and two threads at once broke that now and then."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            signing = [threads.submit(signer.sign_detached, MANIFEST) for _ in range(200)]
            while not all(each.done() for each in signing):
                core._SETUP_CLASSES.clear()  # every use is a first use
                time.sleep(0.0005)
    finally:
        sys.setswitchinterval(interval)
    assert [each.exception() for each in signing] == [None] * 200


def test_signing_beside_a_running_event_loop(authority: EmbeddedAuthority, signer: CadesSigner) -> None:
    async def sign_here_and_in_a_thread() -> list[bytes]:
        return [signer.sign_detached(MANIFEST), await asyncio.to_thread(signer.sign_detached, MANIFEST)]

    for p7s in asyncio.run(sign_here_and_in_a_thread()):
        assert check(p7s, authority.root_pem).outcome is Outcome.VALID


def test_what_waits_is_refused() -> None:
    """Without an event loop nobody would wake it."""
    with pytest.raises(SigningFault, match="event loop"):
        without_waiting(asyncio.sleep(0))


class Token:
    """A key in a device: the public half of one key, and whatever signs."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, answer: Callable[[bytes, Any], bytes]) -> None:
        self.public_key = key.public_key
        self.sign = answer


def test_a_key_in_a_device_signs(key: ec.EllipticCurvePrivateKey) -> None:
    own = pki.certificate("archive", key=key)
    token: Any = Token(key, key.sign)
    p7s = CadesSigner(key=token, certificate=own, clock=pki.StandingClock()).sign_detached(MANIFEST)
    assert check(p7s, pki.pem(own)).outcome is not Outcome.INVALID


@pytest.mark.parametrize("kind", ["another key", "other bytes", "nothing"])
def test_a_signature_that_our_check_refuses_does_not_leave(
    key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey, kind: str
) -> None:
    """A device that signs with another key, signs something else, or answers with nothing."""
    answers: dict[str, Callable[[bytes, Any], bytes]] = {
        "another key": root_key.sign,
        "other bytes": lambda data, algorithm: key.sign(data[1:], algorithm),
        "nothing": lambda *_: b"",
    }
    token: Any = Token(key, answers[kind])
    own = pki.certificate("archive", key=key)
    with pytest.raises(SigningFault) as caught:
        CadesSigner(key=token, certificate=own, clock=pki.StandingClock()).sign_detached(MANIFEST)
    assert caught.value.code == "signing.fault"
    assert caught.value.facts["findings"] == ["signature.value_mismatch"]


def test_a_certificate_that_our_check_refuses_does_not_leave(key: ec.EllipticCurvePrivateKey) -> None:
    """One for another purpose, and one that makes the container larger than it may be."""
    other_use = pki.certificate("archive", key=key, extensions=[pki.key_usage(key_agreement=True)])
    with pytest.raises(SigningFault, match=r"signature\.key_usage"):
        CadesSigner(key=key, certificate=other_use, clock=pki.StandingClock()).sign_detached(MANIFEST)
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(70_000))
    large = pki.certificate("archive", key=key, extensions=[*MAY_SIGN, filler])
    with pytest.raises(SigningFault, match="too large"):
        CadesSigner(key=key, certificate=large, clock=pki.StandingClock()).sign_detached(MANIFEST)

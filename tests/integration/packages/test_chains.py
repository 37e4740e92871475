"""Chains of certificates, as all verifiers that run here build them."""

import datetime as dt
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from archive.packages.verification import certificates
from archive.packages.verifier import verify

_NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
_YEAR = dt.timedelta(days=365)


class _Authority:
    """A name with a key, and certificates for it by others."""

    def __init__(self, name: str) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())

    def issue(
        self,
        subject: "_Authority",
        *,
        is_authority: bool = True,
        room: int | None = None,
        ends: dt.datetime = _NOW + _YEAR,
        critical: x509.ExtensionType | None = None,
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject.name)
            .issuer_name(self.name)
            .public_key(subject.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - _YEAR)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=room), critical=True)
        )
        if critical is not None:
            builder = builder.add_extension(critical, critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _reach(leaf: bytes, pool: Sequence[bytes], root: bytes) -> tuple[bool, bool]:
    """Return whether both say that the leaf leads to the root."""
    mine = [certificates.Certificate.parse(each) for each in pool]
    ours = certificates.Chains(mine, frozenset({certificates.Certificate.parse(root).digest}))
    theirs = [verify.Certificate(each) for each in pool]
    alone = verify.Chains(theirs, {verify.Certificate(root).digest}, verify.OpenSsl("/nowhere"))
    return (
        ours.reach(certificates.Certificate.parse(leaf), at=_NOW),
        alone.reaches(verify.Certificate(leaf), _NOW),
    )


def test_an_intermediate_leads_to_the_root() -> None:
    top, middle, signer = _Authority("top"), _Authority("middle"), _Authority("signer")
    root, between, leaf = top.issue(top), top.issue(middle, room=0), middle.issue(signer, is_authority=False)
    assert _reach(leaf, [root, between], root) == (True, True)
    assert _reach(leaf, [root], root) == (False, False)
    assert _reach(leaf, [between, root], between) == (True, True), "an intermediate can be pinned as well"


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_authority": False},
        {"ends": _NOW - dt.timedelta(days=1)},
        {"critical": x509.NameConstraints([x509.DNSName("example.org")], None)},
        {"critical": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")},
    ],
)
def test_an_intermediate_that_may_not_issue_leads_nowhere(wrong: dict) -> None:
    top, middle, signer = _Authority("top"), _Authority("middle"), _Authority("signer")
    root, between, leaf = top.issue(top), top.issue(middle, **wrong), middle.issue(signer, is_authority=False)
    assert _reach(leaf, [root, between], root) == (False, False)


def test_the_length_of_a_path_is_kept() -> None:
    top, one, two, signer = (_Authority(name) for name in ("top", "one", "two", "signer"))
    leaf = two.issue(signer, is_authority=False)
    for room, reaches in ((0, False), (1, True), (None, True)):
        pool = [root := top.issue(top), top.issue(one, room=room), one.issue(two)]
        assert _reach(leaf, pool, root) == (reaches, reaches)


def test_a_namesake_with_another_key_leads_nowhere() -> None:
    top, namesake, signer = _Authority("top"), _Authority("top"), _Authority("signer")
    root = top.issue(top)
    assert _reach(namesake.issue(signer, is_authority=False), [root], root) == (False, False)


def test_authorities_that_issue_each_other_do_not_hold_the_check_up() -> None:
    """Six authorities, each certified by each: without a memory there would be millions of ways."""
    many = [_Authority("all of one name") for _ in range(6)]
    pool = [one.issue(other) for one in many for other in many][: verify.MOST_CERTIFICATES]
    stranger = _Authority("stranger")
    root = stranger.issue(stranger)
    assert _reach(many[0].issue(_Authority("signer"), is_authority=False), pool, root) == (False, False)


def test_more_certificates_than_any_chain_needs_are_refused() -> None:
    top = _Authority("top")
    pem = b"".join(x509.load_der_x509_certificate(top.issue(top)).public_bytes(Encoding.PEM) for _ in range(33))
    with pytest.raises(certificates.MalformedCertificate):
        certificates.parse_pem(pem)
    with pytest.raises(verify.Malformed):
        verify.parse_pem(pem)

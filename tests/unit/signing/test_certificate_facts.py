"""What a certificate says of itself; and which files hold one, which keys are the ones of theirs."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from signing import document_keys
from signing.certificate_facts import CertificateFacts, facts_of
from signing.document_keys import CertificateUnreadable, HeldKey, KeyNotOfCertificate, PrivateKeyGiven
from signing.subjects import StatusAddresses
from tests.support.document_pki import DocumentPki, MovedClock
from tests.unit.signing import pki


@pytest.fixture(scope="module")
def authority() -> DocumentPki:
    return DocumentPki(MovedClock())


def test_facts_are_read(authority: DocumentPki) -> None:
    addresses = StatusAddresses(
        crl=["http://pki.example/root.crl"], ocsp=["http://pki.example/ocsp"], issuer=["http://pki.example/root.cer"]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.issue("赵六", key, extensions=addresses.extensions())
    facts = facts_of(made.public_bytes(Encoding.DER), authority.root)
    assert facts.subject == made.subject.rfc4514_string()
    assert facts.issuer == authority.root.subject.rfc4514_string()
    assert (len(facts.sha256), len(facts.sha1), facts.key, facts.is_own) == (64, 40, "EC P-256", True)
    assert set(facts.addresses) == {*addresses.crl, *addresses.ocsp, *addresses.issuer}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (rsa.generate_private_key(65537, 2048), "RSA 2048"),
        (ed25519.Ed25519PrivateKey.generate(), ""),
    ],
    ids=["rsa", "ed25519"],
)
def test_a_key_of_any_kind_is_named_or_left_out(authority: DocumentPki, key: pki.PrivateKey, said: str) -> None:
    made = authority.issue("x", key)
    assert facts_of(made.public_bytes(Encoding.DER), authority.root).key == said


def test_a_file_holds_one_certificate_and_no_key(authority: DocumentPki) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.issue("x", key)
    der, pem = made.public_bytes(Encoding.DER), made.public_bytes(Encoding.PEM)
    assert document_keys.given_certificate(der) == der
    assert document_keys.given_certificate(b"Bag Attributes\n" + pem) == der
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for bad, error in (
        (pem + private, PrivateKeyGiven),
        (pem * 2, CertificateUnreadable),
        (b"", CertificateUnreadable),
    ):
        with pytest.raises(error):
            document_keys.given_certificate(bad)


def _new_ec() -> pki.PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _new_rsa() -> pki.PrivateKey:
    return rsa.generate_private_key(65537, 2048)


class _Lying:
    """Says that it has another certificate."""

    chain = ()

    def __init__(self, key: HeldKey, certificate: bytes) -> None:
        self._key, self.certificate = key, certificate

    def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
        return self._key.sign(data, digest_algorithm=digest_algorithm)


@pytest.mark.parametrize("make", [_new_ec, _new_rsa], ids=["ec", "rsa"])
def test_a_key_shows_that_it_is_that_of_its_certificate(
    authority: DocumentPki, make: Callable[[], pki.PrivateKey]
) -> None:
    one, other = (authority.signer("x", make()) for _ in range(2))
    document_keys.demand_key(one)
    with pytest.raises(KeyNotOfCertificate):
        document_keys.demand_key(_Lying(one, other.certificate))


def _said_otherwise(authority: DocumentPki, was: bytes, becomes: bytes) -> CertificateFacts:
    extensions = (pki.key_usage(digital_signature=True), *StatusAddresses(crl=["http://a.example"]).extensions())
    made = authority.issue("abcdefgh", ec.generate_private_key(ec.SECP256R1()), extensions=extensions)
    der = made.public_bytes(Encoding.DER)
    assert was in der
    return facts_of(der.replace(was, becomes), authority.root)


def test_what_cannot_be_read_is_left_out(authority: DocumentPki) -> None:
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert _said_otherwise(authority, curve, curve[:-1] + b"\x7f").key == ""
    facts = _said_otherwise(authority, b"abcdefgh", b"\xff" * 8)
    assert (facts.subject, facts.issuer != "", facts.is_own) == ("", True, False)
    assert _said_otherwise(authority, b"\x55\x1d\x0f", b"\x55\x1d\x1f").addresses == (), "an extension stands twice"

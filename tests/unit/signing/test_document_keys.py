"""Keys that sign documents: which are taken, which are refused, and how each refusal is called."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.errors import LiuhenError
from signing import document_keys
from signing import pkcs12 as files
from signing.document_keys import HeldKey, demand_usable
from signing.pkcs12 import open_pkcs12
from tests.unit.signing import pki

NOW = pki.START + timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = pki.certificate("张三", key=KEY)


def packed(key: Any = KEY, certificate: Any = CERTIFICATE, passphrase: bytes = b"secret", **given: Any) -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"officer", key, certificate, given.get("others"), BestAvailableEncryption(passphrase)
    )


def test_a_key_out_of_a_file_signs_and_its_certificate_says_so() -> None:
    held = open_pkcs12(packed(), passphrase="secret", at=NOW)
    signature = held.sign(b"record", digest_algorithm="sha256")
    KEY.public_key().verify(signature, b"record", ec.ECDSA(document_keys.DIGESTS["sha256"]))
    assert demand_usable(held, at=NOW) == CERTIFICATE
    assert "张三" in repr(held)


@pytest.mark.parametrize(
    "options", [(), ("-legacy",), ("-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1")], ids=str
)
def test_files_of_other_programs_are_opened_also_those_in_the_old_form(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pki.pem(CERTIFICATE)
    command = ["openssl", "pkcs12", "-export", "-passout", "pass:密码 1", *options]
    packed_by_openssl = subprocess.run(command, input=pem, capture_output=True, check=True, cwd=tmp_path).stdout
    assert open_pkcs12(packed_by_openssl, passphrase="密码 1", at=NOW).certificate == CERTIFICATE.public_bytes(
        Encoding.DER
    )
    with pytest.raises(files.Pkcs12WrongPassphrase):
        open_pkcs12(packed_by_openssl, passphrase="密码 2", at=NOW)


def mismatched() -> bytes:
    """A file whose only certificate belongs to another key, as no library will write it with both together."""
    other = ec.generate_private_key(ec.SECP256R1())
    return packed(certificate=None, others=[pki.certificate("another", key=other)])


def costly() -> bytes:
    """A file whose authentication code and keys ask for a million rounds each, which OpenSSL writes."""
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + CERTIFICATE.public_bytes(Encoding.PEM)
    command = ["openssl", "pkcs12", "-export", "-passout", "pass:secret", "-iter", "1000000"]
    return subprocess.run(command, input=pem, capture_output=True, check=True).stdout


FILES = [
    ("keyfile.too_costly", costly),
    ("keyfile.wrong_passphrase", lambda: packed(passphrase=b"other")),
    ("keyfile.damaged", lambda: packed()[:-40]),
    ("keyfile.damaged", lambda: b"no file of keys"),
    ("keyfile.damaged", lambda: b""),
    ("keyfile.damaged", lambda: bytes(files.MOST_PKCS12_BYTES + 1)),
    ("keyfile.no_key", lambda: packed(None, None, others=[CERTIFICATE])),
    ("keyfile.no_certificate", lambda: packed(certificate=None)),
    ("signing.key_not_of_certificate", mismatched),
]


@pytest.mark.parametrize(("code", "make"), FILES, ids=[f"{at}-{code}" for at, (code, _) in enumerate(FILES)])
def test_each_fault_of_a_file_has_its_own_name(code: str, make: Any) -> None:
    with pytest.raises(LiuhenError) as refused:
        open_pkcs12(make(), passphrase="secret", at=NOW)
    assert refused.value.code == code
    assert "secret" not in str(refused.value)


def with_certificate(**given: Any) -> bytes:
    return packed(certificate=pki.certificate("张三", key=KEY, **given))


CERTIFICATES = [
    ("signing.certificate_expired", {"valid": timedelta(hours=1)}),
    ("signing.certificate_not_yet_valid", {"valid_from": NOW + timedelta(days=1)}),
    ("signing.certificate_not_for_documents", {"extensions": ()}),
    ("signing.certificate_not_for_documents", {"extensions": (pki.key_usage(key_encipherment=True),)}),
    ("signing.certificate_not_for_documents",
     {"extensions": (pki.key_usage(digital_signature=True), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "given"), CERTIFICATES, ids=range(len(CERTIFICATES)))
def test_each_certificate_that_may_not_sign_now_is_refused(code: str, given: dict[str, Any]) -> None:
    with pytest.raises(LiuhenError) as refused:
        open_pkcs12(with_certificate(**given), passphrase="secret", at=NOW)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "make",
    [
        ed25519.Ed25519PrivateKey.generate,
        lambda: ec.generate_private_key(ec.SECP521R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: rsa.generate_private_key(65537, 1024),
    ],
    ids=["Ed25519", "P-521", "secp256k1", "RSA-1024"],
)
def test_keys_that_others_cannot_judge_are_refused(make: Any) -> None:
    with pytest.raises(document_keys.KeyKindRefused):
        HeldKey(make(), CERTIFICATE)


def test_a_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(document_keys.KeyNotOfCertificate):
        HeldKey(ec.generate_private_key(ec.SECP256R1()), CERTIFICATE)


def test_an_ed25519_key_in_a_file_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder().subject_name(pki.name("a")).issuer_name(pki.name("a")).public_key(key.public_key())
        .serial_number(1).not_valid_before(pki.START).not_valid_after(NOW + timedelta(days=1)).sign(key, None)
    )  # fmt: skip
    with pytest.raises(document_keys.KeyKindRefused):
        open_pkcs12(packed(key, certificate), passphrase="secret", at=NOW)


def test_the_hash_goes_with_the_curve() -> None:
    assert document_keys.digest_for(ec.generate_private_key(ec.SECP384R1()).public_key()) == "sha384"
    assert document_keys.digest_for(KEY.public_key()) == "sha256"


def test_a_key_with_an_unreadable_certificate_is_refused() -> None:
    class Broken:
        certificate = b"\x30\x03\x02\x01\x01"
        chain = ()

        def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
            raise AssertionError

    with pytest.raises(document_keys.CertificateUnreadable):
        demand_usable(Broken(), at=NOW)

"""Authorities, signers and odd certificates for the tests of signing; the keys are real."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes, SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from archive.kernel.findings import Report
from archive.kernel.instants import Instant

START = datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC)
SIGNED_AT = START + timedelta(days=3, microseconds=123456)
MANIFEST = (
    b'{"digests":{"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},'
    b'"id":"01936a1c-7c1e-7a55-8f6e-5d3c2b1a0f9e","size_bytes":4,"v":1}'
)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class StandingClock:
    """A clock that stands still."""

    def __init__(self, at: Instant = SIGNED_AT) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def key_usage(**granted: bool) -> x509.KeyUsage:
    names = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{each: granted.get(each, False) for each in names})


MAY_SIGN: Sequence[x509.ExtensionType] = (
    key_usage(digital_signature=True),
    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
)


def certificate(
    subject: str,
    *,
    key: PrivateKey,
    issuer: x509.Certificate | str | None = None,
    issuer_key: PrivateKey | None = None,
    extensions: Sequence[x509.ExtensionType] = MAY_SIGN,
    path_length: int | None = None,
    is_ca: bool = False,
    valid_from: Instant = START,
    valid: timedelta = timedelta(days=900),
    identifier: x509.SubjectKeyIdentifier | None = None,
    has_identifiers: bool = True,
) -> x509.Certificate:
    """Make any certificate; without an issuer it signs itself."""
    signer = issuer_key or key
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    above = identifier or x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
    issuer_name = issuer.subject if isinstance(issuer, x509.Certificate) else name(issuer or subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_from + valid)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
    )
    if has_identifiers:
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)
        builder = builder.add_extension(own, critical=False).add_extension(authority, critical=False)
    for each in (key_usage(key_cert_sign=True, crl_sign=True),) if is_ca else extensions:
        builder = builder.add_extension(each, critical=isinstance(each, x509.KeyUsage))
    return builder.sign(signer, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def sign_anyway(
    content: bytes, *, key: PrivateKey, certificate: x509.Certificate, at: Instant = SIGNED_AT, digest: str = "sha256"
) -> bytes:
    """Sign with pyHanko's own signer, without any of the scruples of `CadesSigner`."""
    signer = SimpleSigner(
        signing_cert=asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
        signing_key=asn1_keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        cert_registry=SimpleCertificateStore(),
    )
    settings = PdfCMSSignedAttributes(signing_time=at.replace(microsecond=0))
    made = signer.async_sign_general_data(content, digest, use_cades=True, signed_attr_settings=settings)
    p7s: bytes = asyncio.run(made).dump()
    return p7s

"""Signed PDFs with pyHanko, and the people, authorities and lists that stand behind them. The keys are real."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner, PdfTimeStamper
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from signing.validation.documents import judge_document
from signing.validation.trust import Purpose, Trusted, TrustList
from signing.validation.verdict import DocumentVerdict
from tests.unit.signing import pki

START = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
SIGNED_AT = START + timedelta(days=30)
CHECKED_AT = START + timedelta(days=31)


class _Signer(PdfSigner):
    """Signs at a time of the test's choice."""

    at: datetime

    def init_signing_session(self, *args: Any, **kwargs: Any) -> Any:
        session = super().init_signing_session(*args, **kwargs)
        session.system_time = self.at
        return session


@dataclass(frozen=True)
class Identity:
    """A key and its certificate."""

    key: Any
    certificate: x509.Certificate

    def asn1(self) -> tuple[asn1_x509.Certificate, asn1_keys.PrivateKeyInfo]:
        raw = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return (
            asn1_x509.Certificate.load(self.certificate.public_bytes(Encoding.DER)),
            asn1_keys.PrivateKeyInfo.load(raw),
        )


def timestamping(critical: bool = True) -> x509.Extension[x509.ExtendedKeyUsage]:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return x509.Extension(usage.oid, critical, usage)


def issue(
    subject: str,
    root: Identity,
    *,
    valid_from: datetime = START,
    valid: timedelta = timedelta(days=900),
    extensions: Sequence[x509.ExtensionType] = pki.MAY_SIGN,
    key: Any = None,
    is_stamper: bool = False,
) -> Identity:
    """Issue a certificate from `root`."""
    own = key or (rsa.generate_private_key(65537, 2048) if is_stamper else ec.generate_private_key(ec.SECP256R1()))
    builder = (
        x509.CertificateBuilder()
        .subject_name(pki.name(subject))
        .issuer_name(root.certificate.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_from + valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.certificate.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    if is_stamper:
        builder = builder.add_extension(pki.key_usage(digital_signature=True), critical=True)
        builder = builder.add_extension(timestamping().value, critical=True)
    else:
        for each in extensions:
            builder = builder.add_extension(each, critical=isinstance(each, x509.KeyUsage))
    return Identity(own, builder.sign(root.key, hashes.SHA256()))


def new_root(name: str = "Root", *, valid_from: datetime = START, valid: timedelta = timedelta(days=7300)) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    return Identity(key, pki.certificate(name, key=key, is_ca=True, valid_from=valid_from, valid=valid))


def crl(
    root: Identity,
    *,
    at: datetime = CHECKED_AT,
    valid: timedelta = timedelta(days=30),
    revoked: Sequence[tuple[Identity, datetime]] = (),
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(at)
        .next_update(at + valid)
        .add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
    )
    for identity, since in revoked:
        entry = x509.RevokedCertificateBuilder(identity.certificate.serial_number, since)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(root.key, hashes.SHA256()).public_bytes(Encoding.DER)


def trusted(root: Identity, *purposes: Purpose, since: datetime = START, until: datetime | None = None) -> Trusted:
    return Trusted("test", frozenset(purposes or (Purpose.ALL,)), root.certificate, since, until, "made for a test")


@dataclass
class World:
    """A root, an officer, a timestamp authority, and a list that says nobody was revoked."""

    root: Identity = field(default_factory=new_root)
    officer: Identity = field(init=False)
    second: Identity = field(init=False)
    tsa: Identity = field(init=False)
    trust: TrustList = field(init=False)
    crls: Sequence[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.officer = issue("Officer Li", self.root)
        self.second = issue("Officer Wang", self.root)
        self.tsa = issue("Timestamps", self.root, is_stamper=True, valid=timedelta(days=3650))
        self.trust = TrustList((trusted(self.root),))
        self.crls = (crl(self.root),)

    def judge(self, pdf: bytes, **changes: Any) -> DocumentVerdict:
        options: dict[str, Any] = {"trust": self.trust, "at": CHECKED_AT, "crls": self.crls, **changes}
        return judge_document(pdf, **options)

    def stamper(self, at: datetime, tsa: Identity | None = None) -> DummyTimeStamper:
        certificate, key = (tsa or self.tsa).asn1()
        return DummyTimeStamper(certificate, key, fixed_dt=at, certs_to_embed=SimpleCertificateStore())

    def sign(
        self,
        pdf: bytes,
        *,
        by: Identity | None = None,
        at: datetime = SIGNED_AT,
        stamped_at: datetime | None = SIGNED_AT,
        field: str = "Sig1",
        box: tuple[int, int, int, int] | None = None,
        certify: MDPPerm | None = None,
        tsa: Identity | None = None,
        digest: str = "sha256",
        subfilter: SigSeedSubFilter = SigSeedSubFilter.PADES,
        spec: SigFieldSpec | None = None,
    ) -> bytes:
        certificate, key = (by or self.officer).asn1()
        signer = _Signer(
            PdfSignatureMetadata(
                field_name=field,
                md_algorithm=digest,
                subfilter=subfilter,
                certify=certify is not None,
                docmdp_permissions=certify or MDPPerm.FILL_FORMS,
            ),
            signer=SimpleSigner(certificate, key, cert_registry=SimpleCertificateStore()),
            timestamper=None if stamped_at is None else self.stamper(stamped_at, tsa),
            new_field_spec=spec or (SigFieldSpec(field, box=box) if box else None),
        )
        signer.at = at
        out = BytesIO()
        writer = IncrementalPdfFileWriter(BytesIO(pdf))
        asyncio.run(signer.async_sign_pdf(writer, output=out, bytes_reserved=16384))
        return out.getvalue()

    def archive(
        self,
        pdf: bytes,
        *,
        at: datetime,
        crls: Sequence[bytes] | None = None,
        tsa: Identity | None = None,
        certificates: Sequence[Identity] = (),
    ) -> bytes:
        """Put revocation lists into the document and a document timestamp over all of it."""
        out = BytesIO(pdf)
        from asn1crypto import crl as asn1_crl

        known = [*certificates, self.root, self.officer, tsa or self.tsa]
        reader = PdfFileReader(out)
        contents = reader.embedded_signatures[-1].pkcs7_content.hex().encode("ascii").upper()
        DocumentSecurityStore.add_dss(
            out,
            contents,
            certs=[each.asn1()[0] for each in known],
            crls=[asn1_crl.CertificateList.load(each) for each in (self.crls if crls is None else crls)],
        )
        stamper = PdfTimeStamper(self.stamper(at, tsa))
        result = BytesIO()
        asyncio.run(
            stamper.async_timestamp_pdf(
                IncrementalPdfFileWriter(out), md_algorithm="sha256", bytes_reserved=16384, output=result
            )
        )
        return result.getvalue()


Change = Callable[[bytes], bytes]

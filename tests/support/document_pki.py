"""An authority of people and of timestamps over many years, with lists of revoked certificates; the keys are real."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from archive.kernel.instants import Instant
from signing.certificates import TIMESTAMPING
from signing.document_keys import HeldKey
from signing.longterm import ValidationData
from signing.tokens import make_token
from tests.unit.signing import pki

# Ten years that have passed: pyHanko slides from the present of the machine back, whatever moment it is asked for.
START = datetime(2015, 3, 2, 8, 0, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
# Never asked; without it pyHanko looks at no answers about a certificate.
ASKED_AT = x509.AuthorityInformationAccess(
    [
        x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.test.invalid")
        )
    ]
)

MAY_SIGN = (pki.key_usage(digital_signature=True, content_commitment=True), ASKED_AT)


class MovedClock:
    """A clock that tests move."""

    def __init__(self, at: Instant = START) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


class DocumentPki:
    """A root for thirty years, signers for three, and timestamp authorities for three years each."""

    def __init__(self, clock: MovedClock) -> None:
        self.clock = clock
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = pki.certificate(
            "root of a test", key=self.root_key, is_ca=True, valid_from=START - YEAR, valid=30 * YEAR
        )
        self.responder_key = ec.generate_private_key(ec.SECP256R1())
        self.responder = self.issue(
            "responder",
            self.responder_key,
            valid=25 * YEAR,
            extensions=[
                pki.key_usage(digital_signature=True),
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]),
                x509.OCSPNoCheck(),
            ],
        )
        self._revoked: list[x509.RevokedCertificate] = []
        self._serial = 1000
        self._tsas: list[x509.Certificate] = []
        self.stamping = self.new_tsa()

    def issue(
        self, subject: str, key: pki.PrivateKey, *, valid: timedelta = 3 * YEAR, **given: Any
    ) -> x509.Certificate:
        start = given.pop("valid_from", self.clock.at - timedelta(hours=1))
        return pki.certificate(
            subject, key=key, issuer=self.root, issuer_key=self.root_key, valid_from=start, valid=valid, **given
        )

    def signer(self, subject: str, key: pki.PrivateKey | None = None, **given: Any) -> HeldKey:
        own = key or ec.generate_private_key(ec.SECP256R1())
        extensions = given.pop("extensions", MAY_SIGN)
        return HeldKey(own, self.issue(subject, own, extensions=extensions, **given), [self.root])

    @cached_property
    def rsa_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 3072)

    def new_tsa(self) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        start = self.clock.at - timedelta(hours=1)
        made = (
            x509.CertificateBuilder()
            .subject_name(pki.name(f"TSA of {self.clock.at.year}"))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + 3 * YEAR)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(TIMESTAMPING.key_usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage(TIMESTAMPING.extended_key_usage), critical=True)
            .add_extension(ASKED_AT, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key()), critical=False
            )
            .sign(self.root_key, hashes.SHA256())
        )
        self.stamping = key, made.public_bytes(Encoding.DER)
        self._tsas.append(made)
        return self.stamping

    def answers(self) -> list[bytes]:
        """Return what a validator would be told today about the authorities of timestamps that have not ended."""
        return [
            self.ocsp(each.public_bytes(Encoding.DER))
            for each in self._tsas
            if self.clock.at < each.not_valid_after_utc
        ]

    @property
    def token(self) -> Callable[[bytes], bytes]:
        def stamp(imprint: bytes) -> bytes:
            key, certificate = self.stamping
            self._serial += 1
            return make_token(
                imprint,
                policy="1.2.3.4.1",
                serial=self._serial,
                at=self.clock.at,
                certificate=certificate,
                sign=lambda message: key.sign(message, ec.ECDSA(hashes.SHA256())),
            )

        return stamp

    def crl(self) -> bytes:
        at = self.clock.at - timedelta(minutes=1)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.root.subject)
            .last_update(at)
            .next_update(at + timedelta(days=30))
            .add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key()), critical=False
            )
        )
        for each in self._revoked:
            builder = builder.add_revoked_certificate(each)
        return builder.sign(self.root_key, hashes.SHA256()).public_bytes(Encoding.DER)

    def ocsp(self, certificate: bytes) -> bytes:
        """Return a responder's answer about one certificate, as of now, good for a week.

        A responder of its own and not the root, for whose answers pyHanko would ask whether the root is revoked.
        """
        at = self.clock.at - timedelta(minutes=1)
        told = ocsp.OCSPResponseBuilder().add_response(
            cert=x509.load_der_x509_certificate(certificate),
            issuer=self.root,
            algorithm=hashes.SHA1(),  # names the issuer only, and is what others look for
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=at,
            next_update=at + timedelta(days=7),
            revocation_time=None,
            revocation_reason=None,
        )
        told = told.responder_id(ocsp.OCSPResponderEncoding.HASH, self.responder).certificates([self.responder])
        answer = told.sign(self.responder_key, hashes.SHA256())
        return answer.public_bytes(Encoding.DER)

    def validation(self, *signers: HeldKey) -> ValidationData:
        """Return what is to be embedded now: the root, and an answer about signers and the authority of the timestamps.

        Answers and no lists: a list of the same root from after a certificate's end keeps pyHanko from sliding back to
        before that end.
        """
        judged = [self.stamping[1], *(each.certificate for each in signers)]
        responder = self.responder.public_bytes(Encoding.DER)
        return ValidationData([self.root_der, responder, *judged], ocsp_responses=[self.ocsp(each) for each in judged])

    @property
    def root_der(self) -> bytes:
        return self.root.public_bytes(Encoding.DER)

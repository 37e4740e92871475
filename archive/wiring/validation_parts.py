"""Putting together what signatures will be judged by after years: the root, its list, and answers about each signer."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from archive.documents.long_term import Validation
from archive.ports.clock import Clock
from archive.ports.revocations import RevocationRegister
from signing.authority import EmbeddedAuthority
from signing.chains import is_issued_by
from signing.longterm import ValidationData
from signing.ocsp import EmbeddedOcsp
from signing.revocation import crl


def validation_of(authority: EmbeddedAuthority, register: RevocationRegister, clock: Clock) -> Validation:
    """Return what tells of the embedded authority, as of now, all that a reader needs to judge without asking."""
    responder = EmbeddedOcsp(authority, register, clock)

    def told(certificates: Sequence[bytes]) -> ValidationData:
        found = [x509.load_der_x509_certificate(each) for each in certificates]
        ours = [each for each in found if is_issued_by(each, authority.root)]
        return ValidationData(
            certificates=[authority.root.public_bytes(Encoding.DER), *certificates],
            crls=[crl(authority, clock, register=register)],
            ocsp_responses=[responder.respond(_asked(each, authority.root)) for each in ours],
        )

    return told


def _asked(certificate: x509.Certificate, root: x509.Certificate) -> bytes:
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, root, hashes.SHA256()).build()
    return request.public_bytes(Encoding.DER)

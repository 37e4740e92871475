"""Whether a certificate leads to a root that the reader trusts. Revocation is not looked at here.

Source: RFC 5280 section 6, as `cryptography.x509.verification` does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant

_MAX_INTERMEDIATES = 4

UNREADABLE: Final = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises, some of it late, when it meets a certificate that it cannot read."""


class BadTrustRoots(InvalidInput):
    """The trust roots are not certificates in PEM."""

    code = "signature.bad_trust_roots"


@dataclass(frozen=True, slots=True)
class TrustRoots:
    """What the reader trusts: self-signed certificates are roots, others only help to reach one, as in OpenSSL."""

    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Parse any number of certificates, none included. Raises: BadTrustRoots."""
        try:
            found = x509.load_pem_x509_certificates(pem) if pem.strip() else []
        except ValueError as exc:
            raise BadTrustRoots from exc
        return cls(
            roots=[each for each in found if is_issued_by(each, each)],
            intermediates=[each for each in found if not is_issued_by(each, each)],
        )

    def namesakes_of_issuer(self, certificate: x509.Certificate) -> Sequence[x509.Certificate]:
        """Return the certificates that `certificate` claims as its issuer, by name and key identifier."""
        wanted = _key_identifier(certificate, x509.AuthorityKeyIdentifier)
        return [
            each
            for each in (*self.roots, *self.intermediates)
            if each.subject == certificate.issuer
            and (wanted is None or wanted == _key_identifier(each, x509.SubjectKeyIdentifier))
        ]

    def reach(self, certificate: x509.Certificate, *, at: Instant) -> bool:
        """Return whether a valid chain leads from `certificate` to one of the roots at that time."""
        if not self.roots:
            return False
        policy = (
            PolicyBuilder()
            .store(Store(list(self.roots)))
            .time(at)
            .max_chain_depth(_MAX_INTERMEDIATES)
            # The purposes of the end entity are judged by the caller: this library knows those of the web only.
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        )
        try:
            policy.build_client_verifier().verify(certificate, list(self.intermediates))
        except VerificationError:
            return False
        return True


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether the name and the key of `issuer` stand behind `certificate`."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key_identifier(
    certificate: x509.Certificate,
    kind: type[x509.AuthorityKeyIdentifier] | type[x509.SubjectKeyIdentifier],
) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value.key_identifier
    except x509.ExtensionNotFound:
        return None

"""From a certificate to an authority that is trusted, at a given time. Revocation is not looked at here.

Source: RFC 5280 section 6, as `cryptography.x509.verification` does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from archive.kernel.instants import Instant
from signing.certificates import SELF_ISSUED
from signing.chains import UNREADABLE, is_issued_by
from signing.validation.trust import Purpose, Trusted, TrustList
from signing.validation.verdict import Signer

_MAX_INTERMEDIATES: Final = 4


@dataclass(frozen=True, slots=True)
class TrustPath:
    """A chain from a certificate (first) to a trusted authority (last), and the entry that vouches for it."""

    chain: Sequence[x509.Certificate]
    anchor: Trusted


def find_path(
    certificate: x509.Certificate,
    *,
    trust: TrustList,
    wanted: frozenset[Purpose],
    others: Sequence[x509.Certificate],
    at: Instant,
) -> TrustPath | None:
    """Return a chain that holds at that time and ends in an entry trusted for one of these purposes then, or None."""
    between = [each for each in (*trust.intermediates, *others) if each != certificate]
    for anchor in trust.holding(wanted, at):
        if anchor.certificate == certificate:
            continue  # an authority's own certificate signs certificates, not documents
        policy = (
            PolicyBuilder()
            .store(Store([anchor.certificate]))
            .time(at)
            .max_chain_depth(_MAX_INTERMEDIATES)
            # The purposes of the end entity are judged by the caller: this library knows those of the web only.
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        )
        try:
            found = policy.build_client_verifier().verify(certificate, between)
        except (VerificationError, *UNREADABLE):
            continue
        return TrustPath(tuple(found.chain), anchor)
    return None


def is_forged(certificate: x509.Certificate, trust: TrustList) -> bool:
    """Return whether it names a trusted authority as its issuer, by name and key, that did not issue it."""
    wanted = _authority_key(certificate)
    namesakes = [
        each.certificate
        for each in trust.entries
        if each.certificate.subject == certificate.issuer
        and (wanted is None or wanted == _subject_key(each.certificate))
    ]
    return bool(namesakes) and not any(is_issued_by(certificate, each) for each in namesakes)


def describe(certificate: x509.Certificate, path: TrustPath | None) -> Signer:
    """Return who it is. It is self-issued where it says so, signed itself, or leads to an entry marked so."""
    says_so = any(
        str(each.value) == SELF_ISSUED
        for each in certificate.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    )
    return Signer(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        is_self_issued=says_so
        or is_issued_by(certificate, certificate)
        or (path is not None and path.anchor.is_self_issued),
        trusted_as="" if path is None else path.anchor.name,
        trusted_for=() if path is None else tuple(sorted(path.anchor.purposes)),
    )


def _authority_key(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None


def _subject_key(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None

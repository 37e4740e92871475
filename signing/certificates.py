"""X.509 certificates as the embedded authority makes them: a profile is data, issuing is one function.

Nothing here touches files. A further kind of certificate is a further `Profile`; `signing.subjects` names people.
"""

import ipaddress
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ports.revocations import Revocation, RevocationReason
from signing import der

SELF_ISSUED: Final = "self-issued by Liuhen"
ROOT_VALID: Final = timedelta(days=20 * 365 + 5)
TLS_VALID: Final = timedelta(days=397)
"""Below the 398 days after which browsers refuse a server certificate, whoever issued it."""
TIMESTAMPING_VALID: Final = timedelta(days=10 * 365)

_MAX_NAME_BYTES: Final = 64
"""RFC 5280 appendix A.1 allows 64 characters; `cryptography` counts bytes of UTF-8 and warns whenever it reads more."""
_BIT_STRING: Final = 0x03
_MAX_ORGANISATION_CHARS: Final = 200
_ALWAYS_SERVED: Final = ("localhost", "127.0.0.1", "::1")


class BadOrganisation(InvalidInput):
    """The name of the organisation is empty, longer than 200 characters, or holds control characters."""

    code = "authority.bad_organisation"


class BadHostName(InvalidInput):
    """This is neither a host name nor an IP address."""

    code = "authority.bad_host_name"


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of certificate may be used for, for how long, and how its subject is called.

    `is_never_revoked`: nobody need ask whether it is, since it lives shortly.
    """

    role: str
    valid: timedelta
    key_usage: x509.KeyUsage
    extended_key_usage: Sequence[x509.ObjectIdentifier]
    is_extended_usage_critical: bool = False
    is_never_revoked: bool = False


def _key_usage(*granted: str) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in granted for name in names})


MANIFEST_SIGNING: Final = Profile(
    role="manifest signing",
    valid=timedelta(days=10 * 365),
    key_usage=_key_usage("digital_signature", "content_commitment"),
    # CMS tools judge a signer by the purpose of S/MIME unless told otherwise.
    extended_key_usage=(ExtendedKeyUsageOID.EMAIL_PROTECTION,),
)
TLS_SERVER: Final = Profile(
    role="TLS server",
    valid=TLS_VALID,
    key_usage=_key_usage("digital_signature"),
    extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH,),
)
TIMESTAMPING: Final = Profile(
    role="timestamping",
    valid=TIMESTAMPING_VALID,
    key_usage=_key_usage("digital_signature"),
    # The one purpose, and critical: RFC 3161 section 2.3.
    extended_key_usage=(ExtendedKeyUsageOID.TIME_STAMPING,),
    is_extended_usage_critical=True,
)
DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning. Source: RFC 9336."""
OFFICER_SIGNING: Final = Profile(
    role="officer",
    valid=timedelta(days=3 * 365),
    key_usage=_key_usage("digital_signature", "content_commitment"),
    extended_key_usage=(DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
)
AGENCY_SEAL: Final = Profile(
    role="agency seal",
    valid=timedelta(days=5 * 365),
    key_usage=_key_usage("digital_signature", "content_commitment"),
    extended_key_usage=(DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
)
HAND_CAPTURE: Final = Profile(
    role="capture of hand signatures",
    valid=timedelta(days=3 * 365),
    # It vouches for what was captured, it does not commit itself to the content: no content commitment.
    key_usage=_key_usage("digital_signature"),
    extended_key_usage=(DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
)
OCSP_RESPONDING: Final = Profile(
    role="OCSP responder",
    valid=timedelta(days=90),
    key_usage=_key_usage("digital_signature"),
    extended_key_usage=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    is_never_revoked=True,
)


def may_sign_for(certificate: x509.Certificate, purposes: Collection[x509.ObjectIdentifier]) -> bool:
    """Return whether a certificate is for signatures, and for one of these purposes where it names any.

    Source: RFC 5280 sections 4.2.1.3 and 4.2.1.12. Raises: ValueError for extensions that cannot be read.
    """
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    if not (usage.digital_signature or usage.content_commitment):
        return False
    try:
        named = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(purpose in purposes for purpose in named)


def checked_organisation(given: str) -> str:
    """Return the name in NFC without outer blanks. Raises: BadOrganisation."""
    name = unicodedata.normalize("NFC", given).strip()
    if not 0 < len(name) <= _MAX_ORGANISATION_CHARS or any(unicodedata.category(char)[0] == "C" for char in name):
        raise BadOrganisation(size_chars=len(name))
    return name


def subject_name(organisation: str, role: str) -> x509.Name:
    """Return the subject for one role in an organisation, labelled as self-issued.

    The common name holds the organisation too. A name of more than 64 bytes is cut (`…`), so that the role always fits.
    """
    shown = cut(organisation, _MAX_NAME_BYTES - len(role) - 1)
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cut(organisation, _MAX_NAME_BYTES)),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, SELF_ISSUED),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{shown} {role}"),
        ]
    )


def organisation_of(certificate: x509.Certificate) -> str:
    """Return the organisation in the subject. Raises: BadOrganisation when there is none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if not found:
        raise BadOrganisation("The certificate names no organisation")
    return str(found[0].value)


def alternative_names(host_names: Sequence[str]) -> Sequence[x509.GeneralName]:
    """Return the names of this machine and of `host_names` for a server certificate, each once, in a stable order.

    Raises: BadHostName.
    """
    return list(dict.fromkeys(_general_name(host) for host in (*_ALWAYS_SERVED, *host_names)))


def make_root(key: ec.EllipticCurvePrivateKey, *, organisation: str, valid_from: Instant) -> x509.Certificate:
    """Make the self-signed root: it may sign end-entity certificates and revocation lists, nothing else.

    Source: RFC 5280 sections 4.2.1.1 to 4.2.1.3 and 4.2.1.9.
    """
    return _root_of(
        key,
        subject_name(organisation, "self-issued root"),
        valid_from=valid_from,
        valid_until=valid_from + ROOT_VALID,
    )


def extended_root(root: x509.Certificate, key: ec.EllipticCurvePrivateKey, *, at: Instant) -> x509.Certificate:
    """Make the root once more: the same name, the same key and the same beginning, and 20 more years from `at`.

    All that the root before has issued leads to this one too, at every time.
    Source: RFC 5280 section 6.1.1 (d): a trust anchor is a name and a key.
    """
    return _root_of(key, root.subject, valid_from=root.not_valid_before_utc, valid_until=at + ROOT_VALID)


def _root_of(
    key: ec.EllipticCurvePrivateKey, name: x509.Name, *, valid_from: Instant, valid_until: Instant
) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key.public_key(), valid_from=valid_from, valid_until=valid_until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )


def issue(
    profile: Profile,
    *,
    public_key: ec.EllipticCurvePublicKey,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    valid_from: Instant,
    names: Sequence[x509.GeneralName] = (),
    subject: x509.Name | None = None,
    further: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    """Make an end-entity certificate of this profile, signed by the root and never valid longer than it.

    Without `subject` it is called by its role. `further` extensions are not critical.
    Source: RFC 5280 sections 4.2.1.1 to 4.2.1.3, 4.2.1.6, 4.2.1.9 and 4.2.1.12.
    """
    builder = (
        _builder(
            subject or subject_name(organisation_of(root), profile.role),
            root.subject,
            public_key,
            valid_from=max(valid_from, root.not_valid_before_utc),
            valid_until=min(valid_from + profile.valid, root.not_valid_after_utc),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(profile.key_usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(profile.extended_key_usage), critical=profile.is_extended_usage_critical)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if profile.is_never_revoked:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    for each in further:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(root_key, hashes.SHA256())


def make_crl(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    *,
    valid_from: Instant,
    valid: timedelta,
    before: x509.CertificateRevocationList | None,
    revoked: Iterable[Revocation] = (),
) -> x509.CertificateRevocationList:
    """Make a revocation list with all that stood in the one before, and with what is `revoked` besides.

    Its number grows, whatever the clock does.

    Source: RFC 5280 sections 5.1.2 and 5.2.3.
    """
    number = int(valid_from.timestamp())
    if before is not None:
        number = max(number, before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1)
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(valid_from)
        .next_update(valid_from + valid)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    listed = set()
    for kept in [] if before is None else before:
        listed.add(kept.serial_number)
        builder = builder.add_revoked_certificate(kept)
    for each in sorted(revoked, key=lambda found: (found.at, found.serial)):
        if each.serial not in listed:
            listed.add(each.serial)
            builder = builder.add_revoked_certificate(_entry(each))
    return builder.sign(root_key, hashes.SHA256())


def _entry(revocation: Revocation) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(revocation.serial, revocation.at.replace(microsecond=0))
    # An unspecified reason is left out: RFC 5280 section 5.3.1.
    if revocation.reason is not RevocationReason.UNSPECIFIED:
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(revocation.reason.value)), critical=False)
    return builder.build()


def issuer_hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Return the hashes of name and key by which OCSP names an issuer. Source: RFC 6960 section 4.1.1."""
    public = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = der.Reader(public).enter(der.SEQUENCE)
    info.take(der.SEQUENCE)
    name, key = hashes.Hash(algorithm), hashes.Hash(algorithm)
    name.update(issuer.subject.public_bytes())
    key.update(info.take(_BIT_STRING)[1:])  # without its count of unused bits
    return name.finalize(), key.finalize()


def has_signed_crl(root: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    """Return whether the root's key has signed this revocation list."""
    key = root.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *,
    valid_from: Instant,
    valid_until: Instant,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
    )


def cut(text: str, most_bytes: int) -> str:
    """Return a text of at most so many bytes of UTF-8; a longer one ends in `…`."""
    if len(text.encode()) <= most_bytes:
        return text
    return text.encode()[: most_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        ascii_name = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError as exc:
        raise BadHostName(given=host[:64]) from exc
    labels = ascii_name.split(".")
    if len(ascii_name) > 253 or not all(_is_label(label) for label in labels):
        raise BadHostName(given=host[:64])
    return x509.DNSName(ascii_name)


def _is_label(label: str) -> bool:
    letters = label.replace("-", "")
    return 0 < len(label) <= 63 and label[0] != "-" and label[-1] != "-" and letters.isascii() and letters.isalnum()

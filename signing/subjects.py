"""How people, agencies and devices are called in the certificates of the embedded authority, and where status is asked.

Source: RFC 5280 sections 4.1.2.6, 4.2.1.13 and 4.2.2.1; X.520 for the attributes.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from archive.kernel.errors import InvalidInput
from signing.certificates import SELF_ISSUED, checked_organisation, cut

_MOST_BYTES: Final = 64
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,253}(?::\d{1,5})?(?:/[A-Za-z0-9._~/%+-]{0,200})?")
_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/ -]{0,63}")


class BadSubject(InvalidInput):
    """The name or the number of a person or an agency cannot stand in a certificate."""

    code = "authority.bad_subject"


class BadStatusAddress(InvalidInput):
    """An address for revocation lists or OCSP is not a plain http or https address."""

    code = "authority.bad_status_address"


@dataclass(frozen=True, slots=True)
class StatusAddresses:
    """Where others may get revocation lists, OCSP answers and the issuer's certificate; empty unless that is set.

    Raises: BadStatusAddress.
    """

    crl: Sequence[str] = ()
    ocsp: Sequence[str] = ()
    issuer: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what is not an address."""
        for each in (*self.crl, *self.ocsp, *self.issuer):
            if _ADDRESS.fullmatch(each) is None:
                raise BadStatusAddress(given=each[:100])

    def extensions(self) -> Sequence[x509.ExtensionType]:
        """Return what goes into a certificate; nothing where there is no address."""
        found: list[x509.ExtensionType] = []
        if self.crl:
            points = [
                x509.DistributionPoint([x509.UniformResourceIdentifier(each)], None, None, None) for each in self.crl
            ]
            found.append(x509.CRLDistributionPoints(points))
        access = [
            x509.AccessDescription(kind, x509.UniformResourceIdentifier(each))
            for kind, addresses in (
                (AuthorityInformationAccessOID.OCSP, self.ocsp),
                (AuthorityInformationAccessOID.CA_ISSUERS, self.issuer),
            )
            for each in addresses
        ]
        if access:
            found.append(x509.AuthorityInformationAccess(access))
        return found


def person(organisation: str, *, name: str, number: str) -> x509.Name:
    """Return the subject of an officer: the name, and the number of the enforcement certificate (执法证号).

    Raises: BadSubject, BadOrganisation.
    """
    return _named(organisation, common=_checked(name), number=_numbered(number))


def agency(organisation: str, *, name: str, number: str = "") -> x509.Name:
    """Return the subject of an agency's seal: its name, and its unified social credit code where there is one.

    Raises: BadSubject, BadOrganisation.
    """
    return _named(organisation, common=_checked(name), number=_numbered(number) if number else "")


def _named(organisation: str, *, common: str, number: str) -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, cut(checked_organisation(organisation), _MOST_BYTES)),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, SELF_ISSUED),
        x509.NameAttribute(NameOID.COMMON_NAME, common),
    ]
    if number:
        parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, number))
    return x509.Name(parts)


def _checked(given: str) -> str:
    name = unicodedata.normalize("NFC", given).strip()
    is_plain = not any(unicodedata.category(char)[0] == "C" for char in name)
    if not name or not is_plain or len(name.encode()) > _MOST_BYTES:
        raise BadSubject(size_bytes=len(name.encode()))
    return name


def _numbered(given: str) -> str:
    if _NUMBER.fullmatch(given) is None:
        raise BadSubject("The number is not one of letters and digits")
    return given

"""Who stands in a certificate: name, organisation and number out of a distinguished name as a verdict gives it."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from signing.certificates import SELF_ISSUED


@dataclass(frozen=True, slots=True)
class Called:
    """What somebody is called in a certificate; what does not stand there is empty."""

    name: str
    organisation: str = ""
    number: str = ""


def called(subject: str) -> Called:
    """Return name, organisation and number of a subject or issuer in the form of RFC 4514; as it stands, if unreadable.

    What says that the embedded authority issued it is a mark, and no part of a name.
    """
    try:
        read = x509.Name.from_rfc4514_string(subject)
    except ValueError:
        return Called(subject)

    def first(*kinds: x509.ObjectIdentifier) -> str:
        found = (str(each.value) for kind in kinds for each in read.get_attributes_for_oid(kind))
        return next((each for each in found if each != SELF_ISSUED), "")

    organisation = first(NameOID.ORGANIZATION_NAME)
    name = first(NameOID.COMMON_NAME, NameOID.PSEUDONYM, NameOID.ORGANIZATIONAL_UNIT_NAME) or organisation
    return Called(name or subject, organisation, first(NameOID.SERIAL_NUMBER))

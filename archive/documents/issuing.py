"""The embedded authority issues what signs documents: to officers in a file that only they keep, seals to agencies."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.ids import AgencyId, CertificateId, KeyRequestId, OfficerId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.organisation.models import Agency, Officer, Unit
from archive.organisation.officers import OfficerNotFound
from archive.organisation.units import AgencyNotFound
from archive.trust.certificates import NewCertificate, certificates_of
from archive.trust.requests import Wanted, change_register
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from signing import certificates, subjects
from signing.authority import EmbeddedAuthority
from signing.pkcs12 import pack_pkcs12

FIRST: Final = "首次签发"
AGAIN: Final = "换发"


@dataclass(frozen=True, slots=True)
class Issuer:
    """What issues certificates, put together by wiring. `addresses`: where their status can be asked for, if at all."""

    database: Database
    authority: EmbeddedAuthority
    rules: TrustRules
    addresses: subjects.StatusAddresses | None = None


@dataclass(frozen=True, slots=True)
class IssuedFile:
    """A PKCS#12 file for an officer, and what came of it in the register."""

    pkcs12: bytes
    outcome: CertificateId | KeyRequestId


def issue_to_officer(issuer: Issuer, officer_id: OfficerId, *, passphrase: str, by: Actor, at: Instant) -> IssuedFile:
    """Make a key for an officer, with a certificate that names this person; only the file that is returned holds it.

    One that the officer had is replaced.
    Raises: OfficerNotFound, PassphraseRefused, BadSubject, what register and authority raise.
    """
    with issuer.database.read() as tx:
        officer = tx.get(Officer, officer_id)
        if officer is None:
            raise OfficerNotFound(officer_id=officer_id)
        subject = subjects.person(officer.agency, name=officer.name, number=officer.certificate_number)
        old = _newest(tx, officer_id, KeyPurpose.OFFICER, at)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issuer.authority.issue(
        certificates.OFFICER_SIGNING,
        public_key=key.public_key(),
        valid_from=at,
        subject=subject,
        addresses=issuer.addresses,
    )
    packed = pack_pkcs12(key, certificate, [issuer.authority.root], passphrase=passphrase)
    der = certificate.public_bytes(Encoding.DER)
    new = NewCertificate(der, KeyPurpose.OFFICER, officer_id, KeyPlace.HOLDER)
    return IssuedFile(packed, _register(issuer, new, old, by=by, at=at))


def issue_seal(issuer: Issuer, agency_id: AgencyId, *, by: Actor, at: Instant) -> CertificateId | KeyRequestId:
    """Make the key of an agency's seal in a file of the authority, and put its certificate into the register.

    One that the agency had is replaced.
    Raises: AgencyNotFound, BadSubject, what register and authority raise.
    """
    with issuer.database.read() as tx:
        agency = tx.scalar(select(Agency).where(Agency.id == agency_id))
        if agency is None:
            raise AgencyNotFound(agency_id=agency_id)
        holder_id, name = agency.root_unit_id, agency.name
        old = _newest(tx, holder_id, KeyPurpose.SEAL, at)
    handle = f"seal-{new_uuid7()}.pem"
    subject = subjects.agency(name, name=name)
    _, made = issuer.authority.make_service_key(handle, certificates.AGENCY_SEAL, valid_from=at, subject=subject)
    new = NewCertificate(made.public_bytes(Encoding.DER), KeyPurpose.SEAL, holder_id, KeyPlace.FILE, handle=handle)
    return _register(issuer, new, old, by=by, at=at)


def agency_of_unit(tx: Session, unit_id: UUID) -> Agency:
    """Return the agency that a unit belongs to. Raises: AgencyNotFound."""
    found = tx.scalar(select(Agency).join(Unit, Unit.agency_id == Agency.id).where(Unit.id == unit_id))
    if found is None:
        raise AgencyNotFound(unit_id=unit_id)
    return found


def _newest(tx: Session, holder_id: UUID, purpose: KeyPurpose, at: Instant) -> CertificateId | None:
    found = certificates_of(tx, holder_id, purpose, at=at)
    return CertificateId(found[0].id) if found else None


def _register(
    issuer: Issuer, new: NewCertificate, old: CertificateId | None, *, by: Actor, at: Instant
) -> CertificateId | KeyRequestId:
    wanted = Wanted(FIRST if old is None else AGAIN, new=new, of=old)
    return change_register(issuer.database, wanted, rules=issuer.rules, by=by, at=at)

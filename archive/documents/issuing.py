"""Certificates of officers and seals come into the register and out of it: issued here, brought along, revoked.

To officers the embedded authority gives a file that only they keep; seals lie in its folder, or in a token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.ids import AgencyId, CertificateId, KeyRequestId, OfficerId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor
from archive.organisation.models import Agency, Officer, Unit
from archive.organisation.officers import OfficerNotFound
from archive.organisation.units import AgencyNotFound
from archive.ports.keys import DocumentKey
from archive.ports.revocations import RevocationReason
from archive.trust.certificates import MAX_HANDLE_CHARACTERS, NewCertificate, certificates_of
from archive.trust.models import KeyRequest
from archive.trust.requests import Wanted, change_register, decide_key_request
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose, KeyRequestState
from signing import certificates, subjects
from signing.authority import EmbeddedAuthority
from signing.document_keys import demand_key, given_certificate, usable_certificate
from signing.pkcs12 import pack_pkcs12

_log = structlog.get_logger("liuhen.certificates")
FIRST: Final = "首次签发"
AGAIN: Final = "换发"
OUTSIDE: Final = "登记外部签发的证书"


class TokenNotSet(Conflict):
    """No token for seals is set here: see the settings pkcs11_module, pkcs11_token and pkcs11_pin_file."""

    code = "trust.token_not_set"
    exit_code = 78


Tokens = Callable[[str, bytes | None], DocumentKey]
"""Opens a key of the house's token by its label, with a certificate (DER) or the one that lies beside it there."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """What issues certificates, put together by wiring.

    `addresses`: where their status can be asked for, if at all. `tokens`: None where no token is set. `publish` makes
    the revocation list say what the register says.
    """

    database: Database
    authority: EmbeddedAuthority
    rules: TrustRules
    addresses: subjects.StatusAddresses | None = None
    tokens: Tokens | None = None
    publish: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class IssuedFile:
    """A PKCS#12 file for an officer, and what came of it in the register."""

    pkcs12: bytes
    outcome: CertificateId | KeyRequestId


def issue_to_officer(
    issuer: Issuer, officer_id: OfficerId, *, passphrase: str, by: Actor, at: Instant, of: CertificateId | None = None
) -> IssuedFile:
    """Make a key for an officer, with a certificate that names this person; only the file that is returned holds it.

    It replaces `of`, or the newest one that the officer had.
    Raises: OfficerNotFound, PassphraseRefused, BadSubject, what register and authority raise.
    """
    with issuer.database.read() as tx:
        officer = _officer(tx, officer_id)
        subject = subjects.person(officer.agency, name=officer.name, number=officer.certificate_number)
        old = of or _newest(tx, officer_id, KeyPurpose.OFFICER, at)
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


def register_of_officer(
    issuer: Issuer, officer_id: OfficerId, file: bytes, *, by: Actor, at: Instant, of: CertificateId | None = None
) -> CertificateId | KeyRequestId:
    """Put a certificate that an outside authority issued to an officer (PEM or DER) into the register.

    It stands beside those that the officer has, unless it replaces `of`.
    Raises: OfficerNotFound, PrivateKeyGiven, CertificateUnreadable, as `usable_certificate`; what the register raises.
    """
    with issuer.database.read() as tx:
        _officer(tx, officer_id)
    der = given_certificate(file)
    usable_certificate(der, at=at)
    new = NewCertificate(der, KeyPurpose.OFFICER, officer_id, KeyPlace.HOLDER)
    return _register(issuer, new, of, by=by, at=at, words=OUTSIDE)


def issue_seal(
    issuer: Issuer, agency_id: AgencyId, *, by: Actor, at: Instant, of: CertificateId | None = None
) -> CertificateId | KeyRequestId:
    """Make the key of an agency's seal in a file of the authority, and put its certificate into the register.

    It replaces `of`, or the newest one that the agency had.
    Raises: AgencyNotFound, BadSubject, what register and authority raise.
    """
    holder_id, name, old = _seal_of(issuer, agency_id, of, at)
    handle = f"seal-{new_uuid7()}.pem"
    subject = subjects.agency(name, name=name)
    _, made = issuer.authority.make_service_key(
        handle, certificates.AGENCY_SEAL, valid_from=at, subject=subject, addresses=issuer.addresses
    )
    new = NewCertificate(made.public_bytes(Encoding.DER), KeyPurpose.SEAL, holder_id, KeyPlace.FILE, handle=handle)
    return _register(issuer, new, old, by=by, at=at)


def register_token_seal(
    issuer: Issuer,
    agency_id: AgencyId,
    *,
    label: str,
    file: bytes | None = None,
    by: Actor,
    at: Instant,
    of: CertificateId | None = None,
) -> CertificateId | KeyRequestId:
    """Put the certificate of a seal whose key lies in the house's token into the register.

    The certificate is a file (PEM or DER), or the one beside the key in the token. The key signs a trial first, so that
    no certificate of another key comes in. It replaces `of`, or the newest one that the agency had.
    Raises: AgencyNotFound, TokenNotSet, KeyNotOfCertificate, what the token raises; as `register_of_officer`.
    """
    holder_id, _, old = _seal_of(issuer, agency_id, of, at)
    if issuer.tokens is None:
        raise TokenNotSet
    label = clean_text(label, "label", MAX_HANDLE_CHARACTERS)
    key = issuer.tokens(label, None if file is None else given_certificate(file))
    usable_certificate(key.certificate, at=at)
    demand_key(key)
    new = NewCertificate(key.certificate, KeyPurpose.SEAL, holder_id, KeyPlace.TOKEN, handle=label)
    return _register(issuer, new, old, by=by, at=at)


def revoke(
    issuer: Issuer,
    certificate_id: CertificateId,
    *,
    reason: RevocationReason,
    words: str,
    since: Instant,
    by: Actor,
    at: Instant,
) -> CertificateId | KeyRequestId:
    """Revoke a certificate, or ask for it where the rules want a second person; the revocation list says it at once.

    Raises: CertificateNotFound, CertificateEnded, InvalidInput.
    """
    wanted = Wanted(words, of=certificate_id, revocation=reason, since=since)
    done = change_register(issuer.database, wanted, rules=issuer.rules, by=by, at=at)
    _publish(issuer)
    return done


def decide(issuer: Issuer, request_id: KeyRequestId, *, is_approved: bool, words: str, by: Actor, at: Instant) -> None:
    """Agree to what somebody else asked for, or refuse it; the revocation list says at once what was revoked.

    Raises: as `decide_key_request`.
    """
    decide_key_request(issuer.database, request_id, is_approved=is_approved, words=words, by=by, at=at)
    _publish(issuer)


def is_waiting(tx: Session, outcome: CertificateId | KeyRequestId) -> bool:
    """Return whether what came of an act is a request that waits for a second person."""
    found = tx.get(KeyRequest, outcome)
    return found is not None and found.state == KeyRequestState.WAITING.value


def agency_of_unit(tx: Session, unit_id: UUID) -> Agency:
    """Return the agency that a unit belongs to. Raises: AgencyNotFound."""
    found = tx.scalar(select(Agency).join(Unit, Unit.agency_id == Agency.id).where(Unit.id == unit_id))
    if found is None:
        raise AgencyNotFound(unit_id=unit_id)
    return found


def _newest(tx: Session, holder_id: UUID, purpose: KeyPurpose, at: Instant) -> CertificateId | None:
    found = certificates_of(tx, holder_id, purpose, at=at)
    return CertificateId(found[0].id) if found else None


def _publish(issuer: Issuer) -> None:
    # The revocation holds by now. A list that cannot be made here is made by the next round, or for who asks for it.
    try:
        issuer.publish()
    except LiuhenError as exc:
        _log.warning("revocation_list_not_made", code=exc.code)


def _officer(tx: Session, officer_id: OfficerId) -> Officer:
    officer = tx.get(Officer, officer_id)
    if officer is None:
        raise OfficerNotFound(officer_id=officer_id)
    return officer


def _seal_of(
    issuer: Issuer, agency_id: AgencyId, of: CertificateId | None, at: Instant
) -> tuple[UUID, str, CertificateId | None]:
    """Return who holds the seal of an agency, what the agency is called, and which certificate is replaced."""
    with issuer.database.read() as tx:
        agency = tx.scalar(select(Agency).where(Agency.id == agency_id))
        if agency is None:
            raise AgencyNotFound(agency_id=agency_id)
        return agency.root_unit_id, agency.name, of or _newest(tx, agency.root_unit_id, KeyPurpose.SEAL, at)


def _register(
    issuer: Issuer,
    new: NewCertificate,
    old: CertificateId | None,
    *,
    by: Actor,
    at: Instant,
    words: str = FIRST,
) -> CertificateId | KeyRequestId:
    wanted = Wanted(words if old is None else AGAIN, new=new, of=old)
    return change_register(issuer.database, wanted, rules=issuer.rules, by=by, at=at)

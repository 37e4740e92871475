"""Who signs a record: an officer with an own key, a party by hand. Each shows what people expect to see on paper."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from archive.documents import showing
from archive.documents.desk import Desk
from archive.documents.drafts import values_of
from archive.documents.signatures import Signed, SignedPdf, Signing, StepNotDue, add_signature, signing_of
from archive.documents.steps import SignedBy, Step
from archive.documents.template_fields import OfficersField
from archive.documents.template_texts import template_of
from archive.kernel.errors import Forbidden, LiuhenError
from archive.kernel.ids import CertificateId, DraftId, OfficerId
from archive.ledger.entries import Actor
from archive.organisation.models import Officer
from archive.organisation.officers import OfficerNotFound
from archive.ports.clock import Clock
from archive.ports.keys import DocumentKey
from archive.trust.certificates import CertificateNotFound, certificate_by_sha256
from archive.trust.models import KeyCertificate
from archive.trust.terms import KeyPurpose
from signing.hand_signatures import HandSignature, Refusal
from signing.pades import DocumentSigner, Statement, Token
from signing.typefaces import Typeface


class NotYourCertificate(Forbidden):
    """This certificate is in the register as somebody else's, or for something else."""

    code = "documents.not_your_certificate"


class OfficerNotNamed(Forbidden):
    """The record does not name this officer among those who acted."""

    code = "documents.officer_not_named"


class SameSigner(Forbidden):
    """Two have to sign here; one of them is this person already."""

    code = "documents.same_signer"


class RefusalNotForeseen(LiuhenError):
    """The template does not foresee that this signature is refused."""

    code = "documents.refusal_not_foreseen"
    exit_code = 65


class _TimeLater(Exception):
    """The authority of time is down, which may pass by itself; a key that is not there is something else."""


def _told_apart(token: Token) -> Token:
    def asked(imprint: bytes) -> bytes:
        try:
            return token(imprint)
        except LiuhenError as exc:
            if exc.retryable:
                raise _TimeLater from exc
            raise

    return asked


@dataclass(frozen=True, slots=True)
class SigningRoom:
    """What signing needs, put together by wiring: `capture` is the service's key that seals in what a party wrote."""

    desk: Desk
    clock: Clock
    token: Token | None
    typeface: Typeface
    capture: Callable[[], DocumentKey]

    def sign(self, key: DocumentKey, pdf: bytes, step: Step, said: Statement) -> SignedPdf:
        """Return the PDF with the field of a step signed, with a timestamp where there is an authority of time.

        One that is down keeps nobody from signing: room is left for its timestamp, and the record waits for it.
        Raises: what the key raises, and the authority for what does not pass by itself.
        """
        if self.token is None:
            return SignedPdf(DocumentSigner(key, self.clock).sign(pdf, step.field, said))
        try:
            return SignedPdf(DocumentSigner(key, self.clock, _told_apart(self.token)).sign(pdf, step.field, said))
        except _TimeLater:
            later = DocumentSigner(key, self.clock, leaves_room=True)
            return SignedPdf(later.sign(pdf, step.field, said), awaits_time=True)


def sign_as_officer(
    room: SigningRoom, draft_id: DraftId, place: str, key: DocumentKey, *, officer_id: OfficerId, by: Actor
) -> bool:
    """Sign a step with an officer's own key, and return whether the record is complete with it.

    The certificate is in the register as this officer's. Where a record names the officers who acted, it is one of
    them; two of one role are two people.
    Raises: OfficerNotFound, CertificateNotFound, NotYourCertificate, OfficerNotNamed, SameSigner; as `add_signature`.
    """
    at = room.clock.now()
    with room.desk.database.read() as tx:
        officer = tx.get(Officer, officer_id)
        if officer is None:
            raise OfficerNotFound(officer_id=officer_id)
        certificate = registered(tx, key, KeyPurpose.OFFICER, officer_id)
        standing = signing_of(tx, draft_id)
        step = _step(standing, place, SignedBy.CERTIFICATE)
        _require_named(tx, standing, step, officer.certificate_number)
        if any(row.by_id == by.id for each, row in standing.done.items() if each.startswith(f"{step.role}.")):
            raise SameSigner(place=place)
        name, number = officer.name, officer.certificate_number

    def sign(pdf: bytes, step: Step, completes: bool) -> SignedPdf:  # noqa: FBT001 - the form of `Sign`
        said = showing.of_officer(
            pdf, step, room.typeface, name=name, certificate_number=number, at=at, is_last=completes
        )
        return room.sign(key, pdf, step, said)

    signed = Signed(CertificateId(certificate.id), {"officer": str(officer_id)})
    return add_signature(room.desk, draft_id, place, sign, signed, by=by, at=at)


def sign_by_hand(
    room: SigningRoom,
    draft_id: DraftId,
    place: str,
    hand: HandSignature | Refusal,
    *,
    by: Actor,
    pages_read: int | None = None,
) -> bool:
    """Seal in what a party wrote by hand, or that it refused, and return whether the record is complete with it.

    `by` is who held the tablet; `pages_read` is how many pages the party said to have read.
    Raises: CertificateNotFound, NotYourCertificate, RefusalNotForeseen; as `add_signature`.
    """
    at, key, is_refusal = room.clock.now(), room.capture(), isinstance(hand, Refusal)
    with room.desk.database.read() as tx:
        certificate = registered(tx, key, KeyPurpose.CAPTURE, None)
        step = _step(signing_of(tx, draft_id), place, SignedBy.HAND)
        if is_refusal and not step.may_refuse:
            raise RefusalNotForeseen(place=place)

    def sign(pdf: bytes, step: Step, completes: bool) -> SignedPdf:  # noqa: FBT001 - the form of `Sign`
        said = showing.of_party(pdf, step, room.typeface, hand, is_last=completes)
        return room.sign(key, pdf, step, said)

    record = hashlib.sha256(hand.record()).hexdigest()
    detail = {"hand_sha256": record} | ({} if pages_read is None else {"pages_read": pages_read})
    signed = Signed(CertificateId(certificate.id), detail, is_refusal=is_refusal)
    return add_signature(room.desk, draft_id, place, sign, signed, by=by, at=at)


def registered(tx: Session, key: DocumentKey, purpose: KeyPurpose, holder_id: UUID | None) -> KeyCertificate:
    """Return the certificate of a key as the register has it for this holder.

    Raises: CertificateNotFound, NotYourCertificate.
    """
    found = certificate_by_sha256(tx, hashlib.sha256(key.certificate).hexdigest())
    if found is None:
        raise CertificateNotFound
    if (found.purpose, found.holder_id) != (purpose.value, holder_id):
        raise NotYourCertificate(certificate_id=found.id)
    return found


def _step(standing: Signing, place: str, by: SignedBy) -> Step:
    for step in standing.due:
        if step.place == place and step.by is by:
            return step
    raise StepNotDue(place=place)


def _require_named(tx: Session, standing: Signing, step: Step, certificate_number: str) -> None:
    template, values = template_of(tx, standing.draft), values_of(standing.draft)
    named = [field.name for field in template.fields if isinstance(field, OfficersField)]
    if step.role != "officer" or not named:
        return
    if certificate_number not in {number for name in named for number in _numbers_in(values.get(name))}:
        raise OfficerNotNamed(place=step.place)


def _numbers_in(lines: Any) -> Iterator[str]:
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, Mapping) and isinstance(line.get("certificate_number"), str):
            yield line["certificate_number"]

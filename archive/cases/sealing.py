"""Sealing a record with the seal of the agency whose case it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from archive.cases.filing import require_case
from archive.documents import showing
from archive.documents.drafts import draft
from archive.documents.issuing import agency_of_unit
from archive.documents.signatures import Signed, SignedMeanwhile, SignedPdf, StepNotDue, add_signature, signing_of
from archive.documents.signers import SigningRoom
from archive.documents.steps import SignedBy, Step
from archive.kernel.digests import digest_of
from archive.kernel.errors import NotFound
from archive.kernel.ids import CaseId, CertificateId, DraftId, EntryId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.organisation.models import Agency
from archive.ports.keys import DocumentKey
from archive.trust.certificates import certificates_of
from archive.trust.models import KeyCertificate
from archive.trust.terms import KeyPurpose

SEAL_LINE: Final = "行政执法专用章"
"""What stands below the star of a seal that is for enforcement alone."""


class SealMissing(NotFound):
    """The agency has no seal whose certificate is in the register and valid now."""

    code = "cases.seal_missing"


@dataclass(frozen=True, slots=True)
class Seals:
    """What sealing needs beside the room: it opens the key that a certificate of the register names."""

    room: SigningRoom
    key_of: Callable[[KeyCertificate], DocumentKey]
    line: str = SEAL_LINE


def seal_record(
    seals: Seals,
    draft_id: DraftId,
    place: str,
    *,
    sha256: str | None = None,
    by: Actor,
    approval: EntryId | None = None,
) -> bool:
    """Seal a step of a record, and return whether the record is complete with it.

    `sha256` is that of the PDF that was looked at, and no other one is sealed; None seals whichever is the newest.
    `approval` is the log entry of the approval under which several are sealed.

    Raises: DraftNotFound, StepNotDue, SignedMeanwhile, SealMissing; what guards and the key raise; as `add_signature`.
    """
    room, at = seals.room, seals.room.clock.now()
    with room.desk.database.read() as tx:
        if not any(step.place == place and step.by is SignedBy.SEAL for step in signing_of(tx, draft_id).due):
            raise StepNotDue(place=place)
        case = require_case(tx, CaseId(draft(tx, draft_id).case_id))
        agency = agency_of_unit(tx, case.unit_id)
        certificate = seal_of(tx, agency, at=at)
        name = agency.name
        detail = {"agency": str(agency.id)} | ({} if approval is None else {"approval": str(approval)})
        signed = Signed(CertificateId(certificate.id), detail)
        key = seals.key_of(certificate)

    def sign(pdf: bytes, step: Step, completes: bool) -> SignedPdf:  # noqa: FBT001 - the form of `Sign`
        if sha256 is not None and digest_of(pdf).sha256.hex != sha256:
            raise SignedMeanwhile(draft_id=draft_id)
        said = showing.of_agency(pdf, step, room.typeface, name=name, line=seals.line, is_last=completes)
        return room.sign(key, pdf, step, said)

    return add_signature(room.desk, draft_id, place, sign, signed, by=by, at=at)


def seal_of(tx: Session, agency: Agency, *, at: Instant) -> KeyCertificate:
    """Return the certificate of an agency's seal that holds at a moment. Raises: SealMissing."""
    found = certificates_of(tx, agency.root_unit_id, KeyPurpose.SEAL, at=at)
    if not found:
        raise SealMissing(agency=agency.code)
    return found[0]

"""Signing a set record, step by step: each signature goes on from the newest PDF, and has its log entry and key use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.documents.desk import Desk, keep_pdf, pdfs_of, read_pdf, write_pdf
from archive.documents.drafts import DraftEnded, DraftState, draft, locked_draft
from archive.documents.models import Draft, DraftPdf
from archive.documents.steps import SignedBy, Step, due_steps, is_complete, is_last, steps_of
from archive.documents.template_texts import template_of
from archive.jobs.queue import add_job
from archive.kernel.errors import Conflict
from archive.kernel.ids import CaseId, CertificateId, DraftId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, Target
from archive.trust.certificates import note_use
from archive.trust.models import KeyCertificate

FILE_RECORD: Final = "file_record"
"""The job that files a complete record; it is added by the transaction of its last signature."""
STAMP_RECORD: Final = "stamp_record"
"""The job that fetches a timestamp for a signature that was made while the authority of time was down."""


@dataclass(frozen=True, slots=True)
class SignedPdf:
    """A PDF with one more signature. `awaits_time`: its timestamp is to come, in the room that was left for it."""

    pdf: bytes
    awaits_time: bool = False


Sign = Callable[[bytes, Step, bool], SignedPdf]
"""Returns the PDF with the field of a step signed; the flag says whether the record is complete with it."""


class StepNotDue(Conflict):
    """This signature is not asked for now: it is there already, or another comes first."""

    code = "documents.step_not_due"


class SignedMeanwhile(Conflict):
    """Somebody else has signed meanwhile: look at the record as it is now, then sign."""

    code = "documents.signed_meanwhile"


@dataclass(frozen=True, slots=True)
class Signing:
    """Where the signing of a record stands: its PDFs, all steps, and those that may be made now."""

    draft: Draft
    pdfs: Sequence[DraftPdf]
    steps: Sequence[Step]
    due: Sequence[Step]

    @property
    def is_complete(self) -> bool:
        """Whether all required signatures are there, with their timestamps."""
        return is_complete(self.steps, self.done) and not self.awaits_time

    @property
    def awaits_time(self) -> bool:
        """Whether the newest signature waits for its timestamp."""
        return bool(self.pdfs) and self.pdfs[-1].awaits_time

    @property
    def done(self) -> Mapping[str, DraftPdf]:
        """The signatures that are there, by place."""
        return {row.place: row for row in self.pdfs if row.place}


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed with what: the certificate of the key in the register, and what the log keeps beside it.

    `is_refusal`: the party refused to sign, and the key of the service seals why.
    """

    certificate_id: CertificateId
    detail: Mapping[str, Any] = field(default_factory=dict)
    is_refusal: bool = False


def signing_of(tx: Session, draft_id: DraftId) -> Signing:
    """Return where the signing of a record stands. Raises: DraftNotFound."""
    row = draft(tx, draft_id)
    return _standing(tx, row)


def add_signature(
    desk: Desk, draft_id: DraftId, place: str, sign: Sign, signed: Signed, *, by: Actor, at: Instant
) -> bool:
    """Add the signature of a step, and return whether the record is complete with it.

    1. The step is due. 2. Guards of the seal are asked. 3. The newest PDF is signed, and its bytes are durable.
    4. Nobody has signed meanwhile. 5. Row, log entry, use of the key, and the job that files a complete record are
    written in one transaction.

    Raises: DraftNotFound, DraftEnded, StepNotDue, SignedMeanwhile, DraftPdfDamaged, CertificateEnded, StorageFull; what
        guards, key and timestamp authority raise.
    """
    with desk.database.read() as tx:
        standing = signing_of(tx, draft_id)
        _require_set(standing.draft)
        step = _due(standing, place)  # 1
        _ask_guards(desk, tx, standing.draft, step)  # 2
        last = standing.pdfs[-1]
    completes = is_last(step, standing.steps, standing.done.keys())
    made = sign(read_pdf(desk.store, last), step, completes)
    kept = keep_pdf(desk.store, draft_id, last.number + 1, made.pdf)  # 3
    with desk.database.begin() as tx:
        row = locked_draft(tx, draft_id, DraftState.SET)
        if pdfs_of(tx, draft_id)[-1].number != last.number:  # 4
            raise SignedMeanwhile(draft_id=draft_id)
        _ask_guards(desk, tx, row, step)
        sha256 = tx.scalar(select(KeyCertificate.sha256).where(KeyCertificate.id == signed.certificate_id))
        detail = {**signed.detail, "certificate": sha256}
        entry_id = write_pdf(
            tx,
            row,
            kept,
            _entry_type(step, signed),
            number=last.number + 1,
            place=step.place,
            detail=detail,
            awaits_time=made.awaits_time,
            by=by,
            at=at,
        )  # 5
        note_use(tx, signed.certificate_id, entry_id, about=Target("record", draft_id), at=at)
        if made.awaits_time:
            add_job(tx, STAMP_RECORD, {"draft_id": str(draft_id)}, at=at, key=f"stamp:{draft_id}:{last.number + 1}")
        elif completes:
            add_filing(tx, draft_id, at=at)
    return completes and not made.awaits_time


def add_filing(tx: Session, draft_id: DraftId, *, at: Instant) -> None:
    """Add the job that files a complete record, in the transaction that completes it."""
    add_job(tx, FILE_RECORD, {"draft_id": str(draft_id)}, at=at, key=f"file:{draft_id}")


def _standing(tx: Session, row: Draft) -> Signing:
    pdfs = pdfs_of(tx, DraftId(row.id))
    steps = steps_of(template_of(tx, row))
    done = {found.place for found in pdfs if found.place}
    waits = bool(pdfs) and pdfs[-1].awaits_time
    due = due_steps(steps, done) if row.state == DraftState.SET.value and not waits else []
    return Signing(row, pdfs, steps, due)


def _require_set(row: Draft) -> None:
    if row.state != DraftState.SET.value:
        raise DraftEnded(draft_id=row.id, state=row.state)


def _due(standing: Signing, place: str) -> Step:
    for step in standing.due:
        if step.place == place:
            return step
    raise StepNotDue(place=place)


def _ask_guards(desk: Desk, tx: Session, row: Draft, step: Step) -> None:
    if step.by is SignedBy.SEAL:
        for guard in desk.seal_guards:
            guard.require_may_seal(tx, DraftId(row.id), case_id=CaseId(row.case_id), template=row.template)


def _entry_type(step: Step, signed: Signed) -> EntryType:
    if signed.is_refusal:
        return EntryType.RECORD_REFUSED
    return EntryType.RECORD_SEALED if step.by is SignedBy.SEAL else EntryType.RECORD_SIGNED

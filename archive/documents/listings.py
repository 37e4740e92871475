"""Reading text records, and what is being written."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.events import ObjectNotFound, kept_object
from archive.custody.models import PreservedObject
from archive.documents.drafts import DraftState, drafts_of_case
from archive.documents.models import Draft, DraftPdf, RecordExtension, TextRecord
from archive.documents.signatures import Signing, signing_of
from archive.documents.steps import SignedBy
from archive.kernel.ids import CaseId, DraftId, ObjectId


@dataclass(frozen=True, slots=True)
class RecordView:
    """A text record with its preserved original."""

    record: TextRecord
    original: PreservedObject


def text_record(tx: Session, object_id: ObjectId) -> RecordView:
    """Return one text record. Raises: ObjectNotFound, ObjectDestroyed."""
    row = tx.execute(
        select(TextRecord, PreservedObject)
        .join(PreservedObject, PreservedObject.id == TextRecord.object_id)
        .where(TextRecord.object_id == object_id)
    ).one_or_none()
    if row is None:
        raise ObjectNotFound(object_id=object_id)
    kept_object(tx, object_id)
    return RecordView(*row)


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """How a text record came about: its draft with each PDF, what it amends and what amends it, how it is extended.

    One that was filed as a PDF has no draft.
    """

    draft: Draft | None
    pdfs: Sequence[DraftPdf]
    amends: TextRecord | None
    amended_by: Sequence[TextRecord]
    extended: RecordExtension | None


def record_history(tx: Session, object_id: ObjectId) -> RecordHistory:
    """Return how a text record came about."""
    written = tx.scalar(select(Draft).where(Draft.id == object_id))
    pdfs = tx.scalars(select(DraftPdf).where(DraftPdf.draft_id == object_id).order_by(DraftPdf.number)).all()
    amends = None if written is None or written.amends_id is None else _record(tx, written.amends_id)
    amended_by = tx.scalars(
        select(TextRecord)
        .join(Draft, Draft.id == TextRecord.object_id)
        .where(Draft.amends_id == object_id)
        .order_by(TextRecord.filed_at)
    ).all()
    extended = tx.scalars(
        select(RecordExtension)
        .where(RecordExtension.object_id == object_id)
        .order_by(RecordExtension.number.desc())
        .limit(1)
    ).first()
    return RecordHistory(written, [pdf for pdf in pdfs if pdf.place], amends, amended_by, extended)


def _record(tx: Session, object_id: UUID) -> TextRecord | None:
    return tx.scalar(select(TextRecord).where(TextRecord.object_id == object_id))


def open_records(tx: Session, case_id: CaseId) -> Sequence[Signing]:
    """Return what is written or signed for a case and not filed yet, the oldest first."""
    return [signing_of(tx, DraftId(row.id)) for row in drafts_of_case(tx, case_id)]


def records_to_seal(tx: Session, *, limit: int) -> Sequence[Signing]:
    """Return the set records whose next signature is the seal, the oldest first."""
    rows = tx.scalars(
        select(Draft).where(Draft.state == DraftState.SET.value).order_by(Draft.saved_at, Draft.id).limit(limit)
    )
    standing = [signing_of(tx, DraftId(row.id)) for row in rows]
    return [each for each in standing if any(step.by is SignedBy.SEAL for step in each.due)]

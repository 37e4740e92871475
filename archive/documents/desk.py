"""Where records are set and signed: the store of their PDFs, and the rows that tell which one is the newest."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.documents.form_context import FormContext
from archive.documents.models import Draft, DraftPdf
from archive.documents.record_setting import RecordSetter
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import CaseId, DraftId, EntryId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.blobs import BlobExists, BlobMissing, BlobStore
from archive.ports.seals import SealGuard


class DraftPdfDamaged(LiuhenError):
    """The PDF of this draft is missing or has other bytes than were written: have the archive checked."""

    code = "documents.draft_pdf_damaged"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Desk:
    """What setting and signing need, put together by wiring.

    `context` finds what the check of a draft has to know beside it.
    """

    database: Database
    store: BlobStore
    setter: RecordSetter
    context: Callable[[Session, Draft], FormContext]
    seal_guards: Sequence[SealGuard] = ()


@dataclass(frozen=True, slots=True)
class KeptPdf:
    """A PDF whose bytes are durable, before anything tells of it."""

    key: str
    digests: DigestSet


def keep_pdf(store: BlobStore, draft_id: DraftId, number: int, pdf: bytes) -> KeptPdf:
    """Make the bytes of a PDF durable. Idempotent: yes, by their digest. Raises: StorageFull."""
    digests = digest_of(pdf)
    key = pdf_key(draft_id, number, digests.sha256.hex)
    with contextlib.suppress(BlobExists):  # the same bytes: the key holds their digest
        store.put_once(key, BytesIO(pdf))
    return KeptPdf(key, digests)


def keep_values(store: BlobStore, draft_id: DraftId, field_values: str) -> None:
    """Make what was written in a draft durable beside its PDFs: the row comes back from it when the database is lost.

    Idempotent: yes, by its digest, which the log tells of a record that is set. Raises: StorageFull.
    """
    data = field_values.encode()
    with contextlib.suppress(BlobExists):
        store.put_once(values_key(draft_id, digest_of(data).sha256.hex), BytesIO(data))


def values_key(draft_id: DraftId, sha256: str) -> str:
    """Return where the values of a set draft lie, by their digest in hexadecimal."""
    return f"{draft_id}/values-{sha256[:32]}.json"


def pdf_key(draft_id: UUID, number: int, sha256: str) -> str:
    """Return where a PDF of a draft lies, by its number and its digest in hexadecimal."""
    return f"{draft_id}/{number:03d}-{sha256[:32]}.pdf"


def read_pdf(store: BlobStore, row: DraftPdf) -> bytes:
    """Return the bytes of a PDF. Raises: DraftPdfDamaged when they are not those that were written."""
    try:
        with store.open(row.key) as file:
            pdf = file.read()
    except BlobMissing as exc:
        raise DraftPdfDamaged(key=row.key) from exc
    if digest_of(pdf).sha512.hex != row.sha512:
        raise DraftPdfDamaged(key=row.key)
    return pdf


def pdfs_of(tx: Session, draft_id: DraftId) -> Sequence[DraftPdf]:
    """Return the PDFs of a draft, the newest last."""
    return tx.scalars(select(DraftPdf).where(DraftPdf.draft_id == draft_id).order_by(DraftPdf.number)).all()


def write_pdf(
    tx: Session,
    row: Draft,
    kept: KeptPdf,
    entry_type: EntryType,
    *,
    number: int,
    place: str,
    detail: Mapping[str, Any],
    awaits_time: bool = False,
    by: Actor,
    at: Instant,
) -> EntryId:
    """Write down the next PDF of a draft with its log entry, in the caller's transaction."""
    entry_id = append_entry(
        tx,
        NewEntry(
            entry_type,
            by,
            Target("record", row.id),
            case=CaseId(row.case_id),
            digests=kept.digests,
            detail={**detail, "number": number, "place": place, "awaits_time": awaits_time},
        ),
        at=at,
    )
    insert_row(
        tx,
        DraftPdf,
        draft_id=row.id,
        number=number,
        kind=entry_type.value.removeprefix("record."),
        place=place,
        key=kept.key,
        size_bytes=kept.digests.size_bytes,
        sha256=kept.digests.sha256.hex,
        sha512=kept.digests.sha512.hex,
        entry_id=entry_id,
        by_id=by.id,
        at=at,
        awaits_time=awaits_time,
    )
    return entry_id

"""Filing a text record under a case."""

from sqlalchemy import delete

from archive.cases.filing import require_case, write_link
from archive.cases.terms import RecordForm
from archive.custody.models import PreservationIntent
from archive.db.base import insert_row
from archive.db.database import Database
from archive.documents.records import preserve_record, require_pdf, write_record
from archive.kernel.ids import CaseId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor
from archive.ocfl.root import OcflRoot
from archive.ports.keys import ManifestSigner


def file_text_record(
    database: Database,
    objects: OcflRoot,
    signer: ManifestSigner,
    *,
    case_id: CaseId,
    form: RecordForm,
    title: str,
    name: str,
    pdf: bytes,
    by: Actor,
    at: Instant,
) -> ObjectId:
    """Preserve a PDF as a text record of a case.

    Guarantees: on return bytes, custody events and log entries are durable.
    Raises: CaseNotFound, NotPdf, InvalidInput, StorageFull.
    """
    title, name = clean_text(title, "title", 300), _storable(name)
    require_pdf(pdf)  # before anything is announced
    object_id = ObjectId(new_uuid7())
    with database.begin() as tx:
        require_case(tx, case_id)
        insert_row(tx, PreservationIntent, object_id=object_id, begun_at=at)
    preserved = preserve_record(objects, signer, object_id=object_id, name=name, pdf=pdf, by=by, at=at)
    with database.begin() as tx:
        unit_id = require_case(tx, case_id).unit_id
        write_record(tx, preserved, form=form.value, title=title, case_id=case_id, unit_id=unit_id, by=by, at=at)
        write_link(tx, case_id, object_id, act_id=None, reason="filed", by=by, at=at)
        tx.execute(delete(PreservationIntent).where(PreservationIntent.object_id == object_id))
    return object_id


def _storable(name: str) -> str:
    """Return a file name as it can be signed and stored: Unicode without NUL, 1 to 1024 characters."""
    return name.encode("utf-8", "replace").decode().replace("\0", "")[:1024] or "record.pdf"

"""Setting a draft: its form is checked, its paper is set with a place for every signature, and writing has ended."""

from sqlalchemy import update

from archive.documents.desk import Desk, keep_pdf, keep_values, write_pdf
from archive.documents.drafts import DraftChanged, DraftState, draft, locked_draft, values_of
from archive.documents.form_findings import require_finished
from archive.documents.forms import check_form
from archive.documents.models import Draft
from archive.documents.paper import compose
from archive.documents.steps import fields_of, steps_of
from archive.documents.template_texts import template_of
from archive.documents.values import as_values
from archive.kernel.digests import digest_of
from archive.kernel.ids import DraftId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import Actor, EntryType
from signing.document_fields import prepare


def set_draft(desk: Desk, draft_id: DraftId, *, revision: int, by: Actor, at: Instant) -> None:
    """Set a draft as PDF/A, ready for its signatures.

    1. The form is finished by all rules of its template. 2. The paper is set, and gets all fields of signatures, seals
    and marks on pages. 3. Its bytes are durable before the log tells of them. 4. Nobody has saved another revision
    meanwhile.

    Raises: DraftNotFound, DraftEnded, DraftChanged, ValuesRefused, FormUnfinished, TypesettingFault, StorageFull.
    """
    with desk.database.read() as tx:
        row = draft(tx, draft_id)
        template, context = template_of(tx, row), desk.context(tx, row)
        given, title, written = values_of(row), row.title, row.field_values
    if row.revision != revision:
        raise DraftChanged(draft_id=draft_id, revision=row.revision)
    values = as_values(template, given)
    require_finished(check_form(template, values, context=context))  # 1
    paper = desk.setter.set_record(template, values, at=at)  # 2
    signatures, marks = fields_of(paper, steps_of(template))
    kept = keep_pdf(desk.store, draft_id, 0, prepare(paper.pdf, signatures=signatures, marks=marks))  # 3
    keep_values(desk.store, draft_id, written)
    document_number = str(compose(template, values, is_draft=False)["number"]) or None
    values_sha256 = values.digest().hex
    with desk.database.begin() as tx:
        row = locked_draft(tx, draft_id, DraftState.WRITING)
        if row.revision != revision:  # 4
            raise DraftChanged(draft_id=draft_id, revision=row.revision)
        state = DraftState.SET.value
        set_to = {"state": state, "number": document_number, "pages": paper.pages, "values_sha256": values_sha256}
        tx.execute(update(Draft).where(Draft.id == draft_id).values(**set_to))
        detail = {
            "title": title,
            "document_number": document_number,
            "pages": paper.pages,
            "state": state,
            "revision": revision,
            "values_sha256": values_sha256,
            "field_values_sha256": digest_of(row.field_values.encode()).sha256.hex,
            "saved_by": str(row.saved_by),
            "saved_at": format_instant(row.saved_at),
        }
        write_pdf(tx, row, kept, EntryType.RECORD_SET, number=0, place="", detail=detail, by=by, at=at)

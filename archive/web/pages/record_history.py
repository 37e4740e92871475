"""How a text record came about, and what is in work for a case, for the pages that show them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from archive.documents.listings import open_records, record_history
from archive.documents.template import Template
from archive.documents.template_texts import template_of
from archive.kernel.ids import CaseId, ObjectId
from archive.web.i18n import Catalogue, Language
from archive.web.pages.people import actor_names


def history_context(tx: Session, object_id: ObjectId, *, texts: Catalogue) -> Mapping[str, Any]:
    """Return what the part about signatures and amendments of a record shows."""
    history = record_history(tx, object_id)
    template = None if history.draft is None else template_of(tx, history.draft)
    return {
        "history": history,
        "history_names": actor_names(tx, [pdf.by_id for pdf in history.pdfs], texts=texts),
        "history_labels": {} if template is None else _labels(template, texts),
        "history_ways": {} if template is None else {each.role: each.by for each in template.signatures},
    }


def work_context(tx: Session, case_id: CaseId, *, texts: Catalogue) -> Mapping[str, Any]:
    """Return what the part about records in work of a case shows."""
    found = open_records(tx, case_id)
    return {
        "open_records": found,
        "step_labels": {each.draft.id: _labels(template_of(tx, each.draft), texts) for each in found},
    }


def _labels(template: Template, texts: Catalogue) -> dict[str, str]:
    is_chinese = texts.language is Language.CHINESE
    return {each.role: each.label.zh if is_chinese else each.label.en for each in template.signatures}

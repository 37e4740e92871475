"""A text record that is being written: its form, which saves itself, what checks find, and how its paper looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases import listings
from archive.cases.drafting import drop_record, save_record
from archive.cases.listings import CaseView
from archive.documents.drafts import (
    MAX_REASON_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    DraftChanged,
    DraftState,
    draft,
    values_of,
)
from archive.documents.form_findings import FormFinding, FormUnfinished, ValuesRefused
from archive.documents.forms import check_form
from archive.documents.looks import look_at_draft
from archive.documents.models import Draft
from archive.documents.setting import set_draft
from archive.documents.template import Template
from archive.documents.template_fields import PART_LABELS
from archive.documents.template_texts import template_of
from archive.documents.values import Values, as_values
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.findings import Outcome
from archive.kernel.ids import CaseId, DraftId
from archive.web.dependencies import ServicesDep
from archive.web.i18n import Catalogue, Language
from archive.web.pages.forms import Form
from archive.web.pages.guards import DraftIdPath, HiddenViewer, HiddenWriter
from archive.web.pages.people import actor_names
from archive.web.pages.record_fields import PERSON_PARTS, SUBJECT_PARTS, columns_of, posted_items, shown, values_in
from archive.web.pages.record_pictures import Pictures
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.web.pages.signing import show_signing
from archive.wiring import Services

router = APIRouter(prefix="/drafts/{draft_id}", include_in_schema=False)
ItemsDep = Annotated[list[tuple[str, str]], Depends(posted_items)]

_PICTURES: Final = Pictures()
_DOTS_PER_INCH: Final = 110
_ORDER: Final = [Outcome.INVALID, Outcome.INDETERMINATE, Outcome.VALID]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a draft stands: its template, what was written, what checks find, and its pages as pictures.

    There are no pages while something that was written cannot be read.
    """

    row: Draft
    template: Template
    given: Mapping[str, Any]
    findings: Sequence[FormFinding]
    pages: Sequence[bytes]


@router.get("")
def draft_page(request: Request, draft_id: DraftIdPath, caller: HiddenViewer, services: ServicesDep) -> Response:
    """Show the form of a record that is written, the signatures of one that is set, or lead to the filed record."""
    with services.database.read() as tx:
        row = draft(tx, draft_id)
    if row.state == DraftState.FILED.value:
        return go_to(f"/records/{draft_id}")
    if row.state == DraftState.SET.value:
        return show_signing(request, draft_id, caller, services)
    return _show(request, draft_id, caller, services)


@router.post("")
def saved(
    request: Request, draft_id: DraftIdPath, items: ItemsDep, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Save what was written; answer with how the record stands."""
    form = Form(dict(items), panel="draft")
    changed = _save(form, draft_id, items, caller, services) is None and form.is_good
    if is_fragment(request):
        return _state(request, draft_id, caller, services, form, changed=changed)
    if form.is_good and not changed:
        return go_to(f"/drafts/{draft_id}?done=draft_saved")
    return _show(request, draft_id, caller, services, form=form, changed=changed, status=422)


@router.post("/set")
def set_posted(
    request: Request, draft_id: DraftIdPath, items: ItemsDep, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Save what was written, and set the record for its signatures."""
    form = Form(dict(items), panel="draft")
    revision = _save(form, draft_id, items, caller, services)
    changed = revision is None and form.is_good
    if revision is not None:
        try:
            set_draft(services.records.desk, draft_id, revision=revision, by=caller.actor, at=services.clock.now())
        except (FormUnfinished, ValuesRefused):
            form.refuse("title", "draft.unfinished")
        except DraftChanged:
            changed = True
        else:
            return go_to(f"/drafts/{draft_id}?done=draft_set")
    return _show(request, draft_id, caller, services, form=form, changed=changed, status=422)


@router.post("/drop")
def dropped(
    request: Request, draft_id: DraftIdPath, items: ItemsDep, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Give a draft up."""
    form = Form(dict(items), panel="drop")
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if not form.is_good:
        return _show(request, draft_id, caller, services, form=form, status=422)
    with services.database.read() as tx:
        case_id = draft(tx, draft_id).case_id
    drop_record(services.database, draft_id, reason=reason, by=caller.actor, at=services.clock.now())
    return go_to(f"/cases/{case_id}?done=draft_dropped#records-title")


@router.get("/preview/{number}")
def preview(draft_id: DraftIdPath, number: str, caller: HiddenViewer, services: ServicesDep) -> Response:
    """Show a page of the draft as it would be set now."""
    look_at_draft(services.database, draft_id, by=caller.actor, at=services.clock.now())
    with services.database.read() as tx:
        row = draft(tx, draft_id)
        template = template_of(tx, row)
    try:
        pages = _drawn(services, row, template, as_values(template, values_of(row)))
    except ValuesRefused as exc:
        raise NotFound from exc
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= len(pages):
        raise NotFound
    return Response(pages[int(number) - 1], media_type="image/png", headers={"Cache-Control": "no-store"})


def _save(
    form: Form, draft_id: DraftId, items: Sequence[tuple[str, str]], caller: Caller, services: Services
) -> int | None:
    """Save a form; return the new revision. None: nothing was written; the form tells why, or somebody else saved."""
    title = form.text("title", most=MAX_TITLE_CHARACTERS)
    revision = form.value("revision")
    if not form.is_good:
        return None
    with services.database.read() as tx:
        row = draft(tx, draft_id)
        template = template_of(tx, row)
        values = values_in(template, items, _references(listings.case_view(tx, CaseId(row.case_id))))
    try:
        return save_record(
            services.database,
            draft_id,
            revision=int(revision) if revision.isascii() and revision.isdigit() else -1,
            title=title,
            values=values,
            by=caller.actor,
            at=services.clock.now(),
        )
    except DraftChanged:
        return None
    except InvalidInput:
        form.refuse("title", "draft.too_large")
        return None


def _standing(tx: Session, services: Services, row: Draft) -> Standing:
    template, given = template_of(tx, row), values_of(row)
    try:
        values = as_values(template, given)
    except ValuesRefused as exc:
        return Standing(row, template, given, exc.findings, ())
    findings = check_form(template, values, context=services.records.desk.context(tx, row))
    ordered = sorted(findings, key=lambda each: _ORDER.index(each.outcome))
    return Standing(row, template, given, ordered, _drawn(services, row, template, values))


def _drawn(services: Services, row: Draft, template: Template, values: Values) -> Sequence[bytes]:
    key = (row.template_sha256, values.digest().hex)
    setter, at = services.records.desk.setter, services.clock.now()
    return _PICTURES.of(key, lambda: setter.set_pages(template, values, at=at, ppi=_DOTS_PER_INCH))


def _state(
    request: Request, draft_id: DraftId, caller: Caller, services: Services, form: Form, *, changed: bool
) -> Response:
    look_at_draft(services.database, draft_id, by=caller.actor, at=services.clock.now())
    texts = reader_texts(request)
    with services.database.read() as tx:
        row = draft(tx, draft_id)
        context = _state_of(tx, _standing(tx, services, row), texts)
    return render(request, "_draft_state.html", caller=caller, form=form, changed=changed, **context)


def _state_of(tx: Session, standing: Standing, texts: Catalogue) -> dict[str, Any]:
    row, is_chinese = standing.row, texts.language is Language.CHINESE
    names = actor_names(tx, [row.saved_by], texts=texts)
    return {
        "row": row,
        "form_template": standing.template,
        "pages": len(standing.pages),
        "saved_by": names[row.saved_by],
        "found": [(each, _words(each, standing.template, texts, is_chinese=is_chinese)) for each in standing.findings],
        "wrong": sum(each.outcome is Outcome.INVALID for each in standing.findings),
    }


def _words(finding: FormFinding, template: Template, texts: Catalogue, *, is_chinese: bool) -> str:
    group = "held" if finding.outcome is Outcome.VALID else "finding"
    return texts.text(f"{group}.{finding.code}", **finding.words(template, chinese=is_chinese))


def _show(
    request: Request,
    draft_id: DraftId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response:
    look_at_draft(services.database, draft_id, by=caller.actor, at=services.clock.now())
    texts = reader_texts(request)
    with services.database.read() as tx:
        row = draft(tx, draft_id)
        standing = _standing(tx, services, row)
        view = listings.case_view(tx, CaseId(row.case_id))
        context = _state_of(tx, standing, texts)
        amended = next((each for each in view.records if each.record.object_id == row.amends_id), None)
    context |= {
        "view": view,
        "given": standing.given,
        "amended": amended,
        "references": _references(view),
        "records": view.records,
        "person_parts": PERSON_PARTS,
        "subject_parts": SUBJECT_PARTS,
        "part_labels": PART_LABELS,
        "shown": shown,
        "columns_of": columns_of,
        "is_chinese": texts.language is Language.CHINESE,
        "changed": changed,
        "here": f"/drafts/{draft_id}",
    }
    return render(request, "draft.html", caller=caller, status=status, form=form, **context)


def _references(view: CaseView) -> Mapping[str, Mapping[str, str]]:
    """Return the records of a case as a field of a form holds one, by their ids."""
    return {
        str(row.record.object_id): {"id": str(row.record.object_id), "title": row.record.title} for row in view.records
    }

"""Beginning a text record of a case: by which template, about which act, or in place of which filed record."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases import listings
from archive.cases.drafting import begin_record
from archive.cases.filing import NotLinked
from archive.cases.prefilling import prefilled
from archive.cases.terms import RecordForm
from archive.documents.drafts import MAX_REASON_CHARACTERS, MAX_TITLE_CHARACTERS, Amending, values_of
from archive.documents.models import Draft, TemplateText
from archive.documents.template_loading import load_template
from archive.documents.templates import shipped_texts
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, ObjectId, parse_uuid
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import CaseIdPath, HiddenWriter, chosen_act
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

_FORMS: Final = {form.value: place for place, form in enumerate(RecordForm)}
router = APIRouter(prefix="/cases/{case_id}/drafts", include_in_schema=False)


@router.get("/new")
def new_page(
    request: Request, case_id: CaseIdPath, caller: HiddenWriter, services: ServicesDep, amends: str = "", act: str = ""
) -> Response:
    """Offer the templates that a text record of a case can be begun by."""
    form = Form({"amends": amends, "act_id": act})
    return _page(request, case_id, caller, services, form)


@router.post("")
def new_posted(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: HiddenWriter, services: ServicesDep
) -> Response:
    """Begin a text record, and go on to its form."""
    amending, act_id = _amending(form), _act(form)
    title = form.short("title", most=MAX_TITLE_CHARACTERS)
    with services.database.read() as tx:
        old = None if amending is None else _written_here(tx, amending.record_id)
        text = _template_text(tx, form, old)
    if not form.is_good:
        return _page(request, case_id, caller, services, form, status=422)
    values = _first_values(services, text, old, case_id, act_id, caller)
    draft_id = begin_record(
        services.database,
        text,
        case_id=case_id,
        title=title or (load_template(text).title.zh if old is None else old.title),
        values=values,
        act_id=act_id,
        amending=amending,
        by=caller.actor,
        at=services.clock.now(),
    )
    return go_to(f"/drafts/{draft_id}")


def _page(
    request: Request, case_id: CaseId, caller: Caller, services: Services, form: Form, *, status: int = 200
) -> Response:
    with services.database.read() as tx:
        view = listings.case_view(tx, case_id)
        amended = next((row for row in view.records if str(row.record.object_id) == form.value("amends")), None)
        if form.value("amends") and amended is None:
            raise NotLinked(case_id=case_id)
        old = None if amended is None else _written_here(tx, ObjectId(amended.record.object_id))
    templates = sorted(
        map(load_template, shipped_texts().values()), key=lambda each: _FORMS.get(each.form, len(_FORMS))
    )
    context: dict[str, Any] = {"view": view, "templates": templates, "amended": amended, "old": old}
    return render(request, "draft_new.html", caller=caller, status=status, form=form, **context)


def _amending(form: Form) -> Amending | None:
    if not form.value("amends"):
        return None
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    try:
        return Amending(ObjectId(parse_uuid(form.value("amends"))), reason)
    except InvalidInput:
        form.refuse("amends", "form.choose")
        return None


def _act(form: Form) -> ActId | None:
    try:
        return chosen_act(form.value("act_id"))
    except InvalidInput:
        form.refuse("act_id", "form.choose")
        return None


def _written_here(tx: Session, record_id: UUID) -> Draft | None:
    """Return the draft that a filed record was; None for one that was filed as a PDF."""
    return tx.scalar(select(Draft).where(Draft.id == record_id))


def _template_text(tx: Session, form: Form, old: Draft | None) -> str:
    """Return the template that is chosen; an amendment goes on with the one that its record was written by."""
    if old is not None:
        return tx.scalars(select(TemplateText.text).where(TemplateText.sha256 == old.template_sha256)).one()
    text = shipped_texts().get(form.value("template"))
    if text is None:
        form.refuse("template", "form.choose")
        return ""
    return text


def _first_values(
    services: Services, text: str, old: Draft | None, case_id: CaseId, act_id: ActId | None, caller: Caller
) -> Mapping[str, Any]:
    if old is not None:
        return values_of(old)
    with services.database.begin() as tx:  # the log tells which number was filled in
        return prefilled(
            tx,
            load_template(text),
            case_id=case_id,
            act_id=act_id,
            officer_id=caller.officer_id,
            at=services.clock.now(),
            identifiers=services.identifiers,
            by=caller,
        )

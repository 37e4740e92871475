"""Beginning a text record of a case: by which template, about which act, or in place of which filed record."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.calendar.days import local_day
from archive.cases import listings
from archive.cases.drafting import NewRecord, begin_record, begin_record_by
from archive.cases.filing import NotLinked, require_case
from archive.cases.prefilling import prefilled
from archive.cases.terms import RecordForm
from archive.custody.models import PreservedObject
from archive.documents.drafts import MAX_REASON_CHARACTERS, MAX_TITLE_CHARACTERS, Amending, values_of
from archive.documents.issuing import agency_of_unit
from archive.documents.models import Draft, TemplateText
from archive.documents.template import Template
from archive.documents.template_listings import TemplateVersion, templates_in_force
from archive.documents.template_loading import load_template
from archive.documents.template_register import text_of
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, DraftId, ObjectId, parse_uuid
from archive.retrieval.decisions import admission_to
from archive.retrieval.rules import GrantKind
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
        if old is not None and not _may_see(tx, services, old, caller):
            form.refuse("reason", "draft.amend_unseen")
        chosen = None if old is not None else _chosen(tx, services, form, case_id)
        text = "" if not form.is_good else _text(tx, old, chosen)
    if not form.is_good:
        return _page(request, case_id, caller, services, form, status=422)
    template = load_template(text)
    new = NewRecord(
        case_id,
        title or (template.title.zh if old is None else old.title),
        _first_values(services, template, old, case_id, act_id, caller),
        act_id,
        amending,
    )
    return go_to(f"/drafts/{_begun(services, text, chosen, new, caller)}")


def _begun(services: Services, text: str, chosen: TemplateVersion | None, new: NewRecord, caller: Caller) -> DraftId:
    at = services.clock.now()
    if chosen is None:
        return begin_record(
            services.database,
            text,
            case_id=new.case_id,
            title=new.title,
            values=new.values,
            act_id=new.act_id,
            amending=new.amending,
            by=caller.actor,
            at=at,
        )
    only_filed = services.settings.only_filed_templates
    return begin_record_by(services.database, chosen.id, new, only_filed=only_filed, by=caller.actor, at=at)


def _page(
    request: Request, case_id: CaseId, caller: Caller, services: Services, form: Form, *, status: int = 200
) -> Response:
    with services.database.read() as tx:
        view = listings.case_view(tx, case_id)
        amended = next((row for row in view.records if str(row.record.object_id) == form.value("amends")), None)
        if form.value("amends") and amended is None:
            raise NotLinked(case_id=case_id)
        old = None if amended is None else _written_here(tx, ObjectId(amended.record.object_id))
        offered = [(each, load_template(text_of(tx, each.id))) for each in _offered(tx, services, case_id)]
    context: dict[str, Any] = {"view": view, "offered": offered, "amended": amended, "old": old}
    return render(request, "draft_new.html", caller=caller, status=status, form=form, **context)


def _offered(tx: Session, services: Services, case_id: CaseId) -> Sequence[TemplateVersion]:
    """Return the versions that a record of this case may begin by today, in the order of the work."""
    agency = agency_of_unit(tx, require_case(tx, case_id).unit_id)
    found = templates_in_force(tx, agency.id, on=local_day(services.clock.now())).values()
    usable = [each for each in found if each.is_filed or not services.settings.only_filed_templates]
    return sorted(usable, key=lambda each: (_FORMS.get(each.form, len(_FORMS)), each.code))


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


def _may_see(tx: Session, services: Services, old: Draft, caller: Caller) -> bool:
    """Return whether the content of a filed record is open to the caller: an amendment begins with what it says."""
    row = tx.scalars(select(PreservedObject).where(PreservedObject.id == old.id)).one()
    at, rules = services.clock.now(), services.retrievals.rules
    return admission_to(tx, row, GrantKind.VIEW, by=caller, rules=rules, at=at).is_open


def _chosen(tx: Session, services: Services, form: Form, case_id: CaseId) -> TemplateVersion | None:
    for each in _offered(tx, services, case_id):
        if str(each.id) == form.value("template"):
            return each
    form.refuse("template", "form.choose")
    return None


def _text(tx: Session, old: Draft | None, chosen: TemplateVersion | None) -> str:
    """Return the template that is chosen; an amendment goes on with the one that its record was written by."""
    if old is not None:
        return tx.scalars(select(TemplateText.text).where(TemplateText.sha256 == old.template_sha256)).one()
    return "" if chosen is None else text_of(tx, chosen.id)


def _first_values(
    services: Services, template: Template, old: Draft | None, case_id: CaseId, act_id: ActId | None, caller: Caller
) -> Mapping[str, Any]:
    if old is not None:
        return values_of(old)
    with services.database.begin() as tx:  # the log tells which number was filled in
        return prefilled(
            tx,
            template,
            case_id=case_id,
            act_id=act_id,
            officer_id=caller.officer_id,
            at=services.clock.now(),
            identifiers=services.identifiers,
            by=caller,
        )

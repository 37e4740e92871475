"""What corrects a case: its title, its category, its subject, and its acts."""

import functools

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.cases.changes import update_act, update_case
from archive.cases.filing import MAX_TITLE_CHARACTERS
from archive.cases.subjects import IdentifierTaken, IdentifierUnfit, KnownSubject, NewSubject, SubjectNotFound
from archive.cases.terms import Category
from archive.kernel.ids import CaseId
from archive.web.dependencies import ServicesDep
from archive.web.pages.act_forms import take_act
from archive.web.pages.cases import show_case
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import ActIdPath, CaseIdPath, Filer
from archive.web.pages.rendering import go_to
from archive.web.pages.subject_forms import given_subject
from archive.wiring import Services

router = APIRouter(prefix="/cases/{case_id}", include_in_schema=False)


@router.post("/changes")
def changes_posted(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Correct title, category or subject; the subject only where the form names one."""
    form.panel = "edit"
    title = form.text("title", most=MAX_TITLE_CHARACTERS)
    category = form.choice("category", Category)
    subject = None
    if any(form.value(name).strip() for name in ("subject_id", "subject_name", "identifier")):
        subject = given_subject(form, services)
    if form.is_good:
        _change(form, case_id, title, category, subject, caller, services)
    if form.is_good:
        return go_to(f"/cases/{case_id}?done=case_updated")
    return show_case(request, case_id, caller, services, form=form, status=422)


def _change(
    form: Form,
    case_id: CaseId,
    title: str,
    category: Category,
    subject: KnownSubject | NewSubject | None,
    caller: Caller,
    services: Services,
) -> None:
    try:
        update_case(
            services.database,
            services.identifiers,
            case_id,
            title=title,
            category=category,
            subject=subject,
            by=caller.actor,
            at=services.clock.now(),
        )
    except IdentifierTaken:
        form.refuse("identifier", "error.cases.identifier_taken")
    except IdentifierUnfit:
        form.refuse("identifier_kind", "error.cases.identifier_unfit")
    except SubjectNotFound:
        form.refuse("subject_id", "form.choose")


@router.post("/acts/{act_id}/changes")
def act_changes_posted(
    request: Request, case_id: CaseIdPath, act_id: ActIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Correct an act."""
    form.panel = f"act-{act_id}"
    written = functools.partial(
        update_act, services.database, case_id, act_id, by=caller.actor, at=services.clock.now()
    )
    if take_act(form, written):
        return go_to(f"/cases/{case_id}?done=act_updated")
    return show_case(request, case_id, caller, services, form=form, status=422)

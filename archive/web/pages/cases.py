"""One case: its acts, its text records, its footage, and the forms that add to it."""

import functools
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.access.callers import Caller
from archive.access.classes import RestrictedClass
from archive.access.listings import unit_choices_beside
from archive.access.policy import Capability, may
from archive.cases import listings
from archive.cases.filing import AlreadyLinked, BoundInVolume, NotLinked, link_object, record_act, unlink_object
from archive.cases.identifiers import IdentifierKind
from archive.cases.records import file_text_record
from archive.cases.restrictions import case_sight
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.cases.timeline import timeline
from archive.custody.events import ObjectNotFound
from archive.documents.records import MAX_RECORD_BYTES, NotPdf
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, ObjectId, parse_uuid
from archive.web.dependencies import ServicesDep
from archive.web.pages.act_forms import take_act
from archive.web.pages.forms import Form, FormDep, FormTooLarge, declared_bytes
from archive.web.pages.guards import CaseIdPath, Filer, Reader, chosen_act
from archive.web.pages.keeping import keeping_of_case
from archive.web.pages.package_lines import package_lines
from archive.web.pages.people import actor_names
from archive.web.pages.progress import preparations
from archive.web.pages.purposes import usual_purposes
from archive.web.pages.record_history import work_context
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.web.pages.subject_forms import offered_subjects
from archive.wiring import Services

router = APIRouter(prefix="/cases/{case_id}", include_in_schema=False)

_MOST_OFFERED: Final = 100
_FORM_OVERHEAD_BYTES: Final = 64 * 1024


@router.get("")
def case_page(request: Request, case_id: CaseIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show a case with everything filed under it."""
    return show_case(request, case_id, caller, services)


@router.get("/footage")
def footage_part(request: Request, case_id: CaseIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show the footage of a case again, while some of it is being prepared."""
    with services.database.read() as tx:
        view = listings.case_view(tx, case_id)
        progress = preparations(tx, view.items)
    return render(request, "_footage.html", caller=caller, view=view, progress=progress)


@router.post("/acts")
def act_posted(request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """Record an act."""
    form.panel = "act"
    written = functools.partial(record_act, services.database, case_id, by=caller.actor, at=services.clock.now())
    if take_act(form, written):
        return _done(case_id, "act_recorded")
    return show_case(request, case_id, caller, services, form=form, status=422)


@router.post("/links")
def link_posted(request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """File an item under the case."""
    form.panel = "link"
    object_id = _chosen_object(form)
    reason = form.text("reason", most=500)
    if form.is_good and object_id is not None:
        try:
            link_object(
                services.database,
                case_id,
                object_id,
                act_id=chosen_act(form.value("act_id")),
                reason=reason,
                by=caller.actor,
                at=services.clock.now(),
            )
        except AlreadyLinked:
            form.refuse("object_id", "error.cases.already_linked")
        except ObjectNotFound:
            form.refuse("object_id", "form.choose")
        except InvalidInput:
            form.refuse("act_id", "form.choose")
        else:
            return _done(case_id, "linked")
    return show_case(request, case_id, caller, services, form=form, status=422)


@router.post("/removals")
def removal_posted(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Take an item or a record out of the case; it stays in the archive."""
    form.panel = "unlink"
    object_id = _chosen_object(form)
    reason = form.text("reason", most=500)
    if form.is_good and object_id is not None:
        try:
            unlink_object(
                services.database, case_id, object_id, reason=reason, by=caller.actor, at=services.clock.now()
            )
        except NotLinked:
            form.refuse("object_id", "error.cases.not_linked")
        except BoundInVolume:
            form.refuse("object_id", "error.cases.bound_in_volume")
        else:
            return _done(case_id, "unlinked")
    return show_case(request, case_id, caller, services, form=form, status=422)


async def _posted_record(request: Request) -> tuple[Form, str, bytes]:
    """Return the form of a text record, the file's name and its bytes, read within their limit."""
    try:
        declared_bytes(request, most=MAX_RECORD_BYTES + _FORM_OVERHEAD_BYTES)
    except FormTooLarge:
        form = Form({}, panel="record")
        form.refuse("file", "form.file_too_large", most=MAX_RECORD_BYTES // (1024 * 1024))
        return form, "", b""
    async with request.form(max_files=1, max_fields=10, max_part_size=_FORM_OVERHEAD_BYTES) as fields:
        form = Form({name: value for name, value in fields.items() if isinstance(value, str)}, panel="record")
        file = fields.get("file")
        if isinstance(file, str) or file is None:
            return form, "", b""
        return form, file.filename or "", await file.read()


@router.post("/records")
async def record_posted(request: Request, case_id: CaseIdPath, caller: Filer, services: ServicesDep) -> Response:
    """File a PDF as a text record of the case."""
    form, name, pdf = await _posted_record(request)
    return await run_in_threadpool(_file_record, request, case_id, caller, services, form, name, pdf)


def _file_record(
    request: Request, case_id: CaseId, caller: Caller, services: Services, form: Form, name: str, pdf: bytes
) -> Response:
    if not form.is_good:
        return show_case(request, case_id, caller, services, form=form, status=413)
    record_form = form.choice("form", RecordForm)
    title = form.text("title", most=300)
    if not name or not pdf:
        form.refuse("file", "form.choose_file")
    if form.is_good:
        try:
            file_text_record(
                services.database,
                services.objects,
                services.signer,
                case_id=case_id,
                form=record_form,
                title=title,
                name=name,
                pdf=pdf,
                by=caller.actor,
                at=services.clock.now(),
            )
        except NotPdf:
            form.refuse("file", "error.documents.not_pdf")
        except InvalidInput:
            form.refuse("file", "form.file_too_large", most=MAX_RECORD_BYTES // (1024 * 1024))
        else:
            return _done(case_id, "record_filed")
    return show_case(request, case_id, caller, services, form=form, status=422)


def _chosen_object(form: Form) -> ObjectId | None:
    try:
        return ObjectId(parse_uuid(form.value("object_id")))
    except InvalidInput:
        form.refuse("object_id", "form.choose")
        return None


def _done(case_id: CaseId, what: str) -> Response:
    return go_to(f"/cases/{case_id}?done={what}")


def show_case(
    request: Request,
    case_id: CaseId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    """Return the page of a case."""
    texts = reader_texts(request)
    with services.database.read() as tx:
        view = listings.case_view(tx, case_id)
        names = actor_names(tx, [view.case.opened_by], texts=texts)
        progress = preparations(tx, view.items)
        offered = listings.unlinked_items(tx, limit=_MOST_OFFERED) if may(caller.roles, Capability.FILE_CASES) else None
        choices = offered_subjects(tx, services, form)
        sight = case_sight(tx, view.case, at=services.clock.now())
        units = unit_choices_beside(tx, view.case.unit_id) if caller.may(Capability.MOVE) else ()
        packages = package_lines(tx, case_id, keep=services.packages.keep, texts=texts)
        work = work_context(tx, case_id, texts=texts)
        keeping = keeping_of_case(tx, case_id)
    context: dict[str, Any] = {
        "view": view,
        "lanes": timeline(view),
        "opened_by": names[view.case.opened_by],
        "progress": progress,
        "offered": offered,
        "stages": list(Stage),
        "record_forms": list(RecordForm),
        "categories": list(Category),
        "subject_kinds": list(SubjectKind),
        "identifier_kinds": list(IdentifierKind),
        "choices": choices,
        "packages": packages,
        **work,
        **keeping,
        "sight": sight,
        "units": units,
        "restricted_classes": list(RestrictedClass),
        "purposes": usual_purposes(texts),
        "here": f"/cases/{case_id}",
    }
    return render(request, "case.html", caller=caller, status=status, form=form, **context)

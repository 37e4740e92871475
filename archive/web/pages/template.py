"""One version of a template: its text, how it looks, what it asks for, what changed; put in force, filed, withdrawn."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from archive.access.callers import Caller
from archive.calendar.days import local_day
from archive.cases.record_templates import checked_template
from archive.documents.template_faults import TemplateFault
from archive.documents.template_listings import Standing, TemplateVersion, template_version, version_before
from archive.documents.template_register import (
    MAX_AUTHORITY_CHARACTERS,
    MAX_FILING_NUMBER_CHARACTERS,
    MAX_REASON_CHARACTERS,
    FilingRefused,
    TemplateChanged,
    TemplateDayRefused,
    TemplateNotFound,
    TemplateScheduled,
    TemplateState,
    TemplateVersionTaken,
    file_template,
    put_in_force,
    save_template,
    text_of,
    withdraw_template,
)
from archive.kernel.ids import TemplateId
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator, TemplateIdPath, TemplateReader
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.web.pages.template_views import difference, field_lines, is_chinese, rule_lines
from archive.web.pages.templates import (
    TemplateForm,
    agency_of_caller,
    done_address,
    faults_of,
    is_seen,
    pages_of,
    read_template,
    rows_of,
)
from archive.wiring import Services

router = APIRouter(prefix="/templates/{template_id}", include_in_schema=False)

_DOWNLOAD: Final = {"Cache-Control": "no-store"}


def _seen(template_id: TemplateIdPath, caller: TemplateReader, services: ServicesDep) -> TemplateId:
    """Return the version of the address. Raises: TemplateNotFound, also for one that is not the caller's to see."""
    with services.database.read() as tx:
        if not is_seen(template_version(tx, template_id), caller, agency_of_caller(tx, caller)):
            raise TemplateNotFound(template_id=template_id)
    return template_id


Seen = Annotated[TemplateId, Depends(_seen)]


@router.get("")
def template_page(request: Request, caller: TemplateReader, template_id: Seen, services: ServicesDep) -> Response:
    """Show a version; a draft in the editor, to whoever may change it."""
    return _show(request, template_id, caller, services)


@router.get("/pages", dependencies=[by_account(Cost.HEAVY)])
def template_pages(request: Request, caller: TemplateReader, template_id: Seen, services: ServicesDep) -> Response:
    """Show how a version looks."""
    with services.database.read() as tx:
        text = text_of(tx, template_id)
    return pages_of(request, caller, services, text)


@router.get("/template.toml")
def template_text(caller: TemplateReader, template_id: Seen, services: ServicesDep) -> Response:
    """Give out the text."""
    del caller
    with services.database.read() as tx:
        text, version = text_of(tx, template_id), template_version(tx, template_id)
    name = disposition("attachment", f"{version.code}.toml")
    return Response(text.encode(), media_type="application/toml", headers={**_DOWNLOAD, "Content-Disposition": name})


@router.get("/example.pdf", dependencies=[by_account(Cost.HEAVY)])
def template_example(caller: TemplateReader, template_id: Seen, services: ServicesDep) -> Response:
    """Give out the version filled in with examples, as a PDF that says it is a draft."""
    del caller
    with services.database.read() as tx:
        text = text_of(tx, template_id)
    template = checked_template(text)
    pdf = services.template_previews.pdf(template, at=services.clock.now())
    name = disposition("attachment", f"{template.code}-{template.version}.pdf")
    return Response(pdf, media_type="application/pdf", headers={**_DOWNLOAD, "Content-Disposition": name})


@router.post("/text")
def text_posted(
    request: Request, caller: Administrator, template_id: Seen, form: TemplateForm, services: ServicesDep
) -> Response:
    """Save the text of a draft."""
    faults = faults_of(form)
    if form.is_good:
        with services.database.read() as tx:
            agency_id = template_version(tx, template_id).agency_id
        try:
            save_template(
                services.database,
                form.value("text"),
                agency_id=agency_id,
                template_id=template_id,
                seen_sha256=form.value("seen"),
                by=caller.actor,
                at=services.clock.now(),
            )
        except TemplateChanged:
            form.refuse("text", "error.documents.template_changed")
        except TemplateVersionTaken:
            form.refuse("text", "error.documents.template_version_taken")
        else:
            return go_to(done_address(template_id, "template_saved"))
    return _show(request, template_id, caller, services, form=form, faults=faults)


@router.post("/force")
def force_posted(
    request: Request, caller: Administrator, template_id: Seen, form: FormDep, services: ServicesDep
) -> Response:
    """Let records begin by the version from a day on."""
    form.panel = "force"
    day = form.day("valid_from", required=True)
    if form.is_good and day is not None:
        try:
            put_in_force(services.database, template_id, valid_from=day, by=caller.actor, at=services.clock.now())
        except TemplateDayRefused as exc:
            form.refuse("valid_from", "template.day_refused", earliest=exc.facts["earliest"])
        except TemplateScheduled:
            form.refuse("valid_from", "error.documents.template_scheduled")
        except TemplateVersionTaken:
            form.refuse("valid_from", "error.documents.template_version_taken")
        else:
            return go_to(done_address(template_id, "template_in_force"))
    return _show(request, template_id, caller, services, form=form)


@router.post("/filing")
def filing_posted(
    request: Request, caller: Administrator, template_id: Seen, form: FormDep, services: ServicesDep
) -> Response:
    """Write down that the version was filed."""
    form.panel = "filing"
    authority = form.text("authority", most=MAX_AUTHORITY_CHARACTERS)
    number = form.text("filing_number", most=MAX_FILING_NUMBER_CHARACTERS)
    day = form.day("filed_on", required=True)
    if form.is_good and day is not None:
        try:
            file_template(
                services.database,
                template_id,
                authority=authority,
                number=number,
                filed_on=day,
                by=caller.actor,
                at=services.clock.now(),
            )
        except FilingRefused:
            form.refuse("filed_on", "error.documents.filing_refused")
        else:
            return go_to(done_address(template_id, "template_filed"))
    return _show(request, template_id, caller, services, form=form)


@router.post("/withdrawal")
def withdrawal_posted(
    request: Request, caller: Administrator, template_id: Seen, form: FormDep, services: ServicesDep
) -> Response:
    """Let no more records begin by the version."""
    form.panel = "withdraw"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        withdraw_template(services.database, template_id, reason=reason, by=caller.actor, at=services.clock.now())
        return go_to(done_address(template_id, "template_withdrawn"))
    return _show(request, template_id, caller, services, form=form)


def _show(
    request: Request,
    template_id: TemplateId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    faults: Any = (),
) -> Response:
    texts = reader_texts(request)
    with services.database.read() as tx:
        version, text = template_version(tx, template_id), text_of(tx, template_id)
        rows = rows_of(tx, caller, services, code=version.code)
        before = version_before(version, [row.version for row in rows])
        text_before = None if before is None else text_of(tx, before.id)
    template = read_template(text)
    standing = next(row for row in rows if row.version.id == version.id)
    is_edited = form is not None and form.panel == "text"
    return render(
        request,
        "template.html",
        caller=caller,
        status=200 if form is None else 422,
        form=form,
        faults=list[TemplateFault](faults),
        version=version,
        row=standing,
        rows=rows,
        paper=template,
        text=form.value("text") if form is not None and is_edited else text,
        chinese=is_chinese(texts),
        fields=[] if template is None else field_lines(template, texts=texts),
        rules=[] if template is None else rule_lines(template, texts=texts),
        before=before,
        difference=None if text_before is None else difference(text_before, text),
        today=local_day(services.clock.now()),
        may_do=_may(version, standing.standing),
    )


def _may(version: TemplateVersion, standing: Standing) -> dict[str, bool]:
    """Return what can be done with a version as it stands."""
    is_draft = version.state is TemplateState.DRAFT
    is_open = version.state is TemplateState.IN_FORCE and standing is not Standing.REPLACED
    return {
        "change": is_draft,
        "withdraw": is_draft or is_open,
        "file": not version.is_filed and version.state in {TemplateState.IN_FORCE, TemplateState.WITHDRAWN},
    }

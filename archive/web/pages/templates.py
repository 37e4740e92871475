"""Templates of text records: the list of those that are used, a new version, how a text looks while it is written."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.calendar.days import local_day
from archive.cases.record_templates import checked_template
from archive.documents.template import Template
from archive.documents.template_listings import (
    Standing,
    TemplateVersion,
    standing_of,
    template_version,
    template_versions,
    uses_of_templates,
)
from archive.documents.template_loading import TemplateFault, TemplateInvalid
from archive.documents.template_previews import PreviewTooLong
from archive.documents.template_register import (
    TemplateNotFound,
    TemplateState,
    TemplateVersionTaken,
    save_template,
    text_of,
)
from archive.documents.typesetting import TypesettingFault
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AgencyId, TemplateId, parse_uuid
from archive.organisation.models import Agency, Unit
from archive.organisation.units import AgencyNotFound
from archive.web.dependencies import ServicesDep
from archive.web.i18n import Language
from archive.web.limits import Cost, by_account
from archive.web.pages.forms import Form, read_file
from archive.web.pages.guards import Administrator, TemplateReader
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

router = APIRouter(prefix="/templates", include_in_schema=False)

MOST_TEXT_BYTES: Final = 2 * 1024 * 1024
"""Twice what a template can have, so that a text which is too long comes back to whoever wrote it."""
MOST_FAULTS: Final = 50
_VERSION: Final = re.compile(r"^(version\s*=\s*)([0-9]{1,9})(\s*(?:#.*)?)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """A version in a list: how it stands today, and how many records were begun by its text."""

    version: TemplateVersion
    standing: Standing
    uses: int
    paper: Template | None
    """What its text says; None where that is no template to this program."""

    @property
    def basis(self) -> Sequence[str]:
        """The provisions that it goes back to."""
        return () if self.paper is None else self.paper.basis

    def title(self, language: Language) -> str:
        """Return its title as the reader reads it."""
        if self.paper is None or language is Language.CHINESE:
            return self.version.title
        return self.paper.title.en


async def posted_template(request: Request) -> Form:
    """Return a form with a template's text; what is read of a file stands in place of the text that was typed.

    Raises: FormTooLarge.
    """
    form, data = await read_file(request, panel="text", most=MOST_TEXT_BYTES, most_field=MOST_TEXT_BYTES)
    values = dict(form.values)
    if data:
        values["text"] = data[:MOST_TEXT_BYTES].decode("utf-8", "replace")
    found = Form({**values, "text": values.get("text", "").replace("\r\n", "\n")}, panel="text")
    try:
        data.decode()
    except UnicodeDecodeError:
        found.refuse("text", "template.not_text")
    if not found.value("text").strip():
        found.refuse("text", "form.required")
    return found


TemplateForm = Annotated[Form, Depends(posted_template)]


@router.get("")
def templates_page(request: Request, caller: TemplateReader, services: ServicesDep) -> Response:
    """Show the templates that records begin by, with those that are written or will hold."""
    with services.database.read() as tx:
        rows = rows_of(tx, caller, services)
    shown = {Standing.IN_FORCE, Standing.SCHEDULED, Standing.DRAFT}
    return render(
        request,
        "templates.html",
        caller=caller,
        rows=[row for row in rows if row.standing in shown],
        only_filed=services.settings.only_filed_templates,
    )


@router.get("/new")
def new_page(request: Request, caller: Administrator, services: ServicesDep, of: str = "") -> Response:
    """Show the editor with the text of a version, as the next one."""
    text = ""
    if of:
        try:
            template_id = TemplateId(parse_uuid(of))
        except InvalidInput as exc:
            raise TemplateNotFound from exc
        with services.database.read() as tx:
            text = _as_next(tx, template_id)
    return editor(request, caller, services, text=text)


@router.post("/new")
def new_posted(request: Request, caller: Administrator, form: TemplateForm, services: ServicesDep) -> Response:
    """Write a version down as a draft."""
    agency_id = _agency(form)
    faults = faults_of(form)
    if form.is_good:
        try:
            template_id = save_template(
                services.database,
                form.value("text"),
                agency_id=agency_id,
                by=caller.actor,
                at=services.clock.now(),
            )
        except TemplateVersionTaken:
            form.refuse("text", "error.documents.template_version_taken")
        except AgencyNotFound:
            form.refuse("agency", "form.choose")
        else:
            return go_to(f"/templates/{template_id}?done=template_saved")
    return editor(request, caller, services, text=form.value("text"), form=form, faults=faults)


@router.post("/preview", dependencies=[by_account(Cost.HEAVY)])
def preview_posted(request: Request, caller: Administrator, form: TemplateForm, services: ServicesDep) -> Response:
    """Show how a text looks, or what is wrong with it."""
    faults = faults_of(form)
    if form.is_good:
        return pages_of(request, caller, services, form.value("text"))
    return render(
        request, "_template_pages.html", caller=caller, status=422, form=form, faults=faults, pages=[], trouble=None
    )


def pages_of(request: Request, caller: Caller, services: Services, text: str) -> Response:
    """Return a template's pages as pictures, filled in with examples; or what is wrong with its text."""
    trouble: str | None = None
    pages: tuple[bytes, ...] = ()
    faults: Sequence[TemplateFault] = ()
    try:
        pages = services.template_previews.pages(checked_template(text), at=services.clock.now())
    except TemplateInvalid as exc:
        faults = exc.faults[:MOST_FAULTS]
    except (PreviewTooLong, TypesettingFault) as exc:
        trouble = exc.code
    return render(
        request,
        "_template_pages.html",
        caller=caller,
        pages=[base64.b64encode(page).decode("ascii") for page in pages],
        faults=faults,
        trouble=trouble,
    )


def editor(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    text: str,
    form: Form | None = None,
    faults: Sequence[TemplateFault] = (),
) -> Response:
    """Return the editor for a text that the register does not have yet."""
    with services.database.read() as tx:
        agencies = open_agencies(tx)
    return render(
        request,
        "template_new.html",
        caller=caller,
        status=200 if form is None else 422,
        form=form,
        text=text,
        faults=faults,
        agencies=agencies,
    )


def faults_of(form: Form) -> Sequence[TemplateFault]:
    """Return what is wrong with the text of a form, the first so many; the form is refused where there is any."""
    if not form.is_good:
        return ()
    try:
        checked_template(form.value("text"))
    except TemplateInvalid as exc:
        form.refuse("text", "template.faults", count=len(exc.faults))
        return exc.faults[:MOST_FAULTS]
    return ()


def rows_of(tx: Session, caller: Caller, services: Services, *, code: str | None = None) -> Sequence[Row]:
    """Return the versions that somebody may see: of all, of the own agency, and for an administrator all there are."""
    on, own = local_day(services.clock.now()), agency_of_caller(tx, caller)
    everything, uses = template_versions(tx, code=code), uses_of_templates(tx)
    return [
        Row(
            each,
            standing_of(each, [other for other in everything if other.code == each.code], on=on),
            uses.get(each.text_sha256, 0),
            read_template(text_of(tx, each.id)),
        )
        for each in everything
        if is_seen(each, caller, own)
    ]


def is_seen(version: TemplateVersion, caller: Caller, agency_id: UUID | None) -> bool:
    """Return whether somebody sees a version: drafts are seen by administrators."""
    if caller.may(Capability.ADMINISTER):
        return True
    is_used = version.state in {TemplateState.IN_FORCE, TemplateState.WITHDRAWN}
    return is_used and version.agency_id in {None, agency_id}


def agency_of_caller(tx: Session, caller: Caller) -> UUID | None:
    """Return the agency that somebody is of."""
    return tx.scalar(select(Unit.agency_id).where(Unit.id == caller.unit_id))


def open_agencies(tx: Session) -> Sequence[Agency]:
    """Return the agencies that a version can be of."""
    return tx.scalars(select(Agency).where(Agency.closed_at.is_(None)).order_by(Agency.code)).all()


def read_template(text: str) -> Template | None:
    """Return what a text says; None where it is no template to this program."""
    try:
        return checked_template(text)
    except TemplateInvalid:
        return None


def _agency(form: Form) -> AgencyId | None:
    """Return the agency that a form names; None for all."""
    if form.value("agency") in {"", "all"}:
        return None
    try:
        return AgencyId(parse_uuid(form.value("agency")))
    except InvalidInput:
        form.refuse("agency", "form.choose")
        return None


def _as_next(tx: Session, template_id: TemplateId) -> str:
    """Return the text of a version with the next free number in its line."""
    text, code = text_of(tx, template_id), template_version(tx, template_id).code
    highest = max(each.version for each in template_versions(tx, code=code))
    return _VERSION.sub(lambda found: f"{found[1]}{highest + 1}{found[3]}", text, count=1)


def done_address(template_id: Any, done: str) -> str:
    """Return where to go on after something was done with a version."""
    return f"/templates/{template_id}?done={done}"

"""The organisation, for the administrator: agencies, their units, and who supervises whom."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.access.listings import has_accounts
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AgencyId, UnitId, parse_uuid
from archive.organisation.listings import supervisions, unit_rows
from archive.organisation.supervision import (
    MAX_BASIS_CHARACTERS,
    SupervisesItself,
    SupervisionExists,
    end_supervision,
    set_supervision,
)
from archive.organisation.units import (
    MAX_CODE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    AgencyNotFound,
    OrganisationNameTaken,
    UnitInUse,
    UnitNotFound,
    UnitUnderItself,
    change_unit,
    close_unit,
    record_agency,
    record_unit,
    rename_agency,
)
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator, AgencyIdPath, SupervisionIdPath, UnitIdPath
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

router = APIRouter(prefix="/admin/organisation", include_in_schema=False)

_HERE: Final = "/admin/organisation"


@router.get("")
def organisation_page(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Show every agency with its tree, and the supervision between them."""
    return _page(request, caller, services)


@router.post("/agencies")
def agency_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Write an agency down."""
    form.panel = "agency"
    code, name = _named(form)
    if form.is_good:
        try:
            record_agency(services.database, code=code, name=name, by=caller.actor, at=services.clock.now())
        except OrganisationNameTaken:
            form.refuse("code", "error.organisation.name_taken")
        else:
            return go_to(f"{_HERE}?done=agency_recorded")
    return _page(request, caller, services, form=form, status=422)


@router.post("/agencies/{agency_id}")
def agency_renamed(
    request: Request, agency_id: AgencyIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Give an agency another code or name."""
    form.panel = f"agency-{agency_id}"
    code, name = _named(form)
    if form.is_good:
        try:
            rename_agency(services.database, agency_id, code=code, name=name, by=caller.actor, at=services.clock.now())
        except OrganisationNameTaken:
            form.refuse("code", "error.organisation.name_taken")
        else:
            return go_to(f"{_HERE}?done=agency_recorded")
    return _page(request, caller, services, form=form, status=422)


@router.post("/units")
def unit_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Write a unit down below another one."""
    form.panel = "unit"
    code, name = _named(form)
    parent_id = _chosen_unit(form)
    if form.is_good and parent_id is not None:
        try:
            record_unit(
                services.database, parent_id=parent_id, code=code, name=name, by=caller.actor, at=services.clock.now()
            )
        except OrganisationNameTaken:
            form.refuse("code", "error.organisation.name_taken")
        except UnitNotFound:
            form.refuse("parent", "form.choose")
        except UnitUnderItself:
            form.refuse("parent", "error.organisation.unit_under_itself")
        else:
            return go_to(f"{_HERE}?done=unit_recorded")
    return _page(request, caller, services, form=form, status=422)


@router.post("/units/{unit_id}")
def unit_changed(
    request: Request, unit_id: UnitIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Rename a unit or move it."""
    form.panel = f"unit-{unit_id}"
    code, name = _named(form)
    parent_id = _chosen_unit(form)
    if form.is_good and parent_id is not None:
        try:
            change_unit(
                services.database,
                unit_id,
                code=code,
                name=name,
                parent_id=parent_id,
                by=caller.actor,
                at=services.clock.now(),
            )
        except OrganisationNameTaken:
            form.refuse("code", "error.organisation.name_taken")
        except UnitUnderItself:
            form.refuse("parent", "error.organisation.unit_under_itself")
        else:
            return go_to(f"{_HERE}?done=unit_changed")
    return _page(request, caller, services, form=form, status=422)


@router.post("/units/{unit_id}/closing")
def unit_closed(request: Request, unit_id: UnitIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """Close a unit that nobody is in any more."""
    try:
        close_unit(
            services.database, unit_id, has_people=has_accounts, by=caller.actor, at=services.clock.now()
        )  # fmt: skip
    except UnitInUse:
        form = Form({}, panel=f"unit-{unit_id}")
        form.refuse("", "error.organisation.unit_in_use")
        return _page(request, caller, services, form=form, status=409)
    return go_to(f"{_HERE}?done=unit_closed")


@router.post("/supervision")
def supervision_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Let an agency supervise another one, or all of them."""
    form.panel = "supervision"
    supervisor_id = _chosen(form, "supervisor")
    supervised_id = None if form.value("supervised") == "all" else _chosen(form, "supervised")
    basis = form.text("basis", most=MAX_BASIS_CHARACTERS)
    if form.is_good and supervisor_id is not None:
        try:
            set_supervision(
                services.database,
                supervisor_id=AgencyId(supervisor_id),
                supervised_id=None if supervised_id is None else AgencyId(supervised_id),
                basis=basis,
                by=caller.actor,
                at=services.clock.now(),
            )
        except AgencyNotFound:
            form.refuse("supervised", "form.choose")
        except SupervisesItself:
            form.refuse("supervised", "error.organisation.supervises_itself")
        except SupervisionExists:
            form.refuse("supervised", "error.organisation.supervision_exists")
        else:
            return go_to(f"{_HERE}?done=supervision_set")
    return _page(request, caller, services, form=form, status=422)


@router.post("/supervision/{supervision_id}/end")
def supervision_ended(supervision_id: SupervisionIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """End a supervision."""
    end_supervision(services.database, supervision_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_HERE}?done=supervision_ended")


def _named(form: Form) -> tuple[str, str]:
    return form.text("code", most=MAX_CODE_CHARACTERS), form.text("name", most=MAX_NAME_CHARACTERS)


def _chosen(form: Form, name: str) -> UUID | None:
    try:
        return parse_uuid(form.value(name))
    except InvalidInput:
        form.refuse(name, "form.choose")
        return None


def _chosen_unit(form: Form) -> UnitId | None:
    found = _chosen(form, "parent")
    return None if found is None else UnitId(found)


def _page(
    request: Request, caller: Caller, services: Services, *, form: Form | None = None, status: int = 200
) -> Response:
    with services.database.read() as tx:
        rows = unit_rows(tx)
        context: dict[str, Any] = {"units": rows, "supervisions": supervisions(tx)}
    return render(
        request,
        "organisation.html",
        caller=caller,
        status=status,
        form=form,
        here=_HERE,
        agencies=[row.agency for row in rows if row.is_root],
        **context,
    )

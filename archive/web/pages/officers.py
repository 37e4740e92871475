"""Officers, for the administrator: the list, and writing one down. One officer has a page of its own (`officer`)."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from archive.access.callers import Caller
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import BUREAU_ZONE
from archive.organisation.importing import split_categories
from archive.organisation.listings import officers
from archive.organisation.officers import (
    MAX_CERTIFICATE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    CertificateTaken,
    OfficerFacts,
    may_act,
    record_officer,
)
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services

router = APIRouter(prefix="/admin/officers", include_in_schema=False)

_HERE: Final = "/admin/officers"
_MOST_TEXT: Final = 500
_PAGE: Final = 100


@router.get("")
def officers_page(
    request: Request,
    caller: Administrator,
    services: ServicesDep,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """List officers by certificate number."""
    return _page(request, caller, services, words=q, after=after)


@router.post("")
def officer_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Write an officer down, or change what is written of one: the certificate number decides."""
    form.panel = "officer"
    facts = given_officer(form)
    if form.is_good and facts is not None:
        try:
            officer_id = record_officer(services.database, facts, by=caller.actor, at=services.clock.now())
        except CertificateTaken:
            form.refuse("certificate_number", "error.access.certificate_taken")
        except InvalidInput:
            form.refuse("valid_until", "officers.ends_before")
        else:
            return go_to(f"{_HERE}/{officer_id}?done=officer_recorded")
    return _page(request, caller, services, form=form, status=422)


def given_officer(form: Form) -> OfficerFacts | None:
    """Return what a form says of an officer; its faults are noted."""
    valid_from, valid_until = form.day("valid_from"), form.day("valid_until")
    number = form.text("certificate_number", most=MAX_CERTIFICATE_CHARACTERS)
    name = form.text("name", most=MAX_NAME_CHARACTERS)
    agency = form.text("agency", most=MAX_NAME_CHARACTERS)
    unit, area = (form.short(field, most=MAX_NAME_CHARACTERS) for field in ("unit", "area"))
    if not form.is_good:
        return None
    return OfficerFacts(
        certificate_number=number,
        name=name,
        agency=agency,
        unit=unit,
        categories=split_categories(form.value("categories")[:_MOST_TEXT]),
        area=area or None,
        valid_from=valid_from,
        valid_until=valid_until,
    )


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    words: str = "",
    after: str = "",
    form: Form | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as tx:
        found = officers(tx, words=words, after=after, limit=_PAGE + 1)
    today = services.clock.now().astimezone(BUREAU_ZONE).date()
    shown = found[:_PAGE]
    return render(
        request,
        "_officer_rows.html" if is_fragment(request) and request.method == "GET" else "officers.html",
        caller=caller,
        status=status,
        form=form,
        words=words,
        officers=shown,
        after=shown[-1].officer.certificate_number if len(found) > _PAGE else None,
        valid={row.officer.id: may_act(row.officer, today) for row in shown},
        here=_HERE,
    )

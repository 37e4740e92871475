"""The terms of use: shown before the first page after signing in, and whenever somebody wants to read them again."""

from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.access.terms import TermsChanged, accept_terms
from archive.kernel.errors import NotFound
from archive.web.dependencies import CallerDep, ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import safe_next
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services

router = APIRouter(prefix="/terms", include_in_schema=False)

_HERE: Final = "/terms"


@router.get("")
def terms_page(request: Request, caller: CallerDep, services: ServicesDep, next: str = "/") -> Response:  # noqa: A002 - its name in the address
    """Show the terms of use. Raises: NotFound where the house has none."""
    return _page(request, caller, services, next_address=safe_next(next))


@router.post("/acceptance")
def acceptance_posted(request: Request, form: FormDep, caller: CallerDep, services: ServicesDep) -> Response:
    """Write down that the caller accepts the version that was shown, and go on."""
    form.panel = "terms"
    next_address = safe_next(form.value("next"))
    terms = services.sign_ins.terms
    if terms is None:
        raise NotFound
    at = services.clock.now()
    try:
        accept_terms(services.database, terms, caller.account_id, version=form.value("version"), by=caller.actor, at=at)
    except TermsChanged:
        form.refuse("", "error.access.terms_changed")
        return _page(request, caller, services, next_address=next_address, form=form, status=422)
    return go_to(next_address)


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    next_address: str,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    terms = services.sign_ins.terms
    if terms is None:
        raise NotFound
    return render(
        request,
        "terms.html",
        caller=caller,
        status=status,
        form=form,
        here=_HERE,
        next_address=next_address,
        terms=terms.texts[reader_texts(request).language.value],
        version=terms.version,
        is_accepted=caller.terms_version == terms.version,
    )

"""Pages for people: Jinja and htmx, no build step, Chinese and English."""

from fastapi import FastAPI
from starlette.middleware import Middleware

from archive.web.pages import (
    account,
    accounts,
    case_edits,
    cases,
    clearances,
    complaint,
    complaints,
    content,
    device,
    devices,
    house,
    inbox,
    items,
    legal_staff,
    lists,
    log_health,
    notices,
    objects,
    officer,
    officers,
    organisation,
    packages,
    passkeys,
    proofs,
    provider,
    recordings,
    recoveries,
    restrictions,
    retrievals,
    search,
    sheets,
    sign_in,
    streams,
    subject_edits,
    subjects,
    systems,
    terms,
    trace,
    trust_lists,
    upload,
    validation,
)
from archive.web.pages.errors import PagesOfErrors
from archive.web.pages.static import StaticCaching

_PAGES = (
    sign_in,
    provider,
    lists,
    search,
    inbox,
    cases,
    items,
    objects,
    content,
    packages,
    passkeys,
    proofs,
    streams,
    recordings,
    house,
    log_health,
    account,
    passkeys,
    accounts,
    recoveries,
    clearances,
    terms,
    upload,
    subject_edits,
    subjects,
    case_edits,
    systems,
    organisation,
    sheets,
    officers,
    officer,
    legal_staff,
    restrictions,
    notices,
    complaints,
    complaint,
    devices,
    device,
    retrievals,
    trace,
    validation,
    trust_lists,
)


def install_pages(app: FastAPI) -> None:
    """Add every page to the application."""
    for module in _PAGES:
        app.include_router(module.router)
    # Innermost: what they answer passes through everything that surrounds a request.
    app.user_middleware.extend((Middleware(StaticCaching), Middleware(PagesOfErrors)))

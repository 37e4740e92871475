"""Pages for people: Jinja and htmx, no build step, Chinese and English."""

from fastapi import FastAPI
from starlette.middleware import Middleware

from archive.web.pages import cases, content, house, items, lists, objects, sign_in
from archive.web.pages.errors import PagesOfErrors
from archive.web.pages.static import StaticCaching


def install_pages(app: FastAPI) -> None:
    """Add every page to the application."""
    for module in (sign_in, lists, cases, items, objects, content, house):
        app.include_router(module.router)
    # Innermost: what they answer passes through everything that surrounds a request.
    app.user_middleware.extend((Middleware(StaticCaching), Middleware(PagesOfErrors)))

"""The API for other systems: pushing cases, reading the state of items, events and webhooks."""

from fastapi import FastAPI

from archive.web.api.v1 import batch, events, holds, items, links, systems
from archive.web.api.v1.limits import SmallBodies
from archive.web.limits import Draw, Meter
from archive.web.routes import add_routes

_PATHS = ("/api/v1/",)
"""Of docks and browsers too: a body is read before anybody is asked who sends it. Uploads have a door of their own."""


def install_api(app: FastAPI, *, requests_per_minute: int, draw: Draw | None) -> None:
    """Add every endpoint for other systems, and the limits that hold for them."""
    app.state.meter = Meter(requests_per_minute, name="systems", draw=draw)
    app.add_middleware(SmallBodies, paths=_PATHS)
    add_routers(app)


def add_routers(app: FastAPI) -> None:
    """Add the endpoints alone, for the document that describes them."""
    add_routes(app, *(module.router for module in (links, batch, systems, items, events, holds)))

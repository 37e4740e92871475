"""Adding what routers hold to an application."""

from fastapi import APIRouter, FastAPI


def add_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Add the routes of these routers as they are.

    `include_router` works each of them out anew for every application, at the first request that passes by, and looks
    at every router twice for each request; it is needed only where a prefix or a dependency comes in addition.
    """
    for router in routers:
        app.router.routes.extend(router.routes)

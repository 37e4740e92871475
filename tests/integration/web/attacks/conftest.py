"""What attacks need to know of the application: every route with its methods, and an address for each."""

import re
from collections.abc import Iterator, Mapping
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from archive.evidence.recordings import recording_of
from tests.support.seed import Bureau

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
DOORS = [
    ("POST", "/api/v1/uploads"),
    ("PATCH", "/api/v1/uploads/x"),
    ("DELETE", "/api/v1/uploads/x"),
    ("PUT", "/axis/x/y"),
]
"""The applications that stand behind doors of their own have no routes."""
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def routes_of(app: FastAPI) -> Iterator[tuple[str, str, RouteContext]]:
    """Yield every method and address of the application."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            for method in sorted(route.methods or ()):
                yield method, str(route.path), route


def parameters_of(route: str) -> list[str]:
    return _PARAMETER.findall(route)


def filled(route: str, values: Mapping[str, object]) -> str:
    """Return an address of a route, with an id that nobody has for each parameter without a value."""
    return _PARAMETER.sub(lambda found: str(values.get(found[1], uuid4())), route)


@pytest.fixture(scope="session")
def named(bureau: Bureau) -> dict[str, UUID]:
    """What the session's bureau has, by the names of parameters."""
    with bureau.services.database.read() as tx:
        view = recording_of(tx, bureau.items["video"])
    assert view is not None
    return {
        "case_id": bureau.cases["main"],
        "object_id": bureau.items["video"],
        "record_id": bureau.records["inspection"],
        "subject_id": bureau.subjects["main"],
        "recording_id": view.recording.id,
    }


def new_case(handler: httpx.Client) -> str:
    """Open a case of one test's own; return its address. What other tests count is in the main one."""
    made = {
        "number": uuid4().hex,
        "title": "名称",
        "category": "penalty",
        "subject_name": uuid4().hex,
        "subject_kind": "organisation",
    }
    answer = handler.post("/cases", data=made)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("?")[0]

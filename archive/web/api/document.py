"""The OpenAPI document: what every address of the API answers, and nothing that it never does."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyCookie

from archive.web.api.v1.routes import Problem

SESSION: Final = APIKeyCookie(
    name="__Host-liuhen_session",
    scheme_name="Session",
    description="The cookie of a person's session (`POST /sign-in`); over plain HTTP on localhost `liuhen_session`.",
    auto_error=False,
)
"""Named in the document; who is calling is found out by `archive.web.dependencies`."""
_OURS_NEVER: Final = "#/components/schemas/HTTPValidationError"
_REFUSALS: Final = {
    400: "Something in the address or the body is not as it is asked for.",
    401: "Nobody is signed in, or the key is unknown, expired or revoked.",
    403: "The caller's roles do not give that, or something is due first: the terms, a second factor.",
    404: "There is no such thing, or none that the caller sees.",
    409: "Something on record is in the way; `code` says what.",
    413: "The body has more than 1 MiB.",
    422: "Something in the body cannot be.",
    429: "Too many requests; `Retry-After` says when to go on.",
    503: "It cannot be had at the moment; `Retry-After` says when to go on.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of what can go wrong at an address."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _REFUSALS[status], "content": content} for status in statuses}


def file_of(*media_types: str, description: str = "Successful Response") -> dict[str, Any]:
    """Return the description of an answer that is bytes or text."""
    return {
        "description": description,
        "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in media_types},
    }


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document of an application, without what FastAPI adds and this application never answers."""
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        for operations in told["paths"].values():
            for operation in operations.values():
                refused = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
                if refused.get("schema", {}).get("$ref") == _OURS_NEVER:
                    del operation["responses"]["422"]
        schemas = told["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas.setdefault("Problem", Problem.model_json_schema(ref_template="#/components/schemas/{model}"))
        app.openapi_schema = told
    return app.openapi_schema


def describe(app: FastAPI) -> None:
    """Have an application tell this document of itself."""
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]

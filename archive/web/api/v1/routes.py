"""How the endpoints of the API answer what they cannot understand, and how they describe what can go wrong."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.convertors import Convertor, register_url_convertor

from archive.kernel.errors import InvalidInput

_MOST_TOLD: Final = 10
_MOST_WHERE: Final = 2000


class _Anything(Convertor[str]):
    """Takes the rest of an address as it is, also over line ends: what is wrong with an id is to be told as such."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())


class Unprocessable(InvalidInput):
    """What was sent does not have the form that is asked for."""

    code = "input.unprocessable"


class ApiRoute(APIRoute):
    """An endpoint whose bad input is answered with 422 and with what is wrong where."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of one request."""
        original = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                answer = await original(request)
            except RequestValidationError as exc:
                raise refusal_of(exc.errors()) from exc
            except InvalidInput as exc:
                if type(exc) is not InvalidInput:
                    raise
                raise Unprocessable(exc.message, **exc.facts) from exc
            answer.headers.setdefault("Cache-Control", "no-store")  # names of persons stand in it
            return answer

        return handle


def refusal_of(errors: Any) -> InvalidInput:
    """Return what is wrong with a body, without what stood in it."""
    if any(error["type"] == "json_invalid" for error in errors):
        return InvalidInput("The body is not JSON")
    told = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in errors[:_MOST_TOLD]]
    return Unprocessable(where="; ".join(told)[:_MOST_WHERE])  # a name that is not known may be very long


class Problem(BaseModel):
    """What went wrong. Source: RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:liuhen:problem:cases.number_taken",
                    "title": "There is a case with this number.",
                    "status": 409,
                    "code": "cases.number_taken",
                    "request_id": "01980f3e-8a8e-7c3a-9c8f-3f1b1f0a5d11",
                    "facts": {"case_id": "01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01", "adopt": "adopt=true"},
                }
            ]
        }
    )

    type: str
    title: Annotated[str, Field(description="One English sentence for people.")]
    status: int
    code: Annotated[str, Field(description="Stable; what a program decides by.")]
    request_id: Annotated[str | None, Field(description="To be named when you ask the administrator.")]
    facts: Annotated[
        dict[str, str | int | bool], Field(default_factory=dict, description="What is in the way, or wrong where.")
    ]


_TOLD: Final = {
    400: "The body is not JSON.",
    401: "There is no key, or it is unknown, expired or revoked.",
    403: "The key does not have the scope, or is one of another system.",
    404: "There is no such thing.",
    409: "Something on record is in the way; `facts` say what, and `adopt` is there where adopting it would settle it.",
    412: "`If-Match` names another version than the one that is there.",
    413: "The body has more than 1 MiB.",
    422: "Something in the body or the external id is wrong, or names what was not pushed yet.",
    429: "Too many requests; `Retry-After` says when to go on.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of what can go wrong, beside what always can."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _TOLD[status], "content": content} for status in sorted({401, 403, 429, *statuses})}


def put_answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the description of what a PUT answers beside 200."""
    return {201: {"description": "Created.", "model": model}, **problems(400, 409, 412, 413, 422)}

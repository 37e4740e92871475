"""For whoever asked for HTML, a problem becomes a page: sign in first, not found, not allowed, our fault.

Stands inside `Surroundings`, so that pages of errors carry the same headers and request id as all others. Machines are
answered as before.
"""

import json
from typing import Any, Final
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Request
from starlette.responses import Response

from archive.kernel.errors import LiuhenError
from archive.web.middleware import AsgiApp, Receive, Scope, Send
from archive.web.pages.guards import safe_next, sign_in_address
from archive.web.pages.rendering import go_to, render

_MACHINE_PATHS: Final = ("/api/", "/static/")
_PROBLEM: Final = b"application/problem+json"
_TITLED: Final = {400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503, 507}
_FIRST: Final = {"access.terms_due": "/terms", "access.second_factor_due": "/account"}
"""Where somebody goes first who has to do something before anything else."""
_log = structlog.get_logger("liuhen.web")


class PagesOfErrors:
    """Wraps the application; turns its problems into pages where a person is asking."""

    def __init__(self, app: AsgiApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not _is_asked_by_a_person(scope):
            await self._app(scope, receive, send)
            return
        request, answer = Request(scope), _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.has_started:
                raise
            _log.exception("request_failed", request_id=request.state.request_id, exc_info=error)
            response = error_page(request, status=500, code=LiuhenError.code)
        else:
            if answer.held is None:
                return
            code = json.loads(answer.body)["code"]
            response = _page_of(request, status=answer.held["status"], code=code)
            for name, value in answer.held["headers"]:
                if name == b"retry-after":
                    response.headers["Retry-After"] = value.decode()
        await response(scope, receive, send)  # type: ignore[arg-type]


class _Answer:
    """Lets an answer through, but holds a problem back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.held: dict[str, Any] | None = None
        self.body = b""
        self.has_started = False

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and (b"content-type", _PROBLEM) in message["headers"]:
            self.held = message
        elif self.held is not None:
            self.body += message.get("body", b"")
        else:
            self.has_started = True
            await self._send(message)


def _is_asked_by_a_person(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["path"].startswith(_MACHINE_PATHS):
        return False
    headers = Request(scope).headers
    return "text/html" in headers.get("accept", "") or "hx-request" in headers


def error_page(request: Request, *, status: int, code: str) -> Response:
    """Return the page of an error; one without a text of its own has its status' text."""
    kind = str(status) if status in _TITLED else "500" if status >= 500 else "400"
    return render(
        request,
        "error.html",
        caller=None,
        status=status,
        kind=kind,
        code=code,
        request_id=request.state.request_id,
    )


def _page_of(request: Request, *, status: int, code: str) -> Response:
    if code in _FIRST:
        if "hx-request" in request.headers:
            return Response(status_code=403, headers={"HX-Redirect": _FIRST[code], "Cache-Control": "no-store"})
        return go_to(_FIRST[code] if request.method != "GET" else _leading_back(_FIRST[code], request))
    if code != "access.not_signed_in":
        return error_page(request, status=status, code=code)
    if "hx-request" in request.headers:
        shown = urlsplit(request.headers.get("hx-current-url", ""))
        address = sign_in_address(shown.path + (f"?{shown.query}" if shown.query else ""))
        return Response(status_code=401, headers={"HX-Redirect": address, "Cache-Control": "no-store"})
    query = f"?{request.url.query}" if request.url.query else ""
    back = request.url.path + query if request.method == "GET" else "/"
    return go_to(sign_in_address(back))


def _leading_back(address: str, request: Request) -> str:
    """Return the address of the terms so that it leads on to what was asked for; the account's page stays."""
    if address != "/terms" or request.url.path == "/":
        return address
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{address}?next={quote(safe_next(request.url.path + query), safe='/')}"

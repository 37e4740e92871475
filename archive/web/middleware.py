"""What surrounds every request: its id, security headers, the cross-site check, one log line. Plain ASGI."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import new_uuid7
from archive.meters import meters
from archive.web.problems import problem_response

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

_SAFE_METHODS: Final = {"GET", "HEAD", "OPTIONS"}
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:{media}; "
    "font-src 'self'; connect-src 'self'{media}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_TELLING: Final = {b"sec-fetch-site", b"origin", b"referer", b"host"}
_log = structlog.get_logger("liuhen.web")


class CrossSite(LiuhenError):
    """The request comes from another site."""

    code = "access.cross_site"
    exit_code = 77


class Surroundings:
    """Wraps the application; `request_id` stands in the ASGI scope's state and in every answer."""

    def __init__(self, app: AsgiApp, *, media_origins: Sequence[str] = ()) -> None:
        """Wrap `app`; pages may fetch media from these origins too."""
        self._app = app
        policy = _CSP.format(media="".join(f" {each}" for each in media_origins))
        self._headers = ((b"content-security-policy", policy.encode()), *_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(new_uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_wrapped(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [
                    *message.get("headers", []),
                    *((name, value) for name, value in self._headers if name not in present),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            if _is_cross_site(scope):
                await problem_response(CrossSite(), request_id=request_id)(scope, receive, send_wrapped)  # type: ignore[arg-type]
            else:
                try:
                    await self._app(scope, receive, send_wrapped)
                except Exception:
                    if status:  # the answer has begun; the server cuts the connection
                        raise
                    _log.exception("request_failed")
                    await problem_response(LiuhenError(), request_id=request_id)(scope, receive, send_wrapped)  # type: ignore[arg-type]
        route = getattr(scope.get("route"), "path", None) or scope["state"].get("route") or _folder(scope)
        lasted_s = time.perf_counter() - started
        meters().request(scope["method"], route, status, lasted_s)
        _log.info(
            "request",
            request_id=request_id,
            method=scope["method"],
            route=route,
            status=status,
            duration_ms=round(lasted_s * 1000),
        )


class Door:
    """Hands one address, with or without what follows it, to an application of its own."""

    def __init__(self, app: AsgiApp, *, path: str, behind: AsgiApp) -> None:
        """Serve `path` from `behind`, all else from `app`."""
        self._app, self._path, self._behind = app, path, behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == self._path or path.startswith(self._path + "/")):
            await self._behind({**scope, "root_path": self._path}, receive, send)
        else:
            await self._app(scope, receive, send)


def _folder(scope: Scope) -> str | None:
    return "/static" if scope.get("path", "").startswith("/static/") else None


def _is_cross_site(scope: Scope) -> bool:
    """Return whether a browser says that an unsafe request comes from elsewhere.

    Source: Fetch Metadata Request Headers; for browsers that do not send them the Origin header, and for still older
    ones the Referer. Clients that are no browsers send none of them, and carry no cookie that somebody else could use.
    """
    if scope["method"] in _SAFE_METHODS:
        return False
    headers = {name: value for name, value in scope["headers"] if name in _TELLING}
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in {b"same-origin", b"none"}
    origin = headers.get(b"origin", headers.get(b"referer"))
    return origin is not None and origin.partition(b"//")[2].partition(b"/")[0] != headers.get(b"host")

"""What the API takes at most in a body."""

from typing import Any, Final

from archive.kernel.errors import InvalidInput
from archive.web.middleware import AsgiApp, Receive, Scope, Send
from archive.web.problems import problem_response

MOST_BODY_BYTES: Final = 1 << 20


class BodyTooLarge(InvalidInput):
    """A body of the API has at most 1 MiB."""

    code = "input.too_large"


class SmallBodies:
    """Reads a body whole before anything else does, and refuses one that is too large; plain ASGI."""

    def __init__(self, app: AsgiApp, *, paths: tuple[str, ...]) -> None:
        """Guard the addresses that begin with one of `paths`."""
        self._app, self._paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(self._paths):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > MOST_BODY_BYTES:
            await self._refuse(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > MOST_BODY_BYTES:
                await self._refuse(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        await self._app(scope, _replayed(body, receive), send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_response(
            BodyTooLarge(most_bytes=MOST_BODY_BYTES), request_id=scope["state"].get("request_id")
        )
        # The rest of the body is unread; keeping the connection would mean reading all of it.
        response.headers["Connection"] = "close"
        await response(scope, receive, send)  # type: ignore[arg-type]


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_told = False

    async def replay() -> dict[str, Any]:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay

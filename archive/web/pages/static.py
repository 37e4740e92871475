"""Static files may be kept for ever, because their address changes whenever their bytes do. Workers have policies."""

from typing import Any, Final
from urllib.parse import parse_qs

from archive.web.middleware import AsgiApp, Receive, Scope, Send
from archive.web.pages.rendering import static_address

_PREFIX: Final = "/static/"
# A worker is bound by the policy that comes with its own script. This one hashes with WebAssembly, which no page may.
_POLICIES: Final = {"upload-hasher.js": b"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"}


class StaticCaching:
    """Wraps the application; adds `Cache-Control` to what lies under /static."""

    def __init__(self, app: AsgiApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self._app(scope, receive, send)
            return

        async def send_with_age(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] in {200, 304}:
                name = scope["path"].removeprefix(_PREFIX)
                version = parse_qs(scope["query_string"].decode("latin-1")).get("v", [""])[0]
                is_current = static_address(name) == f"{_PREFIX}{name}?v={version}"
                age = b"public, max-age=31536000, immutable" if is_current else b"no-cache"
                message["headers"] = [*message["headers"], (b"cache-control", age)]
                if name in _POLICIES:
                    message["headers"].append((b"content-security-policy", _POLICIES[name]))
            await send(message)

        await self._app(scope, receive, send_with_age)

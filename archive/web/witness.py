"""A witness over HTTP: `POST /add-checkpoint`, and a health page. Nothing else is served.

An ASGI application of its own: no framework, no session, no archive. Bodies are bounded, also in time.

Source: C2SP tlog-witness, HTTP interface.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

from archive.kernel.errors import LiuhenError
from archive.ledger.witness import Witness
from archive.ledger.witnessing import MAX_REQUEST_BYTES, SIZE_TYPE, NotFromThere, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_TEXT: Final = "text/plain; charset=utf-8"
_BODY_S: Final = 15.0
_MOST_AT_ONCE: Final = 64
_log = structlog.get_logger("liuhen.witness")


def serve_witness(
    witness: Witness,
    *,
    host: str,
    port: int,
    on_listening: Callable[[str], None],
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve a witness until SIGTERM or SIGINT; `on_listening` gets the address. Raises: OSError, ssl.SSLError."""
    import uvicorn

    config = uvicorn.Config(
        WitnessApp(witness),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
        limit_concurrency=_MOST_AT_ONCE,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        ssl_certfile=None if certificate is None else str(certificate),
        ssl_keyfile=None if key is None else str(key),
    )
    config.load()  # a certificate that cannot be used ends it here
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        scheme = "http" if certificate is None else "https"
        shown = f"[{host}]" if ":" in host else host
        on_listening(f"{scheme}://{shown}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


class WitnessApp:
    """Serves one witness."""

    def __init__(self, witness: Witness) -> None:
        """Take the witness."""
        self._witness = witness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        match scope["method"], scope["path"]:
            case "POST", "/add-checkpoint":
                await _answer(send, *await self._add_checkpoint(receive))
            case "GET" | "HEAD", "/health":
                await _answer(send, *await asyncio.to_thread(self._health))
            case _, "/add-checkpoint" | "/health":
                await _answer(send, 405, _TEXT, b"method not allowed\n")
            case _:
                await _answer(send, 404, _TEXT, b"not found\n")

    async def _add_checkpoint(self, receive: Receive) -> tuple[int, str, bytes]:
        try:
            async with asyncio.timeout(_BODY_S):
                raw = await _body(receive)
        except TimeoutError:
            return 408, _TEXT, b"the request did not come in time\n"
        if raw is None:
            return 413, _TEXT, b"the request is too long\n"
        return await asyncio.to_thread(self._cosigned, raw)

    def _cosigned(self, raw: bytes) -> tuple[int, str, bytes]:
        try:
            return 200, _TEXT, self._witness.add_checkpoint(raw)
        except Refusal as refusal:
            _log.warning("not_cosigned", code=refusal.code, **refusal.facts)
            return refusal.status, SIZE_TYPE if isinstance(refusal, NotFromThere) else _TEXT, refusal.body
        except LiuhenError as error:
            _log.error("witness_failed", code=error.code)
            return 503, _TEXT, f"{error.code}\n".encode()

    def _health(self) -> tuple[int, str, bytes]:
        try:
            followed = self._witness.store.followed()
        except LiuhenError as error:
            return 503, _TEXT, f"{error.code}\n".encode()
        told = {
            "keys": [str(key) for key in self._witness.keys],
            "logs": [{"origin": log.origin, "size": log.seen.size, "time": log.time_s} for log in followed],
        }
        return 200, "application/json", json.dumps(told, ensure_ascii=False).encode()


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, None when it is too long or the other side has gone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_REQUEST_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, status: int, content_type: str, body: bytes) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""A receiver of webhooks as a case system would run one: a plain HTTP server that can be told to fail, dawdle, redirect."""

import base64
import contextlib
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in the body."""
        return dict(json.loads(self.body))

    def is_signed_by(self, secret: str) -> bool:
        """Check a signature with OpenSSL, which knows nothing of us. Source: Standard Webhooks 1.0.0."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = b".".join(
            (self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body)
        )
        made = subprocess.run(
            ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"],
            input=content, capture_output=True, check=True,
        ).stdout  # fmt: skip
        given = [part.partition(",") for part in self.headers["webhook-signature"].split()]
        return ("v1", base64.b64encode(made).decode()) in {(version, signature) for version, _, signature in given}


Answer = tuple[int, dict[str, str]]
OK: Answer = (204, {})


@dataclass
class Receiver:
    """What came in, and how it is answered: `answer` is asked for each request."""

    url: str
    answer: Callable[[Received], Answer] = lambda _: OK
    got: list[Received] = field(default_factory=list)
    dawdle_s: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def events(self) -> list[dict[str, Any]]:
        """Return every event that came, in order."""
        with self.guard:
            return [received.event for received in self.got]

    def wait(self, count: int, *, timeout_s: float = 30.0) -> list[Received]:
        """Return what came as soon as there are so many requests."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with self.guard:
                if len(self.got) >= count:
                    return list(self.got)
            time.sleep(0.02)
        raise TimeoutError(f"{len(self.got)} of {count} requests came")


@contextlib.contextmanager
def receiving(*, tls: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine; `tls` are a certificate and its key."""
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length))
            with receiver.guard:
                receiver.got.append(received)
            status, headers = receiver.answer(received)
            raw = f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
            if receiver.dawdle_s:
                with contextlib.suppress(OSError):
                    for byte in raw.encode():
                        self.wfile.write(bytes([byte]))
                        time.sleep(receiver.dawdle_s)
                return
            self.wfile.write(raw.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

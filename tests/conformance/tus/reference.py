"""A small tus server in memory, complete but for durability, that can be told to make one mistake.

It shows two things about the suite: that a server can pass all of it, and that the suite notices each mistake.
"""

import base64
import binascii
import hashlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.tus.target import decode_metadata, tls_context

MAX_SIZE_BYTES = 1 << 30
ALGORITHMS = ("sha1", "sha256")
LINGER_S = 2.0


class Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers or {}


def require(holds: bool, status: int) -> None:
    """Refuse the request with `status` unless the condition holds."""
    if not holds:
        raise Refusal(status)


class Truncated(Exception):
    """The connection ended before the body did."""


class Resource:
    """One upload: its bytes, and the connection that is writing to it."""

    def __init__(self, length: int, metadata: str | None) -> None:
        self.length = length
        self.metadata = metadata
        self.content = bytearray()
        self._lock = threading.Lock()
        self._holder: socket.socket | None = None

    @contextmanager
    def held(self, connection: socket.socket, *, evicts: bool, locks: bool) -> Iterator[None]:
        """Hold the upload; whoever holds it now has its connection closed."""
        if not locks:
            yield
            return
        while not self._lock.acquire(timeout=0.05):
            holder = self._holder
            if evicts and holder is not None and holder is not connection:
                with suppress(OSError):
                    socket.socket.shutdown(holder, socket.SHUT_RDWR)
        self._holder = connection
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()


class Server(ThreadingHTTPServer):
    """The uploads, and the mistake that is to be made."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *, fault: str | None, tls: ssl.SSLContext | None, expire_after_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.expire_after_s = expire_after_s
        self.uploads: dict[str, tuple[Resource, float]] = {}
        self.guard = threading.Lock()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that break off, which is what they are here for."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def handle_expect_100(self) -> bool:
        """Put 100 off until the body is wanted."""
        return True

    def serve(self) -> None:
        """Answer one request."""
        self._body_done = False
        self._continued = "100-continue" not in self.headers.get("Expect", "").lower()
        override = None if self._faulty("override-ignored") else self.headers.get("X-HTTP-Method-Override")
        headers: dict[str, str] = {}
        try:
            status, headers = self._route(override or self.command)
        except Refusal as refusal:
            status, headers = refusal.status, refusal.headers
        except Truncated:
            self.close_connection = True
            return
        self._linger()
        self.send_response(status)
        if not self._faulty("no-version") or status < 400:
            self.send_header("Tus-Resumable", "1.0.0")
        if status != 204:
            self.send_header("Content-Length", headers.pop("Content-Length", "0"))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_OPTIONS = do_POST = do_HEAD = do_PATCH = do_DELETE = serve  # noqa: N815 - the names http.server looks for

    def do_GET(self) -> None:
        """Give the bytes of an upload; no part of tus, only for `read_back`."""
        content = bytes(self._resource().content)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _faulty(self, fault: str) -> bool:
        return self.server.fault == fault

    def _route(self, method: str) -> tuple[int, dict[str, str]]:
        if method == "OPTIONS":
            return 204, {
                "Tus-Version": "1.0.0",
                "Tus-Extension": "creation,creation-with-upload,checksum,termination,expiration",
                "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
                "Tus-Max-Size": str(MAX_SIZE_BYTES),
            }
        if self.headers.get("Tus-Resumable") != "1.0.0" and not self._faulty("version-ignored"):
            raise Refusal(412, {"Tus-Version": "1.0.0"})
        if self.path == "/files":
            if method != "POST":
                raise Refusal(405)
            return self._create()
        if method == "HEAD":
            return self._head()
        if method == "PATCH":
            return self._patch()
        if method == "DELETE":
            return self._delete()
        raise Refusal(405)

    def _create(self) -> tuple[int, dict[str, str]]:
        length = self._number("Upload-Length", 400)
        if length > MAX_SIZE_BYTES and not self._faulty("max-size-ignored"):
            raise Refusal(413)
        metadata = self.headers.get("Upload-Metadata")
        if metadata is not None and not self._faulty("metadata-unchecked"):
            try:
                decode_metadata(metadata)
            except AssertionError:
                raise Refusal(400) from None
        name = uuid.uuid4().hex
        resource = Resource(length, metadata)
        headers = {"Location": f"/files/{name}", **self._expires()}
        with_upload = self.headers.get("Content-Type") == "application/offset+octet-stream"
        if with_upload:
            self._take(resource)
            headers["Upload-Offset"] = str(len(resource.content))
        with self.server.guard:
            self.server.uploads[name] = resource, time.time() + self.server.expire_after_s
        return 201, headers

    def _head(self) -> tuple[int, dict[str, str]]:
        resource = self._resource()
        with self._held(resource):
            headers = {"Upload-Offset": str(len(resource.content)), "Upload-Length": str(resource.length)}
        if not self._faulty("cacheable"):
            headers["Cache-Control"] = "no-store"
        if resource.metadata is not None and not self._faulty("metadata-dropped"):
            headers["Upload-Metadata"] = resource.metadata
        if self._faulty("metadata-smuggled") and resource.metadata:
            told = decode_metadata(resource.metadata).get("filename", b"").decode("latin-1")
            headers["Upload-Filename"] = told.rstrip()
        return 200, headers

    def _patch(self) -> tuple[int, dict[str, str]]:
        content_type = self.headers.get("Content-Type")
        resource = self._resource()
        if content_type != "application/offset+octet-stream" and not self._faulty("content-type-ignored"):
            raise Refusal(415)
        offset = self._number("Upload-Offset", 400)
        with self._held(resource):
            self._resource()  # it may have been deleted while this request waited
            if self._faulty("offset-trusted"):
                del resource.content[offset:]
            elif offset != len(resource.content) and not self._faulty("offset-ignored"):
                raise Refusal(409)
            self._take(resource)
            return 204, {"Upload-Offset": str(len(resource.content)), **self._expires()}

    def _delete(self) -> tuple[int, dict[str, str]]:
        resource = self._resource()
        with self._held(resource), self.server.guard:
            if not self._faulty("delete-forgotten"):
                self.server.uploads.pop(self._name(), None)
        return 204, {}

    def _take(self, resource: Resource) -> None:
        """Append the body. A chunk with a checksum counts as a whole or not at all."""
        checksum = None if self._faulty("checksum-ignored") else self._checksum()
        before = len(resource.content)
        digest = hashlib.new(checksum[0]) if checksum else None
        try:
            self._append(resource, digest)
            if checksum and digest is not None:
                require(digest.digest() == checksum[1], 460)
        except (Refusal, Truncated) as error:
            keeps = self._faulty("checksum-keeps-chunk") and isinstance(error, Refusal)
            keeps |= self._faulty("checksum-keeps-part") and isinstance(error, Truncated)
            if (checksum and not keeps) or self._faulty("nothing-kept"):
                del resource.content[before:]
            if self._faulty("announced-counts"):
                resource.content += bytes(int(self.headers.get("Content-Length", 0)) + before - len(resource.content))
            raise

    def _append(self, resource: Resource, digest: Any) -> None:
        for piece in self._body():
            if len(resource.content) + len(piece) > resource.length and not self._faulty("overlong"):
                self.close_connection = True
                raise Refusal(413)
            resource.content += piece
            if digest is not None:
                digest.update(piece)

    def _checksum(self) -> tuple[str, bytes] | None:
        value = self.headers.get("Upload-Checksum")
        if value is None:
            return None
        algorithm, _, digest = value.partition(" ")
        if algorithm not in ALGORITHMS or not digest:
            raise Refusal(400)
        try:
            return algorithm, base64.b64decode(digest, validate=True)
        except binascii.Error:
            raise Refusal(400) from None

    def _body(self) -> Iterator[bytes]:
        if not self._continued:
            self._continued = True
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked" and not self._faulty("framing-stored"):
            while left := int(self._line() or b"x", 16):
                yield from self._pieces(left)
                self._line()
            self._line()
        else:
            yield from self._pieces(int(self.headers.get("Content-Length", 0)))
        self._body_done = True

    def _line(self) -> bytes:
        try:
            line = self.rfile.readline(100)
        except OSError:
            raise Truncated from None
        if not line.endswith(b"\n"):
            raise Truncated
        return line.strip()

    def _pieces(self, left: int) -> Iterator[bytes]:
        while left:
            try:
                piece = self.rfile.read1(min(left, 65536))
            except OSError:
                raise Truncated from None
            if not piece:
                raise Truncated
            left -= len(piece)
            yield piece

    def _linger(self) -> None:
        """Read what is left of the body for a while, so that no reset overtakes the answer."""
        has_body = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        if self._body_done or not has_body:
            return
        if not self._continued:
            self.close_connection = True
            return
        self.connection.settimeout(LINGER_S)
        with suppress(Truncated, ValueError):
            for _ in self._body():
                pass
        self.connection.settimeout(None)
        self.close_connection = self.close_connection or not self._body_done

    def _held(self, resource: Resource) -> Any:
        return resource.held(
            self.connection, evicts=not self._faulty("half-open-blocks"), locks=not self._faulty("unlocked")
        )

    def _name(self) -> str:
        return self.path.removeprefix("/files/")

    def _resource(self) -> Resource:
        with self.server.guard:
            resource, expires = self.server.uploads.get(self._name(), (None, 0.0))
        if resource is None:
            raise Refusal(404)
        if time.time() > expires and not self._faulty("expired-stays"):
            raise Refusal(410)
        return resource

    def _number(self, header: str, status: int) -> int:
        value = self.headers.get(header, "")
        if self._faulty("numbers-unchecked"):
            return abs(int(re.sub(r"\D", "", value)[:9] or 0))
        if not re.fullmatch(r"[0-9]{1,30}", value):
            raise Refusal(status)
        return int(value)

    def _expires(self) -> dict[str, str]:
        if self._faulty("expires-hidden"):
            return {}
        at = time.time() + self.server.expire_after_s
        value = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) if self._faulty("expires-iso") else None
        return {"Upload-Expires": value or formatdate(at, usegmt=True)}


@contextmanager
def reference_server(
    *, fault: str | None = None, tls: ssl.SSLContext | None = None, expire_after_s: float = 3600
) -> Iterator[str]:
    """Run the server, with one mistake or none, and give its creation URL."""
    with Server(fault=fault, tls=tls, expire_after_s=expire_after_s) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            scheme = "https" if tls else "http"
            yield f"{scheme}://127.0.0.1:{server.server_address[1]}/files"
        finally:
            server.shutdown()
            thread.join()


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1: the PEM file that a client is to trust, and the server's context."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def read_back(url: str, _content: bytes) -> bytes:
    """Read the bytes of an upload of the reference server, as the hook of that name."""
    ca = os.environ.get("TUS_CA")
    with httpx.Client(verify=tls_context(Path(ca) if ca else None), trust_env=False) as http:
        return http.get(url).raise_for_status().content

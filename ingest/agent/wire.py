"""Talking to the archive over HTTP/1.1: one connection that is kept, requests by hand, bodies straight from the file.

The standard library's client is used because it hands the socket out: over plain HTTP the kernel sends the file itself
(sendfile), and memory does not grow with the file. No redirect is followed and no proxy of the environment is used, so
that the dock's key goes nowhere but to the archive.
"""

import contextlib
import http.client
import io
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self
from urllib.parse import urlsplit

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import parse_instant
from archive.ports.clock import Clock
from ingest.agent.errors import (
    BadServer,
    ConnectionBroken,
    FileChanged,
    NotTheArchive,
    Refused,
    ServerUnreachable,
    ServerUntrusted,
)
from ingest.agent.printable import printable

_CONNECT_TIMEOUT_S: Final = 10.0
IDLE_TIMEOUT_S: Final = 120.0
"""How long a silent connection is believed in; the archive may have to read again what it holds, see `reread_s`."""
_REREAD_BYTES_PER_S: Final = 50_000_000
_KEPT_S: Final = 10.0
_MOST_ANSWER_BYTES: Final = 4 * 1024 * 1024
_PIECE_BYTES: Final = 4 * 1024 * 1024
_TLS_PIECE_BYTES: Final = 1024 * 1024
_CODE: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archive answers."""

    is_tls: bool
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, server: str) -> Self:
        """Parse `https://host[:port][/prefix]`. Raises: BadServer, also for plain HTTP to another machine."""
        try:
            parts = urlsplit(server.strip())
            port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        except (ValueError, KeyError) as exc:
            raise BadServer(given=printable(server, most=80)) from exc
        if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise BadServer(given=printable(server, most=80))
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise BadServer("Plain http would show the dock's key to the network; use https", host=parts.hostname)
        return cls(parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))

    def __str__(self) -> str:
        """Render as an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}{self.prefix}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status below 400, and all of a short body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class FilePart:
    """A stretch of an open file as a body. Units: bytes. `told` hears how many were sent, as they are sent."""

    file: BinaryIO
    at_byte: int
    size_bytes: int
    told: Callable[[int], None]


def reread_s(size_bytes: int) -> float:
    """Return how long the archive may take to read that many bytes again before it answers. Units: seconds."""
    return IDLE_TIMEOUT_S + size_bytes / _REREAD_BYTES_PER_S


class Wire:
    """One connection to the archive, made when it is needed. For one thread; only `abort` is for others."""

    def __init__(self, place: Place, *, tls: ssl.SSLContext | None, api_key: str | None = None) -> None:
        """Name the archive; nothing is connected yet."""
        self._place = place
        self._tls = tls
        self._api_key = api_key
        self._connection: http.client.HTTPConnection | None = None
        self._used_at = 0.0

    def __enter__(self) -> Self:
        """Use the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | FilePart | None = None,
        timeout_s: float = IDLE_TIMEOUT_S,
    ) -> Answer:
        """Send one request and return its answer.

        Raises: Refused for a status of 400 and more; ServerUnreachable, ConnectionBroken, ServerUntrusted,
            NotTheArchive; FileChanged when the file has become shorter.
        """
        connection = self._connected()
        is_broken = False
        try:
            sock = connection.sock
            sock.settimeout(timeout_s)
            connection.putrequest(method, self._place.prefix + path, skip_accept_encoding=True)
            for name, value in self._headers(headers, body).items():
                connection.putheader(name, value)
            connection.endheaders()
            try:
                self._send(connection, sock, body)
            except (BrokenPipeError, ConnectionResetError):
                # The archive may have answered and hung up before it read everything: then the answer is there.
                sock.settimeout(min(timeout_s, 5.0))
                is_broken = True
            with connection.getresponse() as response:
                answer = _read(response)
        except LiuhenError:
            self.close()  # the body was not sent whole
            raise
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            raise ConnectionBroken(cause=type(exc).__name__) from exc
        self._used_at = time.monotonic()
        if is_broken or answer.headers.get("connection", "").lower() == "close":
            self.close()
        if answer.status >= 400:
            raise _refusal(answer)
        if answer.status >= 300:
            raise NotTheArchive("The archive sent us elsewhere, and the dock's key does not follow")
        return answer

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abort(self) -> None:
        """Break off whatever the connection is doing, from another thread."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                # Not the TLS socket's own method: it would forget its encryption before the socket is shut.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _headers(self, given: Mapping[str, str] | None, body: bytes | FilePart | None) -> dict[str, str]:
        headers = {"User-Agent": "liuhen-dock/1", "Accept-Encoding": "identity", **(given or {})}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if body is not None:
            headers["Content-Length"] = str(body.size_bytes if isinstance(body, FilePart) else len(body))
        return headers

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and time.monotonic() - self._used_at > _KEPT_S:
            self.close()  # the other side may have given it up just now
        if self._connection is None:
            place = self._place
            if place.is_tls:
                connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                    place.host, place.port, timeout=_CONNECT_TIMEOUT_S, context=self._tls
                )
            else:
                connection = http.client.HTTPConnection(place.host, place.port, timeout=_CONNECT_TIMEOUT_S)
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as exc:
                connection.close()
                raise ServerUntrusted(reason=exc.verify_message) from exc
            except OSError as exc:
                connection.close()
                raise ServerUnreachable(server=str(place), cause=exc.strerror or type(exc).__name__) from exc
            _keep_alive(connection.sock)
            self._connection = connection
            self._used_at = time.monotonic()
        return self._connection

    def _send(self, connection: http.client.HTTPConnection, sock: socket.socket, body: bytes | FilePart | None) -> None:
        if isinstance(body, FilePart):
            if isinstance(sock, ssl.SSLSocket):
                _send_through_tls(sock, body)
            else:
                _send_by_kernel(sock, body)
        elif body:
            connection.send(body)


def _send_by_kernel(sock: socket.socket, part: FilePart) -> None:
    at, end = part.at_byte, part.at_byte + part.size_bytes
    while at < end:
        sent = sock.sendfile(part.file, at, min(_PIECE_BYTES, end - at))
        if not sent:
            raise FileChanged
        at += sent
        part.told(sent)


def _send_through_tls(sock: socket.socket, part: FilePart) -> None:
    part.file.seek(part.at_byte)
    buffer = memoryview(bytearray(_TLS_PIECE_BYTES))
    missing = part.size_bytes
    while missing:
        count = part.file.readinto(buffer[: min(_TLS_PIECE_BYTES, missing)])  # type: ignore[attr-defined]
        if not count:
            raise FileChanged
        sock.sendall(buffer[:count])
        missing -= count
        part.told(count)


def _read(response: http.client.HTTPResponse) -> Answer:
    body = io.BytesIO()
    while block := response.read(64 * 1024):
        if body.tell() + len(block) > _MOST_ANSWER_BYTES:
            raise http.client.HTTPException("the answer is too long")
        body.write(block)
    if response.length:  # http.client takes a body that ends too soon for a short one
        raise http.client.IncompleteRead(body.getvalue(), response.length)
    headers = {name.lower(): value for name, value in response.getheaders()}
    if response.will_close:
        headers["connection"] = "close"
    return Answer(response.status, headers, body.getvalue())


def _refusal(answer: Answer) -> Refused:
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    fields: dict[str, Any] = problem if isinstance(problem, dict) else {}
    code, title = fields.get("code"), fields.get("title")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        code = f"http.{answer.status}"
    if not isinstance(title, str) or not title:
        title = f"The archive answered with HTTP status {answer.status}"
    pause = answer.headers.get("retry-after", "")
    return Refused(
        code,
        printable(title, most=300),
        status=answer.status,
        retry_after_s=min(float(pause), _LONGEST_PAUSE_S) if re.fullmatch(r"[0-9]{1,6}", pause) else None,
    )


def tls_context(place: Place, *, ca_pem: str | None) -> ssl.SSLContext | None:
    """Return what the archive's certificate is checked against: this authority alone, or those of the machine.

    Raises: InvalidInput when `ca_pem` holds no certificate.
    """
    if not place.is_tls:
        return None
    context = ssl.create_default_context() if ca_pem is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_pem is not None:
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError) as exc:
            raise InvalidInput("The file holds no certificate in PEM form") from exc
    return context


def measure_clock(wire: Wire, *, clock: Clock, times: int = 3) -> int:
    """Return how far this machine's clock is ahead of the archive's, by the quickest of a few questions.

    Units: milliseconds; the error is at most half of that question's round trip.
    Raises: as `Wire.request`.
    """
    best: tuple[float, int] | None = None
    for _ in range(times):
        began_at, began_s = clock.now().timestamp(), time.perf_counter()
        answer = wire.request("GET", "/api/v1/time")
        trip_s = time.perf_counter() - began_s
        try:
            archive_at = parse_instant(json.loads(answer.body)["now"]).timestamp()
        except (LiuhenError, ValueError, KeyError, TypeError) as exc:
            raise NotTheArchive from exc
        offset_ms = round((began_at + trip_s / 2 - archive_at) * 1000)
        if best is None or trip_s < best[0]:
            best = (trip_s, offset_ms)
    if best is None:
        raise NotTheArchive
    return best[1]


def _keep_alive(sock: socket.socket) -> None:
    """Let the kernel notice a dead peer while we wait for its answer."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""One HTTP/1.1 connection by hand: for clients that stall, break off, or send what no library would."""

import http.client
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.conformance.tus.client import CHUNK_TYPE, NoAnswer, Upload
from tests.conformance.tus.target import VERSION, Target

# Long enough for a server on the same machine to take up what has been sent, short enough for a test.
SETTLE_S = 0.3
# How long a server may take to say 100 Continue before it is taken to ignore Expect.
CONTINUE_S = 1.0
GONE = (ConnectionError, ssl.SSLError)


@dataclass(frozen=True)
class Answer:
    """Status line and headers of an answer."""

    status: int
    headers: Message

    @property
    def offset(self) -> int:
        """Upload-Offset, which must be there."""
        value = self.headers["Upload-Offset"]
        assert value is not None, f"an answer {self.status} has no Upload-Offset"
        return int(value)


class Wire:
    """A connection to the target's host. Closed at the end of its block, without courtesy."""

    def __init__(self, target: Target, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._target = target
        self._netloc = parts.netloc
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        plain = socket.create_connection((parts.hostname, port), timeout=target.patience_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = target.tls.wrap_socket(plain, server_hostname=parts.hostname) if secure else plain
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.close()
        self._socket.close()

    def request(self, method: str, headers: Mapping[str, str]) -> None:
        """Send a request line and headers: the target's, Tus-Resumable and these."""
        every = {"Host": self._netloc, **self._target.headers, "Tus-Resumable": VERSION, **headers}
        lines = [f"{method} {self._path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def patch(self, offset: int, headers: Mapping[str, str]) -> None:
        """Send the head of a PATCH at `offset`; the body is up to the caller."""
        self.request("PATCH", {"Content-Type": CHUNK_TYPE, "Upload-Offset": str(offset), **headers})

    def begin_patch(self, offset: int, headers: Mapping[str, str]) -> None:
        """Send the head of a PATCH, and wait until the server is ready for its body.

        A reset can overtake a request that the server has not looked at yet, and nobody can tell then which of two
        requests came first. `Expect: 100-continue` settles that; a server that ignores it gets a moment instead.
        """
        self.patch(offset, {**headers, "Expect": "100-continue"})
        self._socket.settimeout(CONTINUE_S)
        try:
            answer = self.first_answer()
        except NoAnswer:
            # A timeout leaves the reader unusable, and nothing was read: start it anew.
            self._answers = self._socket.makefile("rb")
        else:
            assert answer is not None, "the connection was closed instead of 100 Continue"
            assert answer.status == 100, f"PATCH was answered {answer.status} before its body"
        finally:
            self._socket.settimeout(self._target.patience_s)

    def send(self, body: bytes) -> bool:
        """Send bytes; False when the server has closed the connection."""
        try:
            self._socket.sendall(body)
        except GONE:
            return False
        return True

    def send_chunk(self, body: bytes) -> bool:
        """Send one chunk of a chunked body; an empty one ends it."""
        return self.send(f"{len(body):x}\r\n".encode() + body + b"\r\n")

    def settle(self) -> None:
        """Give the server time to take up what has been sent."""
        time.sleep(SETTLE_S)

    def first_answer(self) -> Answer | None:
        """Read the next answer, 1xx included; None when the server closed the connection instead.

        Raises: NoAnswer when neither comes within the target's patience.
        """
        try:
            line = self._answers.readline(65537)
            if not line:
                return None
            status = int(line.split(None, 2)[1])
            return Answer(status, http.client.parse_headers(self._answers))
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {self._target.patience_s:g} s") from error
        except GONE:
            return None

    def answer(self) -> Answer | None:
        """Read the next final answer; None when the server closed the connection instead."""
        while (answer := self.first_answer()) is not None and answer.status < 200:
            pass
        return answer

    def reset(self) -> None:
        """Break the connection off with a TCP reset, as a crashed or unplugged client does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._answers.close()
        self._socket.close()

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on listening."""
        # Not SSLSocket.shutdown, which would drop the encryption of what is still to be read.
        socket.socket.shutdown(self._socket, socket.SHUT_WR)


def stalled_patch(wire: Wire, upload: Upload, *, sent_bytes: int) -> None:
    """Announce all of `upload` in one PATCH from offset 0, send the first `sent_bytes`, and fall silent."""
    wire.begin_patch(0, {"Content-Length": str(len(upload.content))})
    assert wire.send(upload.content[:sent_bytes])
    wire.settle()

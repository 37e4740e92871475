"""A server that has vanished with its machine answers nothing, not even that it is gone: the kernel gives it up."""

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archive.adapters.s3_client import S3Place, s3_client

LONGEST_S = 30
OPEN_FILES = Path("/proc/self/fd")


class Empty(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def connections_to(port: int) -> list[socket.socket]:
    """Return those that this process has open, whoever opened them."""
    found = []
    for link in OPEN_FILES.iterdir():
        try:
            if not str(link.readlink()).startswith("socket:"):
                continue
            connection = socket.socket(fileno=os.dup(int(link.name)))
        except OSError:  # closed meanwhile
            continue
        if connection.family == socket.AF_INET and _peer(connection) == port:
            found.append(connection)
        else:
            connection.close()
    return found


def _peer(connection: socket.socket) -> int | None:
    try:
        return int(connection.getpeername()[1])
    except OSError:  # listens
        return None


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="only Linux lists open files there")
def test_a_silent_server_is_given_up_after_thirty_seconds(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("name\nsecret\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = s3_client(S3Place("bucket", f"http://127.0.0.1:{server.server_port}", credentials_file=key))
    try:
        client.head_bucket(Bucket="bucket")
        found = connections_to(server.server_port)
        assert found
        for connection in found:
            with connection:
                told = {
                    name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
                }
                assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                while_idle_s = told["TCP_KEEPIDLE"] + told["TCP_KEEPINTVL"] * told["TCP_KEEPCNT"]
                assert while_idle_s <= LONGEST_S
                assert 0 < told["TCP_USER_TIMEOUT"] <= LONGEST_S * 1000
    finally:
        client.close()
        server.shutdown()
        server.server_close()

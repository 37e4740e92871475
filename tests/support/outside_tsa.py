"""An outside timestamp authority: `openssl ts -reply` behind a small HTTP server, which can be told to answer wrongly."""

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from archive.kernel.clock import SystemClock
from signing.authority import EmbeddedAuthority
from signing.tsa import EmbeddedTsa

POLICY = "1.3.6.1.4.1.59999.1"
_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/ca/tsa.pem
signer_key = {folder}/ca/tsa.pem
signer_digest = sha256
ess_cert_id_alg = sha256
default_policy = {policy}
digests = {digests}
accuracy = secs:1, millisecs:500
ordering = yes
tsa_name = yes
{more}
"""


@dataclass
class OutsideAuthority:
    """`before` changes a query, `after` an answer; `status` is that of HTTP."""

    folder: Path
    url: str = ""
    status: int = 200
    before: Callable[[bytes], bytes] = bytes
    after: Callable[[bytes], bytes] = bytes
    queries: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.authority = EmbeddedAuthority.create(self.folder / "ca", organisation="Time Co.", valid_from=clock.now())
        EmbeddedTsa(self.authority, clock).prepare()
        (self.folder / "serial").write_text("01\n")
        self.set_up()

    @property
    def root_path(self) -> Path:
        return self.authority.root_path

    def set_up(self, *, digests: str = "sha256, sha512", more: str = "") -> None:
        text = _CONFIG.format(folder=self.folder, policy=POLICY, digests=digests, more=more)
        (self.folder / "tsa.cnf").write_text(text)

    def reply(self, query: bytes) -> bytes:
        self.queries.append(query)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            asked, answer = Path(scratch) / "query", Path(scratch) / "reply"
            asked.write_bytes(self.before(query))
            command = [
                "openssl",
                "ts",
                "-reply",
                "-config",
                self.folder / "tsa.cnf",
                "-queryfile",
                asked,
                "-out",
                answer,
            ]
            subprocess.run(command, check=False, capture_output=True)
            return self.after(answer.read_bytes() if answer.exists() else b"")


@contextlib.contextmanager
def outside_authority(folder: Path) -> Iterator[OutsideAuthority]:
    """Serve one on a free port for the length of the block."""
    tsa = OutsideAuthority(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["content-type"] == "application/timestamp-query"
            body = tsa.reply(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(tsa.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    tsa.url = f"http://127.0.0.1:{server.server_port}/tsa"
    try:
        yield tsa
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

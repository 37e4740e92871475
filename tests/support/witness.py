"""A real witness for tests: a process of its own, in a folder of its own, on a port of its own.

with witnessing(folder / "w") as witness:     # made if it is not there
    witness.follow(trust_file)
    witness.policy(quorum="w1")               # the lines of a policy file
    witness.kill()                            # kill -9; start() brings it back on the same port
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from archive.kernel.clock import SystemClock
from archive.ledger.note import VerifierKey
from archive.ledger.trustfile import TrustFile
from archive.ledger.witness import create_witness, open_witness

ROOT = Path(__file__).parents[2]


class WitnessProcess:
    """One witness."""

    def __init__(self, folder: Path, *, name: str = "witness.example/w1", command: Sequence[str] = ()) -> None:
        self.folder = folder
        self._command = command or (sys.executable, "-m", "archive.cli", "log", "witness", "serve")
        if not folder.exists():
            create_witness(folder, name=name, clock=SystemClock())
        self.keys: tuple[VerifierKey, ...] = open_witness(folder, clock=SystemClock()).keys
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        port = str(urlsplit(self.address).port or 0)
        self._process = subprocess.Popen(
            [*self._command, "--home", str(self.folder), "--port", port],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("LIUHEN_")},
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the witness did not start"
        self.address = line.split()[-1]

    def kill(self) -> None:
        """Kill -9."""
        self.end(signal.SIGKILL)

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(by)
            self._process.communicate(timeout=20)
            self._process = None

    def wait(self) -> int:
        """Wait until it has ended by itself."""
        assert self._process is not None
        self._process.communicate(timeout=20)
        code, self._process = self._process.returncode, None
        return code

    def follow(self, trust: TrustFile) -> None:
        store = open_witness(self.folder, clock=SystemClock()).store
        for key in trust.logs:
            store.add_log(key)

    def policy(self, quorum: str = "w1", *, key: int = 0, with_url: bool = True) -> str:
        """The lines of a policy with this one witness."""
        url = f" {self.address}" if with_url else ""
        return f"witness w1 {self.keys[key]}{url}\nquorum {quorum}\n"

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
        """Status, content type and body of an answer."""
        place = urlsplit(self.address)
        with contextlib.closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)) as connection:
            connection.request(method, path, body=body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type", ""), answer.read()

    def add(self, body: bytes) -> tuple[int, str, bytes]:
        return self.request("POST", "/add-checkpoint", body)

    def health(self) -> Any:
        return json.loads(self.request("GET", "/health")[2])


@contextlib.contextmanager
def witnessing(folder: Path, **given: Any) -> Iterator[WitnessProcess]:
    """Run a witness for the length of the block."""
    witness = WitnessProcess(folder, **given)
    witness.start()
    try:
        yield witness
    finally:
        witness.end(signal.SIGKILL)

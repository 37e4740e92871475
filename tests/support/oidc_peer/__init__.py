"""An OpenID Connect provider that others have certified, as a program that tests run beside ours."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.tus_peer.install import PeerUnavailable, find_node, script
from tests.support.tus_peer.server import first_line, stop

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class OidcPeer:
    """A running provider: its address, which is also its issuer."""

    url: str
    process: subprocess.Popen[bytes]

    def configure(self, client: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell it, once, its client and its people by the names that they sign in with, each with claims."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"client": client, "people": people}).encode() + b"\n")
        self.process.stdin.flush()
        if not first_line(self.process):
            raise PeerUnavailable("The provider did not take its configuration")


@contextmanager
def oidc_peer() -> Iterator[OidcPeer]:
    """Run the provider on a free port until the block ends. Raises: PeerUnavailable."""
    command = [find_node().executable, str(script("server.mjs", folder=HERE))]
    environment = {**os.environ, "NODE_ENV": "production"}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        ) as process,
    ):
        try:
            line = first_line(process)
            if not line:
                process.kill()
                process.wait()
                errors.seek(0)
                raise PeerUnavailable(f"The provider did not start:\n{errors.read().decode(errors='replace')}")
            yield OidcPeer(json.loads(line)["url"], process)
        finally:
            stop(process)

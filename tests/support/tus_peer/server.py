"""The official Node tus server with its file store, as a child process."""

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.tus_peer.install import PeerUnavailable, find_node, script

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class NodePeer:
    """A running Node tus server: its creation URL, its process id, and the folder that holds its uploads."""

    url: str
    pid: int
    directory: Path

    def content(self, upload_url: str) -> bytes:
        """Read the bytes that the file store holds for an upload, behind the server's back."""
        return (self.directory / urlsplit(upload_url).path.rpartition("/")[2]).read_bytes()


@contextmanager
def node_peer(
    directory: Path, *, max_size_bytes: int | None = None, expire_after_s: int | None = None
) -> Iterator[NodePeer]:
    """Run the Node tus server over `directory` on a free port until the block ends.

    Raises: PeerUnavailable.
    """
    command = [find_node().executable, str(script("server.mjs")), str(directory)]
    if max_size_bytes is not None:
        command += ["--max-size", str(max_size_bytes)]
    if expire_after_s is not None:
        command += ["--expire-after-s", str(expire_after_s)]
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
                raise PeerUnavailable(f"The Node server did not start:\n{errors.read().decode(errors='replace')}")
            yield NodePeer(url=json.loads(line)["url"], pid=process.pid, directory=directory)
        finally:
            stop(process)


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """Give the next line that a program prints, nothing where it prints none within a minute."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(START_TIMEOUT_S) else b""


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program that ends with its standard input."""
    assert process.stdin is not None
    process.stdin.close()  # the server ends when its standard input does
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()

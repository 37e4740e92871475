"""nginx before a running archive, with the very files of `docker/nginx`, on free ports.

with proxied(folder, sockets=[...], renditions=home / "renditions", tls=home / "ca" / "tls.pem") as proxy:
    httpx.get(proxy.address + "/api/v1/health", verify=...)
"""

import contextlib
import os
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).parents[2] / "docker" / "nginx"
_START_S = 30


@dataclass(frozen=True)
class Proxy:
    """A running nginx."""

    port: int
    pki_port: int
    folder: Path

    @property
    def address(self) -> str:
        """Where it serves HTTPS."""
        return f"https://127.0.0.1:{self.port}"

    def log(self) -> str:
        """Return all that it has written."""
        return (self.folder / "nginx.log").read_text("utf-8", "replace")


class _EnvSubst(string.Template):
    """Fills in `${NAME}` as the image's envsubst does with a filter: `$name` is nginx's own."""

    pattern = r"\$\{(?P<braced>PROXY_[A-Z_]+)\}|(?P<escaped>(?!))|(?P<named>(?!))|(?P<invalid>(?!))"  # type: ignore[assignment]


@contextlib.contextmanager
def proxied(folder: Path, *, upstreams: Sequence[str], renditions: Path, tls: Path, more: str = "") -> Iterator[Proxy]:
    """Run nginx before these upstreams (`unix:/...` or `host:port`); `more` is put into its configuration beside ours."""
    (folder / "conf.d").mkdir(parents=True)
    port, pki_port = free_ports(2)
    values = {
        "PROXY_UPSTREAMS": " ".join(f"server {each};" for each in upstreams),
        "PROXY_LISTEN": f"127.0.0.1:{port}",
        "PROXY_LISTEN_PKI": f"127.0.0.1:{pki_port}",
        "PROXY_TLS_CHAIN": str(tls),
        "PROXY_TLS_KEY": str(tls),
        "PROXY_RENDITIONS": str(renditions),
    }
    shutil.copy(FILES / "nginx.conf", folder / "nginx.conf")
    template = (FILES / "templates" / "liuhen.conf.template").read_text("utf-8")
    (folder / "conf.d" / "liuhen.conf").write_text(_EnvSubst(template).substitute(values), "utf-8")
    if more:
        (folder / "conf.d" / "more.conf").write_text(more, "utf-8")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    # Its workers must read what is ours; in a container all of it runs as the archive's user.
    given = f"daemon off;{' user root;' if os.geteuid() == 0 else ''}"
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", given]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    proxy = Proxy(port, pki_port, folder)
    try:
        until = time.monotonic() + _START_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(proxy.log()[-2000:])
            time.sleep(0.02)
        yield proxy
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

"""Ask every web process of this container whether it is well; exit 0 only if each says so.

On their own sockets where there are any (LIUHEN_WEB_SOCKETS), else where the server says that it listens.
"""

import http.client
import os
import socket
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

PATH = "/api/v1/health"
TIMEOUT_S = 5


class SocketConnection(http.client.HTTPConnection):
    """A connection to a socket of the file system."""

    def __init__(self, path: Path) -> None:
        """Name the socket."""
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def connections() -> list[http.client.HTTPConnection]:
    """Return a connection to each that must answer."""
    home, sockets = Path(os.environ.get("LIUHEN_HOME", "liuhen-home")), os.environ.get("LIUHEN_WEB_SOCKETS")
    if sockets:
        count = int(os.environ.get("LIUHEN_WEB_PROCESSES", "1"))
        return [SocketConnection(Path(sockets) / f"web-{number}.sock") for number in range(count)]
    address = urlsplit((home / "run" / "address").read_text("ascii").strip())
    port = address.port or 443
    if address.scheme == "http":
        return [http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)]
    context = ssl.create_default_context(cafile=str(home / "ca" / "root.cert.pem"))
    context.check_hostname = False  # it is asked on this machine, by whatever name it has
    return [http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)]


def main() -> int:
    """Ask, and tell what did not answer."""
    try:
        for connection in connections():
            connection.request("GET", PATH)
            status = connection.getresponse().status
            connection.close()
            if status != http.client.OK:
                sys.stderr.write(f"a web process answers {status}\n")
                return 1
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stderr.write(f"a web process does not answer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A way to a server on this machine that can fall silent: connections stay open, and nothing passes any more.

That is what a firewall does that has forgotten a connection, or a machine that has vanished.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable


class SilentProxy:
    """Passes bytes both ways between whoever connects and a port of the loopback; new connections always pass."""

    def __init__(self, port: Callable[[], int]) -> None:
        """Listen on a free port; `port` says where the server is now."""
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._silenced = threading.Event()
        self._open: list[threading.Event] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._listener.getsockname()[1])

    def fall_silent(self) -> int:
        """Let nothing pass on the connections that are open now; return how many there are."""
        before, self._open = self._open, []
        for silenced in before:
            silenced.set()
        return len(before)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                silenced = threading.Event()
                self._open.append(silenced)
                threading.Thread(target=self._pass, args=(near, silenced), daemon=True).start()

    def _pass(self, near: socket.socket, silenced: threading.Event) -> None:
        there = ("127.0.0.1", self._target())
        with (
            near,
            contextlib.suppress(OSError),
            socket.create_connection(there) as far,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select(0.5):
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(65536)
                    if silenced.is_set():
                        threading.Event().wait()  # for as long as this process lives
                    if not data:
                        return
                    key.data.sendall(data)

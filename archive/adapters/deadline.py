"""One time limit for a whole exchange over a socket: limits of single reads do not stop who sends a byte a second."""

import contextlib
import socket
import threading
from typing import Self


class Deadline:
    """Shuts a socket when the time is over."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        """Watch over a connected socket; the time runs from entering the block."""
        sock.settimeout(timeout_s)
        # Not the TLS socket that takes over the number: it would forget its encryption before the socket is shut.
        self._twin = sock.dup()
        self._timer = threading.Timer(timeout_s, self._end)
        self.is_over = False

    def __enter__(self) -> Self:
        """Let the time run."""
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the time."""
        self._timer.cancel()
        self._timer.join()
        self._twin.close()

    def _end(self) -> None:
        self.is_over = True
        with contextlib.suppress(OSError):
            self._twin.shutdown(socket.SHUT_RDWR)

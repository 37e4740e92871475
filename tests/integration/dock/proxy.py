"""A bad line between dock and archive: it cuts, holds, and flips bytes on their way to the server."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_BLOCK = 64 * 1024
_SMALL_BUFFER = 128 * 1024


@dataclass
class Line:
    """What the line does to what is sent to the server. Counts are of bytes, headers included.

    `cut_every`: reset a connection after so many bytes; `hold_at`: stop forwarding after so many bytes in all, until
    `release`; `flip_at`: flip one bit of that byte, once; `is_dead`: refuse whoever comes.
    """

    port: int
    cut_every: int | None = None
    hold_at: int | None = None
    flip_at: int | None = None
    is_dead: bool = False
    cuts: int = 0
    passed: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def release(self) -> None:
        """Let through what is held, and everything after it."""
        self.hold_at = None
        self._released.set()

    def cut(self) -> None:
        """Reset every connection now."""
        for end in list(self._open):
            _reset(end)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        self._open |= {client, server}
        back = threading.Thread(target=_forward, args=(server, client), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            self._to_server(client, server)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)  # what was let through arrives; only the dock is reset
        _reset(client)
        back.join()
        _reset(server)
        self._open -= {client, server}

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        here = 0
        while block := client.recv(_BLOCK):
            if self.cut_every is not None and here + len(block) > self.cut_every:
                server.sendall(block[: self.cut_every - here])
                self.cuts += 1
                return
            if self.hold_at is not None and self.passed + len(block) > self.hold_at:
                self.held.set()
                self._released.wait()
            if self.flip_at is not None and self.passed <= self.flip_at < self.passed + len(block):
                at = self.flip_at - self.passed
                block = block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
                self.flip_at = None
            server.sendall(block)
            here += len(block)
            self.passed += len(block)


@contextlib.contextmanager
def bad_line(server_address: str) -> Iterator[Line]:
    """A line to the server, on a free port."""
    target = ("127.0.0.1", int(server_address.rpartition(":")[2]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Small buffers, so that what the line holds back is held at the dock and not in the kernel.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        line = Line(listener.getsockname()[1])
        accepting = threading.Thread(target=_accept, args=(listener, line, target), daemon=True)
        accepting.start()
        yield line
        line.release()
        line.cut()
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def _accept(listener: socket.socket, line: Line, target: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            if line.is_dead:
                _reset(client)
                continue
            try:
                server = socket.create_connection(target)
            except OSError:
                _reset(client)
                continue
            threading.Thread(target=line.carry, args=(client, server), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()

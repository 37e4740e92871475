"""A way to a server on this machine that can be cut and healed, as a network is.

with CutProxy(lambda: port) as way:
    way.cut()       # nothing passes; who connects gets no answer
    way.heal()      # what was under way goes on, late
    way.forget()    # connections that are open stay silent for ever, new ones pass
    way.reset()     # connections are torn down, and so is every new one until `heal`

What is cut is not even acknowledged: the kernel drops every packet that comes to the proxy's sockets (a filter of the
socket that takes none), so both ends find out as they would from a cable that was pulled, by their own time limits.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

_BLOCK_BYTES: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST and drops what was not sent."""
_ATTACH_FILTER: Final = 26
_DETACH_FILTER: Final = 27
_TAKE_NONE: Final = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
"""A program of one instruction: return 0, that is, nothing of the packet."""
_PROGRAM: Final = struct.pack("HL", 1, ctypes.addressof(_TAKE_NONE))


def _deafen(end: Any) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)


def _hear(end: Any) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


class _Link:
    """One connection and its way on."""

    def __init__(self) -> None:
        self.is_forgotten = False
        self.ports = (0, 0)
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def ends(self) -> list[Any]:
        return [writer.get_extra_info("socket") for writer in self.writers]

    def tear(self) -> None:
        for writer, end in zip(self.writers, self.ends, strict=True):
            _hear(end)
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class CutProxy:
    """Passes bytes both ways between whoever connects and a port of the loopback."""

    def __init__(self, port: Callable[[], int]) -> None:
        """Listen on a free port; `port` says where the server is now."""
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cut-proxy", daemon=True)
        self._thread.start()
        self._links: set[_Link] = set()
        self._passes = asyncio.Event()
        self._resets = False
        self._server: asyncio.Server = self._do(self._begin())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> int:
        """Let nothing pass until `heal`; return on how many connections."""
        return self._do(self._cut())

    def heal(self) -> None:
        """Let everything pass again."""
        self._do(self._heal())

    def forget(self) -> int:
        """Let nothing pass on the connections that are open now, ever; return how many there are."""
        return self._do(self._forget())

    def reset(self) -> int:
        """Tear down what is open, and what comes, until `heal`; return how many were open."""
        return self._do(self._reset())

    def near_port(self, far_port: int) -> int | None:
        """Return from which port the connection comes that the server sees coming from this one."""
        return next((near for near, far in (link.ports for link in list(self._links)) if far == far_port), None)

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _begin(self) -> asyncio.Server:
        self._passes.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=4 * _BLOCK_BYTES)

    async def _cut(self) -> int:
        self._passes.clear()
        for end in self._all_ends():
            _deafen(end)
        return len(self._links)

    async def _heal(self) -> None:
        self._resets = False
        for end in (
            *self._server.sockets,
            *(end for link in self._links if not link.is_forgotten for end in link.ends),
        ):
            _hear(end)
        self._passes.set()

    async def _forget(self) -> int:
        for link in self._links:
            link.is_forgotten = True
            for end in link.ends:
                _deafen(end)
        return len(self._links)

    def _all_ends(self) -> list[Any]:
        return [*self._server.sockets, *(end for link in self._links for end in link.ends)]

    async def _reset(self) -> int:
        self._resets, links = True, list(self._links)
        for link in links:
            link.tear()
        return len(links)

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        link = _Link()
        link.writers.append(near_out)
        if self._resets:
            link.tear()
            return
        self._links.add(link)
        try:
            await self._passes.wait()
            far_in, far_out = await asyncio.open_connection("127.0.0.1", self._target(), limit=4 * _BLOCK_BYTES)
            link.writers.append(far_out)
            link.ports = (near_out.get_extra_info("peername")[1], far_out.get_extra_info("sockname")[1])
            await asyncio.gather(self._pass(link, near_in, far_out), self._pass(link, far_in, near_out))
        except (OSError, asyncio.CancelledError):  # a task that ends cancelled is told as an error of the stream's
            link.tear()
        finally:
            self._links.discard(link)
            for writer in link.writers:
                writer.close()

    async def _pass(self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while True:
            data = await source.read(_BLOCK_BYTES)
            await self._passes.wait()
            if link.is_forgotten:
                await asyncio.Event().wait()
            if not data:
                break
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            sink.write_eof()

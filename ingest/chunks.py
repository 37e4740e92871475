"""Bytes as they come over the wire: gathered to blocks, hashed and written in threads, kept durable on the way.

Network blocks of about 256 KiB are gathered to 2 MiB; while one block is hashed and written in threads, the next is
read. Memory per stream is two blocks, whatever its length.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

from archive.kernel.digests import Hasher
from ingest.errors import ChecksumMismatch, HeldBack, TooLong
from ingest.staging import write_all
from ingest.turns import finished

_BLOCK_BYTES: Final = 2 * 1024 * 1024
_MOST_PIECES: Final = 1024
"""A block of very small pieces is not waited for: each piece costs far more than its bytes."""
_DURABLE_EVERY_BYTES: Final = 64 * 1024 * 1024


class Disconnected(Exception):
    """The client went away in mid-chunk; the body iterator raises it."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """The tus checksum of one chunk. Source: tus 1.0, extension checksum."""

    algorithm: str
    value: bytes


@dataclass(slots=True)
class Held:
    """A staged file that this process feeds, and its digests so far."""

    fd: int
    offset_bytes: int
    hasher: Hasher


class Chunk:
    """One request's bytes: hands a block to the threads while the next is gathered.

    Beside that the disk is kept busy: what is written is synced in the background, so that the last fsync is short and
    a crash late in a huge chunk costs little. `also` are further sinks for every byte (anything with `update`).
    """

    def __init__(
        self,
        executor: Executor,
        held: Held,
        checksum: Checksum | None,
        make_durable: Callable[[int], None],
        *,
        also: tuple[Any, ...] = (),
    ) -> None:
        """Feed `held`; `make_durable` syncs the file up to an offset."""
        self._checksum = checksum
        self._executor = executor
        self._held = held
        self._hash = None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
        self._sinks = [*held.hasher.parts.values(), *([] if self._hash is None else [self._hash]), *also]
        self._running: list[asyncio.Future[None]] = []
        self._make_durable = make_durable
        self._syncing: asyncio.Future[None] | None = None
        self._synced_bytes = held.offset_bytes

    async def push(self, pieces: list[bytes], count: int) -> None:
        """Start work on a block, when the one before it is done. Raises: StorageFull from the block before."""
        blocks, self._running = self._running, []
        await finished(blocks)
        self._keep_durable()
        if not count:
            return
        loop, held = asyncio.get_running_loop(), self._held
        at_byte = held.offset_bytes
        self._running = [
            loop.run_in_executor(self._executor, lambda: write_all(held.fd, pieces, at_byte=at_byte)),
            *(loop.run_in_executor(self._executor, _absorb, sink, pieces) for sink in self._sinks),
        ]
        held.offset_bytes += count
        held.hasher.size_bytes += count

    async def close(self) -> None:
        """Wait until every block is hashed and written and no sync is under way. Raises: StorageFull."""
        tasks, self._running = [*self._running, *([self._syncing] if self._syncing else [])], []
        self._syncing = None
        await finished(tasks)

    def _keep_durable(self) -> None:
        written = self._held.offset_bytes
        if self._syncing is not None and self._syncing.done():
            done, self._syncing = self._syncing, None
            done.result()
        if self._syncing is None and written - self._synced_bytes >= _DURABLE_EVERY_BYTES:
            self._synced_bytes = written
            self._syncing = asyncio.get_running_loop().run_in_executor(self._executor, self._make_durable, written)

    def verify(self) -> None:
        """Compare the chunk with its checksum, if it has one. Raises: ChecksumMismatch."""
        if self._hash is not None and self._checksum is not None and self._hash.digest() != self._checksum.value:
            raise ChecksumMismatch


async def pour(most_bytes: int, body: AsyncIterator[bytes], chunk: Chunk) -> None:
    """Push a body into a chunk, block by block. Raises: TooLong, Disconnected, HeldBack, StorageFull."""
    gathered: list[bytes] = []
    count = 0
    try:
        async for piece in body:
            gathered.append(piece)
            count += len(piece)
            most_bytes -= len(piece)
            if most_bytes < 0:
                raise TooLong
            if count >= _BLOCK_BYTES or len(gathered) >= _MOST_PIECES:
                await chunk.push(gathered, count)
                gathered, count = [], 0
    except (Disconnected, HeldBack, asyncio.CancelledError):
        await chunk.push(gathered, count)
        raise
    await chunk.push(gathered, count)


def _absorb(sink: Any, pieces: list[bytes]) -> None:
    for piece in pieces:
        sink.update(piece)

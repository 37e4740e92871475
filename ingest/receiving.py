"""Receiving the bytes of uploads: one pass over the wire, digests in threads side by side with the write.

How the bytes flow stands in `ingest.chunks`. The asyncio side never touches disk or database itself.
"""

import asyncio
import contextlib
import contextvars
import fcntl
import functools
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from archive.kernel.digests import DigestSet, Hasher, absorb
from archive.kernel.ids import UploadId
from archive.meters import meters
from ingest.accept import finish_upload
from ingest.chunks import Checksum, Chunk, Disconnected, Held, pour
from ingest.context import Intake
from ingest.errors import HeldBack, IntakeBusy, OffsetConflict, Quarantined, StagedBytesLost, UploadTakenOver
from ingest.staging import full_disk_named, staged_path, sync
from ingest.turns import Turns, finished
from ingest.uploads import UploadState, record_offset

_BUSY_TRIES: Final = 20
_BUSY_PAUSE_S: Final = 0.25
_MOST_OPEN: Final = 256

Result = TypeVar("Result")


class Receiver:
    """Feeds uploads in this process. One per event loop."""

    def __init__(self, intake: Intake, executor: Executor) -> None:
        """Use `executor` for hashing, writing, fsync and database; give it a handful of threads."""
        self._intake = intake
        self._executor = executor
        self._open: dict[UploadId, Held] = {}
        self._turns = Turns()

    async def settled(self, upload_id: UploadId, load: Callable[[], UploadState]) -> UploadState:
        """Return the state of an upload after ending the request that still feeds it.

        If that request had brought the last byte, the upload is finished first.
        """
        with contextlib.suppress(UploadTakenOver, Quarantined):
            async with self._turns.take(upload_id):
                if (await self.run(load)).state == "complete":
                    await self._complete(upload_id)
        # Somebody newer may have it now; what is stored is durable all the same.
        return await self.run(load)

    async def append(
        self,
        upload_id: UploadId,
        load: Callable[[], UploadState],
        body: AsyncIterator[bytes],
        *,
        offset_bytes: int,
        checksum: Checksum | None = None,
    ) -> int:
        """Append a chunk to the upload and return the durable offset.

        Guarantees: bytes are fsynced before the offset is stored or returned. When the last byte is there the upload
            is finished: on return its item and log entry are committed.
        Raises: OffsetConflict, ChecksumMismatch (the chunk is dropped), UploadTakenOver, StorageFull, DigestMismatch,
            ManifestUntrusted; TooLong when the body is longer than what is missing (the chunk is dropped); HeldBack
            from the body (what came is kept).
        """
        async with self._turns.take(upload_id):
            state = await self.run(load)
            if offset_bytes != state.offset_bytes:
                raise OffsetConflict(offset_bytes=state.offset_bytes)
            if state.state == "complete":
                await self._complete(upload_id)
            if not state.is_open:
                return state.offset_bytes
            held = self._open.get(upload_id)
            if held is None or held.offset_bytes != state.offset_bytes:
                self._forget(upload_id)
                await self.run(self._reopen, state, load)
                held = self._open[upload_id]
            await self._feed(state, held, body, checksum)
            if held.offset_bytes == state.size_bytes:
                await self._complete(upload_id)
            self._shed()
            return held.offset_bytes

    async def finish(self, upload_id: UploadId) -> None:
        """Finish an upload that was complete when the process before us died. Raises: as `append`."""
        async with self._turns.wait(upload_id):
            await self._finish(upload_id, None)

    async def abandon(self, upload_id: UploadId, end: Callable[[], None]) -> None:
        """Stop feeding an upload, forget it, and run `end`. Raises: UploadTakenOver, and what `end` raises."""
        async with self._turns.take(upload_id):
            self._turns.settle(upload_id)
            self._forget(upload_id)
            await self.run(end)

    async def run(self, work: Callable[..., Result], *args: Any) -> Result:
        """Run blocking work in the receiver's threads, to its end even when this request is cancelled."""
        # In the request's context, so that its id and its trace are known there too.
        bound = functools.partial(contextvars.copy_context().run, work, *args)
        task = asyncio.get_running_loop().run_in_executor(self._executor, bound)
        await finished([task])
        return task.result()

    async def _feed(
        self, state: UploadState, held: Held, body: AsyncIterator[bytes], checksum: Checksum | None
    ) -> None:
        make_durable, began = functools.partial(self._make_durable, state, held), held.offset_bytes
        chunk = Chunk(self._executor, held, checksum, functools.partial(make_durable, is_recorded=checksum is None))
        try:
            try:
                await pour(state.size_bytes - held.offset_bytes, body, chunk)
            finally:
                await chunk.close()
            chunk.verify()
            await self.run(functools.partial(make_durable, held.offset_bytes, is_recorded=True))
            meters().intake_bytes.inc(held.offset_bytes - began)
        except (Disconnected, HeldBack, asyncio.CancelledError):
            # What arrived stays; only a chunk whose checksum cannot be known any more is dropped.
            if checksum is None:
                await self.run(functools.partial(make_durable, held.offset_bytes, is_recorded=True))
                meters().intake_bytes.inc(held.offset_bytes - began)
            else:
                self._forget(state.id)
            raise
        except BaseException:
            # Memory may be ahead of what is durable: start again from the stored offset.
            self._forget(state.id)
            raise

    def _make_durable(self, state: UploadState, held: Held, offset_bytes: int, *, is_recorded: bool) -> None:
        sync(held.fd)
        if is_recorded:
            record_offset(self._intake, state.id, offset_bytes=offset_bytes)

    def _reopen(self, state: UploadState, load: Callable[[], UploadState]) -> None:
        """Open the staged file at its durable offset; what lies beyond was never acknowledged and is cut off.

        The lock is for another process: a web process may outlive its supervisor by some seconds, while the next one
        serves already. What was read of the upload before the lock was ours is looked up again.
        Raises: IntakeBusy while the other process has the file, OffsetConflict when it got further, StagedBytesLost.
        """
        try:
            fd = os.open(staged_path(self._intake.staging, state.id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as exc:
            raise StagedBytesLost(upload_id=state.id, offset_bytes=state.offset_bytes) from exc
        try:
            hasher = self._owned(fd, state, load)
        except BaseException:
            os.close(fd)
            raise
        self._open[state.id] = Held(fd, state.offset_bytes, hasher)

    def _owned(self, fd: int, state: UploadState, load: Callable[[], UploadState]) -> Hasher:
        """Lock the staged file, cut it back to its durable offset, and return the digests up to there."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise IntakeBusy("Another process still receives this upload; try again") from exc
        now = load()
        if now.offset_bytes != state.offset_bytes or not now.is_open:
            raise OffsetConflict(offset_bytes=now.offset_bytes)
        hasher = Hasher(self._intake.algorithms)
        # hashlib's state cannot be stored: what is there is read again, never believed.
        with full_disk_named(), os.fdopen(fd, "rb", buffering=0, closefd=False) as staged:
            if os.fstat(fd).st_size > state.offset_bytes:
                os.ftruncate(fd, state.offset_bytes)
            absorb(staged, hasher, length=state.offset_bytes)
        if hasher.size_bytes != state.offset_bytes:
            raise StagedBytesLost(upload_id=state.id, offset_bytes=state.offset_bytes)
        return hasher

    async def _complete(self, upload_id: UploadId) -> None:
        """Finish an upload whose bytes are all durable, with the digests in memory if they cover them."""
        self._turns.settle(upload_id)
        held = self._open.get(upload_id)
        digests = None if held is None else held.hasher.digests()
        self._forget(upload_id)
        await self._finish(upload_id, digests)

    async def _finish(self, upload_id: UploadId, digests: DigestSet | None) -> None:
        for _ in range(_BUSY_TRIES):
            try:
                return await self.run(lambda: finish_upload(self._intake, upload_id, digests=digests))
            except IntakeBusy:
                await asyncio.sleep(_BUSY_PAUSE_S)
        # The bytes are durable and the sweep will finish them; the receipt stays pending until then.
        return None

    def _forget(self, upload_id: UploadId) -> None:
        held = self._open.pop(upload_id, None)
        if held is not None:
            os.close(held.fd)

    def _shed(self) -> None:
        """Close the uploads that were opened first when too many are; they are re-hashed when they go on."""
        for upload_id in list(self._open)[: max(0, len(self._open) - _MOST_OPEN)]:
            if not self._turns.is_taken(upload_id):
                self._forget(upload_id)

"""Receiving the bytes of uploads: one pass over the wire, digests in threads side by side with the write.

How the bytes flow stands in `ingest.chunks`. The asyncio side never touches disk or database itself.

Several processes may serve one archive, and a sender may come to another one at any time. The staged file is locked
while a request feeds it, and not between requests; what is kept in between is the state of the digests, which is good
as long as the stored offset is the one that it covers: bytes below a stored offset never change. A process that has no
such state reads them again.
"""

import asyncio
import contextlib
import contextvars
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
from ingest.errors import (
    HeldBack,
    IntakeBusy,
    OffsetConflict,
    Quarantined,
    StagedBytesLost,
    UploadElsewhere,
    UploadTakenOver,
)
from ingest.staged_lock import StagedLock
from ingest.staging import full_disk_named, staged_path, sync
from ingest.turns import Turns, finished
from ingest.uploads import UploadState, record_offset

_BUSY_TRIES: Final = 20
_BUSY_PAUSE_S: Final = 0.25
_MOST_OPEN: Final = 256
_HANDOVER_S: Final = 30.0
"""How long another process may take to make durable what it has, or to finish; then the sender is to come again."""
_LOOK_S: Final = 0.05
_WATCH_S: Final = 0.25

Result = TypeVar("Result")


class Receiver:
    """Feeds uploads in this process. One per event loop."""

    def __init__(self, intake: Intake, executor: Executor) -> None:
        """Use `executor` for hashing, writing, fsync and database; give it a handful of threads."""
        self._intake = intake
        self._executor = executor
        self._open: dict[UploadId, Hasher] = {}
        self._turns = Turns()

    async def settled(self, upload_id: UploadId, load: Callable[[], UploadState]) -> UploadState:
        """Return the state of an upload after ending the request that still feeds it, in whichever process.

        If that request had brought the last byte, the upload is finished first.
        Raises: IntakeBusy while another process makes durable what it has; UploadElsewhere.
        """
        with contextlib.suppress(UploadTakenOver, Quarantined):
            async with self._turns.take(upload_id):
                try:
                    async with self._entered(upload_id, load) as (state, _):
                        if state.state == "complete":
                            await self._complete(state)
                except IntakeBusy:
                    if (await self.run(load)).is_open:
                        raise
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
            ManifestUntrusted; TooLong when the body is longer than what is missing (the chunk is dropped); IntakeBusy
            and UploadElsewhere as `settled`; HeldBack from the body (what came is kept).
        """
        async with self._turns.take(upload_id), self._entered(upload_id, load) as (state, lock):
            if offset_bytes != state.offset_bytes:
                raise OffsetConflict(offset_bytes=state.offset_bytes)
            if state.state == "complete":
                await self._complete(state)
            if not state.is_open:
                return state.offset_bytes
            if lock.fd < 0:
                raise StagedBytesLost(upload_id=upload_id, offset_bytes=state.offset_bytes)
            await self.run(self._cut_back, state, lock.fd)
            held = Held(lock.fd, state.offset_bytes, self._open.pop(upload_id))
            await self._feed(state, held, body, checksum, lock)
            if held.offset_bytes == state.size_bytes:
                await self._complete(state)
            self._shed()
            return held.offset_bytes

    async def finish(self, upload_id: UploadId) -> None:
        """Finish an upload whose bytes are all durable, unless somebody is about it already. Raises: as `append`."""
        async with self._turns.wait(upload_id):
            lock = StagedLock(staged_path(self._intake.staging, upload_id))
            try:
                # Without its file it is finished, or lost: which of them, is seen there.
                with contextlib.suppress(FileNotFoundError):
                    if not await self.run(lock.begin_alone):
                        return
                await self._finish(upload_id, None)
            finally:
                lock.close()

    async def abandon(self, upload_id: UploadId, end: Callable[[], None]) -> None:
        """Stop feeding an upload, forget it, and run `end`. Raises: UploadTakenOver, IntakeBusy, what `end` raises."""
        async with self._turns.take(upload_id):
            self._turns.settle(upload_id)
            self._forget(upload_id)
            lock = StagedLock(staged_path(self._intake.staging, upload_id))
            try:
                with contextlib.suppress(FileNotFoundError):
                    if not await self.run(lock.begin):
                        await self._wait(lock)
                await self.run(end)
            except BlockingIOError as exc:
                raise IntakeBusy("Another request waits for this upload already; try again") from exc
            finally:
                lock.close()

    async def run(self, work: Callable[..., Result], *args: Any) -> Result:
        """Run blocking work in the receiver's threads, to its end even when this request is cancelled."""
        # In the request's context, so that its id and its trace are known there too.
        bound = functools.partial(contextvars.copy_context().run, work, *args)
        task = asyncio.get_running_loop().run_in_executor(self._executor, bound)
        await finished([task])
        return task.result()

    @contextlib.asynccontextmanager
    async def _entered(
        self, upload_id: UploadId, load: Callable[[], UploadState]
    ) -> AsyncIterator[tuple[UploadState, StagedLock]]:
        """Have the staged file alone for the length of the block, and where the upload stands then.

        Nothing is open where there is no file, or none is needed. Raises: IntakeBusy, UploadElsewhere; as `load`.
        """
        lock = StagedLock(staged_path(self._intake.staging, upload_id))
        try:
            state = await self.run(self._enter, lock, load)
            if state is None:
                await self._wait(lock)
                state = await self.run(load)
            yield state, lock
        finally:
            lock.close()

    def _enter(self, lock: StagedLock, load: Callable[[], UploadState]) -> UploadState | None:
        """Lock the file where it is free, and return where the upload stands then; None where it must be waited for.

        All in one go: whoever is ended in between, by one that came later, has done nothing.
        """
        state = load()
        if state.state not in {"receiving", "complete"}:
            return state
        if not self._intake.is_here(state.place):
            raise UploadElsewhere(upload_id=state.id)
        try:
            has_it = lock.begin()
        except FileNotFoundError:
            return load()
        except BlockingIOError as exc:
            raise IntakeBusy("Another request waits for this upload already; try again") from exc
        return load() if has_it else None

    async def _wait(self, lock: StagedLock) -> None:
        """Get the lock, being the next one, after whoever has it made way. Raises: IntakeBusy."""
        ends = asyncio.get_running_loop().time() + _HANDOVER_S
        while not await self.run(lock.take):
            if asyncio.get_running_loop().time() > ends:
                raise IntakeBusy("Another process still receives this upload; try again")
            await asyncio.sleep(_LOOK_S)

    async def _feed(
        self,
        state: UploadState,
        held: Held,
        body: AsyncIterator[bytes],
        checksum: Checksum | None,
        lock: StagedLock,
    ) -> None:
        """Take a body in. The digests are kept only where what they cover is what is stored."""
        make_durable, began = functools.partial(self._make_durable, state, held), held.offset_bytes

        def keep_so_far(offset_bytes: int) -> None:
            # The last byte is recorded with the end of the request, which completes the upload.
            make_durable(offset_bytes, is_recorded=checksum is None and offset_bytes < state.size_bytes)

        chunk = Chunk(self._executor, held, checksum, keep_so_far)
        watching = asyncio.create_task(self._make_way(state.id, lock))
        try:
            try:
                await pour(state.size_bytes - held.offset_bytes, body, chunk)
            finally:
                watching.cancel()
                await chunk.close()
            chunk.verify()
        except (Disconnected, HeldBack, asyncio.CancelledError):
            # What arrived stays; only a chunk whose checksum cannot be known any more is dropped.
            if checksum is None:
                await self._keep(state, held, make_durable)
                meters().intake_bytes.inc(held.offset_bytes - began)
            raise
        await self._keep(state, held, make_durable)
        meters().intake_bytes.inc(held.offset_bytes - began)

    async def _keep(self, state: UploadState, held: Held, make_durable: Callable[..., None]) -> None:
        try:
            await self.run(functools.partial(make_durable, held.offset_bytes, is_recorded=True))
        except asyncio.CancelledError:  # it was done to its end all the same
            self._open[state.id] = held.hasher
            raise
        self._open[state.id] = held.hasher

    async def _make_way(self, upload_id: UploadId, lock: StagedLock) -> None:
        """End the turn at an upload when another process waits for it, or has ended the upload."""
        must_end = False
        while not must_end:
            await asyncio.sleep(_WATCH_S)  # the kernel has no event for locks of others
            must_end = await self.run(lock.must_end)
        self._turns.end(upload_id)

    def _make_durable(self, state: UploadState, held: Held, offset_bytes: int, *, is_recorded: bool) -> None:
        sync(held.fd)
        if is_recorded:
            record_offset(self._intake, state.id, offset_bytes=offset_bytes)

    def _cut_back(self, state: UploadState, fd: int) -> None:
        """Cut off what lies behind the durable offset, which was never acknowledged; have the digests up to there.

        They are kept even when the request that wanted them is ended meanwhile: reading again may take long.
        Raises: StagedBytesLost, StorageFull.
        """
        known = self._open.pop(state.id, None)
        is_good = known is not None and known.size_bytes == state.offset_bytes
        hasher = known if known is not None and is_good else Hasher(self._intake.algorithms)
        with full_disk_named(), os.fdopen(fd, "rb", buffering=0, closefd=False) as staged:
            size_bytes = os.fstat(fd).st_size
            if size_bytes < state.offset_bytes:
                raise StagedBytesLost(upload_id=state.id, offset_bytes=state.offset_bytes)
            if size_bytes > state.offset_bytes:
                os.ftruncate(fd, state.offset_bytes)
            if not is_good:
                absorb(staged, hasher, length=state.offset_bytes)
        if hasher.size_bytes != state.offset_bytes:
            raise StagedBytesLost(upload_id=state.id, offset_bytes=state.offset_bytes)
        self._open[state.id] = hasher

    async def _complete(self, state: UploadState) -> None:
        """Finish an upload whose bytes are all durable, with the digests in memory if they cover them."""
        self._turns.settle(state.id)
        known = self._open.pop(state.id, None)
        is_good = known is not None and known.size_bytes == state.size_bytes
        await self._finish(state.id, known.digests() if known is not None and is_good else None)

    async def _finish(self, upload_id: UploadId, digests: DigestSet | None) -> None:
        for _ in range(_BUSY_TRIES):
            try:
                return await self.run(lambda: finish_upload(self._intake, upload_id, digests=digests))
            except IntakeBusy:
                await asyncio.sleep(_BUSY_PAUSE_S)
        # The bytes are durable and the sweep will finish them; the receipt stays pending until then.
        return None

    def _forget(self, upload_id: UploadId) -> None:
        self._open.pop(upload_id, None)

    def _shed(self) -> None:
        """Forget the digests of the uploads that went on longest ago, when there are too many: they are read again."""
        while len(self._open) > _MOST_OPEN:
            self._open.pop(next(iter(self._open)))

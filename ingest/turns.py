"""Whose turn it is: one request at a time has an upload, and whoever asks last gets it.

A half-open connection must not hold an upload, so a newcomer ends the request before it. Blocking work in threads is
never interrupted by that: it uses the file, and the file must not change hands before it is done.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

from archive.kernel.ids import UploadId
from ingest.errors import UploadTakenOver


class Turns:
    """Gives turns at uploads, within one event loop."""

    def __init__(self) -> None:
        """Start with nobody at any upload."""
        self._locks: WeakValueDictionary[UploadId, asyncio.Lock] = WeakValueDictionary()
        self._newest: dict[UploadId, object] = {}
        self._holders: dict[UploadId, asyncio.Task[Any]] = {}
        self._ended: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def take(self, upload_id: UploadId) -> AsyncIterator[None]:
        """Have the upload for the length of the block, after ending whoever has it.

        Raises: UploadTakenOver, when a newer request came before or during the turn.
        """
        me, task = object(), asyncio.current_task()
        self._newest[upload_id] = me
        self.end(upload_id)
        try:
            async with self.wait(upload_id):
                if self._newest.get(upload_id) is not me or task is None:
                    raise UploadTakenOver
                self._holders[upload_id] = task
                try:
                    yield
                except asyncio.CancelledError as exc:
                    if task not in self._ended:
                        raise
                    task.uncancel()
                    raise UploadTakenOver from exc
                finally:
                    self.settle(upload_id)
        finally:
            if self._newest.get(upload_id) is me:
                del self._newest[upload_id]

    @contextlib.asynccontextmanager
    async def wait(self, upload_id: UploadId) -> AsyncIterator[None]:
        """Have the upload when it is free, without ending anybody's turn."""
        lock = self._locks.get(upload_id)
        if lock is None:
            lock = self._locks[upload_id] = asyncio.Lock()
        async with lock:
            yield

    def end(self, upload_id: UploadId) -> None:
        """End the turn of whoever has the upload, unless it is settled already."""
        holder = self._holders.get(upload_id)
        if holder is not None and holder not in self._ended:
            self._ended.add(holder)
            holder.cancel()

    def settle(self, upload_id: UploadId) -> None:
        """Keep the upload to the block's end, but let nobody end the turn any more: what comes now must be done."""
        task = self._holders.pop(upload_id, None)
        if task is not None:
            self._ended.discard(task)


async def finished(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for work in threads and raise what it raised; being cancelled is put off until it is done."""
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as exc:
            cancelled = exc
    for task in tasks:
        task.result()
    if cancelled is not None:
        raise cancelled

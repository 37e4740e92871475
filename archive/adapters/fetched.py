"""Blobs from afar as files on the local disk: fetched once, kept while there is room, the longest unused go first.

Processes share the folder. Whoever reads a file holds a shared flock on it; only a file that nobody holds is removed,
and a file has its name only when it is whole.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from archive.adapters.durable import copy_stream, storage_errors
from archive.kernel.errors import StorageFull
from archive.ports.blobs import StoreBroken

_NEW: Final = ".new"
_ABANDONED_S: Final = 86_400.0


class FetchedBlobs:
    """A folder that holds copies of blobs. Units: at most `most_bytes`, and `reserve_bytes` of the disk stay free."""

    def __init__(self, folder: Path, *, most_bytes: int, reserve_bytes: int) -> None:
        """Take the folder; it is made with the first copy."""
        self._folder, self._most_bytes, self._reserve_bytes = folder, most_bytes, reserve_bytes

    @contextlib.contextmanager
    def file(self, name: str, size_bytes: int, source: contextlib.AbstractContextManager[BinaryIO]) -> Iterator[Path]:
        """Give a blob as a file for the length of the block; `name` is its own in all the world and for ever.

        `source` is opened only where there is no copy yet.
        Raises: StorageFull where it cannot fit, StoreBroken where it has another size; what the source raises.
        """
        with storage_errors():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(name)
        fd = self._held(path) or self._fetch(path, size_bytes, source)
        try:
            os.utime(fd)
            yield path
        finally:
            os.close(fd)

    def give_way(self, wanted_bytes: int) -> None:
        """Remove copies that nobody reads, the longest unused first, until the disk has `wanted_bytes` free."""
        if self._folder.is_dir():
            for _, _, path in sorted(self._copies(), key=lambda found: found[0]):
                if self._free() >= wanted_bytes:
                    return
                _remove_unused(path)

    def forget(self, name: str) -> None:
        """Remove the copy of a blob that is no more; whoever reads it just now reads on."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}{Path(name).suffix[:16]}"

    def _held(self, path: Path) -> int | None:
        """Return the file held against removal; None where it is not there."""
        while True:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)  # it was removed between the two

    def _fetch(self, path: Path, size_bytes: int, source: contextlib.AbstractContextManager[BinaryIO]) -> int:
        self._make_room(size_bytes)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}{_NEW}")
        with storage_errors():
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            with source as stream:
                _require_size(copy_stream(stream, fd), size_bytes)
            with storage_errors():
                fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            os.close(fd)
            raise
        return fd

    def _make_room(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise StorageFull("The setting fetched_bytes is smaller than this file", needed_bytes=size_bytes)
        kept = sorted(self._copies(), key=lambda found: found[0])
        used = sum(size for _, size, _ in kept)
        for _, size, path in kept:
            if used + size_bytes <= self._most_bytes and self._free() >= size_bytes + self._reserve_bytes:
                return
            if _remove_unused(path):
                used -= size
        if used + size_bytes > self._most_bytes or self._free() < size_bytes + self._reserve_bytes:
            raise StorageFull("There is no room on the local disk to fetch this file", needed_bytes=size_bytes)

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                if path.suffix == _NEW and time.time() - found.st_mtime > _ABANDONED_S:
                    path.unlink()
                else:
                    yield found.st_mtime, found.st_size, path

    def _free(self) -> int:
        room = os.statvfs(self._folder)
        return room.f_bavail * room.f_frsize


def _require_size(fetched: int, size_bytes: int) -> None:
    if fetched != size_bytes:
        raise StoreBroken("The store sent another number of bytes than there are", size_bytes=size_bytes)


def _remove_unused(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)

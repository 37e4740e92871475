"""Durable writes on a local POSIX file system.

What returned from here survives a power cut, as far as the disk keeps what fsync promised. An fsync that failed is
never tried again on the same file: the kernel may have dropped the pages and call the second one a success.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from archive.kernel.errors import DISK_FULL, StorageFull
from archive.meters import meters
from archive.ports.blobs import StoreUnavailable

_BLOCK_BYTES: Final = 1024 * 1024
_SCRATCH_SUFFIX: Final = ".tmp"
_DIRECTORY_MODE: Final = 0o750


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what the file system refuses into named errors.

    Raises: StorageFull for ENOSPC and EDQUOT, StoreUnavailable for every other OSError.
    """
    try:
        yield
    except OSError as exc:
        reason = errno.errorcode.get(exc.errno or 0, "unknown")
        meters().store_errors.labels("files", reason).inc()
        if exc.errno in DISK_FULL:
            raise StorageFull(reason=reason) from exc
        raise StoreUnavailable(reason=reason) from exc


def fsync_file(fd: int) -> None:
    """Make the bytes and the mode of an open file durable."""
    os.fsync(fd)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directories(path: Path, *, below: Path) -> None:
    """Make `path` and what is missing between it and `below`, which exists, durable level by level.

    Every level is fsynced, also one that was there: a process that was killed may have made it without. On an error
    the directories that this call made are removed again.
    """
    made: list[Path] = []
    try:
        parent = below
        for segment in path.relative_to(below).parts:
            here = parent / segment
            with contextlib.suppress(FileExistsError):
                here.mkdir(mode=_DIRECTORY_MODE)
                made.append(here)
            fsync_directory(parent)
            parent = here
    except OSError:
        for directory in reversed(made):
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def remove_empty_directories(path: Path, *, below: Path) -> None:
    """Remove `path` and the directories above it, up to but not including `below`, as far as they are empty."""
    while path != below:
        try:
            path.rmdir()
        except OSError:
            return
        path = path.parent
        with contextlib.suppress(FileNotFoundError):
            fsync_directory(path)


def write_all(fd: int, block: bytes | memoryview) -> None:
    """Write the whole block; a short write is continued."""
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(fd, rest) :]


def copy_stream(source: BinaryIO, fd: int) -> int:
    """Copy `source` to its end; return the number of bytes.

    Errors of `source` pass unchanged; those of the target are named (`storage_errors`).
    Units: memory is one block of 1 MiB, whatever the size.
    """
    size_bytes = 0
    while block := source.read(_BLOCK_BYTES):
        with storage_errors():
            write_all(fd, block)
        size_bytes += len(block)
    return size_bytes


@dataclass(frozen=True, slots=True)
class ScratchFile:
    """A file that is being written and has no final name yet."""

    path: Path
    fd: int

    def seal(self, mode: int) -> None:
        """Set the final mode and make everything written so far durable."""
        with storage_errors():
            os.fchmod(self.fd, mode)
            fsync_file(self.fd)


@contextlib.contextmanager
def scratch_file(scratch: Path) -> Iterator[ScratchFile]:
    """Give a fresh file in `scratch`; its name there is gone afterwards, its other names stay.

    The maker holds an exclusive flock on the file as long as it lives: `sweep_scratch` may remove any scratch file that
    it can lock.
    """
    path = scratch / f"{uuid4().hex}{_SCRATCH_SUFFIX}"
    with storage_errors():
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with storage_errors():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield ScratchFile(path, fd)
    finally:
        # A name that cannot be removed now is a leftover for the next sweep; the outcome of the write does not change.
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            os.close(fd)


def sweep_scratch(scratch: Path, *, older_than: timedelta) -> int:
    """Remove the scratch files that dead processes left; return how many.

    `older_than` keeps the sweep away from a file that its maker has just made and not yet locked.
    """
    removed = 0
    for path in sorted(scratch.glob(f"*{_SCRATCH_SUFFIX}")):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(fd).st_mtime >= older_than.total_seconds():
                path.unlink(missing_ok=True)
                removed += 1
        except (BlockingIOError, PermissionError):
            continue
        finally:
            os.close(fd)
    return removed


def replace_file(path: Path, data: bytes, *, scratch: Path, mode: int) -> None:
    """Give `path` the bytes `data`, at once and durably, whether or not it existed.

    `scratch` is a directory on the same file system; it may be the file's own. The file's directory exists.
    Raises: StorageFull, StoreUnavailable; the file is then the old or the new one, whole.
    """
    with scratch_file(scratch) as temp:
        with storage_errors():
            write_all(temp.fd, data)
        temp.seal(mode)
        with storage_errors():
            temp.path.replace(path)
            fsync_directory(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive flock on `path` (made when missing); waits for the holder; the kernel frees it on death."""
    with storage_errors():
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with storage_errors():
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)

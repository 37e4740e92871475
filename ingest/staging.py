"""The staged bytes of an upload: appended to, made durable, cut back, hashed again."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from archive.kernel.errors import DISK_FULL, StorageFull
from archive.kernel.ids import UploadId
from archive.meters import meters

_MOST_VIEWS: Final = 1024
"""IOV_MAX of Linux: more parts in one call are refused, and a slow network brings thousands of small ones."""


def staged_path(staging: Path, upload_id: UploadId) -> Path:
    """Return where the bytes of an upload are."""
    return staging / str(upload_id)


def create_staged(staging: Path, upload_id: UploadId) -> None:
    """Make the empty staged file durable. Raises: StorageFull."""
    with full_disk_named():
        os.close(os.open(staged_path(staging, upload_id), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _sync_directory(staging)


def free_bytes(staging: Path) -> int:
    """Return how much room the disk has."""
    room = os.statvfs(staging)
    return room.f_bavail * room.f_frsize


def remove_staged(staging: Path, upload_id: UploadId) -> None:
    """Remove the staged file; idempotent."""
    staged_path(staging, upload_id).unlink(missing_ok=True)


def write_all(fd: int, parts: Sequence[bytes], *, at_byte: int) -> None:
    """Write `parts` one after the other at an offset. Raises: StorageFull."""
    views = [memoryview(part) for part in parts]
    with full_disk_named():
        while views:
            count = os.pwritev(fd, views[:_MOST_VIEWS], at_byte)
            at_byte += count
            while views and count >= len(views[0]):
                count -= len(views.pop(0))
            if views:
                views[0] = views[0][count:]


def sync(fd: int) -> None:
    """Make what was written durable. Raises: StorageFull."""
    with full_disk_named():
        os.fdatasync(fd)


@contextlib.contextmanager
def full_disk_named() -> Iterator[None]:
    """Turn the operating system's ways to say "disk full" into StorageFull."""
    try:
        yield
    except OSError as exc:
        if exc.errno in DISK_FULL:
            meters().store_errors.labels("staging", errno.errorcode[exc.errno]).inc()
            raise StorageFull from exc
        raise


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

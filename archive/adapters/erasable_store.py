"""The erasable store on a local POSIX file system: blobs of the file system store, blanked in place."""

import os

from archive.adapters.durable import fsync_file, storage_errors
from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.errors import InvalidInput


class ErasableFilesystemStore(FilesystemStore):
    """An `ErasableStore` in a folder. Never give it the immutable flag."""

    def blank(self, key: str, *, offset: int, length: int) -> None:
        """Overwrite with zeros in place, durably; see the port."""
        with self.open(key) as present, storage_errors():
            found = os.fstat(present.fileno())
            if offset < 0 or length < 0 or offset + length > found.st_size:
                raise InvalidInput("The range is not within the blob", offset=offset, length=length)
            # Blobs are read-only, for us as well. A kill leaves the right to write, which nothing relies on.
            os.fchmod(present.fileno(), found.st_mode | 0o200)
            fd = os.open(f"/proc/self/fd/{present.fileno()}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, bytes(length), offset)
                os.fchmod(fd, found.st_mode & ~0o200)
                fsync_file(fd)
            finally:
                os.close(fd)

"""The lock on a staged file: who feeds it, and who waits for it, among processes and hosts that share the folder.

Two locks of the kernel lie behind the end of every file: one is held while somebody feeds, the other by the one that
waits, which tells whoever feeds to make way. Both end with their holder. They belong to an open file and not to a
process, so that two requests of one process are kept apart as well.
"""

import errno
import fcntl
import os
import struct
import threading
from pathlib import Path
from typing import Final

_FEEDING: Final = 1 << 62
_WAITING: Final = _FEEDING + 1
_FLOCK: Final = "hhqqi4x"
"""`struct flock` of Linux on 64 bits: kind, whence, start, length, pid."""
_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES})


class StagedLock:
    """One open staged file and what it holds of the two locks. Blocking; for threads."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._guard = threading.Lock()
        self.fd = -1

    def begin(self) -> bool:
        """Open the file, wait in line, and feed if nobody does; return whether this may feed now.

        False with the file open means that this is the next one: ask `take`. Nobody else can be it meanwhile.
        Raises: FileNotFoundError; BlockingIOError when another one is the next.
        """
        self._open()
        if not _set(self.fd, _WAITING):
            raise BlockingIOError(errno.EAGAIN, "somebody else waits for this file")
        return self.take()

    def begin_alone(self) -> bool:
        """Open the file and feed if nobody does or wants to, without a word to anybody. Raises: FileNotFoundError."""
        self._open()
        return not _is_set(self.fd, _WAITING) and _set(self.fd, _FEEDING)

    def take(self) -> bool:
        """Feed if nobody does any more, and wait no longer then; return whether this may feed."""
        if not _set(self.fd, _FEEDING):
            return False
        _set(self.fd, _WAITING, kind=fcntl.F_UNLCK)
        return True

    def must_end(self) -> bool:
        """Whether whoever feeds must make way: somebody waits, or the file is not in the folder any more."""
        with self._guard:
            return self.fd >= 0 and (_is_set(self.fd, _WAITING) or os.fstat(self.fd).st_nlink == 0)

    def close(self) -> None:
        """Give both back. Idempotent."""
        with self._guard:
            if self.fd >= 0:
                os.close(self.fd)
                self.fd = -1

    def _open(self) -> None:
        self.fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)


def _set(fd: int, at_byte: int, *, kind: int = fcntl.F_WRLCK) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, at_byte, 1, 0))
    except OSError as exc:
        if exc.errno in _BUSY:
            return False
        raise
    return True


def _is_set(fd: int, at_byte: int) -> bool:
    """Whether somebody else holds a lock. Source: fcntl_locking(2), F_OFD_GETLK."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, at_byte, 1, 0)
    told = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
    return bool(struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK)

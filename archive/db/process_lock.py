"""A lock that one process holds for its life, so that there is never a second one that does the same work.

SQLite: flock on a file beside the database. PostgreSQL: a session advisory lock on a connection of its own, which the
server gives back when the process dies. A second process stands by in `wait`.
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from archive.db.database import Database
from archive.kernel.errors import Unavailable

_PROBED: Final = (
    # A machine that has vanished says nothing any more: the server finds out within some ten seconds.
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 10000",
)


class ProcessLock:
    """Tries for the lock and keeps it until the process ends or `release` is called."""

    def __init__(self, database: Database, path: Path, *, key: int, what: str) -> None:
        """Take the database, the file to lock where it is SQLite, the key where it is not, and whose lock it is."""
        self._database = database
        self._path = path
        self._key = key
        self._what = what
        self._fd: int | None = None
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        """Return whether this process holds the lock now. Never waits."""
        if self._fd is not None or self._connection is not None:
            return True
        return self._try_file() if self._database.is_sqlite else self._try_advisory()

    def wait(self, *, pause: Callable[[], bool]) -> bool:
        """Stand by until the lock is ours; `pause` waits a little and returns False to give up."""
        while not self.try_acquire():
            if not pause():
                return False
        return True

    def require_held(self) -> None:
        """Make sure that the lock is still ours. Raises: Unavailable when the server dropped the connection."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
                self._connection.rollback()
            except SQLAlchemyError as exc:
                raise Unavailable(f"The {self._what}'s lock was lost with its connection") from exc

    def release(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._connection is not None:
            # A server that is busy would notice only later that the connection is gone.
            with suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
            with suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None

    def _try_file(self) -> bool:
        fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def _try_advisory(self) -> bool:
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar():
            connection.detach()  # the pool must not hand it to anybody else
            for setting in _PROBED:
                connection.execute(text(setting))
            self._connection = connection
            return True
        connection.close()
        return False

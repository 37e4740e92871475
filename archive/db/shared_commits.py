"""Writing to SQLite from many threads and processes: who waits shares a commit, and processes take turns.

SQLite has one writer at a time and syncs at each commit, so a transaction for each thread means a sync for each. Here
the threads that wait go into the transaction that is open, each in a savepoint of its own; one commit makes all of them
durable, and none returns before it, not even with an error, which may tell of another one's change. Who fails rolls
back to its savepoint; what fails as a whole fails for everyone in it.

Processes take turns by two locked files: who wants the database holds the place at the door, so that a busy process
cannot pass it twice. SQLite's own waiting has no queue: it looks again up to 100 ms later, and may find it taken again.
"""

import copy
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from archive.kernel.errors import Unavailable

WRITES: Final = "liuhen_writes"
"""The execution option that tells a connection's transactions to take the write lock at once."""
_MOST_MEMBERS: Final = 64
_LONGEST_S: Final = 0.05
_LOOK_S: Final = 0.01
_TURN_PAUSE_S: Final = 0.0003


class SharedCommits:
    """The one place in this process that writes to a SQLite database. Usable from several threads."""

    def __init__(self, engine: Engine, file: Path | None, *, wait_s: float) -> None:
        """Take the engine and the database's file; without one (in memory) there is nobody to take turns with.

        Units: `wait_s` is how long a transaction waits for others before it gives up.
        """
        self._engine = engine
        self._wait_s = wait_s
        self._turns = None if file is None else _Turns(file, wait_s)
        self._inside = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._open: _Shared | None = None

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a transaction of one's own, as far as its block can tell; at its end the changes are durable.

        Raises: Unavailable when others do not let it in in time; what the database says.
        """
        shared = self._enter()
        tx = Session(shared.connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        try:
            yield tx
            tx.commit()
        except BaseException as exc:
            has_left = True
            with suppress(SQLAlchemyError):
                tx.close()
                has_left = not shared.is_there
            # Where SQLite has rolled back everything (a full disk), so has everyone who came before.
            self._leave(shared, lost=exc if has_left else None)
            if isinstance(exc, Exception) and not has_left:
                # Its reason may be what another one in here has changed: nobody hears of that before it is durable.
                self._await(shared)
            raise
        tx.close()
        self._leave(shared)
        self._await(shared)

    def close(self) -> None:
        """Give back what is held for taking turns."""
        if self._turns is not None:
            self._turns.close()

    def _enter(self) -> "_Shared":
        with self._counting:
            self._waiting += 1
        is_in = self._inside.acquire(timeout=self._wait_s)
        with self._counting:
            self._waiting -= 1
        if not is_in:
            raise Unavailable("Other changes do not let this one in")
        try:
            if self._open is None:
                self._open = self._opened()
            return self._open
        except BaseException:
            self._inside.release()
            raise

    def _opened(self) -> "_Shared":
        if self._turns is not None:
            self._turns.take()
        try:
            connection = self._engine.connect().execution_options(**{WRITES: True})
            try:
                connection.begin()
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._give()
            raise
        return _Shared(connection)

    def _leave(self, shared: "_Shared", *, lost: BaseException | None = None) -> None:
        """Let the next one in, or commit where nobody waits."""
        try:
            shared.members += 1
            if lost is not None or not self._waiting or shared.is_full:
                self._end(shared, lost=lost)
        finally:
            self._inside.release()

    def _await(self, shared: "_Shared") -> None:
        """Return when the changes are durable. Raises: what kept them from it."""
        while not shared.is_over.wait(_LOOK_S):
            # Who was waited for gave up: then it is for those who are in to end it.
            if self._inside.acquire(blocking=False):
                try:
                    if self._open is shared:
                        self._end(shared)
                finally:
                    self._inside.release()
        if shared.fault is not None:
            raise _told_to_each(shared.fault, shared.members) from shared.fault

    def _end(self, shared: "_Shared", *, lost: BaseException | None = None) -> None:
        self._open = None
        shared.fault = lost
        try:
            transaction = shared.connection.get_transaction()
            if lost is not None or transaction is None:
                shared.fault = lost or Unavailable("The transaction was lost")
                with suppress(SQLAlchemyError):
                    shared.connection.rollback()
            else:
                transaction.commit()
        except SQLAlchemyError as exc:
            shared.fault = exc
        except BaseException:
            shared.fault = Unavailable("The transaction was broken off")
            raise
        finally:
            with suppress(SQLAlchemyError):
                shared.connection.close()
            self._give()
            shared.is_over.set()

    def _give(self) -> None:
        if self._turns is not None:
            self._turns.give()


class _Shared:
    """A transaction that several may be in, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.members = 0
        self.is_over = threading.Event()
        self.fault: BaseException | None = None
        self._ends = time.monotonic() + _LONGEST_S

    @property
    def is_full(self) -> bool:
        return self.members >= _MOST_MEMBERS or time.monotonic() > self._ends

    @property
    def is_there(self) -> bool:
        """Whether SQLite still has the transaction."""
        return bool(getattr(self.connection.connection.dbapi_connection, "in_transaction", False))


class _Turns:
    """Whose turn it is among processes: the place at the door, and the place inside. The kernel frees both on death."""

    def __init__(self, file: Path, wait_s: float) -> None:
        self._file = file
        self._wait_s = wait_s
        self._fds: tuple[int, int] | None = None

    def take(self) -> None:
        """Wait for the turn. Raises: Unavailable."""
        door, inside = self._fds or self._opened()
        ends = time.monotonic() + self._wait_s
        _lock(door, ends)
        try:
            _lock(inside, ends)
        finally:
            fcntl.flock(door, fcntl.LOCK_UN)

    def give(self) -> None:
        """Let others have their turn."""
        if self._fds is not None:
            fcntl.flock(self._fds[1], fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the files back."""
        if self._fds is not None:
            for fd in self._fds:
                os.close(fd)
            self._fds = None

    def _opened(self) -> tuple[int, int]:
        names = (self._file.with_name(f"{self._file.name}-{part}") for part in ("door", "turn"))
        door, inside = (os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in names)
        self._fds = (door, inside)
        return self._fds


def _lock(fd: int, ends: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() > ends:
                raise Unavailable("The database stays locked by another process") from exc
            time.sleep(_TURN_PAUSE_S)
        else:
            return


def _told_to_each(fault: BaseException, members: int) -> BaseException:
    """Return the fault as one of those hears it who were in the transaction.

    A copy, since one instance must not collect the tracebacks of several threads. What only one of several can have
    caused is no fault of the others': they may try again.
    """
    if members == 1 or isinstance(fault, OperationalError):
        return copy.copy(fault)
    return Unavailable("The changes were not committed")

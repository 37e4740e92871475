"""The unit of work: `begin()` for a transaction that writes, `read()` for one that only looks.

A use case owns its transaction: it opens one `begin()` block, and the block's end is the commit. Nothing commits
elsewhere.
"""

import copy
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from archive.db.append_only import TAKEN
from archive.db.server_time import ServerTime
from archive.db.shared_commits import WRITES, SharedCommits
from archive.db.sight import Sight, bind
from archive.db.store_guard import StoreGuard
from archive.db.word_seals import WORDS
from archive.kernel.clock import SystemClock
from archive.kernel.errors import LiuhenError, StorageFull, Unavailable
from archive.kernel.instants import Instant
from archive.ports.identifiers import IdentifierVault
from signing.sealed_words import WordSeal

HASHES: Final = "hashes"
"""Where a transaction carries the keys of `Database.hash_with`."""
_NOW: Final = "now"
_BUSY_TIMEOUT_MS: Final = 30_000
_SHORT_TIMEOUT_MS: Final = 1_000
_UNIQUE_VIOLATION: Final = "23505"
_DISK_FULL: Final = "53100"
_POSTGRES: Final = {
    "timezone": "UTC",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "300s",
    # So that the server gives back the locks of a machine that lost its power, which says nothing any more.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_REACH: Final = {
    # A server that has vanished with its machine must not keep a thread for the quarter of an hour that TCP would.
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_FOR_AS_LONG_AS_IT_TAKES: Final = (
    "SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true)"
)
_LEFT_S: Final = "left_s"
_SURELY_THERE_S: Final = 1.0
"""A connection that was idle for longer is asked whether the server still knows it."""
_HIDDEN: Final = True
"""Values never stand in error messages, which go to the log of the process: they hold names and hashes of secrets."""


class Database:
    """One engine and its transactions.

    Units: `pool_size` is the number of connections kept; threads beyond it wait. `wait_s` is how long a change waits
    for other changes on SQLite. `statement_s` is how long PostgreSQL may take for a statement outside of a snapshot;
    0 means for ever.
    """

    def __init__(self, url: str, *, pool_size: int = 20, wait_s: float = 30.0, statement_s: int = 0) -> None:
        """Prepare the engine; nothing is connected yet."""
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._server_time = ServerTime()
        self.engine = (
            _sqlite_engine(url, pool_size)
            if self.is_sqlite
            else _postgres_engine(url, pool_size, statement_s, self._server_time)
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._shared = SharedCommits(self.engine, _file_of(self.url), wait_s=wait_s) if self.is_sqlite else None
        self._sight: Sight | None = None
        self._hashes: IdentifierVault | None = None
        self._words: WordSeal | None = None
        self._store = StoreGuard()

    def seen_by(self, sight: Sight) -> Self:
        """Return this database as somebody sees it: its transactions are bound to the sight (`archive.db.sight`)."""
        bound = copy.copy(self)
        bound._sight = sight  # noqa: SLF001 - a copy of ourselves
        return bound

    def hash_with(self, keys: IdentifierVault) -> None:
        """Have transactions carry the keys that secrets of machines are hashed with (`archive.access.api_keys`)."""
        self._hashes = keys

    def seal_with(self, seal: WordSeal) -> None:
        """Have transactions carry the seal of words that details hold for recovery alone (`archive.db.word_seals`)."""
        self._words = seal

    def write_for(self, place: str) -> None:
        """Let transactions write only while the store of this name is the one in use (`archive.db.store_guard`)."""
        self._store.place = place

    def _bind(self, tx: Session) -> None:
        bind(tx, self._sight)
        tx.info[_NOW] = self.now
        tx.info[HASHES] = self._hashes
        tx.info[WORDS] = self._words

    @contextmanager
    def _opened(self) -> Iterator[Session]:
        with _translated(), self._sessions() as tx:  # closing it rolls back, which may fail too
            self._bind(tx)
            yield tx

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a writing transaction; commit at the block's end, roll back on any exception.

        Guarantees: on normal exit the changes are durable (`synchronous=FULL`, `fsync=on`).
        Raises: StorageFull when the database's disk is full, Unavailable when the database cannot be reached or stays
            locked; both may be tried again. StoreElsewhere.
        """
        if self._shared is not None:
            with _translated(), self._shared.begin() as tx:
                self._bind(tx)
                self._store(tx)
                yield tx
            return
        with self._opened() as tx:
            self._store(tx)
            yield tx
            tx.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a reading transaction; it is always rolled back."""
        with self._opened() as tx:
            yield tx

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Open a reading transaction that sees one state from its first statement to its end, however long it lasts."""
        with self._opened() as tx:
            if not self.is_sqlite:  # SQLite's WAL gives every reader a snapshot
                connection = tx.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                connection.exec_driver_sql(_FOR_AS_LONG_AS_IT_TAKES)
            yield tx

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a bare connection, for migrations. Raises: as `begin`."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    def forget_deleted(self) -> bool:
        """Take what was deleted out of SQLite's write-ahead log; return whether no reader was in the way.

        Goes with `overwrite_deleted`. On PostgreSQL nothing is done: its own vacuum and log archive decide.
        """
        if not self.is_sqlite:
            return False
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={_SHORT_TIMEOUT_MS}")
            is_busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        finally:
            connection.close()
        return not is_busy

    def now(self) -> Instant:
        """Return what the clock of the database server shows, which all hosts share; that of this machine for SQLite.

        Asks nothing: it is heard when connections are looked at, and goes on by a clock that nobody sets.
        """
        return self._server_time.now() or SystemClock().now()

    def close(self) -> None:
        """Give all connections back."""
        if self._shared is not None:
            self._shared.close()
        self.engine.dispose()


def now_of(tx: Session) -> Instant:
    """Return what the clock shows that the transaction's database goes by (`Database.now`)."""
    now: Callable[[], Instant] = tx.info[_NOW]
    return now()


def overwrite_deleted(tx: Session) -> None:
    """Have SQLite put zeros over what this transaction deletes, in the file as it is after the commit."""
    connection = tx.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def run_bare(connection: Connection, statement: str, values: Sequence[bytes | str] = ()) -> None:
    """Run a statement on SQLite past SQLAlchemy, whose bookkeeping takes several times as long; errors are its own."""
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(statement, values)
    except sqlite3.Error as exc:
        raise DBAPIError.instance(
            statement, None, exc, sqlite3.Error, hide_parameters=_HIDDEN, dialect=connection.dialect
        ) from exc


@contextmanager
def unique_or(cause: type[LiuhenError]) -> Iterator[None]:
    """Raise `cause` where another transaction was quicker to take what may be there only once.

    Goes around the whole unit of work: the database may tell as late as at the commit.
    """
    try:
        yield
    except IntegrityError as exc:
        if not _is_unique_violation(exc.orig):
            raise
        raise cause from exc


def _is_unique_violation(error: BaseException | None) -> bool:
    if getattr(error, "sqlstate", None) == _UNIQUE_VIOLATION:
        return True
    name = getattr(error, "sqlite_errorname", None)
    is_refused = name == "SQLITE_CONSTRAINT_TRIGGER" and str(error).startswith(TAKEN)
    return is_refused or name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as exc:
        text = str(exc.orig)
        if getattr(exc.orig, "sqlstate", None) == _DISK_FULL or "disk is full" in text or "disk I/O error" in text:
            raise StorageFull("The database's disk is full") from exc
        raise Unavailable("The database does not answer", cause=type(exc.orig).__name__) from exc
    except PoolTimeout as exc:
        raise Unavailable("Every connection to the database is in use") from exc
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise Unavailable("The connection to the database was lost") from exc
        raise


def _file_of(url: URL) -> Path | None:
    return None if url.database in {None, "", ":memory:"} else Path(str(url.database))


def _sqlite_engine(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=10,
        hide_parameters=_HIDDEN,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "recursive_triggers=ON",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "checkin")
    def _leave(connection: Any, _record: Any) -> None:
        # SQLite keeps a transaction open, and its lock, when the commit fails; SQLAlchemy takes it for ended.
        if connection is not None and connection.in_transaction:
            connection.rollback()

    _savepoints_past_the_compiler(engine)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A read that turns into a write cannot wait for the lock, so writers say so at once.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _savepoints_past_the_compiler(engine: Engine) -> None:
    """Every change on SQLite has a savepoint, and SQLAlchemy compiles its statements anew each time."""

    def saying(verb: str) -> Callable[[Connection, str], None]:
        return lambda connection, name: run_bare(connection, f"{verb} {name}")

    dialect: Any = engine.dialect
    dialect.do_savepoint = saying("SAVEPOINT")
    dialect.do_release_savepoint = saying("RELEASE SAVEPOINT")
    dialect.do_rollback_to_savepoint = saying("ROLLBACK TO SAVEPOINT")


class DatabaseClock:
    """The clock that all hosts of an archive share. Satisfies `archive.ports.Clock`."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    def now(self) -> Instant:
        """Return the current instant."""
        return self._database.now()


def _postgres_engine(url: str, pool_size: int, statement_s: int, server_time: ServerTime) -> Engine:
    options = {**_POSTGRES, "statement_timeout": f"{statement_s}s"}
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=10,
        hide_parameters=_HIDDEN,
        connect_args={**_REACH, "options": " ".join(f"-c {name}={value}" for name, value in options.items())},
    )

    @event.listens_for(engine, "checkin")
    def _leave(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_LEFT_S] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _look(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        # Asked each time, the question would be a third of what a short change costs.
        was_idle = time.monotonic() - record.info.get(_LEFT_S, math.inf) > _SURELY_THERE_S
        if was_idle or server_time.is_stale:
            try:
                _ask_time(connection, server_time)
            except engine.dialect.loaded_dbapi.Error as exc:
                if was_idle:
                    raise InvalidatePoolError from exc
                # It was there a moment ago: the server has gone. The pool itself would try once more, and then say that
                # it was asked for something that cannot be.
                raise Unavailable("The connection to the database was lost") from exc

    return engine


def _ask_time(connection: Any, server_time: ServerTime) -> None:
    """Make sure that the server still knows the connection, by asking what time it is."""
    was_autocommit, connection.autocommit = connection.autocommit, True
    try:
        asked_s = server_time.asking()
        (said,) = connection.execute("SELECT clock_timestamp()").fetchone()
        server_time.hear(said.astimezone(UTC), asked_s=asked_s)
    finally:
        if not connection.closed:
            connection.autocommit = was_autocommit

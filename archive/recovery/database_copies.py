"""Copies of a whole database as one stream of bytes: SQLite's own backup, PostgreSQL's pg_dump in its custom format.

A copy is of one moment. SQLite's is a file beside the database first; PostgreSQL's never lies anywhere unencrypted.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final

from sqlalchemy import URL, text

from archive.db.database import Database
from archive.db.revision import stored_revision
from archive.kernel.errors import Conflict, LiuhenError

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
_BLOCK_BYTES: Final = 1024 * 1024
_MOST_TOLD: Final = 500


class ProgramMissing(LiuhenError):
    """A program of PostgreSQL is not on this machine: install its client programs (Debian: postgresql-client)."""

    code = "backup.program_missing"
    exit_code = 69


class CopyFailed(LiuhenError):
    """The database's own program did not do what it was asked for."""

    code = "backup.copy_failed"
    exit_code = 74


class DatabaseNotEmpty(Conflict):
    """There is a database already where the backup's is to go; it was not touched."""

    code = "backup.database_not_empty"
    exit_code = 73


def kind_of(database: Database) -> str:
    """Return what kind of database it is."""
    return SQLITE if database.is_sqlite else POSTGRESQL


@contextmanager
def copied(database: Database, scratch: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Give a copy to read, and how many entries its log had. Raises: ProgramMissing, CopyFailed, Unavailable."""
    with _sqlite_copy(database, scratch) if database.is_sqlite else _postgres_copy(database) as found:
        yield found


def put_back(database: Database, copy: IO[bytes]) -> None:
    """Make the database out of a copy, as a whole or not at all.

    Raises: DatabaseNotEmpty, ProgramMissing, CopyFailed, Unavailable.
    """
    if database.is_sqlite:
        _put_back_sqlite(database, copy)
    else:
        _put_back_postgres(database, copy)


@contextmanager
def _sqlite_copy(database: Database, scratch: Path) -> Iterator[tuple[IO[bytes], int]]:
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd, name = tempfile.mkstemp(prefix="backup-", suffix=".sqlite3", dir=scratch)
    os.close(fd)
    path = Path(name)
    try:
        with closing(sqlite3.connect(str(database.url.database))) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
            size = target.execute("SELECT max(size) FROM log_checkpoint").fetchone()[0]
        with path.open("rb") as file:
            yield file, int(size or 0)
    except sqlite3.Error as exc:
        raise CopyFailed(cause=str(exc)) from exc
    finally:
        path.unlink(missing_ok=True)


def _put_back_sqlite(database: Database, copy: IO[bytes]) -> None:
    place = Path(str(database.url.database))
    if place.exists() and place.stat().st_size:
        raise DatabaseNotEmpty(path=str(place))
    place.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f"{place.name}.", suffix=".new", dir=place.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            shutil.copyfileobj(copy, file, _BLOCK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(place)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _postgres_copy(database: Database) -> Iterator[tuple[IO[bytes], int]]:
    with database.snapshot() as tx:
        size = tx.scalar(text("SELECT max(size) FROM log_checkpoint"))
        snapshot = str(tx.scalar(text("SELECT pg_export_snapshot()")))
        arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
        with _program("pg_dump", arguments, database.url, stdout=subprocess.PIPE) as process:
            if process.stdout is None:
                raise CopyFailed
            yield process.stdout, int(size or 0)


def _put_back_postgres(database: Database, copy: IO[bytes]) -> None:
    with database.connect() as connection:
        if stored_revision(connection) is not None:
            raise DatabaseNotEmpty(database=str(database.url.database))
    arguments = ["--format=custom", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    with _program("pg_restore", arguments, database.url, stdin=subprocess.PIPE) as process:
        if process.stdin is None:
            raise CopyFailed
        try:
            shutil.copyfileobj(copy, process.stdin, _BLOCK_BYTES)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it says on its standard error what it died of


@contextmanager
def _program(
    name: str, arguments: list[str], url: URL, *, stdin: int | None = None, stdout: int | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program on a database; the password goes by its environment, never by its arguments.

    Raises: ProgramMissing, CopyFailed where it does not end well.
    """
    program = shutil.which(name)
    if program is None:
        raise ProgramMissing(program=name)
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(  # noqa: S603 - a program of PostgreSQL, with arguments of ours
            [program, *arguments, f"--dbname={url.database}"],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=told,
            env={**os.environ, **_environment(url)},
        )
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            code = process.wait()
        if code != 0:
            told.seek(0)
            raise CopyFailed(program=name, said=told.read(_MOST_TOLD).decode("utf-8", "replace").strip())


def _environment(url: URL) -> Mapping[str, str]:
    query = url.query
    given = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
    }
    return {name: str(value) for name, value in given.items() if value}

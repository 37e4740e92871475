"""Loading rows past the product's own transactions, as whoever moves a database would: no checks, indexes afterwards.

A row is a tuple in the order of its table's columns, with ids as 32 hexadecimal characters, moments as SQLite has them
and JSON as text: SQLite takes it as it is, PostgreSQL reads it as text.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from archive.db.base import Base
from archive.search.models import FTS_TABLE, SearchDocument

Row = Sequence[Any]
Rows = Mapping[str, Sequence[Row]]
FTS_COLUMNS: Final = ("rowid", "words", "codes", "facets")
_BUILD: Final = ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-1500000", "temp_store=FILE")


class Loader(Protocol):
    """Puts rows into a database."""

    has_fts: bool

    def put(self, rows: Rows) -> None:
        """Write the rows of each table; nothing else writes meanwhile."""


def columns_of(table: str) -> Sequence[str]:
    """Return the columns of a table in the order of its rows here."""
    if table == FTS_TABLE:
        return FTS_COLUMNS
    return [column.name for column in Base.metadata.tables[table].columns]


class _Sqlite:
    has_fts = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def put(self, rows: Rows) -> None:
        self._connection.execute("BEGIN")
        for table, found in rows.items():
            names = columns_of(table)
            quoted, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
            self._connection.executemany(f"INSERT INTO {table} ({quoted}) VALUES ({marks})", found)
        self._connection.execute("COMMIT")


class _Postgres:
    has_fts = False

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def put(self, rows: Rows) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for table, found in rows.items():
                names = ", ".join(f'"{name}"' for name in columns_of(table))
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:  # type: ignore[call-overload]
                    for first in range(0, len(found), 2000):
                        copy.write("".join("\t".join(map(_text, row)) + "\n" for row in found[first : first + 2000]))


def _text(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    text = str(value)
    if "\\" in text or "\n" in text or "\t" in text:
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return text


@contextmanager
def loading_sqlite(path: Path) -> Iterator[Loader]:
    """Load into a file that nobody else has open; indexes and triggers are away meanwhile."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in _BUILD:
            connection.execute(f"PRAGMA {pragma}")
        aside = "type IN ('index', 'trigger') AND sql IS NOT NULL AND name NOT LIKE 'search_index%'"
        kept = connection.execute(f"SELECT type, name, sql FROM sqlite_master WHERE {aside}").fetchall()
        for kind, name, _ in kept:
            connection.execute(f'DROP {kind} "{name}"')
        yield _Sqlite(connection)
        for _, _, made_by in kept:
            connection.execute(made_by)
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


@contextmanager
def loading_postgres(url: str) -> Iterator[Loader]:
    """Load into a database as its superuser; indexes that are no keys are away meanwhile."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        for setting in ("session_replication_role = replica", "synchronous_commit = off"):
            connection.execute(f"SET {setting}")  # type: ignore[call-overload]
        connection.execute("SET maintenance_work_mem = '1GB'")
        kept = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'ix\\_%'"
        ).fetchall()
        for name, _ in kept:
            connection.execute(f'DROP INDEX "{name}"')
        yield _Postgres(connection)
        for _, made_by in kept:
            connection.execute(made_by)
        connection.execute("SET session_replication_role = origin")
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def search_columns() -> Sequence[str]:
    """Return the columns of the search index's table."""
    return columns_of(SearchDocument.__tablename__)

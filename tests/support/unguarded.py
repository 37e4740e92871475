"""Changing what is append-only, as somebody who owns the database can: the triggers are off, and come back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from archive.db import only_grows
from archive.db.append_only import ADD_AND_TAKE, KEYS, protect
from archive.db.database import Database

GUARDED = (*KEYS, *ADD_AND_TAKE, only_grows.TABLE)
_APPENDED = (*KEYS, *ADD_AND_TAKE)


_POSTGRES = ("append_only", "no_truncate")


def lift(connection: Connection) -> None:
    """Put the triggers out of force; `guard` puts them back."""
    only_grows.lift(connection)
    if connection.dialect.name == "sqlite":
        for table in _APPENDED:
            for name in ("no_update", "no_delete", "no_replace"):
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_{name}")
    else:
        _alter(connection, "DISABLE")


def guard(connection: Connection) -> None:
    """Put the triggers in force again."""
    only_grows.protect(connection)
    if connection.dialect.name == "sqlite":
        protect(connection)
    else:
        _alter(connection, "ENABLE ALWAYS")


def _alter(connection: Connection, how: str) -> None:
    for table in _APPENDED:
        acts = ", ".join(f"{how} TRIGGER {table}_{name}" for name in _POSTGRES)
        connection.exec_driver_sql(f"ALTER TABLE {table} {acts}")


@contextmanager
def unguarded(database: Database) -> Iterator[Session]:
    """Open a writing transaction in which no trigger refuses anything."""
    with database.begin() as tx:
        lift(tx.connection())
        yield tx
        guard(tx.connection())

"""Changing what is append-only, as somebody who owns the database can: the triggers go, and come back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from archive.db.append_only import ADD_AND_TAKE, KEYS, protect
from archive.db.database import Database

GUARDED = (*KEYS, *ADD_AND_TAKE)


def lift(connection: Connection) -> None:
    """Remove the triggers; `archive.db.append_only.protect` puts them back."""
    is_sqlite = connection.dialect.name == "sqlite"
    for table in GUARDED:
        for name in ("no_update", "no_delete", "no_replace") if is_sqlite else ("append_only", "no_truncate"):
            where = "" if is_sqlite else f" ON {table}"
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_{name}{where}")


@contextmanager
def unguarded(database: Database) -> Iterator[Session]:
    """Open a writing transaction in which no trigger refuses anything."""
    with database.begin() as tx:
        lift(tx.connection())
        yield tx
        protect(tx.connection())

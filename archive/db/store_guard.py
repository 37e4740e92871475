"""Which store is in use: a process whose settings name another one writes nothing.

The newest move that has switched says it (`store_move`), or one under way that it is still the old one; every writing
transaction looks: it holds the moment of switching off until it has ended, and fails where the store has changed. So
nothing is ever acknowledged that lies in a store which was left, or is not in use yet, however long a process has
slept. Archives that never moved have no such row.
Source: docs/adr/0037-moving.md.
"""

import sqlite3
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from archive.kernel.errors import LiuhenError

FUNCTION: Final = "liuhen_store_in_use"
KEY: Final = 0x6C69_7573_746F  # "liusto"
_NEWEST: Final = (
    "SELECT coalesce("
    "(SELECT to_place FROM store_move WHERE switched_at IS NOT NULL ORDER BY switched_at DESC, id DESC LIMIT 1), "
    "(SELECT from_place FROM store_move WHERE state IN ('copying', 'abandoning') LIMIT 1))"
)
FUNCTION_SQL: Final = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN "
    # A volatile function looks anew with each statement: what is read is of after the wait.
    f"PERFORM pg_advisory_xact_lock_shared({KEY}); RETURN ({_NEWEST}); END $$"
)


class StoreElsewhere(LiuhenError):
    """The archive's store is another one than these settings name; nothing is written here."""

    code = "store.elsewhere"
    exit_code = 78

    def __init__(self, *, used: str, named: str) -> None:
        """Say which one is in use and which one is named."""
        told = f"The archive's store is {used}, and the settings name {named}: set those that `liuhen move` printed"
        super().__init__(told, used=used, named=named)


class StoreGuard:
    """What the transactions of one process hold against the store that is in use. Shared by copies of a database."""

    def __init__(self) -> None:
        """Ask nothing, until a store is named."""
        self.place: str | None = None

    def __call__(self, tx: Session) -> None:
        """Let a writing transaction pass. Raises: StoreElsewhere."""
        if self.place is not None:
            used = _used(tx.connection())
            if used is not None and used != self.place:
                raise StoreElsewhere(used=used, named=self.place)


def store_in_use(tx: Session) -> str | None:
    """Return the name of the store that moves say is in use; None where there was none, and none is under way."""
    found = tx.execute(text(_NEWEST)).scalar()
    return None if found is None else str(found)


def hold_store(tx: Session) -> None:
    """Wait for every writing transaction that is under way, and keep all others waiting until this one has ended.

    Raises: Unavailable, by the caller's unit of work, when others take too long. On SQLite one writes at a time anyway.
    """
    connection = tx.connection()
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEY})


def _used(connection: Connection) -> str | None:
    if connection.dialect.name != "sqlite":
        row = connection.exec_driver_sql(f"SELECT {FUNCTION}()").first()
        return None if row is None or row[0] is None else str(row[0])
    # Each change asks, and SQLAlchemy takes several times as long as SQLite.
    driver: Any = connection.connection.dbapi_connection
    try:
        found = driver.execute(_NEWEST).fetchone()
    except sqlite3.Error as exc:
        raise DBAPIError.instance(
            _NEWEST, None, exc, sqlite3.Error, hide_parameters=True, dialect=connection.dialect
        ) from exc
    return None if found is None or found[0] is None else str(found[0])

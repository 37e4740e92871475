"""Bringing a database to the newest schema."""

from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from archive.db.database import Database
from archive.db.revision import VERSIONS, newest_revision, stored_revision
from archive.db.roles import connected_role, is_member, owner_of_tables, rights
from archive.kernel.errors import LiuhenError


class NotTheOwner(LiuhenError):
    """The tables belong to another role: `liuhen migrate --as URL`, with a role that may act as their owner."""

    code = "db.not_owner"
    exit_code = 77


def migrate(database: Database, *, service: str | None = None) -> None:
    """Bring the database to the newest schema, in one transaction. Idempotent.

    Runs as the role that owns the tables where the connected one may act as it; new tables are that role's, and
    `service` is given its rights in them.
    Raises: NotTheOwner, Unavailable, StorageFull; nothing was changed then.
    """
    config = _config()
    with database.connect() as connection:
        owner = None if database.is_sqlite else _act_as_owner(connection)
        config.attributes["connection"] = connection
        if stored_revision(connection) != newest_revision():
            command.upgrade(config, "head")
        if owner is not None and service is not None and service != owner:
            for statement in rights(connection, service=service):
                connection.exec_driver_sql(statement)
        connection.commit()


def _act_as_owner(connection: Connection) -> str | None:
    """Become the owner of the tables for this transaction, and return who that is; None where there are none yet.

    Raises: NotTheOwner, unless there is nothing to do.
    """
    owner = owner_of_tables(connection)
    if owner is None or owner == connected_role(connection):
        return owner
    if is_member(connection, owner):
        connection.execute(text("SELECT set_config('role', :owner, true)"), {"owner": owner})
    elif stored_revision(connection) != newest_revision():
        raise NotTheOwner(owner=owner)
    return owner


def comparison(dialect: str) -> dict[str, Any]:
    """Return how alembic compares models and schema on this database: each has a part that the other does not know.

    SQLite has the tables of FTS5, which no model describes; PostgreSQL has indexes of kinds that SQLite has not.
    """

    def is_compared(what: Any, name: str | None, kind: str, _reflected: Any, _other: Any) -> bool:
        if kind == "index" and dialect == "sqlite":
            return what.dialect_options["postgresql"]["using"] is False
        return not is_virtual(name) if kind == "table" else True

    return {"include_object": is_compared}


def is_virtual(table: str | None) -> bool:
    """Return whether a table is one of FTS5's own."""
    return table is not None and table.startswith("search_index")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    return config

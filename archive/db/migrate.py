"""Bringing a database to the newest schema, and saying whether it is there."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from archive.db.database import Database
from archive.kernel.errors import LiuhenError


class SchemaOutdated(LiuhenError):
    """The database has another schema than this program; run `liuhen migrate`."""

    code = "db.schema_outdated"
    exit_code = 78


def migrate(database: Database) -> None:
    """Bring the database to the newest schema, in one transaction. Idempotent.

    Raises: Unavailable, StorageFull; nothing was changed then.
    """
    config = _config()
    with database.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def require_current_schema(database: Database) -> None:
    """Refuse to go on with a database of another schema. Raises: SchemaOutdated, Unavailable."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with database.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != head:
        raise SchemaOutdated(found=found, needed=head)


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
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config

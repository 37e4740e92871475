"""Which schema a database has, and which one this program needs. Apart from the migrations: each start asks."""

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from archive.db.database import Database
from archive.kernel.errors import LiuhenError

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
"""The migrations, a file each; its name begins with its revision, and they follow each other by name."""
VERSION_TABLE: Final = "alembic_version"


class SchemaOutdated(LiuhenError):
    """The database has another schema than this program; run `liuhen migrate`."""

    code = "db.schema_outdated"
    exit_code = 78


def require_current_schema(database: Database) -> None:
    """Refuse to go on with a database of another schema. Raises: SchemaOutdated, Unavailable."""
    with database.connect() as connection:
        found = stored_revision(connection)
    if found != newest_revision():
        raise SchemaOutdated(found=found, needed=newest_revision())


def stored_revision(connection: Connection) -> str | None:
    """Return the revision that the database says it has; None where it has no schema of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a name of ours
    return None if found is None else str(found)


@cache
def newest_revision() -> str:
    """Return the newest revision that this program has a migration for."""
    return max(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))

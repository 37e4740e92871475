"""For operators and database administrators: who may do what in the database."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from archive.cli.options import Home, subcommands
from archive.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from archive.db.database import Database

AsUrl = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="URL",
        envvar="LIUHEN_DB_AS",
        help="Address of the same database with a role that may act as the owner of the tables, or a superuser.",
        show_default=False,
        show_envvar=True,
    ),
]


class AnotherDatabase(InvalidInput):
    """The address given with --as leads to another database than the archive's."""

    code = "db.another_database"
    exit_code = 64


class RoleMissing(InvalidInput):
    """Rights are given by a superuser: name one with --as URL."""

    code = "db.role_missing"
    exit_code = 64


def register(app: typer.Typer) -> None:
    """Add the commands of the database."""
    subcommands(app, "db", help_text="The database's roles.").command()(roles)


def roles(
    home: Home = None,
    owner: Annotated[str, typer.Option(help="Role that is to own the tables.")] = "liuhen_owner",
    as_url: AsUrl = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Run it, with the role of --as.")] = False,
) -> None:
    """Print the SQL that parts the owner of the tables from the service, or run it (PostgreSQL)."""
    from archive.db.database import Database
    from archive.db.roles import connected_role, statements
    from archive.settings import load_settings
    from archive.wiring import HomeMissing

    if apply and as_url is None:
        raise RoleMissing
    settings = load_settings(home=home)
    if not (settings.home / "keys").is_dir():
        raise HomeMissing(home=str(settings.home))
    with contextlib.closing(Database(settings.effective_database_url)) as database:
        with database.connect() as connection:
            service = "" if database.is_sqlite else connected_role(connection)
            wanted = list(statements(connection, service=service, owner=owner))
        if as_url is None or not apply:
            print("\n".join(("BEGIN;", *(f"{statement};" for statement in wanted), "COMMIT;")))
            return
        with (
            contextlib.closing(same_database(database, as_url)) as administrator,
            administrator.connect() as connection,
        ):
            for statement in wanted:
                connection.exec_driver_sql(statement)
            connection.commit()
    print(f"The tables belong to {owner}; {service} adds to the log and cannot change it.")


def same_database(database: "Database", url: str) -> "Database":
    """Open the same database by another address. Raises: AnotherDatabase."""
    from sqlalchemy.exc import ArgumentError

    from archive.db.database import Database

    try:
        found = Database(url, pool_size=1)
    except ArgumentError as exc:
        raise AnotherDatabase("This is not the address of a database") from exc
    given = (found.url.get_backend_name(), found.url.database)
    if given != (database.url.get_backend_name(), database.url.database):
        found.close()
        raise AnotherDatabase(database=str(found.url.database))
    return found

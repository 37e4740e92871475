"""Two roles in PostgreSQL: one owns the tables and nobody signs in as it, the service's own only uses them.

Then what holds the log together is out of the service's reach: it adds to the log tables and reads them, and can
neither change nor empty them, nor take away their triggers. Which rights each table needs is said here, once;
`statements` turns it into SQL that a database administrator can read before it is run, and `role_standing` says what
is in force.

Source: PostgreSQL's manual on privileges; INTEGRITY 6.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from archive.db.append_only import ADD_AND_TAKE, ERASABLE, KEYS
from archive.db.revision import VERSION_TABLE
from archive.kernel.errors import InvalidInput, LiuhenError

OWNER: Final = "liuhen_owner"
"""The owning role's usual name."""

_USE: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_ADD: Final = ("SELECT", "INSERT")
_ADD_AND_TAKE: Final = ("SELECT", "INSERT", "DELETE")
_TAKEN_FROM: Final = (*ADD_AND_TAKE, ERASABLE)
"""Tables that rows may go from; triggers say which, and leave the service no other."""
_BEYOND: Final = ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
_ATTRIBUTES: Final = {"rolsuper": "SUPERUSER", "rolcreaterole": "CREATEROLE", "rolcreatedb": "CREATEDB"}
_ABOVE: Final = ("pg_execute_server_program", "pg_write_server_files", "pg_write_all_data")
"""Memberships with which a role can make itself the owner, or need not."""


class NoRoles(InvalidInput):
    """SQLite knows no roles: whoever can write the file can change it."""

    code = "db.no_roles"
    exit_code = 64


class TablesMissing(LiuhenError):
    """The database has no tables yet; make the archive with `liuhen init` first."""

    code = "db.tables_missing"
    exit_code = 78


class RoleUnfit(LiuhenError):
    """A role cannot be what it is meant to be here."""

    code = "db.role_unfit"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class RoleStanding:
    """Who owns the log tables, and what the connected role may do to them beyond adding; nothing is the goal."""

    owner: str
    is_own: bool
    beyond: Sequence[str]


def connected_role(connection: Connection) -> str:
    """Return the role that the connection has signed in as."""
    return str(connection.execute(text("SELECT session_user::text")).scalar_one())


def owner_of_tables(connection: Connection) -> str | None:
    """Return the role that owns the tables; None where there are none yet."""
    found = connection.execute(
        text(
            "SELECT pg_get_userbyid(relowner)::text FROM pg_class "
            "WHERE relname = :name AND relnamespace = current_schema()::regnamespace"
        ),
        {"name": VERSION_TABLE},
    ).scalar()
    return None if found is None else str(found)


def is_member(connection: Connection, role: str) -> bool:
    """Return whether the connected role may act as `role`."""
    return bool(connection.execute(text("SELECT pg_has_role(session_user, :role, 'MEMBER')"), {"role": role}).scalar())


def statements(connection: Connection, *, service: str, owner: str = OWNER) -> Iterator[str]:
    """Yield the SQL that parts the roles: for a superuser, in one transaction; a second time it changes nothing.

    The connection only looks.
    Raises: NoRoles, TablesMissing; RoleUnfit where the service signs in as a superuser or as the owner, or somebody can
        sign in as the owner.
    """
    if connection.dialect.name == "sqlite":
        raise NoRoles
    if service == owner:
        raise RoleUnfit("The service must not sign in as the owner of the tables", role=service)
    if owner_of_tables(connection) is None:
        raise TablesMissing
    yield from _roles(connection, service=service, owner=owner)
    yield from _places(connection, service=service, owner=owner)
    yield from _ownership(connection, owner=owner)
    yield from rights(connection, service=service)


def rights(connection: Connection, *, service: str) -> Iterator[str]:
    """Yield the SQL that gives the service its rights in the tables that are there now, and takes away all others."""
    schema, tables = _quoted(_schema(connection)), _tables(connection)
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {_quoted(service)}"
    for acts, names in (
        (_ADD, [name for name in tables if name in KEYS and name not in _TAKEN_FROM]),
        (_ADD_AND_TAKE, [name for name in tables if name in _TAKEN_FROM]),
        (("SELECT",), [name for name in tables if name == VERSION_TABLE]),
        (_USE, [name for name in tables if name not in {*KEYS, *ADD_AND_TAKE, VERSION_TABLE}]),
    ):
        if names:
            listed = ", ".join(_quoted(name) for name in names)
            yield f"GRANT {', '.join(acts)} ON {listed} TO {_quoted(service)}"
    yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {_quoted(service)}"


def role_standing(connection: Connection) -> RoleStanding:
    """Say what the connected role may do to the log tables of a PostgreSQL database."""
    found = connection.execute(
        text(
            "SELECT relname::text AS name, pg_get_userbyid(relowner)::text AS owner, "
            "pg_has_role(session_user, relowner, 'MEMBER') AS is_own, "
            "array_to_string(ARRAY(SELECT act FROM unnest(CAST(:acts AS text[])) AS act "
            "WHERE has_table_privilege(session_user, pg_class.oid, act)), ' ') AS acts, "
            "has_any_column_privilege(session_user, pg_class.oid, 'UPDATE') AS is_changeable "
            "FROM pg_class WHERE relname = ANY(:names) AND relnamespace = current_schema()::regnamespace ORDER BY 1"
        ),
        {"acts": list(_BEYOND), "names": [*KEYS, *ADD_AND_TAKE]},
    ).mappings()
    beyond, owners, is_own = [], set(), False
    for row in found:
        allowed = {"DELETE"} if row["name"] in _TAKEN_FROM else set()
        acts = sorted({*str(row["acts"]).split(), *(["UPDATE"] if row["is_changeable"] else [])} - allowed)
        owners.add(str(row["owner"]))
        is_own = is_own or bool(row["is_own"])
        beyond += [f"{act} on {row['name']}" for act in acts]
    return RoleStanding(", ".join(sorted(owners)), is_own, [*_above(connection), *beyond])


def _above(connection: Connection) -> Iterator[str]:
    """Yield what would let the connected role get round the rights that it has in the tables."""
    role = connection.execute(text("SELECT * FROM pg_roles WHERE rolname = session_user")).mappings().one()
    yield from (name for column, name in _ATTRIBUTES.items() if role[column] and name != "CREATEDB")
    for name in _ABOVE:
        if is_member(connection, name):
            yield f"membership in {name}"
    place = connection.execute(
        text(
            "SELECT pg_has_role(session_user, nspowner, 'MEMBER') AS owns_schema, "
            "has_schema_privilege(session_user, pg_namespace.oid, 'CREATE') AS creates, "
            "pg_has_role(session_user, datdba, 'MEMBER') AS owns_database "
            "FROM pg_namespace, pg_database WHERE nspname = current_schema() AND datname = current_database()"
        )
    ).mappings()
    for row in place:
        yield from ["ownership of the schema"] if row["owns_schema"] else []
        yield from ["CREATE in the schema"] if row["creates"] else []
        yield from ["ownership of the database"] if row["owns_database"] else []
    owners = text(
        "SELECT DISTINCT rolname::text FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner "
        "WHERE rolcanlogin AND relname = ANY(:names) AND relnamespace = current_schema()::regnamespace"
    )
    for name in connection.execute(owners, {"names": [*KEYS, *ADD_AND_TAKE]}).scalars():
        yield f"a sign-in as the owner {name}"


def _roles(connection: Connection, *, service: str, owner: str) -> Iterator[str]:
    query = text("SELECT * FROM pg_roles WHERE rolname IN (:service, :owner)")
    found = {row["rolname"]: row for row in connection.execute(query, {"service": service, "owner": owner}).mappings()}
    if service not in found or found[service]["rolsuper"]:
        raise RoleUnfit("The service must have a role of its own, which is no superuser", role=service)
    if owner not in found:
        yield f"CREATE ROLE {_quoted(owner)} NOLOGIN"
    elif found[owner]["rolcanlogin"] or found[owner]["rolsuper"]:
        raise RoleUnfit("Nobody may be able to sign in as the owner of the tables", role=owner)
    taken = [f"NO{name}" for column, name in _ATTRIBUTES.items() if found[service][column]]
    if taken:
        yield f"ALTER ROLE {_quoted(service)} {' '.join(taken)}"
    if owner in found:
        yield from (
            f"REVOKE {_quoted(owner)} FROM {_quoted(service)}"
            for _ in connection.execute(
                text(
                    "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid "
                    "JOIN pg_roles s ON s.oid = m.member WHERE r.rolname = :owner AND s.rolname = :service"
                ),
                {"owner": owner, "service": service},
            )
        )


def _places(connection: Connection, *, service: str, owner: str) -> Iterator[str]:
    """The database and the schema: whoever owns these can drop what is in them."""
    database = _quoted(str(connection.execute(text("SELECT current_database()::text")).scalar_one()))
    schema = _quoted(_schema(connection))
    yield f"ALTER DATABASE {database} OWNER TO {_quoted(owner)}"
    yield f"REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {_quoted(service)}"
    yield f"GRANT CONNECT ON DATABASE {database} TO {_quoted(service)}"
    yield f"ALTER SCHEMA {schema} OWNER TO {_quoted(owner)}"
    yield f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {_quoted(service)}"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {_quoted(service)}"


def _ownership(connection: Connection, *, owner: str) -> Iterator[str]:
    for name in _tables(connection):
        yield f"ALTER TABLE {_quoted(name)} OWNER TO {_quoted(owner)}"
    functions = text(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace "
        "AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e') ORDER BY 1"
    )
    for name in connection.execute(functions).scalars():
        yield f"ALTER FUNCTION {name} OWNER TO {_quoted(owner)}"


def _tables(connection: Connection) -> Sequence[str]:
    return [
        str(name)
        for name in connection.execute(
            text(
                "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') "
                "AND relnamespace = current_schema()::regnamespace ORDER BY 1"
            )
        ).scalars()
    ]


def _schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT current_schema()::text")).scalar_one())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

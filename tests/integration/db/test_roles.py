"""An owner apart from the service, on a real PostgreSQL: what the service's role can still do, and that it suffices."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

import archive.db
from archive.cli.main import run
from archive.db.append_only import ADD_AND_TAKE, ERASABLE, KEYS
from archive.db.database import Database
from archive.db.migrate import NotTheOwner, migrate
from archive.db.roles import TablesMissing, role_standing, statements
from archive.doctor import examine
from archive.kernel.findings import Outcome
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.disposals import destroy_one
from tests.support.server import Server, serving

pytestmark = [pytest.mark.service, pytest.mark.empty_database]
EMPTY_FUNCTION = (
    "CREATE OR REPLACE FUNCTION liuhen_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RETURN coalesce(NEW, OLD); END $$"
)
OLDER = "0012"
GUARDED = [*KEYS, *ADD_AND_TAKE]


@dataclass(frozen=True, slots=True)
class Roles:
    """A database of its own, the address that the service has, the administrator's, and the owner's name."""

    service_url: str
    admin_url: str
    owner: str

    @property
    def service(self) -> str:
        return str(make_url(self.service_url).username)


@pytest.fixture
def roles(postgres_server: str, postgres_url: str) -> Iterator[Roles]:
    """A role that owns an empty database, as an administrator makes one for a new service."""
    name, password = f"app_{secrets.token_hex(6)}", secrets.token_hex(8)
    database = make_url(postgres_url).database
    server = make_url(postgres_server)
    made = Roles(
        server.set(username=name, password=password, database=database).render_as_string(hide_password=False),
        postgres_url,
        f"owner_{secrets.token_hex(6)}",
    )
    with administrator(postgres_server) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        connection.execute(f"ALTER DATABASE {database} OWNER TO {name}")
    yield made
    with administrator(postgres_url) as connection:
        for role in (name, made.owner):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                connection.execute(f"REASSIGN OWNED BY {role} TO postgres")
                connection.execute(f"DROP OWNED BY {role}")
                connection.execute(f"DROP ROLE {role}")


def administrator(url: str) -> Any:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


@pytest.fixture
def one_role(roles: Roles, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    """An archive as `init` makes it: the service owns everything."""
    home = make_home(tmp_path, roles.service_url, clock)
    yield home
    home.services.close()


@pytest.fixture
def parted(one_role: ArchiveHome, roles: Roles, monkeypatch: pytest.MonkeyPatch) -> ArchiveHome:
    """The same with the roles parted by the command, and something in every guarded table."""
    assert part(one_role, roles, monkeypatch) == 0
    dock = one_role.dock()
    one_role.deliver(dock, b"what was filmed")
    destroy_one(one_role, dock)
    assert one_role.erase(lambda entry: entry["type"] == "admin.dock_enrolled") == 1
    one_role.case("what waits for its index")
    with one_role.database.begin() as tx:
        tx.execute(
            text("INSERT INTO log_cosignature SELECT max(size), 'w+00000000', 1, 'x', now() FROM log_checkpoint")
        )
    return one_role


def part(home: ArchiveHome, roles: Roles, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", roles.service_url)
    words = ["db", "roles", "--home", str(home.path), "--owner", roles.owner, "--apply", "--as", roles.admin_url]
    return run(words)


def refused(home: ArchiveHome, *statements: str) -> None:
    """Do it with the service's rights; the server refuses it for want of rights, not for another reason."""
    with pytest.raises(DBAPIError) as refusal, home.database.begin() as tx:
        for statement in statements:
            tx.connection().exec_driver_sql(statement)
    assert isinstance(refusal.value.orig, psycopg.errors.InsufficientPrivilege), statements


def log_tables(home: ArchiveHome) -> Any:
    (found,) = [finding for finding in examine(home.services).findings if finding.code == "doctor.log_tables"]
    return found


# --- what the service's role can still do ---------------------------------------------------------------------


def test_no_right_but_to_add(parted: ArchiveHome, roles: Roles) -> None:
    for table in GUARDED:
        assert parted.count(table), "there must be something to change"
        before = parted.rows(f"SELECT * FROM {table} ORDER BY 1")
        for attack in attacks_on(table, roles):
            refused(parted, *attack)
        assert parted.rows(f"SELECT * FROM {table} ORDER BY 1") == before


def attacks_on(table: str, roles: Roles) -> list[list[str]]:
    key = ", ".join((*KEYS.get(table, ()), ("entry_id",))[0])
    column = key.split(", ")[0]
    change = f"UPDATE {table} SET {column} = {column}"
    attacks = [
        [change],
        ["SET LOCAL session_replication_role = replica", change],
        [f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only"],
        [f"ALTER TABLE {table} DISABLE TRIGGER ALL"],
        [f"DROP TRIGGER {table}_append_only ON {table}"],
        [f"TRUNCATE {table} CASCADE"],
        [f"DROP TABLE {table} CASCADE"],
        [f"ALTER TABLE {table} RENAME TO was_{table}"],
        [f"ALTER TABLE {table} OWNER TO {roles.service}"],
        [f"CREATE RULE quiet AS ON INSERT TO {table} DO INSTEAD NOTHING"],
        [f"CREATE TRIGGER quiet BEFORE INSERT ON {table} EXECUTE FUNCTION liuhen_append_only()"],
        [f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ({key}) DO UPDATE SET {column} = DEFAULT"],
        [f"GRANT ALL ON {table} TO {roles.service}", change],
    ]
    return [*attacks, [f"DELETE FROM {table}"]] if table in KEYS and table != ERASABLE else attacks


def test_a_detail_that_nobody_erased_is_kept_by_its_trigger(parted: ArchiveHome) -> None:
    with pytest.raises(DBAPIError) as refusal, parted.database.begin() as tx:
        tx.execute(text(f"DELETE FROM {ERASABLE}"))
    assert isinstance(refusal.value.orig, psycopg.errors.RestrictViolation)
    parted.sequence()
    assert {found.code for found in parted.faults()} == {"fsck.cosignature_invalid"}, "the one that was put in"


def test_no_way_to_become_more(parted: ArchiveHome, roles: Roles) -> None:
    for attack in (
        f"SET ROLE {roles.owner}",
        f"SET SESSION AUTHORIZATION {roles.owner}",
        f"GRANT {roles.owner} TO {roles.service}",
        f"ALTER ROLE {roles.service} SUPERUSER",
        f"ALTER ROLE {roles.owner} LOGIN PASSWORD 'x'",
        "CREATE ROLE another",
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE log_entry (id uuid, body bytea)",
        "CREATE SCHEMA mine",
        "DROP SCHEMA public CASCADE",
        "ALTER SCHEMA public RENAME TO was_public",
        f"ALTER DATABASE {parted.database.url.database} SET session_replication_role = replica",
        f"ALTER DATABASE {parted.database.url.database} OWNER TO {roles.service}",
        EMPTY_FUNCTION,
        "ALTER FUNCTION liuhen_append_only() RENAME TO nothing",
        "CREATE EXTENSION pgcrypto",
        "COPY log_entry TO PROGRAM 'true'",
        "UPDATE alembic_version SET version_num = 'x'",
    ):
        refused(parted, attack)


def test_doctor_says_which_it_is(
    one_role: ArchiveHome, roles: Roles, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    found = log_tables(one_role)
    assert (found.outcome, "a seat belt only" in found.message) == (Outcome.INDETERMINATE, True)
    assert part(one_role, roles, monkeypatch) == 0
    found = log_tables(one_role)
    assert found.outcome is Outcome.VALID
    assert roles.owner in found.message
    for more, less, told in (
        (f"GRANT UPDATE ON log_entry TO {roles.service}", f"REVOKE UPDATE ON log_entry FROM {roles.service}", "UPDATE on log_entry"),
        (f"GRANT UPDATE (body) ON log_entry TO {roles.service}", f"REVOKE UPDATE (body) ON log_entry FROM {roles.service}", "UPDATE on log_entry"),
        ("GRANT TRUNCATE ON log_node TO PUBLIC", "REVOKE TRUNCATE ON log_node FROM PUBLIC", "TRUNCATE on log_node"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "CREATE in the schema"),
        (f"ALTER ROLE {roles.service} CREATEROLE", f"ALTER ROLE {roles.service} NOCREATEROLE", "CREATEROLE"),
        (f"GRANT pg_write_all_data TO {roles.service}", f"REVOKE pg_write_all_data FROM {roles.service}", "pg_write_all_data"),
        (f"ALTER ROLE {roles.owner} LOGIN", f"ALTER ROLE {roles.owner} NOLOGIN", "a sign-in as the owner"),
        (f"GRANT {roles.owner} TO {roles.service}", f"REVOKE {roles.owner} FROM {roles.service}", "a seat belt only"),
        (f"ALTER SCHEMA public OWNER TO {roles.service}", f"ALTER SCHEMA public OWNER TO {roles.owner}", "ownership of the schema"),
        (
            f"ALTER DATABASE {one_role.database.url.database} OWNER TO {roles.service}",
            f"ALTER DATABASE {one_role.database.url.database} OWNER TO {roles.owner}",
            "ownership of the database",
        ),
    ):  # fmt: skip
        with administrator(roles.admin_url) as connection:
            connection.execute(more)
        found = log_tables(one_role)
        assert (found.outcome, told in found.message) == (Outcome.INDETERMINATE, True), (more, found.message)
        with administrator(roles.admin_url) as connection:
            connection.execute(less)
        assert log_tables(one_role).outcome is Outcome.VALID, less


# --- and that it suffices -------------------------------------------------------------------------------------


def test_the_service_works_with_what_it_has_left(roles: Roles, tmp_path: Path) -> None:
    """Through the public doors of a running service: a dock is enrolled, delivers, gets its receipt; a person signs in."""
    server = Server(tmp_path / "server", database_url=roles.service_url)
    words = ("db", "roles", "--owner", roles.owner)
    assert server.command(*words, "--apply", "--as", roles.admin_url).returncode == 0
    with serving(tmp_path / "server", database_url=roles.service_url) as server:
        with server.database.read() as tx:
            found = role_standing(tx.connection())
        assert (found.owner, found.is_own, found.beyond) == (roles.owner, False, [])
        deliver(server, tmp_path)
        with httpx.Client(base_url=server.address, trust_env=False, timeout=60) as client:
            answer = client.post("/sign-in", data={"username": "auditor", "password": server.accounts["auditor"]})
            assert answer.status_code == 303
            assert client.get("/").status_code == 200
        erased = server.command("log", "erase", "0", "--reason", "asked for", "--authority", "the law")
        assert erased.returncode == 0, erased.stderr
    fsck = server.command("fsck", "--json")
    assert (fsck.returncode, json.loads(fsck.stdout)["complete"]) == (0, "valid"), fsck.stderr


def deliver(server: Server, folder: Path) -> None:
    """Enrol a dock and push a recording to its receipt, as a station does."""
    dock, footage = folder / "dock", folder / "footage"
    footage.mkdir()
    (footage / "a.mp4").write_bytes(b"what was filmed" * 1000)
    for words in (
        ["enrol", "--server", server.address, "--code", server.invite(), "--ca", str(server.ca), "--state", str(dock)],
        ["push", str(footage), "--state", str(dock)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "archive.cli", "dock", *words], env=server.environment, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(footage.glob("*receipt*")) or list(dock.rglob("*receipt*"))


# --- the command, and migrations ------------------------------------------------------------------------------


def test_it_prints_what_it_would_do_and_changes_nothing_the_second_time(
    one_role: ArchiveHome, roles: Roles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", roles.service_url)
    words = ["db", "roles", "--home", str(one_role.path), "--owner", roles.owner]
    assert run(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f'BEGIN;\nCREATE ROLE "{roles.owner}" NOLOGIN;\n')
    assert printed.endswith("COMMIT;\n")
    with administrator(roles.admin_url) as connection:
        assert connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [roles.owner]).fetchone() is None
        connection.execute(printed)
    assert log_tables(one_role).outcome is Outcome.VALID
    before = rights_in(roles)
    assert part(one_role, roles, monkeypatch) == 0
    assert rights_in(roles) == before


def rights_in(roles: Roles) -> Any:
    with administrator(roles.admin_url) as connection:
        return connection.execute(
            "SELECT relname, relacl::text, relowner FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()


def test_what_the_command_refuses(
    one_role: ArchiveHome, roles: Roles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    postgres_server: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("LIUHEN_DATABASE_URL", roles.service_url)
    words = ["db", "roles", "--home", str(one_role.path)]
    for more, exit_code, code in (
        (["--apply"], 64, "db.role_missing"),
        (["--apply", "--as", postgres_server], 64, "db.another_database"),
        (["--apply", "--as", "nonsense"], 64, "db.another_database"),
        (["--owner", roles.service], 78, "db.role_unfit"),
        (["--owner", "postgres"], 78, "db.role_unfit"),
    ):
        assert run([*words, *more]) == exit_code
        assert f"[{code}]" in capsys.readouterr().err
    monkeypatch.setenv("LIUHEN_DATABASE_URL", roles.admin_url)
    assert run(words) == 78
    assert "superuser" in capsys.readouterr().err


def test_a_database_without_tables(roles: Roles) -> None:
    database = Database(roles.service_url)
    with pytest.raises(TablesMissing), database.connect() as connection:
        list(statements(connection, service=roles.service, owner=roles.owner))
    database.close()


@pytest.mark.sqlite("SQLite has no roles")
def test_sqlite_has_no_roles(tmp_path: Path, clock: SteppedClock, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(tmp_path, f"sqlite+pysqlite:///{tmp_path / 'home' / 'liuhen.sqlite3'}", clock)
    found = log_tables(home)
    home.services.close()
    assert (found.outcome, "seat belt only" in found.message) == (Outcome.INDETERMINATE, True)
    assert run(["db", "roles", "--home", str(home.path)]) == 64
    assert "[db.no_roles]" in capsys.readouterr().err


def test_migrations_run_as_the_owner(
    roles: Roles, tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """An older database is parted: the service cannot bring it up to date, who may be the owner can."""
    bring_to(OLDER, roles.service_url)
    database = Database(roles.service_url)
    with database.connect() as connection:
        wanted = list(statements(connection, service=roles.service, owner=roles.owner))
    with administrator(roles.admin_url) as connection:
        for statement in wanted:
            connection.execute(statement)
    with pytest.raises(NotTheOwner):
        migrate(database)
    monkeypatch.setenv("LIUHEN_DATABASE_URL", roles.service_url)
    assert run(["migrate", "--home", str(tmp_path)]) == 77
    assert "[db.not_owner]" in capsys.readouterr().err
    assert run(["migrate", "--home", str(tmp_path), "--as", roles.admin_url]) == 0
    migrate(database)  # nothing is left to do: anybody may find that out
    with database.read() as tx:
        found = role_standing(tx.connection())
    database.close()
    assert (found.owner, found.is_own, found.beyond) == (roles.owner, False, [])
    assert owners(roles) == {roles.owner}
    assert_it_works(roles, tmp_path, clock)


def test_a_superuser_migrates_a_database_of_one_role_as_that_role(
    roles: Roles, tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(OLDER, roles.service_url)
    monkeypatch.setenv("LIUHEN_DATABASE_URL", roles.service_url)
    monkeypatch.setenv("LIUHEN_DB_AS", roles.admin_url)  # where `ps` does not show it
    assert run(["migrate", "--home", str(tmp_path)]) == 0
    assert owners(roles) == {roles.service}
    assert_it_works(roles, tmp_path, clock)


def bring_to(revision: str, url: str) -> None:
    """Make the tables of an older release."""
    config = Config()
    config.set_main_option("script_location", str(Path(archive.db.__file__).parent / "migrations"))
    database = Database(url)
    with database.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    database.close()


def owners(roles: Roles) -> set[str]:
    with administrator(roles.admin_url) as connection:
        found = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        return {owner for (owner,) in found}


def assert_it_works(roles: Roles, tmp_path: Path, clock: SteppedClock) -> None:
    """An archive can be made in it, by the service alone."""
    home = make_home(tmp_path, roles.service_url, clock)
    home.deliver(home.dock(), b"what was filmed")
    home.sequence()
    home.assert_sound()
    home.services.close()

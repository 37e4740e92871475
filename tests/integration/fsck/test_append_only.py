"""The attack list on what was logged: each way is refused, or found by fsck. docs/threat-model.md says which."""

import base64
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from archive.db.append_only import ADD_AND_TAKE, KEYS, missing
from archive.kernel.findings import Outcome
from archive.ledger.models import LogCosignature
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.disposals import destroy_one
from tests.support.unguarded import lift

GUARDED = [*KEYS, *ADD_AND_TAKE]
THREATS = Path(__file__).parents[3] / "docs" / "threat-model.md"


@pytest.fixture
def logged(home: ArchiveHome, dock: EnrolledDock) -> ArchiveHome:
    destroy_one(home, dock)
    home.deliver(dock, b"what was filmed")
    assert home.erase(lambda entry: entry["type"] == "admin.dock_enrolled") == 1
    home.deliver(dock, b"what waits for its index", "b.mp4")
    line = base64.b64encode(bytes(4) + (1).to_bytes(8) + bytes(64)).decode()
    with home.database.begin() as tx:  # of a witness that nobody has pinned, which counts for nothing
        tx.execute(
            insert(LogCosignature).values(
                size=0, key="w+00000000", time_s=1, line=f"— w {line}", received_at=home.clock.now()
            )
        )
    return home


def attempt(home: ArchiveHome, *statements: str) -> None:
    """Do it with the archive's own rights and nobody's help."""
    with home.database.begin() as tx:
        for statement in statements:
            tx.connection().exec_driver_sql(statement)


def refused(home: ArchiveHome, *statements: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        attempt(home, *statements)


def column_of(table: str) -> str:
    return (*KEYS.get(table, ()), ("entry_id",))[0][0]


def codes(home: ArchiveHome) -> set[str]:
    return {finding.code for finding in home.fsck().findings if finding.outcome is Outcome.INVALID}


@pytest.mark.parametrize("table", GUARDED)
def test_update_and_delete_are_refused(logged: ArchiveHome, table: str) -> None:
    assert logged.count(table), "there must be something to change"
    refused(logged, f"UPDATE {table} SET {column_of(table)} = {column_of(table)}")
    if table in KEYS:
        refused(logged, f"DELETE FROM {table}")
    if not logged.database.is_sqlite:
        refused(logged, f"TRUNCATE {table} CASCADE")
        refused(logged, f"UPDATE {table} SET {column_of(table)} = DEFAULT WHERE true")
    logged.sequence()
    logged.assert_sound()


@pytest.mark.parametrize("table", list(KEYS))
def test_replacing_a_row_is_refused(logged: ArchiveHome, table: str) -> None:
    if logged.database.is_sqlite:
        for pragma in ("ON", "OFF"):
            statements = (
                f"PRAGMA recursive_triggers = {pragma}",
                f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
            )
            with closing(sqlite3.connect(str(logged.database.url.database))) as connection:
                connection.execute(statements[0])
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    connection.execute(statements[1])
    else:
        key = ", ".join(KEYS[table][0])
        refused(
            logged,
            f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ({key}) DO UPDATE SET {column_of(table)} = "
            f"EXCLUDED.{column_of(table)}",
        )
    logged.sequence()
    logged.assert_sound()


@pytest.mark.postgres("SQLite knows no replicas")
def test_a_session_that_calls_itself_a_replica_is_refused(logged: ArchiveHome) -> None:
    for table in KEYS:
        refused(logged, "SET LOCAL session_replication_role = replica", f"DELETE FROM {table}")


def drop_one(home: ArchiveHome, table: str) -> None:
    statement = f"DROP TRIGGER {table}_no_update"
    if not home.database.is_sqlite:
        statement = f"DROP TRIGGER {table}_append_only ON {table}"
    attempt(home, statement)


def make_one_empty(home: ArchiveHome, table: str) -> None:
    if home.database.is_sqlite:
        attempt(
            home,
            f"DROP TRIGGER {table}_no_update",
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT 1; END",
        )
    else:
        attempt(
            home,
            "CREATE OR REPLACE FUNCTION liuhen_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN coalesce(NEW, OLD); END $$",
        )


def switch_one_off(home: ArchiveHome, table: str) -> None:
    if home.database.is_sqlite:
        drop_one(home, table)
    else:
        attempt(home, f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only")


@pytest.mark.parametrize("attack", [drop_one, make_one_empty, switch_one_off], ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("table", ["log_entry", "log_pending"])
def test_a_trigger_that_is_gone_or_says_nothing_is_found(
    logged: ArchiveHome, table: str, attack: Callable[[ArchiveHome, str], None]
) -> None:
    attack(logged, table)
    assert codes(logged) == {"fsck.trigger_missing"}


CHANGES = {
    "log_entry": "UPDATE log_entry SET body = CAST(replace(CAST(body AS text), 'ingest', 'inject') AS blob)",
    "log_detail": "DELETE FROM log_detail",
    "log_leaf": "UPDATE log_leaf SET leaf_index = leaf_index + 1000",
    "log_node": "DELETE FROM log_node WHERE level = 0 AND position = 0",
    "log_checkpoint": "UPDATE log_checkpoint SET note = 'x'",
    "log_segment": "DELETE FROM log_segment",
    "log_erasure": "DELETE FROM log_erasure",
    "custody_event": "DELETE FROM custody_event",
    "tombstone": "DELETE FROM tombstone",
}


@pytest.mark.parametrize("table", list(CHANGES))
def test_what_is_changed_behind_the_triggers_is_found(logged: ArchiveHome, table: str) -> None:
    if table == "log_entry" and not logged.database.is_sqlite:
        change = (
            "UPDATE log_entry SET body = convert_to(replace(convert_from(body, 'UTF8'), 'ingest', 'inject'), 'UTF8')"
        )
    else:
        change = CHANGES[table]
    with logged.database.begin() as tx:
        lift(tx.connection())
        assert tx.execute(text(change)).rowcount
    found = codes(logged)
    assert "fsck.trigger_missing" in found
    assert len(found) > 1
    with logged.database.read() as tx:
        assert list(missing(tx.connection()))


@pytest.mark.sqlite("changes a file of SQLite")
def test_the_database_file_itself(logged: ArchiveHome) -> None:
    logged.services.close()
    with closing(sqlite3.connect(str(logged.database.url.database))) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE type = 'trigger'")
        connection.commit()
    logged.reopen()
    assert codes(logged) == {"fsck.trigger_missing"}


def test_the_threat_model_lists_these_attacks() -> None:
    table = THREATS.read_text().partition("## Attacks on what was logged")[2]
    rows = re.findall(r"^\| `([^`|]+)`", table, re.MULTILINE)
    assert rows == [
        "UPDATE", "DELETE", "TRUNCATE", "INSERT OR REPLACE", "session_replication_role = replica", "DROP TRIGGER",
        "DISABLE TRIGGER", "another function", "writable_schema",
    ]  # fmt: skip

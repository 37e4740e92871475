"""A unit of work is all or nothing, and what the database says in its own words gets a name."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

from archive.access.accounts import UsernameTaken
from archive.cases.models import Subject
from archive.db import database as database_module
from archive.db.database import Database, unique_or
from archive.db.migrate import migrate
from archive.kernel.errors import InvalidInput, StorageFull, Unavailable
from archive.kernel.ids import new_uuid7
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.models import LogDetail, LogEntry, LogPending
from tests.support.archive_home import doom_commits, spare_commits

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
ENTRY = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"why": "test"})


@contextmanager
def opened(url: str) -> Iterator[Database]:
    made = Database(url)
    migrate(made)
    yield made
    made.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as made:
        yield made


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with opened(f"sqlite+pysqlite:///{tmp_path}/only.sqlite3") as made:
        yield made


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    with opened(postgres_url) as made:
        yield made


def counts(database: Database) -> list[int]:
    with database.read() as tx:
        return [
            tx.scalar(select(func.count()).select_from(table)) or 0
            for table in (LogEntry, LogDetail, LogPending, Subject)
        ]


def subject(name: str = "张三", at: datetime = AT, subject_id: uuid.UUID | None = None) -> object:
    return insert(Subject).values(id=subject_id or new_uuid7(), kind="person", name=name, created_at=at)


def test_a_unit_that_ends_well_is_there_for_everybody(database: Database) -> None:
    with database.begin() as tx:
        tx.execute(subject())
        append_entry(tx, ENTRY, at=AT)
    assert counts(database) == [1, 1, 1, 1]


def test_a_unit_that_fails_leaves_no_entry_and_no_change(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.begin() as tx:
        tx.execute(subject())
        append_entry(tx, ENTRY, at=AT)
        1 / 0  # noqa: B018
    assert counts(database) == [0, 0, 0, 0]


def test_a_commit_that_fails_leaves_no_entry_and_no_change(database: Database) -> None:
    doom_commits(database)
    reached = False
    with pytest.raises(IntegrityError), database.begin() as tx:
        tx.execute(subject())
        append_entry(tx, ENTRY, at=AT)
        reached = True
    assert reached, "it was to fail at the commit, not before"
    assert counts(database) == [0, 0, 0, 0]
    spare_commits(database)
    with database.begin() as tx:  # and the connection is good for the next
        append_entry(tx, ENTRY, at=AT)
    assert counts(database) == [1, 1, 1, 0]


def test_a_reading_unit_never_writes(database: Database) -> None:
    with database.read() as tx:
        tx.execute(subject())
    assert counts(database)[3] == 0


def test_a_snapshot_sees_one_state(database: Database) -> None:
    with database.snapshot() as tx:
        assert tx.scalar(select(func.count()).select_from(Subject)) == 0
        with database.begin() as other:
            other.execute(subject())
        assert tx.scalar(select(func.count()).select_from(Subject)) == 0
    assert counts(database)[3] == 1


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))])
def test_an_instant_comes_back_as_the_same_instant_in_utc(database: Database, zone: timezone) -> None:
    at = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=zone)
    with database.begin() as tx:
        tx.execute(subject(at=at))
    with database.read() as tx:
        found = tx.scalar(select(Subject.created_at))
    assert found == at
    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_a_naive_instant_is_refused_by_its_name(database: Database) -> None:
    with pytest.raises(InvalidInput), database.begin() as tx:
        tx.execute(subject(at=datetime(2026, 3, 1, 8)))  # noqa: DTZ001
    with pytest.raises(InvalidInput), database.read() as tx:
        tx.scalar(select(Subject.id).where(Subject.created_at > datetime(2026, 3, 1, 8)))  # noqa: DTZ001
    assert counts(database)[3] == 0


def test_what_may_be_there_once_is_a_conflict_and_nothing_else_is(database: Database) -> None:
    once = new_uuid7()
    with database.begin() as tx:
        tx.execute(subject(subject_id=once))
    with pytest.raises(UsernameTaken), unique_or(UsernameTaken), database.begin() as tx:
        tx.execute(subject(subject_id=once))
    with pytest.raises(IntegrityError), unique_or(UsernameTaken), database.begin() as tx:
        tx.execute(text("INSERT INTO log_pending (entry_id) VALUES (:id)"), {"id": uuid.uuid4().hex})


def test_a_full_disk_under_sqlite_is_named_and_nothing_is_written(sqlite: Database) -> None:
    with pytest.raises(StorageFull) as full, sqlite.begin() as tx:
        pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))
        for _ in range(200):
            tx.execute(subject("x" * 200))
    assert full.value.retryable
    assert counts(sqlite)[3] == 0


@pytest.mark.service
def test_a_full_disk_under_postgres_is_named(postgres: Database) -> None:
    with pytest.raises(StorageFull), postgres.begin() as tx:
        tx.execute(text("DO $$ BEGIN RAISE EXCEPTION 'in other words' USING ERRCODE = '53100'; END $$"))


def test_a_writer_that_must_wait_too_long_may_try_again(database: Database) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with database.begin() as tx:
            tx.execute(subject("gehalten"))
            if not database.is_sqlite:
                tx.execute(text("LOCK TABLE subject"))
            inside.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(20)
        impatient = Database(database.url.render_as_string(hide_password=False), wait_s=0.05)
        if not database.is_sqlite:
            with impatient.engine.connect() as connection:
                connection.exec_driver_sql("SET lock_timeout = 50")
                connection.commit()
        with pytest.raises(Unavailable) as late, impatient.begin() as tx:
            tx.execute(subject())
        assert late.value.retryable
        impatient.close()
    finally:
        done.set()
        thread.join()
    assert counts(database)[3] == 1


def test_when_every_connection_is_in_use_one_may_try_again(database_url: str) -> None:
    small = Database(database_url, pool_size=1)
    small.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    held = [small.engine.connect() for _ in range(11)]
    with pytest.raises(Unavailable), small.read() as tx:
        tx.execute(text("SELECT 1"))
    for connection in held:
        connection.close()
    small.close()


@pytest.mark.service
def test_a_connection_that_breaks_in_the_middle_leaves_nothing(postgres: Database) -> None:
    with pytest.raises(Unavailable), postgres.begin() as tx:
        tx.execute(subject())
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with postgres.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    assert counts(postgres)[3] == 0


@pytest.mark.service
@pytest.mark.parametrize("unit", ["begin", "read", "snapshot"])
def test_a_connection_that_breaks_before_it_is_given_back_is_said_so(postgres: Database, unit: str) -> None:
    beside = Database(postgres.url.render_as_string(hide_password=False))
    with pytest.raises(Unavailable), getattr(postgres, unit)() as tx, beside.engine.connect() as other:
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
    beside.close()
    assert counts(postgres)[3] == 0


def break_idle_connections(database: Database) -> None:
    """Leave two connections in the pool, of which the server knows nothing any more."""
    with database.read() as one, database.read() as other:
        pids = [tx.execute(text("SELECT pg_backend_pid()")).scalar_one() for tx in (one, other)]
    beside = Database(database.url.render_as_string(hide_password=False))
    with beside.engine.connect() as connection:
        for pid in pids:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
    beside.close()


@pytest.mark.service
def test_a_server_that_started_anew_is_not_noticed(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    break_idle_connections(postgres)
    monkeypatch.setattr(database_module, "_SURELY_THERE_S", -1.0)  # as after a moment's rest
    for _ in range(3):
        with postgres.begin() as tx:
            tx.execute(subject(subject_id=new_uuid7()))


@pytest.mark.service
def test_one_that_broke_a_moment_ago_is_told_once(postgres: Database) -> None:
    break_idle_connections(postgres)
    with pytest.raises(Unavailable), postgres.begin() as tx:
        tx.execute(subject(subject_id=new_uuid7()))
    with postgres.begin() as tx:
        tx.execute(subject(subject_id=new_uuid7()))


def test_an_error_of_the_database_does_not_tell_the_values(database: Database) -> None:
    once = new_uuid7()
    for name in ("张三", "李四"):
        try:
            with database.begin() as tx:
                tx.execute(subject(name, subject_id=once))
        except IntegrityError as error:
            assert "李四" not in str(error)
            return
    raise AssertionError("the second was to fail")


@pytest.mark.service
def test_a_snapshot_is_not_ended_for_being_idle(postgres: Database) -> None:
    """fsck reads the stores for hours between two statements."""
    setting = text("SHOW idle_in_transaction_session_timeout")
    with postgres.snapshot() as tx:
        assert tx.execute(setting).scalar_one() == "0"
    with postgres.read() as tx:
        assert tx.execute(setting).scalar_one() == "5min"


@pytest.mark.service
def test_a_statement_has_its_time_and_a_snapshot_has_all_of_it(postgres_url: str) -> None:
    impatient = Database(postgres_url, statement_s=1)
    with impatient.read() as tx:
        assert tx.scalar(text("SHOW statement_timeout")) == "1s"
    with pytest.raises(Unavailable), impatient.read() as tx:
        tx.execute(text("SELECT pg_sleep(30)"))
    with impatient.snapshot() as tx:
        assert tx.scalar(text("SHOW statement_timeout")) == "0"
        assert tx.scalar(text("SHOW idle_in_transaction_session_timeout")) == "0"
    with impatient.read() as tx:
        assert tx.scalar(text("SHOW statement_timeout")) == "1s", "for that transaction only"
    impatient.close()

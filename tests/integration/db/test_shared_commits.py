"""On SQLite, changes that wait for each other share a commit; each is still all or nothing, and durable at its end."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, insert, select, text

from archive.cases.models import Subject
from archive.db import shared_commits
from archive.db.database import Database
from archive.kernel.clock import SystemClock
from archive.kernel.errors import StorageFull, Unavailable
from archive.kernel.ids import new_uuid7
from tests.support import schema

WRITERS = 8


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "only.sqlite3"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, nobody is left out for having come late."""
    monkeypatch.setattr(shared_commits, "_LONGEST_S", 60.0)


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    schema.copy_sqlite(file)
    made = Database(f"sqlite+pysqlite:///{file}", wait_s=20)
    yield made
    made.close()


@pytest.fixture
def commits(database: Database) -> list[None]:
    seen: list[None] = []
    event.listen(database.engine, "commit", lambda _: seen.append(None))
    return seen


def subject(name: str) -> object:
    return insert(Subject).values(id=new_uuid7(), kind="person", name=name, created_at=SystemClock().now())


def names(database: Database) -> set[str]:
    with database.read() as tx:
        return set(tx.scalars(select(Subject.name)))


class Behind:
    """Writers that all wait for one that is inside, so that they share the next commit."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.faults: dict[str, BaseException] = {}
        self.done: set[str] = set()

    def run(self, works: dict[str, Callable[[], None]]) -> None:
        """Run each work within a unit of its own, after its subject was written."""
        threads = [threading.Thread(target=self._one, args=(name, work)) for name, work in works.items()]
        try:
            with self.database.begin():
                for thread in threads:
                    thread.start()
                while self.database._shared._waiting < len(works):  # type: ignore[union-attr]
                    pass
        finally:
            for thread in threads:
                thread.join(30)

    def _one(self, name: str, work: Callable[[], None]) -> None:
        try:
            with self.database.begin() as tx:
                tx.execute(subject(name))
                work()
            assert name in names(self.database), "it returned before it was durable"
            self.done.add(name)
        except BaseException as exc:  # noqa: BLE001 - judged by the test
            self.faults[name] = exc


def nothing() -> None:
    """Let the unit end well."""


def fail() -> None:
    raise ZeroDivisionError


def test_writers_that_wait_share_a_commit(database: Database, commits: list[None]) -> None:
    behind = Behind(database)
    behind.run({str(number): nothing for number in range(WRITERS)})
    assert behind.faults == {}
    assert names(database) == {str(number) for number in range(WRITERS)}
    assert len(commits) <= 2 + 1, "the one that was inside, and those behind it together"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=WRITERS))
def test_who_fails_takes_nobody_along(tmp_path_factory: pytest.TempPathFactory, fails: list[bool]) -> None:
    file = tmp_path_factory.mktemp("db") / "only.sqlite3"
    schema.copy_sqlite(file)
    database = Database(f"sqlite+pysqlite:///{file}", wait_s=20)
    behind = Behind(database)
    behind.run({str(number): fail if is_failing else nothing for number, is_failing in enumerate(fails)})
    failing = {str(number) for number, is_failing in enumerate(fails) if is_failing}
    assert set(behind.faults) == failing
    assert all(isinstance(fault, ZeroDivisionError) for fault in behind.faults.values())
    assert names(database) == behind.done == {str(number) for number in range(len(fails))} - failing
    database.close()


def test_an_error_is_not_told_before_what_it_tells_of_is_durable(database: Database, commits: list[None]) -> None:
    """One writes, the next one finds that and fails: when that is heard, the first one's change is there."""
    seen: list[bool] = []

    def fail_over_it() -> None:
        shared = database._shared._open  # type: ignore[union-attr]
        assert shared is not None
        told = {name for (name,) in shared.connection.execute(select(Subject.name))} - {"second"}
        seen.append(bool(told))
        raise ZeroDivisionError

    class Told(Behind):
        def _one(self, name: str, work: Callable[[], None]) -> None:
            super()._one(name, work)
            if name == "second" and seen == [True]:
                assert "first" in names(database), "it was told of a change that was not durable"

    behind = Told(database)
    behind.run({"first": nothing, "second": fail_over_it})
    assert set(behind.faults) == {"second"}
    assert isinstance(behind.faults["second"], ZeroDivisionError)
    assert names(database) == {"first"}


def test_a_disk_that_fills_up_is_told_to_everyone_who_was_in(database: Database) -> None:
    """SQLite rolls back all of it, so those that were through already are not either."""
    behind = Behind(database)

    def fill() -> None:
        shared = database._shared._open  # type: ignore[union-attr]
        assert shared is not None
        pages = shared.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        shared.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        try:
            for _ in range(500):
                shared.connection.execute(subject("x" * 200))
        finally:
            shared.connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")

    with suppress(StorageFull):  # the one before them may be in with them, or have committed
        behind.run({**{str(number): nothing for number in range(3)}, "full": fill})
    assert isinstance(behind.faults["full"], StorageFull)
    for name, fault in behind.faults.items():
        assert isinstance(fault, StorageFull), name
    assert names(database) == behind.done
    with database.begin() as tx:  # and what comes next is taken
        tx.execute(subject("next"))
    assert "next" in names(database)


def test_who_is_waited_for_and_gives_up_holds_nobody_back(database: Database) -> None:
    """The one that was in leaves the commit to the next; when that one never comes, it commits itself."""
    shared = database._shared
    assert shared is not None
    shared._waiting += 1  # somebody who is about to give up
    with database.begin() as tx:
        tx.execute(subject("a"))
    shared._waiting -= 1
    assert names(database) == {"a"}


def test_a_process_that_is_killed_inside_gives_up_its_turn(database: Database, file: Path) -> None:
    code = (
        "import sys, time\nfrom archive.db.database import Database\n"
        "with Database(sys.argv[1]).begin() as tx:\n    print('in', flush=True)\n    time.sleep(600)\n"
    )
    url = f"sqlite+pysqlite:///{file}"
    with subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        impatient = Database(url, wait_s=0.05)
        with pytest.raises(Unavailable), impatient.begin():
            pass
        impatient.close()
        process.kill()
    with database.begin() as tx:
        tx.execute(subject("after"))
    assert names(database) == {"after"}


def test_processes_take_turns(database: Database, file: Path) -> None:
    """One that writes without a pause lets the other one in: between its commits, and before it may come again."""
    code = (
        "import sys\nfrom sqlalchemy import text\nfrom archive.db.database import Database\n"
        "database = Database(sys.argv[1])\nprint('on', flush=True)\n"
        "while True:\n    with database.begin() as tx:\n        tx.execute(text('UPDATE turns SET n = n + 1'))\n"
    )
    with database.begin() as tx:
        tx.execute(text("CREATE TABLE turns (n INTEGER NOT NULL)"))
        tx.execute(text("INSERT INTO turns VALUES (0)"))
    with subprocess.Popen([sys.executable, "-c", code, f"sqlite+pysqlite:///{file}"], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        assert busy.stdout.readline() == b"on\n"
        seen = []
        for number in range(20):
            with database.begin() as tx:
                tx.execute(subject(str(number)))
                seen.append(tx.execute(text("SELECT n FROM turns")).scalar_one())
        busy.kill()
    assert len(names(database)) == 20
    assert seen == sorted(seen)
    assert seen[-1] > seen[0], "the busy one had its turns too"
    with database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Subject)) == 20

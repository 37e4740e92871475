"""One sequencer at a time: the second stands by, and takes over when the first is gone, however it went."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from archive.db.database import Database
from archive.kernel.errors import Unavailable
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.lock import SequencerLock
from tests.support.archive_home import ArchiveHome

PATIENCE_S = 60


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def locks(database_url: str, tmp_path: Path) -> Iterator[list[SequencerLock]]:
    databases = [Database(database_url) for _ in range(2)]
    made = [SequencerLock(database, tmp_path / "lock") for database in databases]
    yield made
    for lock, database in zip(made, databases, strict=True):
        lock.release()
        database.close()


def test_only_one_has_it_and_giving_it_back_lets_the_next_one_in(locks: list[SequencerLock]) -> None:
    first, second = locks
    assert first.try_acquire()
    assert not second.try_acquire()
    assert not second.try_acquire()
    first.require_held()
    first.release()
    assert second.try_acquire()
    assert not first.try_acquire()


def test_whoever_has_it_already_has_it(locks: list[SequencerLock]) -> None:
    first, second = locks
    assert first.try_acquire()
    assert first.try_acquire()
    first.release()
    assert second.try_acquire(), "giving back once is enough"


def test_standing_by_ends_when_it_is_free_or_when_one_is_told_to(locks: list[SequencerLock]) -> None:
    first, second = locks
    assert first.try_acquire()
    turns = iter([True, True, False])
    assert not second.wait(pause=lambda: next(turns))

    def give_back() -> bool:
        first.release()
        return True

    assert second.wait(pause=give_back)


@pytest.mark.service
def test_a_lock_whose_connection_broke_is_no_lock(postgres_url: str, tmp_path: Path) -> None:
    databases = [Database(postgres_url) for _ in range(2)]
    first, second = (SequencerLock(database, tmp_path / "lock") for database in databases)
    assert first.try_acquire()
    with databases[1].begin() as tx:
        tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    with pytest.raises(Unavailable):
        first.require_held()
    wait_for(second.try_acquire)
    first.release()
    second.release()
    for database in databases:
        database.close()


@pytest.fixture
def start(home: ArchiveHome, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start a `liuhen sequencer` of its own; all that still run are killed at the end."""
    environment = {
        **os.environ,
        "LIUHEN_HOME": str(home.path),
        "LIUHEN_DATABASE_URL": home.settings.effective_database_url,
        "LIUHEN_SEQUENCING_INTERVAL_MS": "20",
    }
    running = []

    def started(name: str) -> subprocess.Popen[bytes]:
        with (tmp_path / name).open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "archive.cli", "sequencer"], env=environment, stderr=log)
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.wait()


def test_the_second_process_takes_over_when_the_first_is_killed(
    home: ArchiveHome, tmp_path: Path, start: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    def is_sequencing(name: str) -> bool:
        return b'"sequencing"' in (tmp_path / name).read_bytes()

    def write() -> None:
        with home.database.begin() as tx:
            append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR), at=home.clock.now())

    first = start("first")
    wait_for(lambda: is_sequencing("first"))
    second = start("second")
    write()
    wait_for(lambda: len(home.logged()) == 1)
    time.sleep(1.5)  # long enough for the second to have started and to have tried for the lock
    assert second.poll() is None
    assert not is_sequencing("second")
    first.send_signal(signal.SIGKILL)
    first.wait()
    write()
    wait_for(lambda: len(home.logged()) == 2)
    assert is_sequencing("second")
    second.terminate()
    assert second.wait(PATIENCE_S) == 0
    home.assert_sound()

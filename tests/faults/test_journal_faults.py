"""The journal on a disk that is full, and a key that is erased by a process that is killed or refused meanwhile."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archive.adapters.erasable_store import ErasableFilesystemStore
from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.errors import StorageFull
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.journal import Journal, State
from archive.ledger.keykinds import MLDSA44
from archive.ledger.note import Signer
from archive.ledger.restoring import read_details
from archive.ledger.sequencer import Sequencer
from signing.ed25519 import Ed25519KeyHandle
from signing.key_wrap import FileKeyWrapper
from signing.mldsa import MlDsa44KeyHandle
from tests.faults.blank_driver import DATA, KEY, LENGTH, OFFSET, UNAVAILABLE, store_in
from tests.faults.test_store_faults import base, small_disk, strace  # noqa: F401 - fixtures
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.deployment import new_database

BLANKED = DATA[:OFFSET] + bytes(LENGTH) + DATA[OFFSET + LENGTH :]


def write(home: ArchiveHome, count: int) -> None:
    with home.database.begin() as tx:
        for number in range(count):
            entry = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"n": number, "text": "x" * 400})
            append_entry(tx, entry, at=home.clock.now())


def on_disk(home: ArchiveHome, disk: Path) -> tuple[Sequencer, Journal]:
    """A sequencer of the archive whose journal lies on another disk."""
    journal = Journal(
        FilesystemStore(disk / "journal", scratch=disk / "scratch"),
        ErasableFilesystemStore(disk / "keys", scratch=disk / "scratch"),
        FileKeyWrapper(home.path / "keys" / "journal.key"),
    )
    origin, keys = home.services.settings.origin, home.path / "keys"
    signers = [
        Signer(origin, Ed25519KeyHandle.load(keys / "log.pem")),
        Signer(origin, MlDsa44KeyHandle.load(keys / "log-mldsa.pem"), MLDSA44),
    ]
    published = home.services.published
    return Sequencer(
        home.database, origin=origin, signers=signers, published=published, journal=journal, clock=home.clock
    ), journal


def test_a_journal_without_room_loses_nothing_and_goes_on_with_room(small_disk: Path, tmp_path: Path) -> None:  # noqa: F811
    home = make_home(tmp_path, new_database(tmp_path / "test.sqlite3"), SteppedClock())
    sequencer, journal = on_disk(home, small_disk)
    write(home, 10)
    assert sequencer.sequence() == 10
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    write(home, 50)
    tries = 0
    while home.count("log_pending"):
        tries += 1
        try:
            sequencer.sequence()
        except StorageFull as full:
            assert full.retryable
            assert (home.count("log_pending"), home.count("log_leaf"), home.count("log_segment")) == (50, 10, 1)
        os.truncate(ballast, max(0, ballast.stat().st_size - 4096))
    assert tries > 5
    assert [kept.state for kept in read_details(home.database, journal)] == [State.KEPT] * 60
    for name in ("journal", "keys"):
        assert len([path for path in (small_disk / name).rglob("*") if path.is_file()]) == 2
    home.services.close()


def blank(place: Path, *under: str) -> int:
    command = [*under, sys.executable, "-m", "tests.faults.blank_driver", str(place)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def prepared(place: Path) -> Path:
    place.mkdir()
    store_in(place).put_once(KEY, io.BytesIO(DATA))
    return place / "store" / KEY


def test_the_zeros_are_written_and_then_made_durable(base: Path) -> None:  # noqa: F811
    prepared(base / "run")
    log = base / "log"
    assert blank(base / "run", *strace("pwrite64,fsync", "-yy", "-o", str(log))) == 0
    ours = [re.search(r"(pwrite64|fsync)\(", line) for line in log.read_text().splitlines() if KEY in line]
    assert [found[1] for found in ours if found] == ["pwrite64", "fsync"]


@pytest.mark.parametrize("call", ["openat", "fchmod", "pwrite64", "fsync"])
def test_killed_or_refused_at_any_call_nothing_else_changes_and_the_next_try_ends_it(base: Path, call: str) -> None:  # noqa: F811
    log = base / "log"
    prepared(base / "counted")
    assert blank(base / "counted", *strace(call, "-yy", "-o", str(log))) == 0
    lines = [line for line in log.read_text().splitlines() if f"{call}(" in line]
    ours = [number for number, line in enumerate(lines, start=1) if str(base) in line or "/proc/self/fd/" in line]
    assert ours, f"no {call} belongs to the blanking"
    outcomes = set()
    for number in ours:
        for fault in ("error=EIO", "signal=KILL"):
            place = base / f"{number}-{fault[:6]}"
            file = prepared(place)
            inject = ("-o", "/dev/null", "-e", f"inject={call}:{fault}:when={number}")
            outcome = blank(place, *strace(call, *inject))
            assert outcome in {0, UNAVAILABLE, -signal.SIGKILL}, (number, fault)
            outcomes.add(outcome)
            assert file.read_bytes() in {DATA, BLANKED}
            store_in(place).blank(KEY, offset=OFFSET, length=LENGTH)
            assert file.read_bytes() == BLANKED
            assert file.stat().st_mode & 0o777 == 0o444
    assert {UNAVAILABLE, -signal.SIGKILL} <= outcomes

"""The store when the process is killed, the disk is full, or a system call fails."""

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.errors import StorageFull
from archive.kernel.findings import Outcome
from archive.ocfl.inventory import NewFile
from archive.ocfl.layout import object_root
from archive.ports.blobs import BlobExists, BlobMissing
from tests.faults.store_driver import start, work
from tests.faults.write_driver import DATA, FULL, KEY, UNAVAILABLE, store_in
from tests.unit.ocfl.objects import AT, FILM, FILM_BYTES, MANIFEST, OBJECT_ID, USER, Place, judge, new_place, snapshot

ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
AT_ONCE = timedelta(0)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory in memory where the machine has one: what is tried here is order, and fsync costs nothing there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name)


def drive(driver: str, *arguments: str, under: tuple[str, ...] = ()) -> int:
    command = [*under, sys.executable, "-m", f"tests.faults.{driver}", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=False).returncode


def scratch_files(base: Path) -> list[Path]:
    return [path for path in (base / "scratch").iterdir() if path.name != "locks"]


def finished(case: str, base: Path) -> dict[str, bytes]:
    """The store as it is when nothing goes wrong."""
    place = start(case, base)
    work(case, place)
    return snapshot(base / "store")


def assert_whole(place: Place, case: str, reference: dict[str, bytes]) -> None:
    """Nothing that is in the store is half, and what was preserved before is still there."""
    root = object_root(OBJECT_ID)
    for name, data in snapshot(place.base / "store").items():
        first = reference.get(name.replace(root, f"{root}/v1")) if case == "add" else None
        assert data in (reference[name], first), f"{name} is half"
    if case == "add" or place.root.exists(OBJECT_ID):
        with place.root.open_file(OBJECT_ID, FILM) as source:
            assert source.read() == FILM_BYTES


def assert_healed(place: Place, case: str, reference: dict[str, bytes]) -> None:
    """Start-up and the next try make all well."""
    place.store.sweep(older_than=AT_ONCE)
    assert scratch_files(place.base) == []
    place.store.prune()
    report = place.root.repair()
    assert (report.broken, report.strays) == ([], [])
    assert place.root.exists(OBJECT_ID) or not report.mended
    work(case, place)
    assert snapshot(place.base / "store") == reference
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
    assert judge(place) == []
    after = place.root.repair()
    assert (after.mended, after.unfinished, after.broken) == ([], [], [])


@pytest.mark.parametrize("case", ["create", "add"])
def test_killed_before_any_call_all_is_well_again(base: Path, case: str) -> None:
    assert drive("store_driver", "kill", str(base / "runs"), case) == 0
    reference = finished(case, base / "reference")
    runs = sorted((base / "runs").iterdir())
    assert len(runs) > 60
    heads = set()
    for run in runs:
        place = Place(run)
        assert_whole(place, case, reference)
        heads.add(place.root.read_inventory(OBJECT_ID).head if place.root.exists(OBJECT_ID) else 0)
        assert_healed(place, case, reference)
    assert heads == ({1, 2} if case == "add" else {0, 1})


@pytest.mark.parametrize("case", ["create", "add"])
def test_a_full_disk_at_any_call_is_said_and_leaves_nothing_half(base: Path, case: str) -> None:
    assert drive("store_driver", "fail", str(base / "runs"), case) == 0
    reference = finished(case, base / "reference")
    outcomes = []
    for run in sorted((base / "runs").iterdir()):
        place = Place(run)
        assert scratch_files(run) == []
        outcomes.append((run / "outcome").read_text())
        assert_whole(place, case, reference)
        assert_healed(place, case, reference)
    assert outcomes.count("full") > 50
    assert outcomes[-1] == "done"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB and 40 inodes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k,nr_inodes=40", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this process may not mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def used(disk: Path) -> tuple[int, int]:
    found = os.statvfs(disk)
    return found.f_blocks - found.f_bfree, found.f_files - found.f_ffree


def test_a_blob_that_does_not_fit_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    store = store_in(small_disk)
    store.put_once("kept", io.BytesIO(b"kept"))
    before = used(small_disk)
    with pytest.raises(StorageFull) as caught:
        store.put_once("a/b/large", io.BytesIO(bytes(1_000_000)))
    assert caught.value.retryable
    (tmp_path / "staged").write_bytes(bytes(1_000_000))
    with pytest.raises(StorageFull):
        store.adopt("a/b/large", tmp_path / "staged")
    with pytest.raises(StorageFull):
        store.replace_if("kept", bytes(1_000_000), expected_sha512=hashlib.sha512(b"kept").hexdigest())
    assert used(small_disk)[0] == before[0]
    assert scratch_files(small_disk) == []
    assert snapshot(small_disk / "store") == {"kept": b"kept"}
    assert [path.name for path in (small_disk / "store").iterdir()] == ["kept"]
    store.put_once("a/b/small", io.BytesIO(bytes(100_000)))


def test_a_disk_without_inodes_is_full_too(small_disk: Path) -> None:
    store = store_in(small_disk)

    def put_many() -> None:
        for number in range(100):
            store.put_once(f"{number}/{number}/blob", io.BytesIO(b"x"))

    with pytest.raises(StorageFull):
        put_many()
    assert scratch_files(small_disk) == []
    assert set(snapshot(small_disk / "store").values()) == {b"x"}
    made = [path for path in (small_disk / "store").rglob("*") if path.is_dir()]
    assert all(any(path.iterdir()) for path in made)


def test_an_object_that_does_not_fit_is_absent_until_there_is_room(small_disk: Path) -> None:
    """Room is made page by page; every try gets a little further, the last one is done."""
    place = new_place(small_disk / "place")
    files = [NewFile.of_bytes(FILM, FILM_BYTES), NewFile.of_bytes(MANIFEST, b"{}")]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    tries = 0
    while not place.root.exists(OBJECT_ID):
        tries += 1
        with contextlib.suppress(StorageFull):
            place.root.create_object(OBJECT_ID, files, message="接收", user=USER, at=AT)
        assert scratch_files(place.base) == []
        os.truncate(ballast, ballast.stat().st_size - 4096)
    assert tries > 5
    place.root.create_object(OBJECT_ID, files, message="接收", user=USER, at=AT)
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
    assert judge(place) == []


CALLS = ["openat", "flock", "write", "fchmod", "fsync", "mkdir", "linkat"]


def strace(call: str, *options: str) -> tuple[str, ...]:
    return ("strace", "-f", "-qq", "-e", f"trace={call}", *options)


def calls_of_a_write(base: Path, call: str, kind: str) -> list[int]:
    """Which calls of this name belong to the write: from the first that names our directory, if calls of it do so."""
    log = base / "log"
    (base / "counted").mkdir()
    store_in(base / "counted")
    (base / "counted" / "staged").write_bytes(DATA)
    assert drive("write_driver", kind, str(base / "counted"), under=strace(call, "-o", str(log))) == 0
    lines = [line for line in log.read_text().splitlines() if f"{call}(" in line]
    ours = [number for number, line in enumerate(lines, start=1) if f"{base}/counted" in line]
    return list(range(ours[0] if ours else 1, len(lines) + 1))


def assert_put_again(base: Path) -> None:
    """Whatever happened: no blob or a whole one, and the next try ends with a whole one."""
    store = store_in(base)
    try:
        with store.open(KEY) as source:
            assert source.read() == DATA
    except BlobMissing:
        assert list((base / "store").iterdir()) == []
    with contextlib.suppress(BlobExists):
        store.put_once(KEY, io.BytesIO(DATA))
    assert snapshot(base / "store") == {KEY: DATA}


@pytest.mark.parametrize("kind", ["put", "adopt"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_once_leaves_no_half_blob(base: Path, call: str, kind: str) -> None:
    """The kernel itself says no, under strace, to one call after the other of a single write."""
    outcomes = set()
    for number in calls_of_a_write(base, call, kind):
        error = ("EIO", "ENOSPC", "EDQUOT")[number % 3]
        run = base / f"{number}"
        run.mkdir()
        store_in(run)
        (run / "staged").write_bytes(DATA)
        inject = ("-o", "/dev/null", "-e", f"inject={call}:error={error}:when={number}")
        outcome = drive("write_driver", kind, str(run), under=strace(call, *inject))
        assert outcome in {0, FULL, UNAVAILABLE}, (call, number, error)
        outcomes.add(outcome)
        assert scratch_files(run) == [], (call, number, error)
        if outcome == 0:
            assert snapshot(run / "store") == {KEY: DATA}
        assert_put_again(run)
        killed = base / f"{number}-killed"
        killed.mkdir()
        store_in(killed)
        (killed / "staged").write_bytes(DATA)
        inject = ("-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}")
        assert drive("write_driver", kind, str(killed), under=strace(call, *inject)) == -signal.SIGKILL
        store_in(killed).sweep(older_than=AT_ONCE)
        assert scratch_files(killed) == []
        store_in(killed).prune()
        assert_put_again(killed)
    if (call, kind) not in {("flock", "adopt"), ("write", "adopt")}:
        assert outcomes & {FULL, UNAVAILABLE}, f"no {call} of the write was hit"

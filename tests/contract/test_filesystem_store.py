"""The file system store: the contract, and what only a file system can get wrong."""

import io
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.lock_times import LockTimes
from archive.kernel.errors import InvalidInput
from archive.ports.blobs import BadKey, BlobLocked, BlobMissing, BlobStore, StoreBroken
from tests.contract.blob_store import BlobStoreContract, BlobStoreMachine, Raw
from tests.contract.locks import LockContract, soon
from tests.support.archive_home import SteppedClock

AT_ONCE = timedelta(0)


class RawDirectory:
    """The store's directory, read with nothing but the standard library."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes | None:
        path = self.root / key
        return path.read_bytes() if path.is_file() else None

    def names(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}


@contextmanager
def on_another_file_system(than: Path) -> Iterator[Path]:
    """Give a folder on another file system than this one: in memory, or on a disk where the run is in memory."""
    places = (Path("/dev/shm"), Path("/var/tmp"), Path("/tmp"), Path(__file__).parents[2])
    others = [place for place in places if os.access(place, os.W_OK) and place.stat().st_dev != than.stat().st_dev]
    if not others:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=others[0]) as folder:
        yield Path(folder)


def scratch_names(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "scratch").iterdir() if path.name != "locks")


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "base" / "store", scratch=tmp_path / "base" / "scratch")


@pytest.fixture
def raw(tmp_path: Path) -> RawDirectory:
    return RawDirectory(tmp_path / "base" / "store")


class TestContract(BlobStoreContract):
    """The file system store keeps the contract."""

    @pytest.fixture(autouse=True)
    def _no_leftovers(self, store: FilesystemStore, tmp_path: Path) -> Iterator[None]:
        yield
        assert scratch_names(tmp_path / "base") == []


class TestLocks(LockContract):
    """Lock times are kept beside the store, and our own delete honours them."""

    @pytest.fixture
    def clock(self) -> SteppedClock:
        return SteppedClock()

    @pytest.fixture
    def locking(self, tmp_path: Path, clock: SteppedClock) -> FilesystemStore:
        base = tmp_path / "base"
        times = LockTimes(base / "locks", scratch=base / "scratch", clock=clock)
        return FilesystemStore(
            base / "store", scratch=base / "scratch", locks=times, is_replaced=lambda key: key == "inventory"
        )

    def test_a_lock_ends(self, locking: FilesystemStore, key: str, clock: SteppedClock, raw: RawDirectory) -> None:
        locking.lock([key], soon())
        clock.step(timedelta(days=1, minutes=1))
        locking.delete(key)
        assert raw.read(key) is None

    def test_without_a_moment_nothing_is_locked(self, locking: FilesystemStore, key: str) -> None:
        locking.lock([key])
        assert locking.locked_until(key) is None

    def test_the_times_of_what_is_gone_go_too(
        self, locking: FilesystemStore, key: str, clock: SteppedClock, tmp_path: Path
    ) -> None:
        locking.lock([key], soon())
        assert list((tmp_path / "base" / "locks").rglob("*.json"))
        clock.step(timedelta(days=2))
        locking.delete(key)
        assert list((tmp_path / "base" / "locks").rglob("*.json")) == []
        locking.put_once(key, io.BytesIO(b"another"))
        assert locking.locked_until(key) is None

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"group":"other","files":{}}', b'{"group":"a/v1/content"}'])
    def test_times_that_cannot_be_read_free_nothing(
        self, locking: FilesystemStore, key: str, tmp_path: Path, raw: RawDirectory, data: bytes
    ) -> None:
        locking.lock([key], soon())
        (file,) = (tmp_path / "base" / "locks").rglob("*.json")
        file.chmod(0o644)
        file.write_bytes(data)
        for act in (lambda: locking.delete(key), lambda: locking.locked_until(key), lambda: locking.hold([key])):
            with pytest.raises(StoreBroken):
                act()
        assert raw.read(key) == b"film"

    def test_another_process_sees_them(self, locking: FilesystemStore, key: str, tmp_path: Path) -> None:
        locking.lock([key], soon())
        base = tmp_path / "base"
        times = LockTimes(base / "locks", scratch=base / "scratch", clock=SteppedClock())
        with pytest.raises(BlobLocked):
            FilesystemStore(base / "store", scratch=base / "scratch", locks=times).delete(key)


class FilesystemMachine(BlobStoreMachine):
    def make(self) -> tuple[BlobStore, Raw, Path]:
        base = Path(tempfile.mkdtemp(prefix="liuhen-store-"))
        return FilesystemStore(base / "store", scratch=base / "scratch"), RawDirectory(base / "store"), base

    def teardown(self) -> None:
        if hasattr(self, "work"):
            assert scratch_names(self.work) == []
            shutil.rmtree(self.work)


FilesystemMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestMachine = FilesystemMachine.TestCase


def test_blobs_are_read_only_files(store: FilesystemStore, tmp_path: Path) -> None:
    store.put_once("a", io.BytesIO(b"x"))
    (tmp_path / "staged").write_bytes(b"y")
    store.adopt("b", tmp_path / "staged")
    store.replace_if("c", b"z", expected_sha512=None)
    for key in "abc":
        assert stat.S_IMODE(store.local_path(key).stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "staged").stat().st_mode) == 0o444


def test_adopting_does_not_copy(store: FilesystemStore, tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(b"film")
    store.adopt("a/b", tmp_path / "staged")
    assert store.local_path("a/b").samefile(tmp_path / "staged")


def test_a_file_of_another_file_system_is_copied(store: FilesystemStore, raw: RawDirectory) -> None:
    with on_another_file_system(raw.root) as other:
        staged = other / "staged"
        staged.write_bytes(b"film" * 500_000)
        store.adopt("a/b", staged)
        assert raw.read("a/b") == staged.read_bytes()
    assert stat.S_IMODE(store.local_path("a/b").stat().st_mode) == 0o444


def test_no_key_is_a_folder_of_another(store: FilesystemStore, raw: RawDirectory, tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(b"y")
    store.put_once("a/b", io.BytesIO(b"x"))
    for key in ("a", "a/b/c"):
        with pytest.raises(BadKey):
            store.put_once(key, io.BytesIO(b"y"))
        with pytest.raises(BadKey):
            store.adopt(key, tmp_path / "staged")
        with pytest.raises(BadKey):
            store.replace_if(key, b"y", expected_sha512=None)
    assert raw.names() == {"a/b"}


def test_what_is_no_file_is_seen_and_never_read(store: FilesystemStore, raw: RawDirectory) -> None:
    (raw.root / "real").write_bytes(b"x")
    (raw.root / "link").symlink_to("real")
    os.mkfifo(raw.root / "pipe")
    assert list(store.keys()) == ["link", "pipe", "real"]
    for key in ("link", "pipe"):
        with pytest.raises(StoreBroken):
            store.open(key)
        with pytest.raises(StoreBroken):
            store.size_bytes(key)


def test_deleting_leaves_no_empty_directory(store: FilesystemStore, raw: RawDirectory) -> None:
    store.put_once("a/b/c/d", io.BytesIO(b"x"))
    store.put_once("a/e", io.BytesIO(b"x"))
    store.delete("a/b/c/d")
    assert [path.name for path in (raw.root / "a").iterdir()] == ["e"]
    store.delete("a/e")
    assert list(raw.root.iterdir()) == []


def test_putting_and_deleting_side_by_side(store: FilesystemStore, raw: RawDirectory) -> None:
    """A directory that a delete has just removed is made again."""
    worker = (
        "import io, sys\n"
        "from pathlib import Path\n"
        "from archive.adapters.filesystem_store import FilesystemStore\n"
        "store = FilesystemStore(Path(sys.argv[1]), scratch=Path(sys.argv[2]))\n"
        "for turn in range(60):\n"
        "    store.put_once(f'a/b/c/{sys.argv[3]}', io.BytesIO(b'x'))\n"
        "    store.delete(f'a/b/c/{sys.argv[3]}')\n"
    )
    scratch = raw.root.parent / "scratch"
    running = [subprocess.Popen([sys.executable, "-c", worker, str(raw.root), str(scratch), name]) for name in "xy"]
    assert [process.wait() for process in running] == [0, 0]
    assert list(raw.root.iterdir()) == []
    assert not store.exists("a/b/c/x")


@pytest.mark.parametrize("scratch", ["store", "store/scratch"])
def test_scratch_in_the_store_is_refused(tmp_path: Path, scratch: str) -> None:
    with pytest.raises(InvalidInput):
        FilesystemStore(tmp_path / "store", scratch=tmp_path / scratch)


def test_scratch_on_another_file_system_is_refused(tmp_path: Path) -> None:
    with on_another_file_system(tmp_path) as other, pytest.raises(InvalidInput):
        FilesystemStore(tmp_path / "store", scratch=other)


def test_scratch_on_another_mount_of_the_same_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    mount = ["mount", "--bind", str(tmp_path / "scratch"), str(tmp_path / "scratch")]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this process may not mount")
    try:
        with pytest.raises(InvalidInput):
            FilesystemStore(tmp_path / "store", scratch=tmp_path / "scratch")
    finally:
        subprocess.run(["umount", str(tmp_path / "scratch")], check=True)


def test_the_sweep_takes_what_the_dead_left_and_nothing_else(store: FilesystemStore, tmp_path: Path) -> None:
    scratch = tmp_path / "base" / "scratch"
    holder = (
        "import sys\n"
        "from pathlib import Path\n"
        "from archive.adapters.durable import scratch_file\n"
        "with scratch_file(Path(sys.argv[1])) as temp:\n"
        "    print(temp.path.name, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", holder, str(scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert store.sweep(older_than=AT_ONCE) == 0
        assert scratch_names(tmp_path / "base") == [name]
        process.kill()
    assert store.sweep(older_than=timedelta(days=1)) == 0
    assert store.sweep(older_than=AT_ONCE) == 1
    assert scratch_names(tmp_path / "base") == []


def test_prune_removes_empty_directories_only(store: FilesystemStore, raw: RawDirectory) -> None:
    store.put_once("a/b", io.BytesIO(b"x"))
    (raw.root / "a/c/d").mkdir(parents=True)
    assert store.prune() == 2
    assert raw.names() == {"a/b"}
    assert not (raw.root / "a/c").exists()


def test_the_immutable_flag_holds_until_delete(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store", scratch=tmp_path / "scratch", immutable=True)
    if not store.can_protect():
        pytest.skip("this file system or user has no immutable flag")
    staged = tmp_path / "staged"
    staged.write_bytes(b"film")
    store.put_once("a/put", io.BytesIO(b"film"))
    store.adopt("a/adopted", staged)
    staged.unlink()
    assert store.protect("a/adopted")
    for key in ("a/put", "a/adopted"):
        path = store.local_path(key)
        with pytest.raises(PermissionError):
            path.unlink()
        with pytest.raises(PermissionError):
            path.open("r+b")
        store.delete(key)
        with pytest.raises(BlobMissing):
            store.local_path(key)
    assert scratch_names(tmp_path) == []


def test_without_being_asked_nothing_is_immutable(store: FilesystemStore) -> None:
    store.put_once("a", io.BytesIO(b"x"))
    assert not store.protect("a")
    store.local_path("a").unlink()

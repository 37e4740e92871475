"""The erasable store: the contract of blobs, and what blanking promises."""

import io
import stat
from pathlib import Path

import pytest

from archive.adapters.erasable_store import ErasableFilesystemStore
from archive.kernel.errors import InvalidInput
from archive.ports.blobs import BlobMissing, StoreBroken
from tests.contract.blob_store import BlobStoreContract
from tests.contract.test_filesystem_store import RawDirectory

DATA = bytes(range(1, 201))


@pytest.fixture
def store(tmp_path: Path) -> ErasableFilesystemStore:
    return ErasableFilesystemStore(tmp_path / "base" / "store", scratch=tmp_path / "base" / "scratch")


@pytest.fixture
def raw(tmp_path: Path) -> RawDirectory:
    return RawDirectory(tmp_path / "base" / "store")


class TestContract(BlobStoreContract):
    """The erasable store is a blob store."""


def test_a_range_is_blanked_in_the_very_file(store: ErasableFilesystemStore, raw: RawDirectory) -> None:
    store.put_once("a/b", io.BytesIO(DATA))
    before = (raw.root / "a/b").stat()
    for _ in range(2):
        store.blank("a/b", offset=24, length=40)
        assert raw.read("a/b") == DATA[:24] + bytes(40) + DATA[64:]
    after = (raw.root / "a/b").stat()
    assert (after.st_ino, after.st_size, after.st_nlink) == (before.st_ino, before.st_size, 1)
    assert stat.S_IMODE(after.st_mode) == 0o444
    store.blank("a/b", offset=0, length=len(DATA))
    assert raw.read("a/b") == bytes(len(DATA))


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (0, 201), (200, 1), (199, 2), (0, -1), (1 << 40, 1)])
def test_a_range_that_is_not_within_changes_nothing(
    store: ErasableFilesystemStore, raw: RawDirectory, offset: int, length: int
) -> None:
    store.put_once("a", io.BytesIO(DATA))
    with pytest.raises(InvalidInput):
        store.blank("a", offset=offset, length=length)
    assert raw.read("a") == DATA


def test_what_is_no_blob_is_not_written_to(store: ErasableFilesystemStore, raw: RawDirectory, tmp_path: Path) -> None:
    with pytest.raises(BlobMissing):
        store.blank("a", offset=0, length=1)
    (tmp_path / "elsewhere").write_bytes(DATA)
    (raw.root / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreBroken):
        store.blank("a", offset=0, length=1)
    assert (tmp_path / "elsewhere").read_bytes() == DATA

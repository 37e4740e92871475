"""The contract of the `LockableBlobStore` port: locks that end by themselves, legal holds that do not, and `delete`.

An adapter's test subclasses `LockContract` and gives `locking`, a store that locks, and `raw`, which reads the medium
without the adapter.
"""

import io
from datetime import UTC, datetime, timedelta

import pytest

from archive.ports.blobs import BlobExists, BlobLocked, BlobMissing, LockableBlobStore
from tests.contract.blob_store import Raw


def soon(days: int = 1) -> datetime:
    """Return a whole second some days ahead."""
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)


class LockContract:
    """What every store that locks promises."""

    @pytest.fixture
    def key(self, locking: LockableBlobStore) -> str:
        """A blob that is there."""
        key = "a/v1/content/film.mp4"
        locking.put_once(key, io.BytesIO(b"film"))
        return key

    def test_what_nobody_locked_is_free(self, locking: LockableBlobStore, key: str, raw: Raw) -> None:
        assert locking.locked_until(key) is None
        assert not locking.is_held(key)
        locking.delete(key)
        assert raw.read(key) is None
        with pytest.raises(BlobMissing):
            locking.delete(key)

    def test_a_lock_keeps_a_blob_from_delete(self, locking: LockableBlobStore, key: str, raw: Raw) -> None:
        until = soon()
        locking.lock([key], until)
        assert locking.locked_until(key) == until
        with pytest.raises(BlobLocked):
            locking.delete(key)
        assert raw.read(key) == b"film"
        with pytest.raises(BlobExists):
            locking.put_once(key, io.BytesIO(b"another"))

    def test_a_lock_is_extended_and_never_shortened(self, locking: LockableBlobStore, key: str) -> None:
        locking.lock([key], soon(5))
        before = locking.locked_until(key)
        locking.lock([key], soon(2))
        assert locking.locked_until(key) == before
        later = soon(365 * 40)
        locking.lock([key], later)
        assert locking.locked_until(key) == later

    def test_a_lock_lasts_to_the_end_of_its_second(self, locking: LockableBlobStore, key: str) -> None:
        until = soon() + timedelta(microseconds=1)
        locking.lock([key], until)
        kept = locking.locked_until(key)
        assert kept is not None
        assert kept >= until

    def test_a_hold_keeps_a_blob_until_it_is_released(self, locking: LockableBlobStore, key: str, raw: Raw) -> None:
        for _ in range(2):
            locking.hold([key])
            assert locking.is_held(key)
        assert locking.locked_until(key) is None, "a hold has no end"
        with pytest.raises(BlobLocked):
            locking.delete(key)
        assert raw.read(key) == b"film"
        for _ in range(2):
            locking.release_hold([key])
            assert not locking.is_held(key)
        locking.delete(key)
        assert raw.read(key) is None

    def test_releasing_a_hold_leaves_the_lock(self, locking: LockableBlobStore, key: str) -> None:
        until = soon()
        locking.lock([key], until)
        locking.hold([key])
        locking.release_hold([key])
        assert locking.locked_until(key) == until
        with pytest.raises(BlobLocked):
            locking.delete(key)

    def test_many_keys_each_on_its_own(self, locking: LockableBlobStore) -> None:
        keys = [f"b/v{number}/content/{name}" for number in (1, 2) for name in ("one", "two")]
        for key in keys:
            locking.put_once(key, io.BytesIO(key.encode()))
        until = soon(3)
        locking.lock(keys[:3], until)
        locking.hold(keys[1:])
        assert [locking.locked_until(key) for key in keys] == [until, until, until, None]
        assert [locking.is_held(key) for key in keys] == [False, True, True, True]
        locking.release_hold(keys)
        locking.delete(keys[3])
        assert [locking.locked_until(key) for key in keys[:3]] == [until] * 3

    def test_what_is_not_there_cannot_be_locked(self, locking: LockableBlobStore, key: str) -> None:
        for act in (
            lambda: locking.lock(["nothing"], soon()),
            lambda: locking.hold([key, "nothing"]),
            lambda: locking.release_hold(["nothing"]),
            lambda: locking.locked_until("nothing"),
            lambda: locking.is_held("nothing"),
        ):
            with pytest.raises(BlobMissing):
                act()

    def test_what_is_replaced_is_never_locked(self, locking: LockableBlobStore) -> None:
        locking.replace_if("inventory", b"one", expected_sha512=None)
        locking.lock(["inventory"], soon())
        locking.hold(["inventory"])
        assert locking.locked_until("inventory") is None
        assert not locking.is_held("inventory")

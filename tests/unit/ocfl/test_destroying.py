"""Destroying an object in a store: all of it, in an order that can be gone on with, and nothing where a lock holds."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.instants import Instant
from archive.ocfl.destroying import Extent, LastLock, destroy, extent, is_whole, last_lock
from archive.ocfl.errors import ObjectLocked, ObjectNotGone
from archive.ocfl.layout import object_root
from archive.ports.blobs import BlobLocked, StoreUnavailable
from tests.unit.ocfl.objects import (
    AT,
    LATER,
    OBJECT_ID,
    OTHER_ID,
    USER,
    Place,
    create,
    first_files,
    new_place,
    second_files,
    snapshot,
)

ROOT = object_root(OBJECT_ID)


class Store(FilesystemStore):
    """A store that knows locks, tells what was deleted, and breaks off before a deletion."""

    def __init__(self, base: Path) -> None:
        super().__init__(base / "store", scratch=base / "scratch")
        self.locks: dict[str, Instant] = {}
        self.held: set[str] = set()
        self.hidden: set[str] = set()
        self.deleted: list[str] = []
        self.breaks_at = 0

    def locked_until(self, key: str) -> Instant | None:
        return self.locks.get(key)

    def is_held(self, key: str) -> bool:
        return key in self.held

    def keys(self, prefix: str = "") -> Iterator[str]:
        return (key for key in super().keys(prefix) if key not in self.hidden)

    def delete(self, key: str) -> None:
        if len(self.deleted) + 1 == self.breaks_at:
            raise StoreUnavailable(told="a test")
        super().delete(key)
        self.deleted.append(key)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One object of two versions, and another one."""
    made = new_place(tmp_path)
    create(made)
    made.root.add_version(OBJECT_ID, second_files(), message="timestamp", user=USER, at=LATER)
    made.root.create_object(OTHER_ID, first_files(made), message="接收", user=USER, at=AT)
    return made


def names(place: Place) -> set[str]:
    return {name for name in snapshot(place.base / "store") if name.startswith(ROOT)}


def test_all_of_it_goes_and_nothing_else(place: Place) -> None:
    before, others = names(place), snapshot(place.base / "store").keys() - names(place)
    assert extent(place.store, OBJECT_ID).files == len(before) > 9
    place.root.destroy(OBJECT_ID, at=LATER)
    assert set(snapshot(place.base / "store")) == others
    assert extent(place.store, OBJECT_ID) == Extent()
    assert not place.root.exists(OBJECT_ID)
    place.root.destroy(OBJECT_ID, at=LATER)
    assert place.root.is_whole(OTHER_ID)


def test_the_original_goes_first_and_what_says_what_there_was_last(place: Place) -> None:
    store = Store(place.base)
    before = {name.removeprefix(f"{ROOT}/") for name in names(place)}
    destroy(store, OBJECT_ID, at=LATER)
    order = [key.removeprefix(f"{ROOT}/") for key in store.deleted]
    assert set(order) == before
    originals = {name for name in before if "/content/original/" in name}
    assert set(order[: len(originals)]) == originals
    assert order[-2:] == ["inventory.json.sha512", "inventory.json"]


def test_broken_off_before_any_deletion_the_next_call_goes_on(tmp_path: Path) -> None:
    count = 1
    while True:
        place = new_place(tmp_path / str(count))
        create(place)
        store = Store(place.base)
        store.breaks_at = count
        try:
            destroy(store, OBJECT_ID, at=LATER)
        except StoreUnavailable:
            assert is_whole(store, OBJECT_ID) == (count == 1)
            assert place.root.exists(OBJECT_ID), "its inventory goes last"
        else:
            break
        destroy(place.store, OBJECT_ID, at=LATER)
        assert names(place) == set()
        count += 1
    assert count > 5


def test_what_a_list_hides_is_deleted_as_well(place: Place) -> None:
    store = Store(place.base)
    store.hidden = {key for key in store.keys() if "/v2/content/" in key or key.endswith("/v1/inventory.json")}
    assert len(store.hidden) > 1
    destroy(store, OBJECT_ID, at=LATER)
    assert names(place) == set()


@pytest.mark.parametrize("is_hold", [False, True])
def test_a_lock_on_any_file_refuses_all_of_it(place: Place, is_hold: bool) -> None:
    for locked in sorted(names(place)):
        store = Store(place.base)
        if is_hold:
            store.held = {locked}
        else:
            store.locks = {locked: LATER + timedelta(seconds=1)}
        with pytest.raises(ObjectLocked) as refused:
            destroy(store, OBJECT_ID, at=LATER)
        until = None if is_hold else LATER + timedelta(seconds=1)
        assert refused.value.facts["until"] == until
        assert last_lock(store, OBJECT_ID) == LastLock(until)
        assert store.deleted == []
    store = Store(place.base)
    store.locks = {sorted(names(place))[0]: LATER}
    destroy(store, OBJECT_ID, at=LATER)
    assert names(place) == set()


def test_a_lock_that_nobody_could_ask_for_refuses_it_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(place.base)

    def locked(key: str) -> None:
        raise BlobLocked(key=key)

    monkeypatch.setattr(store, "delete", locked)
    with pytest.raises(ObjectLocked):
        destroy(store, OBJECT_ID, at=LATER)
    assert place.root.is_whole(OBJECT_ID)


def test_what_is_there_again_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(place.base)

    def kept(*_: Any) -> None:
        """Delete nothing."""

    monkeypatch.setattr(store, "delete", kept)
    with pytest.raises(ObjectNotGone):
        destroy(store, OBJECT_ID, at=LATER)

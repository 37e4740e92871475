"""The OCFL storage root: making, reading and mending objects.

A version is written in this order, each step durable before the next:

1. `v<N>/inventory.json`: the claim. It is put once, so of two writers one wins before any other file exists, and a
   crash later leaves a folder that says what was meant to be in it: the next try goes on from there.
2. `v<N>/content/**`
3. `0=ocfl_object_1.1` (first version only)
4. `v<N>/inventory.json.sha512`: the version is complete. From here on a crash is rolled forward by `repair`.
5. Everything so far is locked, where the store has locks: what readers see nobody can take away.
6. `inventory.json`: the commit point for readers. An object without it is absent, a version not in it is not there.
7. `inventory.json.sha512`

(Content first would leave files that no inventory names, and two writers could mix their files in one folder.)
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from archive.kernel.findings import Report
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ocfl import mending
from archive.ocfl.errors import ObjectExists, ObjectMissing, VersionClaimed
from archive.ocfl.files import (
    Shown,
    check_staged,
    object_folders,
    put_file,
    put_small,
    read_root_inventory,
    read_small,
    show,
    shown_by,
    version_keys,
)
from archive.ocfl.inventory import Inventory, NewFile, VersionUser, next_version, parse_inventory
from archive.ocfl.layout import (
    INVENTORY,
    OBJECT_DECLARATION,
    OBJECT_DECLARATION_BYTES,
    ROOT_FILES,
    SIDECAR,
    object_id_at,
    object_root,
    sidecar_bytes,
)
from archive.ocfl.validation import validate
from archive.ports.blobs import BlobChanged, BlobExists, LockableBlobStore


class OcflRoot:
    """An OCFL 1.1 storage root that fills a blob store."""

    def __init__(self, store: LockableBlobStore) -> None:
        """Take the store; nothing is read or written yet."""
        self._store = store

    def prepare(self) -> None:
        """Write the files of the storage root, or find them as they must be. Raises: StoreBroken."""
        for key, data in ROOT_FILES.items():
            put_small(self._store, key, data)

    def create_object(
        self, object_id: ObjectId, files: Sequence[NewFile], *, message: str, user: VersionUser, at: Instant
    ) -> Inventory:
        """Preserve `files` as the first version of a new object; return its inventory.

        Guarantees: on return all is durable and visible; staged files were linked where the store can, not re-read.
        Idempotent: yes, by object id and the files' digests: a second call completes or finds the object. The files
        must be the same bytes again (keep a signature that was made, do not make it anew).
        Raises: ObjectExists, VersionClaimed, StoreBroken, StorageFull, InvalidInput.
        """
        wanted = next_version(None, object_id, files, message=message, user=user, at=at)
        mending.mend(self._store, object_id)
        present = read_root_inventory(self._store, object_id)
        if present is None:
            return self._write_version(None, wanted, files)
        if present.versions[0].state != wanted.state:
            raise ObjectExists(object_id=str(object_id))
        return present

    def add_version(
        self, object_id: ObjectId, files: Sequence[NewFile], *, message: str, user: VersionUser, at: Instant
    ) -> Inventory:
        """Add `files` to an object as its next version; return its inventory. What was there stays as it is.

        Idempotent: yes, by the files' digests: files that the object has already are left out, and when none is left
        nothing happens.
        Raises: ObjectMissing, PathTaken, VersionClaimed, StoreBroken, StorageFull, InvalidInput.
        """
        mending.mend(self._store, object_id)
        present = self.read_inventory(object_id)
        fresh = [file for file in files if not present.has_all([file])]
        if files and not fresh:
            return present
        wanted = next_version(present, object_id, fresh, message=message, user=user, at=at)
        return self._write_version(present, wanted, fresh)

    def read_inventory(self, object_id: ObjectId) -> Inventory:
        """Return the inventory of the newest visible version. Raises: ObjectMissing, BrokenInventory."""
        inventory = read_root_inventory(self._store, object_id)
        if inventory is None:
            raise ObjectMissing(object_id=str(object_id))
        return inventory

    def content_key(self, object_id: ObjectId, logical_path: str) -> str:
        """Return the key in the store of a file's bytes. Raises: ObjectMissing, FileMissing, BrokenInventory."""
        return f"{object_root(object_id)}/{self.read_inventory(object_id).content_path(logical_path)}"

    def open_file(
        self, object_id: ObjectId, logical_path: str, *, offset: int = 0, length: int | None = None
    ) -> BinaryIO:
        """Open a file of the newest version: `length` bytes from `offset`. The digest is not checked.

        Raises: ObjectMissing, FileMissing, BrokenInventory, BlobMissing.
        """
        return self._store.open(self.content_key(object_id, logical_path), offset=offset, length=length)

    def borrow(self, object_id: ObjectId, logical_path: str) -> AbstractContextManager[Path]:
        """Give a file's bytes as a plain local file, for reading only and for the length of the block.

        Raises: ObjectMissing, FileMissing, BrokenInventory, BlobMissing; on entering StorageFull, StoreUnavailable.
        """
        return self._store.borrow(self.content_key(object_id, logical_path))

    def lock(self, object_id: ObjectId) -> None:
        """Lock every version of an object for the store's term from now; see the port. Raises: ObjectMissing."""
        inventory = self.read_inventory(object_id)
        for number in range(1, inventory.head + 1):
            self._store.lock(version_keys(inventory, number))

    def exists(self, object_id: ObjectId) -> bool:
        """Return whether the object is there, which is: has a root inventory."""
        return self._store.exists(f"{object_root(object_id)}/{INVENTORY}")

    def object_ids(self) -> Iterator[ObjectId]:
        """Yield the id of every object that is there, in the order of the layout. Walks the whole store."""
        for folder, names in object_folders(self._store):
            found = object_id_at(folder)
            if found is not None and INVENTORY in names:
                yield found

    def repair(self, object_ids: Iterable[ObjectId] | None = None) -> mending.RepairReport:
        """Mend what crashes left; see `mending.repair`. For start-up."""
        return mending.repair(self._store, object_ids)

    def claimed_paths(self, object_id: ObjectId) -> frozenset[str]:
        """Return the logical paths that an unfinished next version of an object would add; none where there is none.

        Raises: ObjectMissing, BrokenInventory.
        """
        present = self.read_inventory(object_id)
        raw = read_small(self._store, f"{object_root(object_id)}/v{present.head + 1}/{INVENTORY}")
        if raw is None:
            return frozenset()
        return frozenset(parse_inventory(raw, object_id=object_id).state.keys() - present.state.keys())

    def discard_unfinished(self, object_id: ObjectId) -> Sequence[str]:
        """Delete what an unfinished attempt left; see `mending.discard_unfinished`."""
        return mending.discard_unfinished(self._store, object_id)

    def validate(self, object_id: ObjectId) -> Report:
        """Read the whole object and check it; see `validation.validate`."""
        return validate(self._store, object_id)

    def _write_version(self, base: Inventory | None, wanted: Inventory, files: Sequence[NewFile]) -> Inventory:
        for file in files:
            check_staged(file)
        root = object_root(wanted.object_id)
        folder = f"{root}/v{wanted.head}"
        inventory = self._claim(f"{folder}/{INVENTORY}", wanted)  # step 1
        raw = inventory.to_bytes()
        for file in files:  # step 2
            put_file(self._store, f"{folder}/content/{file.logical_path}", file)
        if base is None:  # step 3
            put_small(self._store, f"{root}/{OBJECT_DECLARATION}", OBJECT_DECLARATION_BYTES)
        put_small(self._store, f"{folder}/{SIDECAR}", sidecar_bytes(raw))  # step 4
        self._store.lock(version_keys(inventory))  # step 5
        try:
            before = shown_by(base.to_bytes()) if base else Shown()
            show(self._store, wanted.object_id, before, shown_by(raw))  # steps 6 and 7
        except BlobChanged as exc:
            raise VersionClaimed(object_id=str(wanted.object_id)) from exc
        return inventory

    def _claim(self, key: str, wanted: Inventory) -> Inventory:
        raw = wanted.to_bytes()
        try:
            self._store.put_once(key, BytesIO(raw))
        except BlobExists as exc:
            present = read_small(self._store, key)
            claimed = parse_inventory(present or b"", object_id=wanted.object_id)
            if not claimed.is_same_work(wanted) or claimed.to_bytes() != present:
                raise VersionClaimed(object_id=str(wanted.object_id)) from exc
            return claimed
        return wanted

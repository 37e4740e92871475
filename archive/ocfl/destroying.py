"""Destroying an object: every blob of it goes, in an order that whoever comes next can go on from.

1. Every lock is asked for. One that holds refuses all of it, and nothing is gone.
2. What was preserved: the original first. It is locked as long as anything, so a lock that nobody was told of refuses
   here, while all is still there. Then the other content.
3. Inventories and sidecars of the versions, the declaration.
4. The root's sidecar, and the root inventory last: until then it says what there was, and nobody relies on a list of
   what is left alone. In a bucket a list does not show what has a delete marker over it.
5. Nothing is there any more, by the list and by each key.

(The root inventory first would hide the object from readers at once. The catalogue does that, before anything here is
called; and whoever went on after a crash would have to believe what the store lists.)
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ocfl.errors import BrokenInventory, ObjectLocked, ObjectNotGone
from archive.ocfl.files import object_names, read_small, version_folders
from archive.ocfl.inventory import parse_inventory
from archive.ocfl.layout import INVENTORY, OBJECT_DECLARATION, SIDECAR, object_root
from archive.ports.blobs import BlobLocked, BlobMissing, BlobStore, LockableBlobStore

_ORIGINAL = "/content/original/"


@dataclass(frozen=True, slots=True)
class LastLock:
    """What keeps files from being deleted: until a moment, or until somebody releases it (None)."""

    until: Instant | None

    def holds(self, at: Instant) -> bool:
        """Return whether nobody can delete them at a moment."""
        return self.until is None or self.until > at


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of an object is in a store. Units: files, and their bytes."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Extent") -> "Extent":
        """Return both together."""
        return Extent(self.files + other.files, self.size_bytes + other.size_bytes)

    def __sub__(self, other: "Extent") -> "Extent":
        """Return what this is more than the other, less than nothing where it is less."""
        return Extent(self.files - other.files, self.size_bytes - other.size_bytes)


def destroy(store: LockableBlobStore, object_id: ObjectId, *, at: Instant) -> None:
    """Remove every blob of an object.

    Guarantees: on return there is none, for certain. Whatever breaks it off, the next call goes on.
    Idempotent: yes; an object that is not there is gone.
    Raises: ObjectLocked, with nothing gone that the call before has left; ObjectNotGone; StoreUnavailable.
    """
    root = object_root(object_id)
    keys = [f"{root}/{name}" for name in sorted(_names(store, object_id), key=_turn)]
    _require_unlocked(store, object_id, keys, at)  # step 1
    for key in keys:  # steps 2 to 4
        try:
            store.delete(key)
        except BlobMissing:
            continue
        except BlobLocked as exc:
            _require_unlocked(store, object_id, [key], at)
            raise ObjectLocked(object_id=str(object_id), until=None) from exc
    left = [*object_names(store, object_id), *(key for key in keys if store.exists(key))]  # step 5
    if left:
        raise ObjectNotGone(object_id=str(object_id), files=len(left))


def last_lock(store: LockableBlobStore, object_id: ObjectId) -> LastLock | None:
    """Return the lock on a file of an object that lasts longest, also one that is over; None where none has one."""
    root = object_root(object_id)
    return _last_of(store, (f"{root}/{name}" for name in sorted(_names(store, object_id))))


def is_whole(store: BlobStore, object_id: ObjectId) -> bool:
    """Return whether nothing of an object has been deleted yet: every file that its inventory names is there."""
    root = object_root(object_id)
    try:
        inventory = parse_inventory(read_small(store, f"{root}/{INVENTORY}") or b"", object_id=object_id)
    except BrokenInventory:
        return False
    return all(store.exists(f"{root}/{name}") for name in (*inventory.manifest, SIDECAR, OBJECT_DECLARATION))


def extent(store: BlobStore, object_id: ObjectId) -> Extent:
    """Return how many files of an object there are, and how large they are together.

    What no list shows is opened: a store may remember it that has been deleted by another process.
    """
    root, listed, found = object_root(object_id), set(object_names(store, object_id)), Extent()
    for name in sorted(_names(store, object_id)):
        key = f"{root}/{name}"
        with suppress(BlobMissing):
            if name not in listed:
                store.open(key, length=1).close()
            found += Extent(1, store.size_bytes(key))
    return found


def _names(store: BlobStore, object_id: ObjectId) -> set[str]:
    """Return every name that is in the object, or that one of its inventories has: also one that a list hides."""
    listed = object_names(store, object_id)
    folders = {*version_folders(listed), 1}
    names = {*listed, INVENTORY, SIDECAR, OBJECT_DECLARATION}
    root, asked = object_root(object_id), set[str]()
    while places := {INVENTORY, *(f"v{number}/{INVENTORY}" for number in folders)} - asked:
        asked |= places
        for place in places:
            try:
                inventory = parse_inventory(read_small(store, f"{root}/{place}") or b"", object_id=object_id)
            except BrokenInventory:
                continue
            folders |= set(range(1, inventory.head + 1))
            names |= set(inventory.manifest)
    return names | {f"v{number}/{name}" for number in folders for name in (INVENTORY, SIDECAR)}


def _turn(name: str) -> tuple[int, str]:
    if _ORIGINAL in f"/{name}":
        return 0, name
    if "/content/" in name:
        return 1, name
    if name == SIDECAR:
        return 3, name
    return (4, name) if name == INVENTORY else (2, name)


def _require_unlocked(store: LockableBlobStore, object_id: ObjectId, keys: Iterable[str], at: Instant) -> None:
    found = _last_of(store, keys)
    if found is not None and found.holds(at):
        raise ObjectLocked(object_id=str(object_id), until=found.until)


def _last_of(store: LockableBlobStore, keys: Iterable[str]) -> LastLock | None:
    ends: list[Instant] = []
    for key in keys:
        with suppress(BlobMissing):
            if store.is_held(key):
                return LastLock(None)
            found = store.locked_until(key)
            ends += [] if found is None else [found]
    return LastLock(max(ends)) if ends else None

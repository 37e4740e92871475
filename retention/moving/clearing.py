"""Taking an object away from a place that is given up, or from one that is not in use yet: whole, or not at all."""

from collections.abc import Iterable

from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ocfl.layout import INVENTORY, SIDECAR, object_root
from archive.ports.blobs import BlobMissing, LockableBlobStore, StoreUnavailable


def clear_object(store: LockableBlobStore, object_id: ObjectId, *, at: Instant) -> Instant | None:
    """Delete all that a place holds of an object; return None, or when the last of its locks ends: then nothing went.

    The root inventory goes first: who reads there meanwhile finds no object, and never half of one. What a kill leaves
    is taken away by the next call. Holds are released once the locks have ended.
    MUST only be called for a place that is not the one in use.
    Raises: StoreUnavailable.
    """
    root = object_root(object_id)
    shown = {f"{root}/{INVENTORY}", f"{root}/{SIDECAR}"}
    keys = sorted(store.keys(root), key=lambda key: (key not in shown, key))
    last = last_lock(store, (key for key in keys if key not in shown))  # what is replaced is never locked
    if last is not None and last > at:
        return last
    delete_keys(store, keys)
    return None


def last_lock(store: LockableBlobStore, keys: Iterable[str]) -> Instant | None:
    """Return when the last lock of some blobs ends; None where none is locked. Raises: StoreUnavailable."""
    ends = []
    for key in keys:
        try:
            ends.append(store.locked_until(key))
        except BlobMissing:
            continue
    return max((each for each in ends if each is not None), default=None)


def delete_keys(store: LockableBlobStore, keys: Iterable[str]) -> None:
    """Delete blobs whose locks have ended; what is gone already is passed over. Raises: StoreUnavailable."""
    for key in keys:
        try:
            _delete(store, key)
        except BlobMissing:
            continue  # another call was quicker


def _delete(store: LockableBlobStore, key: str) -> None:
    try:
        store.delete(key)
    except StoreUnavailable:
        store.release_hold([key])  # it is held in the place that is in use
        store.delete(key)

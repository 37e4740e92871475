"""Copying an object into another store, version by version, each as a writer makes it: readers never see half of one.

Nothing is taken for true: what is read from the source has the digests of its inventory or is not copied, and what was
put is read back. A copy that broke off is gone on with; versions that are shown there already are not read again.
"""

import io
from dataclasses import dataclass
from typing import BinaryIO

from archive.kernel.digests import Hasher, hash_stream
from archive.kernel.ids import ObjectId
from archive.ocfl.errors import ObjectMissing
from archive.ocfl.files import Shown, put_small, read_root_inventory, read_small, show, shown_by, version_keys
from archive.ocfl.inventory import Inventory
from archive.ocfl.layout import (
    INVENTORY,
    OBJECT_DECLARATION,
    OBJECT_DECLARATION_BYTES,
    SIDECAR,
    object_root,
    sidecar_bytes,
)
from archive.ocfl.mending import mend
from archive.ports.blobs import BlobChanged, BlobExists, BlobMissing, BlobStore, LockableBlobStore, StoreBroken


class SourceDamaged(StoreBroken):
    """A file to be copied is not what its inventory says; it was not copied."""

    code = "ocfl.source_damaged"


class CopyDiffers(StoreBroken):
    """The copy holds something else than its source; it was not touched."""

    code = "ocfl.copy_differs"


@dataclass(frozen=True, slots=True)
class Copied:
    """What the copy shows now: its newest version. `size_bytes` were put by this call."""

    head: int
    size_bytes: int


def copy_object(source: BlobStore, target: LockableBlobStore, object_id: ObjectId) -> Copied:
    """Bring the copy of an object up to the newest version that the source shows.

    Guarantees: on return every version is durable in the target, was read back and compared, is locked where the target
    has locks, and shown. Whatever happens before leaves what the next call goes on from.
    Idempotent: yes.
    Units: memory does not grow with file sizes.
    Raises: ObjectMissing; SourceDamaged, BrokenInventory and CopyDiffers, which name the key; StoreBroken for what
        else is broken in the target; StorageFull, StoreUnavailable.
    """
    inventory = read_root_inventory(source, object_id)
    if inventory is None:
        raise ObjectMissing(object_id=str(object_id))
    mend(target, object_id)
    present = read_root_inventory(target, object_id)
    shown = 0 if present is None else present.head
    if present is not None and (shown > inventory.head or present != inventory.as_of(shown)):
        raise CopyDiffers("The copy shows another version than its source", key=f"{object_root(object_id)}/{INVENTORY}")
    size_bytes = sum(
        _copy_version(source, target, inventory, number) for number in range(shown + 1, inventory.head + 1)
    )
    return Copied(inventory.head, size_bytes)


def _copy_version(source: BlobStore, target: LockableBlobStore, newest: Inventory, number: int) -> int:
    """Copy one version in the order of `archive.ocfl.root`; return how many bytes were put."""
    root, folder = object_root(newest.object_id), f"{object_root(newest.object_id)}/v{number}"
    inventory = newest.as_of(number)
    raw = inventory.to_bytes()
    for name, data in ((INVENTORY, raw), (SIDECAR, sidecar_bytes(raw))):
        if read_small(source, f"{folder}/{name}") != data:
            raise SourceDamaged(key=f"{folder}/{name}")
    _put_small(target, f"{folder}/{INVENTORY}", raw)
    size_bytes = sum(
        _copy_file(source, target, f"{root}/{path}", sha512=inventory.manifest[path], sha256=inventory.sha256[path])
        for path in inventory.manifest
        if path.startswith(f"v{number}/")
    )
    if number == 1:
        _put_small(target, f"{root}/{OBJECT_DECLARATION}", OBJECT_DECLARATION_BYTES)
    _put_small(target, f"{folder}/{SIDECAR}", sidecar_bytes(raw))
    target.lock(version_keys(inventory))
    before = Shown() if number == 1 else shown_by(newest.as_of(number - 1).to_bytes())
    try:
        show(target, newest.object_id, before, shown_by(raw))
    except BlobChanged as exc:
        # Another copies the same object, and is ahead; anything else is no copy.
        found = read_root_inventory(target, newest.object_id)
        if found is None or not number <= found.head <= newest.head or found != newest.as_of(found.head):
            raise CopyDiffers(key=f"{root}/{INVENTORY}") from exc
    return size_bytes


def _put_small(target: BlobStore, key: str, data: bytes) -> None:
    put_small(target, key, data)
    if read_small(target, key) != data:
        raise CopyDiffers("The copy does not hold the bytes that were put", key=key)


def _copy_file(source: BlobStore, target: BlobStore, key: str, *, sha512: str, sha256: str) -> int:
    """Copy a file, or find it copied; return how many bytes were put."""
    try:
        with source.open(key) as opened:
            checked = _Checked(opened, source.size_bytes(key), sha512=sha512, sha256=sha256, key=key)
            try:
                size_bytes = target.put_once(key, checked)  # type: ignore[arg-type]
            except BlobExists:
                size_bytes = None
    except BlobMissing as exc:
        raise SourceDamaged("A file to be copied is missing", key=key) from exc
    with target.open(key) as back:
        found = hash_stream(back)
    if (found.sha512.hex, found.sha256.hex) != (sha512, sha256):
        if size_bytes is not None:
            target.delete(key)  # put just now, and not locked yet: the next try puts it again
        raise CopyDiffers("The copy does not hold the bytes of its source", key=key)
    return size_bytes or 0


class _Checked(io.RawIOBase):
    """Reads a file and fails at its last byte if it is another: a put that fails leaves nothing."""

    def __init__(self, source: BinaryIO, size_bytes: int, *, sha512: str, sha256: str, key: str) -> None:
        super().__init__()
        self._source, self._size_bytes, self._expected, self._key = source, size_bytes, (sha512, sha256), key
        self._hasher = Hasher()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        block = self._source.read(len(buffer))
        self._hasher.update(block)
        if not block or self._hasher.size_bytes >= self._size_bytes:
            found = self._hasher.digests()
            if (found.sha512.hex, found.sha256.hex) != self._expected:
                raise SourceDamaged(key=self._key)
        buffer[: len(block)] = block
        return len(block)

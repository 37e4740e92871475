"""Small steps on the keys of one object, shared by writing, mending and validating."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from archive.kernel.digests import hash_stream
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from archive.ocfl.errors import BrokenInventory
from archive.ocfl.inventory import InPlace, Inventory, NewFile, parse_inventory
from archive.ocfl.layout import (
    INVENTORY,
    OBJECT_DECLARATION,
    ROOT_SEGMENTS,
    SIDECAR,
    object_root,
    sidecar_bytes,
    version_number,
)
from archive.ports.blobs import BlobChanged, BlobExists, BlobMissing, BlobStore, StoreBroken

_MOST_BYTES: Final = 16 * 1024 * 1024


def read_small(store: BlobStore, key: str) -> bytes | None:
    """Return the bytes of an inventory, sidecar or declaration; None when there is none.

    Raises: StoreBroken when it is far larger than any of them.
    """
    try:
        with store.open(key, length=_MOST_BYTES + 1) as source:
            data = source.read()
    except BlobMissing:
        return None
    if len(data) > _MOST_BYTES:
        raise StoreBroken("A file that is always small is not", key=key)
    return data


def put_small(store: BlobStore, key: str, data: bytes) -> None:
    """Store bytes, or find them stored. Raises: StoreBroken when other bytes are there."""
    try:
        store.put_once(key, io.BytesIO(data))
    except BlobExists as exc:
        if read_small(store, key) != data:
            raise StoreBroken("Other bytes are stored under a key that is written once", key=key) from exc


def put_file(store: BlobStore, key: str, file: NewFile) -> None:
    """Store a new file, or find it stored: a staged file is linked, never read, unless another attempt was here.

    Raises: StoreBroken when other bytes are there; BlobMissing when those in place are not.
    """
    if isinstance(file.source, InPlace):
        if store.size_bytes(key) != file.digests.size_bytes:
            raise StoreBroken("Other bytes are stored under a key that is written once", key=key)
        return
    try:
        if isinstance(file.source, bytes):
            store.put_once(key, io.BytesIO(file.source))
        else:
            store.adopt(key, file.source)
    except BlobExists as exc:
        if isinstance(file.source, Path) and _is_same_file(file.source, store.local_path(key)):
            return
        with store.open(key) as source:
            if not hash_stream(source).agrees_with(file.digests):
                raise StoreBroken("Other bytes are stored under a key that is written once", key=key) from exc


def check_staged(file: NewFile) -> None:
    """Refuse a staged file that is not there or has another size than its digests say. Raises: InvalidInput."""
    if isinstance(file.source, Path):
        try:
            size_bytes = file.source.lstat().st_size
        except OSError as exc:
            raise InvalidInput("The staged file is not there") from exc
        if size_bytes != file.digests.size_bytes:
            raise InvalidInput(
                "The staged file has another size than its digests", size_bytes=size_bytes, told=file.digests.size_bytes
            )


@dataclass(frozen=True, slots=True)
class Shown:
    """The root inventory and its sidecar as they are; None for what is not there."""

    inventory: bytes | None = None
    sidecar: bytes | None = None


def shown_by(inventory: bytes) -> Shown:
    """Return what the object's root holds once this inventory is fully shown."""
    return Shown(inventory, sidecar_bytes(inventory))


def read_shown(store: BlobStore, object_id: ObjectId) -> Shown:
    """Return the root inventory and its sidecar, unparsed."""
    root = object_root(object_id)
    return Shown(read_small(store, f"{root}/{INVENTORY}"), read_small(store, f"{root}/{SIDECAR}"))


def show(store: BlobStore, object_id: ObjectId, before: Shown, after: Shown) -> None:
    """Replace the root inventory, then its sidecar: what readers see changes with the first of the two.

    Each is replaced only where it is still as in `before`, so that a late writer never turns a newer version back.
    Raises: BlobChanged when another writer showed something else meanwhile.
    """
    root = object_root(object_id)
    steps = ((INVENTORY, before.inventory, after.inventory), (SIDECAR, before.sidecar, after.sidecar))
    for name, old, new in steps:
        if new is None or old == new:
            continue
        try:
            expected = None if old is None else hashlib.sha512(old).hexdigest()
            store.replace_if(f"{root}/{name}", new, expected_sha512=expected)
        except BlobChanged:
            if read_small(store, f"{root}/{name}") != new:
                raise


def read_root_inventory(store: BlobStore, object_id: ObjectId) -> Inventory | None:
    """Return the root inventory; None for an object that is not there.

    It is held against the sidecar in its own version folder, which never changes: the one beside it is replaced a
    moment later than it. Raises: BrokenInventory.
    """
    root = object_root(object_id)
    raw = read_small(store, f"{root}/{INVENTORY}")
    if raw is None:
        return None
    inventory = parse_inventory(raw, object_id=object_id)
    if read_small(store, f"{root}/v{inventory.head}/{SIDECAR}") != sidecar_bytes(raw):
        raise BrokenInventory("The root inventory is not the one of its version", object_id=str(object_id))
    return inventory


def version_keys(inventory: Inventory, number: int | None = None) -> Sequence[str]:
    """Return the keys of what is written once for a version, by default the newest."""
    root, folder = object_root(inventory.object_id), f"v{inventory.head if number is None else number}"
    content = [path for path in inventory.manifest if path.startswith(f"{folder}/")]
    declared = [OBJECT_DECLARATION] if folder == "v1" else []
    return [f"{root}/{name}" for name in (*content, f"{folder}/{INVENTORY}", f"{folder}/{SIDECAR}", *declared)]


def version_folders(names: Sequence[str]) -> dict[int, list[str]]:
    """Group the names inside an object by version number; names outside version folders are left out."""
    found: dict[int, list[str]] = {}
    for name in names:
        folder, slash, _ = name.partition("/")
        number = version_number(folder) if slash else None
        if number is not None:
            found.setdefault(number, []).append(name)
    return found


def object_names(store: BlobStore, object_id: ObjectId) -> list[str]:
    """Return every name inside the object's root directory."""
    root = object_root(object_id)
    return [key.removeprefix(f"{root}/") for key in store.keys(root)]


def object_folders(store: BlobStore) -> Iterator[tuple[str, list[str]]]:
    """Yield every directory where an object may lie with the names in it, and each other key with no names."""

    def place(key: str) -> str:
        segments = key.split("/")
        return "/".join(segments[:ROOT_SEGMENTS]) if len(segments) > ROOT_SEGMENTS else key

    for folder, keys in groupby(store.keys(), key=place):
        yield folder, [key.removeprefix(f"{folder}/") for key in keys if key != folder]


def _is_same_file(staged: Path, stored: Path | None) -> bool:
    try:
        return stored is not None and staged.samefile(stored)
    except FileNotFoundError:
        return False

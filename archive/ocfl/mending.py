"""What a crash leaves, and how it is put right.

The sidecar of a version folder is written last in it: a folder with a true sidecar is complete, and an object whose
root inventory does not show it is rolled forward. Everything before that was never acknowledged and stays as it is,
for the writer's next try. Nothing here deletes, except `discard_unfinished`, which is asked to.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from archive.kernel.ids import ObjectId
from archive.ocfl.errors import BrokenInventory
from archive.ocfl.files import (
    Shown,
    object_folders,
    object_names,
    read_shown,
    read_small,
    show,
    shown_by,
    version_folders,
    version_keys,
)
from archive.ocfl.inventory import Inventory, parse_inventory
from archive.ocfl.layout import (
    INVENTORY,
    OBJECT_DECLARATION,
    ROOT_FILES,
    SIDECAR,
    object_id_at,
    object_root,
    sidecar_bytes,
)
from archive.ports.blobs import BlobChanged, BlobStore, LockableBlobStore, StoreBroken


@dataclass(slots=True)
class RepairReport:
    """What `repair` found.

    `mended`: rolled forward to their newest complete version. `unfinished`: hold a version, or are an object, that
    never became complete. `broken`: a root inventory or sidecar that no crash explains; not touched. `strays`: keys
    that belong to no object.
    """

    mended: list[ObjectId] = field(default_factory=list)
    unfinished: list[ObjectId] = field(default_factory=list)
    broken: list[ObjectId] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an object's version folders are written: `complete` is the newest complete one, with its bytes."""

    complete: Inventory | None
    raw: bytes
    earlier: Sequence[bytes]
    unfinished: Sequence[str]

    @property
    def number(self) -> int:
        """The number of the newest complete version, 0 for none."""
        return self.complete.head if self.complete else 0


def standing(store: BlobStore, object_id: ObjectId) -> Standing:
    """Return how far the object is written, judged by its version folders alone.

    A version is complete when its inventory is the one its sidecar names and every file of it is there (present, not
    re-read: `validate` reads).
    """
    root = object_root(object_id)
    names = object_names(store, object_id)
    folders = version_folders(names)
    known = set(names)
    raws: list[bytes] = []
    complete: Inventory | None = None
    for number in range(1, len(folders) + 1):
        raw = read_small(store, f"{root}/v{number}/{INVENTORY}")
        if raw is None or read_small(store, f"{root}/v{number}/{SIDECAR}") != sidecar_bytes(raw):
            break
        try:
            inventory = parse_inventory(raw, object_id=object_id)
        except BrokenInventory:
            break
        if inventory.head != number or not known.issuperset(inventory.manifest):
            break
        raws.append(raw)
        complete = inventory
    done = len(raws)
    left = [name for number, inside in folders.items() if number > done for name in inside]
    if not done:
        left += [name for name in names if name == OBJECT_DECLARATION]
    return Standing(complete, raws[-1] if raws else b"", raws[:-1], sorted(left))


def repair(store: LockableBlobStore, object_ids: Iterable[ObjectId] | None = None) -> RepairReport:
    """Roll every object forward to its newest complete version; report what else is not as it should be.

    `object_ids` limits it to those (the ones in work when the process died); without, the whole store is walked.
    Idempotent: yes.
    """
    report = RepairReport()
    if object_ids is not None:
        for object_id in object_ids:
            _repair_object(store, object_id, report)
        return report
    for folder, names in object_folders(store):
        found = object_id_at(folder)
        if found is not None and names:
            _repair_object(store, found, report)
        elif folder not in ROOT_FILES:
            report.strays += [f"{folder}/{name}" for name in names] or [folder]
    return report


def mend(store: LockableBlobStore, object_id: ObjectId) -> None:
    """Roll one object forward. Raises: StoreBroken when its root inventory or sidecar is none that a crash leaves."""
    report = RepairReport()
    _repair_object(store, object_id, report)
    if report.broken:
        raise StoreBroken("The root inventory is not the one of any version", object_id=str(object_id))


def discard_unfinished(store: BlobStore, object_id: ObjectId) -> Sequence[str]:
    """Delete what an attempt left that never became a complete version; return the keys.

    For a writer that cannot give the same bytes again. MUST only be called while no writer is at work on the object.
    Raises: StoreBroken when the root inventory shows a version that is not complete: that is damage, not a leftover.
    """
    root = object_root(object_id)
    shown = read_shown(store, object_id)
    found = standing(store, object_id)
    if not _is_explained(found, shown):
        raise StoreBroken("The root inventory is not the one of any version", object_id=str(object_id))
    # The claim goes last, so that a crash in between leaves what the next call still recognises.
    keys = [f"{root}/{name}" for name in sorted(found.unfinished, key=lambda name: name.endswith(f"/{INVENTORY}"))]
    for key in keys:
        store.delete(key)
    return keys


def _repair_object(store: LockableBlobStore, object_id: ObjectId, report: RepairReport) -> None:
    # What is shown is read before the folders: a writer at work can then only be found further on, never behind.
    shown = read_shown(store, object_id)
    found = standing(store, object_id)
    if found.unfinished:
        report.unfinished.append(object_id)
    if not _is_explained(found, shown):
        report.broken.append(object_id)
    elif found.complete and shown != shown_by(found.raw):
        # BlobChanged: a writer at work has shown this version, or a later one.
        store.lock(version_keys(found.complete))
        with contextlib.suppress(BlobChanged):
            show(store, object_id, shown, shown_by(found.raw))
            report.mended.append(object_id)


def _is_explained(found: Standing, shown: Shown) -> bool:
    """Return whether a crash can have left this root inventory and its sidecar.

    Each is that of the newest complete version or of an earlier one; only where no second version is complete can it be
    not there yet. A version's own sidecar comes last, so one in a folder that is not complete is damage.
    """
    if any(name.endswith(f"/{SIDECAR}") and name.count("/") == 1 for name in found.unfinished):
        return False
    inventories = (*found.earlier, found.raw) if found.complete else ()
    sidecars = [sidecar_bytes(inventory) for inventory in inventories]
    may_be_missing = found.number <= 1
    return (shown.inventory in inventories or (shown.inventory is None and may_be_missing)) and (
        shown.sidecar in sidecars or (shown.sidecar is None and may_be_missing)
    )

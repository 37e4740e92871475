"""The object store against itself: every OCFL object whole, nothing missing, nothing strange.

Source: OCFL 1.1 sections 3.3 to 3.7.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from archive.fsck.raw import LockOf, MediumLock, Place, file_digests, files_below, is_plain_file, read_object
from archive.kernel.findings import Finding, indeterminate, invalid, valid

_ROOT_FILES: Final = {"0=ocfl_1.1", "ocfl_layout.json", "ocfl_1.1.txt", "ocfl_1.1.html"}
_EXTENSION: Final = "0003-hash-and-id-n-tuple-storage-layout"
_LAYOUT: Final = {
    "extension": _EXTENSION,
    "description": "Hashed Truncated N-tuple Trees with Object ID Encapsulating Directory",
}
_CONFIG: Final = {"extensionName": _EXTENSION, "digestAlgorithm": "sha256", "tupleSize": 3, "numberOfTuples": 3}
_DECLARATION: Final = "0=ocfl_object_1.1"
_URN: Final = "urn:uuid:"


@dataclass(slots=True)
class StoredObject:
    """An object as it lies on disk. `digests` maps the path in the object to (size, sha256, sha512) as just read.

    `locks` maps it to how the medium says that it is locked, where that is asked. `unfinished` is what a writer at work, or one that died, has not written yet: a fault only where the catalogue knows
    the object.
    """

    object_id: str
    folder: Place
    is_visible: bool
    unfinished: list[Finding] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    digests: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    paths: dict[str, Place] = field(default_factory=dict)
    locks: dict[str, MediumLock] = field(default_factory=dict)


def stored_objects(root: Place, findings: list[Finding], *, lock_of: LockOf | None = None) -> Iterator[StoredObject]:
    """Yield every object below the storage root after reading all of its bytes; add what is wrong to `findings`.

    With `lock_of` each has the locks of its files too.
    """
    declaration = root / "0=ocfl_1.1"
    if is_plain_file(declaration) and declaration.read_bytes() == b"ocfl_1.1\n":
        findings.append(valid("fsck.ocfl_root", "The storage root declares OCFL 1.1", str(root)))
    else:
        findings.append(invalid("fsck.ocfl_root", "The storage root has no OCFL declaration", str(declaration)))
    for path, told in (
        (root / "ocfl_layout.json", _LAYOUT),
        (root / "extensions" / _EXTENSION / "config.json", _CONFIG),
    ):
        if _read_inventory(path) != told:
            findings.append(invalid("fsck.ocfl_layout", "The storage root does not describe its layout", str(path)))
    for folder in _object_folders(root, root, findings):
        found = _object(folder, findings, lock_of)
        if folder != root / object_place(found.object_id):
            findings.append(invalid("fsck.object_place", "An object lies where its id does not lead", str(folder)))
        yield found


def _object_folders(root: Place, folder: Place, findings: list[Finding]) -> Iterator[Place]:
    for path in sorted(folder.iterdir(), key=str):
        if path.is_file():
            if folder == root and path.name in _ROOT_FILES:
                continue
            findings.append(invalid("fsck.stray_file", "A file lies outside of every object", str(path)))
        elif folder == root and path.name == "extensions":
            continue
        elif _is_object(path):
            yield path
        else:
            yield from _object_folders(root, path, findings)


def _is_object(path: Place) -> bool:
    return (path / _DECLARATION).exists() or (path / "inventory.json").exists() or (path / "v1").is_dir()


def object_place(object_id: str) -> PurePath:
    """Return where an object lies below the root. Source: OCFL extension 0003, default parameters."""
    digest = hashlib.sha256(f"{_URN}{object_id}".encode()).hexdigest()
    return PurePath(digest[:3], digest[3:6], digest[6:9], f"urn%3auuid%3a{object_id}")


def _object(folder: Place, findings: list[Finding], lock_of: LockOf | None) -> StoredObject:
    inventory_path = folder / "inventory.json"
    if not inventory_path.exists():
        # An object without root inventory was never committed: the catalogue says whether somebody still works on it.
        claimed = _read_inventory(folder / "v1" / "inventory.json")
        return StoredObject(_id_of(claimed, folder), folder, is_visible=False)
    inventory = _read_inventory(inventory_path)
    object_id = _id_of(inventory, folder)
    found = StoredObject(object_id, folder, is_visible=True)
    faults: list[Finding] = []
    try:
        faults.extend(_faults(folder, inventory_path, inventory, found))
        if lock_of is not None:
            found.locks.update({place: lock_of(folder / place) for place in found.digests})
    except OSError as exc:
        faults.append(_unread(exc, folder))
    except (AttributeError, TypeError, ValueError):
        faults.append(invalid("fsck.inventory", "The inventory does not have the form of one", str(inventory_path)))
    findings.extend(faults)
    if not faults and not found.unfinished:
        findings.append(valid("fsck.object", "Every byte of the object has the digest of its inventory", object_id))
    return found


def _faults(folder: Place, path: Place, inventory: Any, found: StoredObject) -> Iterator[Finding]:
    declaration = folder / _DECLARATION
    if not is_plain_file(declaration) or declaration.read_bytes() != b"ocfl_object_1.1\n":
        yield invalid("fsck.object_declaration", "The object has no declaration", str(declaration))
    if inventory is None:
        yield invalid("fsck.inventory", "The inventory cannot be read", str(path))
        return
    newest = folder / str(inventory.get("head", "")) / "inventory.json"
    agree = newest.is_file() and newest.read_bytes() == path.read_bytes()
    if not _sidecar(path).exists():  # the last file that a writer writes
        found.unfinished.append(invalid("fsck.inventory", "An inventory has no sidecar", str(_sidecar(path))))
    else:
        yield from _sidecar_faults(path, is_vouched_for=agree)
    yield from _sidecar_faults(newest, is_vouched_for=agree)
    if newest.is_file() and not agree:
        yield invalid("fsck.inventory_head", "The root inventory is not that of the newest version", str(path))
    yield from _older_faults(folder, inventory)
    yield from _content_faults(folder, inventory, found)
    yield from _fixity_faults(folder, inventory, found)
    known = {folder / place for places in inventory.get("manifest", {}).values() for place in places}
    known |= {declaration, path, _sidecar(path)}
    for number in inventory.get("versions", {}):
        known |= {folder / number / "inventory.json", folder / number / "inventory.json.sha512"}
    for stray in files_below(folder):
        if stray not in known:
            yield invalid("fsck.stray_file", "A file in the object is in no inventory", str(stray))


def _older_faults(folder: Place, inventory: Any) -> Iterator[Finding]:
    """Hold the inventory of each older version against the newest one, which says all that stood in it."""
    for number in inventory.get("versions", {}):
        if number == inventory.get("head"):
            continue
        path = folder / number / "inventory.json"
        agrees = _read_inventory(path) == _as_of(inventory, number)
        yield from _sidecar_faults(path, is_vouched_for=agrees)
        if is_plain_file(path) and not agrees:
            yield invalid(
                "fsck.inventory_changed", "An older inventory is not what the newest one goes on from", str(path)
            )


def _as_of(inventory: Any, number: str) -> Any:
    """Return what the inventory was when this version was the newest."""
    newest = _version(number)
    fixity = {name: _places_until(newest, block) for name, block in inventory.get("fixity", {}).items()}
    return {
        **inventory,
        "head": number,
        "manifest": _places_until(newest, inventory.get("manifest", {})),
        "versions": {name: told for name, told in inventory["versions"].items() if _version(name) <= newest},
        **({"fixity": {name: block for name, block in fixity.items() if block}} if "fixity" in inventory else {}),
    }


def _places_until(newest: int, block: Any) -> dict[str, list[str]]:
    """Return a block of digests and places with the places of the versions up to this one alone."""
    kept = {
        digest: [place for place in places if _version(place.partition("/")[0]) <= newest]
        for digest, places in block.items()
    }
    return {digest: places for digest, places in kept.items() if places}


def _version(name: str) -> int:
    """Return the number of a version folder. Raises: ValueError."""
    if not name.startswith("v"):
        raise ValueError(name)
    return int(name[1:])


def _unread(error: OSError, path: Place) -> Finding:
    where = str(error.filename or path)
    return indeterminate("fsck.unread", f"A stored file cannot be read: {error.strerror}", where)


def _content_faults(folder: Place, inventory: Any, found: StoredObject) -> Iterator[Finding]:
    names = inventory.get("versions", {}).get(inventory.get("head"), {}).get("state", {})
    for digest, places in inventory.get("manifest", {}).items():
        for place in places:
            content = folder / place
            if ".." in content.parts:
                yield invalid("fsck.inventory", "The inventory leads out of its object", str(content))
                continue
            found.paths |= dict.fromkeys(names.get(digest, []), content)
            if not is_plain_file(content):
                yield invalid("fsck.content_missing", "A stored file is missing, or no plain file", str(content))
                continue
            try:
                found.digests[place] = file_digests(content)
            except OSError as exc:
                found.unread.add(place)
                yield _unread(exc, content)
                continue
            if found.digests[place][2] != digest.lower():
                yield invalid(
                    "fsck.content_changed", "A stored file does not have the digest of its inventory", str(content)
                )


def _fixity_faults(folder: Place, inventory: Any, found: StoredObject) -> Iterator[Finding]:
    for digest, places in inventory.get("fixity", {}).get("sha256", {}).items():
        for place in places:
            if place in found.digests and found.digests[place][1] != digest.lower():
                yield invalid("fsck.content_changed", "A stored file does not have its sha256", str(folder / place))


def _sidecar_faults(path: Place, *, is_vouched_for: bool) -> Iterator[Finding]:
    """Hold an inventory against its sidecar; where its other copy vouches for it, the sidecar is what changed."""
    sidecar = _sidecar(path)
    if not is_plain_file(path) or not is_plain_file(sidecar):
        yield invalid("fsck.inventory", "An inventory or its sidecar is missing", str(path))
    elif sidecar.read_bytes() != f"{hashlib.sha512(path.read_bytes()).hexdigest()} {path.name}\n".encode():
        where = str(sidecar if is_vouched_for else path)
        yield invalid("fsck.inventory_changed", "An inventory does not have the digest of its sidecar", where)


def _sidecar(path: Place) -> Place:
    return path.with_name("inventory.json.sha512")


def _read_inventory(path: Place) -> Any:
    try:
        return read_object(path.read_bytes())
    except OSError:
        return None


def _id_of(inventory: Any, folder: Place) -> str:
    name = "" if inventory is None else str(inventory.get("id", ""))
    return name.removeprefix(_URN) if name.startswith(_URN) else folder.name.rsplit("%3a", 1)[-1]

"""The object store against itself: every OCFL object whole, nothing missing, nothing strange.

Source: OCFL 1.1 sections 3.3 to 3.7.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from archive.fsck.raw import file_digests, files_below
from archive.kernel.findings import Finding, invalid, valid

_ROOT_FILES: Final = {"0=ocfl_1.1", "ocfl_layout.json", "ocfl_1.1.txt", "ocfl_1.1.html"}
_DECLARATION: Final = "0=ocfl_object_1.1"
_URN: Final = "urn:uuid:"


@dataclass(slots=True)
class StoredObject:
    """An object as it lies on disk. `digests` maps logical path to (size, sha256, sha512) as just read."""

    object_id: str
    folder: Path
    is_visible: bool
    digests: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)


def stored_objects(root: Path, findings: list[Finding]) -> Iterator[StoredObject]:
    """Yield every object below the storage root after reading all of its bytes; add what is wrong to `findings`."""
    if (root / "0=ocfl_1.1").is_file() and (root / "0=ocfl_1.1").read_bytes() == b"ocfl_1.1\n":
        findings.append(valid("fsck.ocfl_root", "The storage root declares OCFL 1.1", str(root)))
    else:
        findings.append(invalid("fsck.ocfl_root", "The storage root has no OCFL declaration", str(root)))
    for folder in _object_folders(root, root, findings):
        yield from _object(folder, findings)


def _object_folders(root: Path, folder: Path, findings: list[Finding]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
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


def _is_object(path: Path) -> bool:
    return (path / _DECLARATION).exists() or (path / "inventory.json").exists() or (path / "v1").is_dir()


def _object(folder: Path, findings: list[Finding]) -> Iterator[StoredObject]:
    inventory_path = folder / "inventory.json"
    if not inventory_path.exists():
        # An object without root inventory was never committed: the catalogue says whether somebody still works on it.
        claimed = _read_inventory(folder / "v1" / "inventory.json")
        yield StoredObject(_id_of(claimed, folder), folder, is_visible=False)
        return
    inventory = _read_inventory(inventory_path)
    object_id = _id_of(inventory, folder)
    found = StoredObject(object_id, folder, is_visible=True)
    faults = list(_faults(folder, inventory_path, inventory, found))
    findings.extend(faults)
    if not faults:
        findings.append(valid("fsck.object", "Every byte of the object has the digest of its inventory", object_id))
    yield found


def _faults(folder: Path, path: Path, inventory: Any, found: StoredObject) -> Iterator[Finding]:
    if not (folder / _DECLARATION).is_file():
        yield invalid("fsck.object_declaration", "The object has no declaration", str(folder))
    if inventory is None:
        yield invalid("fsck.inventory", "The inventory cannot be read", str(path))
        return
    newest = folder / str(inventory.get("head", "")) / "inventory.json"
    for place in (path, newest):
        yield from _sidecar_faults(place)
    if newest.is_file() and newest.read_bytes() != path.read_bytes():
        yield invalid("fsck.inventory_head", "The root inventory is not that of the newest version", str(path))
    yield from _content_faults(folder, inventory, found)
    yield from _fixity_faults(folder, inventory, found)
    known = {folder / place for place in found.digests} | {folder / _DECLARATION, path, _sidecar(path)}
    for number in inventory.get("versions", {}):
        known |= {folder / number / "inventory.json", folder / number / "inventory.json.sha512"}
    for stray in files_below(folder):
        if stray not in known:
            yield invalid("fsck.stray_file", "A file in the object is in no inventory", str(stray))


def _content_faults(folder: Path, inventory: Any, found: StoredObject) -> Iterator[Finding]:
    names = inventory.get("versions", {}).get(inventory.get("head"), {}).get("state", {})
    for digest, places in inventory.get("manifest", {}).items():
        for place in places:
            content = folder / place
            found.paths |= dict.fromkeys(names.get(digest, []), content)
            if not content.is_file():
                yield invalid("fsck.content_missing", "A stored file is missing", str(content))
                continue
            found.digests[place] = file_digests(content)
            if found.digests[place][2] != digest.lower():
                yield invalid(
                    "fsck.content_changed", "A stored file does not have the digest of its inventory", str(content)
                )


def _fixity_faults(folder: Path, inventory: Any, found: StoredObject) -> Iterator[Finding]:
    for digest, places in inventory.get("fixity", {}).get("sha256", {}).items():
        for place in places:
            if place in found.digests and found.digests[place][1] != digest.lower():
                yield invalid("fsck.content_changed", "A stored file does not have its sha256", str(folder / place))


def _sidecar_faults(path: Path) -> Iterator[Finding]:
    sidecar = _sidecar(path)
    if not path.is_file() or not sidecar.is_file():
        yield invalid("fsck.inventory", "An inventory or its sidecar is missing", str(path))
    elif sidecar.read_text("utf-8", "replace").split() != [hashlib.sha512(path.read_bytes()).hexdigest(), path.name]:
        yield invalid("fsck.inventory_changed", "An inventory does not have the digest of its sidecar", str(path))


def _sidecar(path: Path) -> Path:
    return path.with_name("inventory.json.sha512")


def _read_inventory(path: Path) -> Any:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _id_of(inventory: Any, folder: Path) -> str:
    name = "" if inventory is None else str(inventory.get("id", ""))
    return name.removeprefix(_URN) if name.startswith(_URN) else folder.name.rsplit("%3a", 1)[-1]

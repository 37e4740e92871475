"""Inventories: what an object holds, version by version, and their JSON.

`digestAlgorithm` is sha512; the fixity block carries sha256. SM3 is not in it: OCFL 1.1 has no name for it, and a
validator refuses a fixity algorithm that it does not know (E056); the item manifest carries SM3.
Source: https://ocfl.io/1.1/spec/#inventory
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final

from archive.kernel.canonical import parse_json
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.ocfl.errors import BrokenInventory, FileMissing, PathTaken
from archive.ocfl.layout import object_urn
from archive.ports.blobs import check_key

_TYPE: Final = "https://ocfl.io/1.1/spec/#inventory"
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
_REQUIRED: Final = frozenset({"id", "type", "digestAlgorithm", "head", "manifest", "versions", "fixity"})
_VERSION_KEYS: Final = frozenset({"created", "message", "user", "state"})


@dataclass(frozen=True, slots=True)
class VersionUser:
    """Who made a version: a name, and an address that is a URI. Both are kept in clear as long as the object.

    Raises: InvalidInput.
    """

    name: str
    address: str

    def __post_init__(self) -> None:
        """Refuse what a validator would warn of."""
        if not self.name or not _is_text(self.name + self.address) or not _ADDRESS.fullmatch(self.address):
            raise InvalidInput("The user of a version needs a name and a URI as address")


class InPlace(Enum):
    """Says of a file that its bytes lie under its key already, durable, and were read there by the caller."""

    IN_PLACE = "in place"


IN_PLACE: Final = InPlace.IN_PLACE


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to add: its logical path, its bytes or the durable staged file that holds them, and their digests.

    The digests of a staged file, or of one in place, are the caller's word and are not computed again.
    Raises: BadKey, InvalidInput.
    """

    logical_path: str
    source: Path | bytes | InPlace
    digests: DigestSet

    def __post_init__(self) -> None:
        """Refuse a bad path, and bytes that do not have these digests."""
        check_key(self.logical_path)
        if isinstance(self.source, bytes) and not digest_of(self.source).agrees_with(self.digests):
            raise InvalidInput("The bytes do not have the digests that are given")

    @classmethod
    def of_bytes(cls, logical_path: str, data: bytes) -> "NewFile":
        """Make one from bytes in memory."""
        return cls(logical_path, data, digest_of(data))


@dataclass(frozen=True, slots=True)
class Version:
    """One version: `state` maps each logical path to the sha512 of its bytes, in hexadecimal."""

    created: Instant
    message: str
    user: VersionUser
    state: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an object holds. `manifest` maps each content path to its sha512, `sha256` to its sha256."""

    object_id: ObjectId
    versions: Sequence[Version]
    manifest: Mapping[str, str]
    sha256: Mapping[str, str]

    @property
    def head(self) -> int:
        """The number of the newest version."""
        return len(self.versions)

    @property
    def state(self) -> Mapping[str, str]:
        """The state of the newest version."""
        return self.versions[-1].state

    def content_path(self, logical_path: str) -> str:
        """Return the path, inside the object, of the bytes of a logical path. Raises: FileMissing."""
        digest = self.state.get(logical_path)
        if digest is None:
            raise FileMissing(object_id=str(self.object_id))
        return next(path for path in self.manifest if _logical(path) == logical_path)

    def has_all(self, files: Iterable[NewFile]) -> bool:
        """Return whether every file is in the newest state with the same sha512."""
        return all(self.state.get(file.logical_path) == file.digests.sha512.hex for file in files)

    def is_same_work(self, other: "Inventory") -> bool:
        """Return whether the two differ in nothing but when, why and by whom the newest version was made."""
        return self == replace(other, versions=[*other.versions[:-1], replace(self.versions[-1], state=other.state)])

    def as_of(self, number: int) -> "Inventory":
        """Return the inventory as it was when version `number` was the newest."""
        paths = [path for path in self.manifest if _logical(path) in self.versions[number - 1].state]
        manifest = {path: self.manifest[path] for path in paths}
        sha256 = {path: self.sha256[path] for path in paths}
        return Inventory(self.object_id, self.versions[:number], manifest, sha256)

    def to_bytes(self) -> bytes:
        """Return the JSON text: indented, sorted, so that equal inventories are equal bytes."""
        document = {
            "id": object_urn(self.object_id),
            "type": _TYPE,
            "digestAlgorithm": "sha512",
            "head": f"v{self.head}",
            "manifest": _by_digest(self.manifest),
            "versions": {
                f"v{number}": {
                    "created": format_instant(version.created),
                    "message": version.message,
                    "user": {"name": version.user.name, "address": version.user.address},
                    "state": _by_digest(version.state),
                }
                for number, version in enumerate(self.versions, start=1)
            },
            "fixity": {"sha256": _by_digest(self.sha256)},
        }
        return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def next_version(
    base: Inventory | None,
    object_id: ObjectId,
    files: Sequence[NewFile],
    *,
    message: str,
    user: VersionUser,
    at: Instant,
) -> Inventory:
    """Return the inventory of `base` (None: of nothing) with one more version that adds `files`.

    Raises: InvalidInput for no file, a path given twice, a path that is a folder of another; PathTaken.
    """
    if not _is_text(message):
        raise InvalidInput("The message of a version is not Unicode text")
    state = dict(base.state) if base else {}
    manifest = dict(base.manifest) if base else {}
    sha256 = dict(base.sha256) if base else {}
    number = base.head + 1 if base else 1
    if not files or len({file.logical_path for file in files}) != len(files):
        raise InvalidInput("A version adds at least one file, and each path once")
    for file in files:
        if file.logical_path in state:
            raise PathTaken(object_id=str(object_id))
        content_path = f"v{number}/content/{file.logical_path}"
        state[file.logical_path] = manifest[content_path] = file.digests.sha512.hex
        sha256[content_path] = file.digests.sha256.hex
    if has_conflict(state):
        raise InvalidInput("A logical path is a folder of another", object_id=str(object_id))
    version = Version(parse_instant(format_instant(at)), message, user, state)
    return Inventory(object_id, [*(base.versions if base else []), version], manifest, sha256)


def _logical(content_path: str) -> str:
    """Return the logical path of a content path: the writer adds each file once, as `v<N>/content/<logical path>`."""
    return content_path.split("/", 2)[2]


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_conflict(paths: Iterable[str]) -> bool:
    """Return whether one of the paths is a folder of another."""
    known = set(paths)
    return any(path[:at] in known for path in known for at, char in enumerate(path) if char == "/")


def parse_inventory(raw: bytes, *, object_id: ObjectId) -> Inventory:
    """Parse the inventory of this object, strictly: nothing but what `next_version` makes.

    Raises: BrokenInventory.
    """
    try:
        return _parse(parse_json(raw), object_id)
    except (InvalidInput, ValueError, TypeError, LookupError, AttributeError) as exc:
        raise BrokenInventory(object_id=str(object_id)) from exc


def _parse(document: Any, object_id: ObjectId) -> Inventory:
    _need(set(document) == _REQUIRED, "keys")
    _need(document["id"] == object_urn(object_id), "id")
    _need(document["type"] == _TYPE, "type")
    _need(document["digestAlgorithm"] == "sha512", "digestAlgorithm")
    _need(set(document["fixity"]) == {"sha256"}, "fixity")
    manifest = _by_path(document["manifest"], 128)
    sha256 = _by_path(document["fixity"]["sha256"], 64)
    _need(set(sha256) == set(manifest), "fixity")
    count = len(document["versions"])
    _need(count > 0 and document["head"] == f"v{count}", "head")
    versions = [_parse_version(document["versions"][f"v{number}"]) for number in range(1, count + 1)]
    before: Mapping[str, str] = {}
    for number, version in enumerate(versions, start=1):
        prefix = f"v{number}/content/"
        added = {path.removeprefix(prefix): digest for path, digest in manifest.items() if path.startswith(prefix)}
        _need(len(added) > 0 and before.keys().isdisjoint(added) and version.state == {**before, **added}, "state")
        before = version.state
    _need(len(before) == len(manifest), "manifest")
    return Inventory(object_id, versions, manifest, sha256)


def _parse_version(value: Any) -> Version:
    _need(set(value) == _VERSION_KEYS and set(value["user"]) == {"name", "address"}, "version")
    _need(isinstance(value["message"], str), "message")
    state = _by_path(value["state"], 128)
    user = VersionUser(value["user"]["name"], value["user"]["address"])
    return Version(parse_instant(value["created"]), value["message"], user, state)


def _by_digest(paths: Mapping[str, str]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for path in sorted(paths):
        result.setdefault(paths[path], []).append(path)
    return result


def _by_path(block: Any, hex_digits: int) -> dict[str, str]:
    result: dict[str, str] = {}
    for digest, paths in block.items():
        _need(re.fullmatch(f"[0-9a-f]{{{hex_digits}}}", digest) is not None, "digest")
        _need(isinstance(paths, list) and len(paths) > 0, "paths")
        for path in paths:
            _need(path not in result, "path")
            check_key(path)
            result[path] = digest
    _need(not has_conflict(result), "path")
    return result


def _need(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ValueError(f"The inventory does not hold together: {what}")

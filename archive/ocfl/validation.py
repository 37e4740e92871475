"""Validating one object: everything is read once, nothing is trusted, each finding names its file."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from archive.kernel.digests import DigestSet, hash_stream
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.kernel.ids import ObjectId
from archive.ocfl.errors import BrokenInventory
from archive.ocfl.files import object_names, read_small, version_folders
from archive.ocfl.inventory import Inventory, parse_inventory
from archive.ocfl.layout import (
    INVENTORY,
    OBJECT_DECLARATION,
    OBJECT_DECLARATION_BYTES,
    SIDECAR,
    object_root,
    sidecar_bytes,
)
from archive.ports.blobs import BlobMissing, BlobStore, StoreBroken, StoreUnavailable

Digesting = Callable[[str, BinaryIO], DigestSet]
"""Reads a file, named by its path inside the object, to its end; returns the digests of what was read."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What reading an object has shown: findings, the newest inventory where one can be read, and what files hold.

    By paths inside the object, of files that could be read: `digests` of those in the manifest, and the bytes of
    inventories, sidecars and declaration in `small`.
    """

    report: Report
    inventory: Inventory | None
    digests: Mapping[str, DigestSet]
    small: Mapping[str, bytes]


def _hashed(path: str, source: BinaryIO) -> DigestSet:
    del path
    return hash_stream(source)


def validate(store: BlobStore, object_id: ObjectId) -> Report:
    """Check one object against the rules of OCFL and against what its writer leaves.

    1. It has its declaration.   2. The root inventory is that of the newest version, and both have their sidecars.
    3. Earlier inventories have theirs, and say what the newest says of their time.   4. Every file of the manifest
    has its sha512 and sha256.   5. There is nothing else.
    A version that is being written or was left unfinished, and a file that cannot be read, make it indeterminate.
    `where` is the path inside the object.

    Units: memory does not grow with file sizes.
    Source: https://ocfl.io/1.1/spec/validation-codes.html (E064 and others).
    """
    return examine_object(store, object_id).report


def examine_object(store: BlobStore, object_id: ObjectId, *, digesting: Digesting = _hashed) -> Examined:
    """Check one object as `validate` does; `digesting` reads the files of its manifest, each once."""
    check = _Check(store, object_id, digesting)
    report = Report(tuple(check.run()))
    small = {name: data for name, data in check.small.items() if data is not None}
    return Examined(report, check.inventory, check.digests, small)


class _Check:
    def __init__(self, store: BlobStore, object_id: ObjectId, digesting: Digesting) -> None:
        self._store = store
        self._digesting = digesting
        self.inventory: Inventory | None = None
        self.digests: dict[str, DigestSet] = {}
        self._object_id = object_id
        self._root = object_root(object_id)
        self._names: Sequence[str] = object_names(store, object_id)
        self._expected = {OBJECT_DECLARATION, INVENTORY, SIDECAR}
        self._unreadable: set[str] = set()
        self.small: dict[str, bytes | None] = {}

    def run(self) -> Iterator[Finding]:
        if not self._names:
            yield invalid("ocfl.object_missing", "There is no object with this id.")
            return
        folders = version_folders(self._names)
        head = max([self._shown_head(), *(n for n in folders if f"v{n}/{SIDECAR}" in self._names)])
        yield from self._declaration()  # step 1
        inventory = yield from self._newest(head)  # step 2
        for number in folders:
            if number > head:
                yield from self._unfinished(number)
        if inventory is None:
            yield indeterminate("ocfl.content_unchecked", "Without an inventory no file can be checked.")
            return
        self.inventory = inventory
        for number in range(1, head):
            yield from self._earlier(number, inventory)  # step 3
        for path in sorted(inventory.manifest):
            yield self._content(path, inventory)  # step 4
        for name in self._names:
            if name not in self._expected:
                yield invalid("ocfl.extra_file", "The file is in no inventory.", name)  # step 5

    def _shown_head(self) -> int:
        try:
            return parse_inventory(self._read(INVENTORY) or b"", object_id=self._object_id).head
        except BrokenInventory:
            return 0

    def _declaration(self) -> Iterator[Finding]:
        if self._read(OBJECT_DECLARATION) == OBJECT_DECLARATION_BYTES:
            yield valid("ocfl.declaration", "The object is declared as OCFL 1.1.", OBJECT_DECLARATION)
        else:
            yield self._fault("ocfl.declaration", "The declaration is not as it must be.", OBJECT_DECLARATION)

    def _newest(self, head: int) -> Generator[Finding, None, Inventory | None]:
        """Hold the two copies of the newest inventory and their two sidecars against each other.

        What most of the four say is taken for true, so that the finding names the file that differs and not the one
        beside it.
        """
        folder = f"v{head}/" if head else ""
        names = list(dict.fromkeys([f"{folder}{SIDECAR}", f"{folder}{INVENTORY}", INVENTORY, SIDECAR]))
        self._expected.update(names)
        found = {name: self._read(name) for name in names}
        told = {name: _told(name, data) for name, data in found.items() if data is not None}
        agreed = Counter(told.values()).most_common(1)[0][0] if told else None
        for name in names:
            if name in told and told[name] == agreed:
                yield valid("ocfl.inventory", "The inventory and its sidecars agree.", name)
            elif head > 1 and name in {INVENTORY, SIDECAR} and found[name] == self._read(f"v{head - 1}/{name}"):
                yield indeterminate(
                    "ocfl.root_behind",
                    "A new version is complete and not yet shown: written now, or to be mended.",
                    name,
                )
            else:
                yield self._fault("ocfl.inventory", "It differs from the inventory and its other copies.", name)
        raw = next(
            (data for name, data in found.items() if name.endswith(INVENTORY) and told.get(name) == agreed), None
        )
        if raw is None:
            return None
        try:
            inventory = parse_inventory(raw, object_id=self._object_id)
        except BrokenInventory as exc:
            yield invalid("ocfl.inventory_broken", str(exc.__cause__ or exc), f"{folder}{INVENTORY}")
            return None
        if inventory.head != head:
            yield invalid(
                "ocfl.head", "The newest inventory is not that of the newest version.", f"{folder}{INVENTORY}"
            )
        return inventory

    def _unfinished(self, number: int) -> Iterator[Finding]:
        claim = f"v{number}/{INVENTORY}"
        yield indeterminate(
            "ocfl.version_unfinished", "A version is being written, or was left unfinished.", f"v{number}"
        )
        try:
            claimed = parse_inventory(self._read(claim) or b"", object_id=self._object_id)
        except BrokenInventory:
            return
        self._expected |= {claim} | {path for path in claimed.manifest if path.startswith(f"v{number}/")}

    def _earlier(self, number: int, newest: Inventory) -> Iterator[Finding]:
        # The newest inventory is checked by now, and what it says of an earlier version has exactly one text.
        inventory = newest.as_of(number).to_bytes()
        for name, data in ((INVENTORY, inventory), (SIDECAR, sidecar_bytes(inventory))):
            path = f"v{number}/{name}"
            self._expected.add(path)
            if self._read(path) == data:
                yield valid("ocfl.inventory", "It says what the newest inventory says of its time.", path)
            else:
                yield self._fault("ocfl.inventory", "It does not say what the newest inventory says of its time.", path)

    def _content(self, path: str, inventory: Inventory) -> Finding:
        self._expected.add(path)
        try:
            with self._store.open(f"{self._root}/{path}") as source:
                digests = self.digests[path] = self._digesting(path, source)
        except BlobMissing:
            return invalid("ocfl.content_missing", "A file of the inventory is missing.", path)
        except StoreBroken as exc:
            return invalid("ocfl.content", exc.message, path)
        except (OSError, StoreUnavailable):
            return indeterminate("ocfl.unreadable", "The file cannot be read.", path)
        if (digests.sha512.hex, digests.sha256.hex) != (inventory.manifest[path], inventory.sha256[path]):
            return invalid("ocfl.content", "The bytes do not have the digests of the inventory.", path)
        return valid("ocfl.content", "The bytes have the sha512 and sha256 of the inventory.", path)

    def _read(self, name: str) -> bytes | None:
        if name not in self.small:
            self.small[name] = self._read_once(name)
        return self.small[name]

    def _read_once(self, name: str) -> bytes | None:
        try:
            return read_small(self._store, f"{self._root}/{name}")
        except StoreBroken:
            return None
        except (OSError, StoreUnavailable):
            self._unreadable.add(name)
            return None

    def _fault(self, code: str, message: str, name: str) -> Finding:
        if name in self._unreadable:
            return indeterminate("ocfl.unreadable", "The file cannot be read.", name)
        return invalid(code, message if name in self._names else "The file is missing.", name)


def _told(name: str, data: bytes) -> bytes:
    """Return which inventory a file stands for, as a sidecar would say it."""
    return sidecar_bytes(data) if name.endswith(INVENTORY) else data

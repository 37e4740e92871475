"""Reading an object whole, each byte once: held against its inventory and against the catalogue in the same read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from archive.custody.events import digests_of
from archive.custody.models import PreservedObject
from archive.kernel.canonical import parse_canonical
from archive.kernel.digests import CN_PROFILE, STANDARD, DigestSet, Hasher, absorb
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.kernel.ids import ObjectId
from archive.ocfl.inventory import Inventory
from archive.ocfl.root import OcflRoot
from archive.ocfl.validation import Examined
from archive.ports.blobs import StoreUnavailable

MANIFEST: Final = "metadata/manifest.json"
SIGNATURE: Final = "metadata/manifest.json.p7s"
_BLOCK_BYTES: Final = 1024 * 1024
_UNREADABLE: Final = "ocfl.unreadable"
_MISSING: Final = frozenset({"ocfl.content_missing", "ocfl.object_missing"})
_NO_INVENTORY: Final = frozenset({"ocfl.object_missing", "ocfl.inventory_broken", "ocfl.inventory", "ocfl.unreadable"})


@dataclass(frozen=True, slots=True)
class Original:
    """What the catalogue says of an object: the logical path and the digests of its original."""

    object_id: ObjectId
    path: str
    digests: DigestSet

    @classmethod
    def of(cls, row: PreservedObject) -> "Original":
        """Take it from its row."""
        return cls(ObjectId(row.id), row.content_path, digests_of(row))


@dataclass(frozen=True, slots=True)
class Reading:
    """An object as it was just read. `kept` are the bytes of the item manifest and its signature, by logical path."""

    report: Report
    examined: Examined
    kept: Mapping[str, bytes]

    @property
    def inventory(self) -> Inventory | None:
        """The newest inventory, where one could be read."""
        return self.examined.inventory

    @property
    def head(self) -> int:
        """The newest version, 0 where no inventory could be read."""
        return 0 if self.examined.inventory is None else self.examined.inventory.head

    @property
    def size_bytes(self) -> int:
        """How many bytes were read."""
        return sum(found.size_bytes for found in self.examined.digests.values()) + sum(
            len(data) for data in self.examined.small.values()
        )

    @property
    def is_unreadable(self) -> bool:
        """Whether nothing is known to be wrong, and something could not be read."""
        return self.report.outcome is Outcome.INDETERMINATE and any(
            found.code == _UNREADABLE for found in self.report.findings
        )


@dataclass(slots=True)
class _Digesting:
    """Reads files in one pass each; keeps what is small and judged as a whole."""

    original: Original
    paced: Callable[[BinaryIO], BinaryIO] | None
    kept: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, path: str, source: BinaryIO) -> DigestSet:
        logical = path.split("/", 2)[2]
        is_original = path.startswith("v1/") and logical == self.original.path
        hasher = Hasher(CN_PROFILE if is_original and self.original.digests.sm3 is not None else STANDARD)
        reader = source if self.paced is None else self.paced(source)
        first = reader.read(_BLOCK_BYTES)
        hasher.update(first)
        if len(first) == _BLOCK_BYTES:
            absorb(reader, hasher)
        elif path.startswith("v1/") and logical in {MANIFEST, SIGNATURE}:
            self.kept[logical] = first
        return hasher.digests()


def read_object(
    objects: OcflRoot, original: Original, *, least_head: int = 0, paced: Callable[[BinaryIO], BinaryIO] | None = None
) -> Reading:
    """Read every byte of an object once, and say what it is worth.

    1. it is whole by its own inventory (`archive.ocfl.validation`)   2. its original has the digests of the catalogue
    3. its item manifest names the object and these digests   4. it has the version `least_head`, which it had before.
    Signatures and the log are not asked here. `paced` wraps each source that is read.

    Units: memory does not grow with file sizes.
    """
    digesting = _Digesting(original, paced)
    try:
        examined = objects.examine(original.object_id, digesting=digesting)
    except (OSError, StoreUnavailable):
        return not_read(_UNREADABLE, "The files of the object cannot be listed")
    findings = [
        *examined.report.findings,
        _original(examined, original),
        *_manifest(examined, digesting.kept, original),
    ]
    if examined.inventory is not None and examined.inventory.head < least_head:
        findings.append(invalid("fixity.version_missing", "The object lacks a version that it had"))
    return Reading(Report(tuple(findings)), examined, digesting.kept)


def not_read(code: str, message: str) -> Reading:
    """Return what is known of an object that could not be read at all: nothing, and why."""
    report = Report((indeterminate(code, message),))
    return Reading(report, Examined(report, None, {}, {}), {})


def _original(examined: Examined, original: Original) -> Finding:
    path = f"v1/content/{original.path}"
    found = examined.digests.get(path)
    if found is None:
        why = _why(examined, path)
        if why is not None and why.outcome is Outcome.INDETERMINATE:
            return indeterminate("fixity.original_unreadable", "The original cannot be read", path)
        if why is not None and why.code not in _MISSING:
            return invalid("fixity.original_broken", f"The original is not where it must be: {why.message}", path)
        return invalid("fixity.original_missing", "The original is not in the store", path)
    if not found.agrees_with(original.digests):
        return invalid("fixity.original_changed", "The original does not have the digests of the catalogue", path)
    return valid("fixity.original", "The original has the digests that were logged when it came in", path)


def _manifest(examined: Examined, kept: Mapping[str, bytes], original: Original) -> Iterator[Finding]:
    for logical in (MANIFEST, SIGNATURE):
        why = None if logical in kept else _why(examined, f"v1/content/{logical}")
        if why is not None and why.outcome is Outcome.INDETERMINATE:
            yield indeterminate("fixity.manifest_unreadable", "The item manifest cannot be read", "metadata")
            return
    if MANIFEST not in kept or SIGNATURE not in kept:
        yield invalid("fixity.manifest_missing", "The item manifest or its signature is missing", "metadata")
    elif not _names(kept[MANIFEST], original):
        told = "The item manifest names another object, or other digests than the catalogue"
        yield invalid("fixity.manifest_differs", told, MANIFEST)


def _why(examined: Examined, path: str) -> Finding | None:
    """Return why a file of the manifest was not read; without an inventory, why there is none."""
    for finding in examined.report.findings:
        is_about = finding.where == path if examined.inventory is not None else finding.code in _NO_INVENTORY
        if is_about and finding.outcome is not Outcome.VALID:
            return finding
    return None


def _names(manifest: bytes, original: Original) -> bool:
    try:
        told = parse_canonical(manifest)
        digests = {name: told[name] for name in original.digests.as_json()}
        found = DigestSet.from_json(told["size"], digests)
        return bool(told["id"] == str(original.object_id) and found.agrees_with(original.digests))
    except (InvalidInput, KeyError, TypeError):
        return False

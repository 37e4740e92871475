"""Which files of a damaged object have to be mended, and into what: pure, from two readings of it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from archive.kernel.digests import DigestSet
from archive.kernel.errors import Conflict
from archive.ocfl.inventory import Inventory
from archive.ocfl.layout import (
    INVENTORY,
    OBJECT_DECLARATION,
    OBJECT_DECLARATION_BYTES,
    SIDECAR,
    sidecar_bytes,
    version_number,
)
from archive.ocfl.validation import Examined


class CopyBehind(Conflict):
    """The good copy lacks a version that the damaged one had, or may lack one; it was not used for a repair."""

    code = "fixity.copy_behind"


@dataclass(frozen=True, slots=True)
class FileToMend:
    """A file that is damaged or missing, and what it has to hold: `data`, or the file of the good copy at this path."""

    path: str
    size_bytes: int
    sha512: str
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes an object whole again: files to mend, in the order of a writer, and files that are of no version."""

    files: Sequence[FileToMend]
    strays: Sequence[str]


def plan(
    present: Examined,
    good: Examined,
    *,
    least_head: int,
    is_current: bool,
    look: Callable[[str], DigestSet | None],
) -> Plan:
    """Return what has to be mended of `present`, given a good copy that was read whole.

    The newer of the two inventories counts where the other is what it was before; where they contradict each other, or
    `present` has none, that of the good copy, if no version waits to be copied (`is_current`). `look` reads a file of
    `present` that was not read for want of an inventory.
    Raises: CopyBehind.
    """
    wanted = _wanted(present.inventory, good, is_current=is_current)
    if wanted.head < least_head:
        raise CopyBehind
    files = [
        *_content(wanted, present, good, look),
        *(_small(name, data) for name, data in texts_of(wanted) if present.small.get(name) != data),
    ]
    expected = {*wanted.manifest, *(name for name, _ in texts_of(wanted))}
    strays = [
        found.where
        for found in present.report.findings
        if found.code == "ocfl.extra_file" and found.where not in expected and not _is_beyond(found.where, wanted)
    ]
    return Plan(files, strays)


def texts_of(inventory: Inventory) -> Iterator[tuple[str, bytes]]:
    """Yield what an object of this inventory has beside its content, by path: in the order of a writer."""
    yield OBJECT_DECLARATION, OBJECT_DECLARATION_BYTES
    raw = b""
    for number in range(1, inventory.head + 1):
        raw = inventory.as_of(number).to_bytes()
        yield f"v{number}/{INVENTORY}", raw
        yield f"v{number}/{SIDECAR}", sidecar_bytes(raw)
    yield INVENTORY, raw
    yield SIDECAR, sidecar_bytes(raw)


def _wanted(present: Inventory | None, good: Examined, *, is_current: bool) -> Inventory:
    known = good.inventory
    if known is None:
        raise CopyBehind
    if present is not None and present.head >= known.head and known == present.as_of(known.head):
        return present
    if present is not None and present.head < known.head and present == known.as_of(present.head):
        return known
    if not is_current:
        raise CopyBehind
    return known


def _content(
    wanted: Inventory, present: Examined, good: Examined, look: Callable[[str], DigestSet | None]
) -> Iterator[FileToMend]:
    for path in sorted(wanted.manifest):
        told = (wanted.manifest[path], wanted.sha256[path])
        found = present.digests.get(path)
        if found is None and present.inventory is None:
            found = look(path)
        if found is not None and (found.sha512.hex, found.sha256.hex) == told:
            continue
        source = good.digests.get(path)
        if source is None or (source.sha512.hex, source.sha256.hex) != told:
            raise CopyBehind
        yield FileToMend(path, source.size_bytes, source.sha512.hex)


def _small(name: str, data: bytes) -> FileToMend:
    return FileToMend(name, len(data), hashlib.sha512(data).hexdigest(), data)


def _is_beyond(path: str, inventory: Inventory) -> bool:
    """Whether a path is in the folder of a later version: one that a writer is at work on, or left unfinished."""
    number = version_number(path.split("/", 1)[0])
    return number is not None and number > inventory.head

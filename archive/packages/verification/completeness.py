"""Check 8: no entry about case and objects is kept back, by a copy of all entries of the log.

Source: C2SP tlog-tiles (entry bundles, paths of tiles), RFC 6962 section 2.1.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Outcome
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.tree import leaf_hash, node_hash
from archive.packages.verification.case import Case
from archive.packages.verification.findings import finding
from archive.packages.verification.layout import MOST_ENTRY_BYTES
from archive.packages.verification.proofs import entry_path, is_about

_WIDTH: Final = 256
_LENGTH_BYTES: Final = 2
_MOST_BUNDLE_BYTES: Final = _WIDTH * (MOST_ENTRY_BYTES + _LENGTH_BYTES)
_NOT_CHECKED: Final = "package.completeness_not_checked"


class CopyDiffers(InvalidInput):
    """The copy of the log is not whole, or does not lead to the checkpoint."""

    code = "log.copy_differs"


def judge_completeness(log: Path | None, case: Case | None, head: Checkpoint | None) -> list[Finding]:
    """Say whether the package names all entries about its case and its objects up to the checkpoint."""
    if log is None:
        return [finding(_NOT_CHECKED, Outcome.INDETERMINATE)]
    if case is None or head is None:
        return [finding(_NOT_CHECKED, Outcome.INDETERMINATE, detail="no case or no checkpoint")]
    try:
        missing = _missing(log, case, head)
    except (InvalidInput, OSError) as exc:
        return [finding(_NOT_CHECKED, Outcome.INDETERMINATE, detail=f"the copy of the log: {exc}")]
    if missing:
        return [finding("package.entry_missing", Outcome.INVALID, entry_path(index)) for index in missing]
    return [finding("package.complete", Outcome.VALID)]


def bundle_path(number: int) -> str:
    """Return the path of a full bundle below tile/entries: `x001/x234/067`."""
    digits = str(number)
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    *groups, last = (digits[at : at + 3] for at in range(0, len(digits), 3))
    return "/".join([*(f"x{group}" for group in groups), last])


def _missing(log: Path, case: Case, head: Checkpoint) -> list[int]:
    """Return the indices of the entries that the package does not name. Raises: InvalidInput, OSError."""
    objects = {each.object_id: frozenset(each.entries) for each in case.objects}
    # Few entries of a log are about one case: only those that hold one of its ids are parsed.
    ids = re.compile(b"|".join(re.escape(each.encode()) for each in sorted({*objects, case.case_id})))
    top, missing, edge = frozenset(case.entries), [], _Edge()
    for index, raw in enumerate(_entries(log, head.size)):
        edge.append(leaf_hash(raw))
        if not ids.search(raw):
            continue
        entry = parse_canonical(raw)
        known = [indices for each, indices in objects.items() if is_about(entry, each)]
        is_of_case = entry.get("case") == case.case_id
        if any(index not in indices for indices in known) or (is_of_case and index not in top):
            missing.append(index)
    if edge.root() != head.root:
        raise CopyDiffers("it does not lead to the checkpoint")
    return missing


class _Edge:
    """The right edge of a growing tree: one hash for each full subtree."""

    def __init__(self) -> None:
        self._full: list[tuple[int, bytes]] = []

    def append(self, value: bytes) -> None:
        """Add a leaf."""
        height = 0
        while self._full and self._full[-1][0] == height:
            value = node_hash(self._full.pop()[1], value)
            height += 1
        self._full.append((height, value))

    def root(self) -> bytes:
        """Return the root."""
        if not self._full:
            return hashlib.sha256(b"").digest()
        *others, (_, value) = self._full
        for _, left in reversed(others):
            value = node_hash(left, value)
        return value


def _entries(log: Path, size: int) -> Iterator[bytes]:
    """Return the first `size` entries, one after the other. Memory: one bundle. Raises: CopyDiffers, OSError."""
    for number in range(-(-size // _WIDTH)):
        count = min(_WIDTH, size - number * _WIDTH)
        raw, at = _bundle(log, number, count), 0
        for _ in range(count):
            start = at + _LENGTH_BYTES
            at = start + int.from_bytes(raw[at:start], "big")
            if at > len(raw) or start > len(raw):
                raise CopyDiffers(f"the bundle {bundle_path(number)} is too short")
            yield raw[start:at]


def _bundle(log: Path, number: int, count: int) -> bytes:
    """Return a bundle that holds the first `count` entries: the whole one, or the shortest part that is long enough."""
    full = log / "tile" / "entries" / bundle_path(number)
    parts = full.with_name(f"{full.name}.p")
    widths = sorted(int(each.name) for each in parts.iterdir() if each.name.isdigit()) if parts.is_dir() else []
    places = [full, *(parts / str(width) for width in widths if count <= width < _WIDTH)]
    for place in places:
        if place.is_file():
            with place.open("rb") as file:
                return file.read(_MOST_BUNDLE_BYTES)
    raise CopyDiffers(f"the bundle {bundle_path(number)} is missing")

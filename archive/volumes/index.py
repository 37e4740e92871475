"""The index of a closed volume: what stands in it, bound by one root, which is signed. Final: other tools read it.

Source: docs/formats/volume-index.md; RFC 6962 section 2.1 for the tree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.kernel.canonical import canonical_json
from archive.kernel.errors import InvalidInput
from archive.ledger.tree import leaf_hash, root_of

VERSION: Final = 1


class VolumeEmpty(InvalidInput):
    """A volume without a line cannot be closed: file what belongs there first."""

    code = "volumes.empty"


@dataclass(frozen=True, slots=True)
class VolumeIndex:
    """The index as it is signed: canonical JSON, and the root over its lines."""

    body: bytes
    root: bytes


def make_index(head: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> VolumeIndex:
    """Return the index of a volume: what `head` says of it, its lines, and the root over them in hexadecimal.

    Raises: VolumeEmpty.
    """
    if not lines:
        raise VolumeEmpty
    root = lines_root(lines)
    told = {**head, "v": VERSION, "lines": list(lines), "size": len(lines), "root": root.hex()}
    return VolumeIndex(canonical_json(told), root)


def lines_root(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the Merkle root over lines, each of which is a leaf in canonical JSON."""
    return root_of([leaf_hash(canonical_json(line)) for line in lines])

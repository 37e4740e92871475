"""The port to a store that takes the parts of a blob straight from who has them, at addresses good for a while."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from archive.kernel.digests import Digest
from archive.kernel.errors import Conflict


class PartsMissing(Conflict):
    """Not every part of this upload is in the store; ask which are, and send the others."""

    code = "store.parts_missing"


@dataclass(frozen=True, slots=True)
class PartAddress:
    """Where one part is sent with PUT, and the headers that go with it; the store takes no other bytes there."""

    number: int
    url: str
    headers: Mapping[str, str]


class DirectStore(Protocol):
    """Blobs that come in parts, each held by the store against its SHA-256; the whole is put once or not at all.

    Parts count from 1. A blob that is complete is not locked yet.
    """

    def part_size(self, size_bytes: int) -> int:
        """Return how large the parts of a blob are; the last may be smaller. Units: bytes."""
        ...

    def begin_parts(self, key: str) -> str:
        """Begin a blob, and return the name of the upload. Raises: BlobExists, StoreUnavailable."""
        ...

    def part_address(self, key: str, name: str, number: int, sha256: Digest, *, good_for: timedelta) -> PartAddress:
        """Return where to send the part with this digest. Nothing is asked of the store."""
        ...

    def stored_parts(self, key: str, name: str) -> Sequence[int]:
        """Return the numbers of the parts that are there, in order; none where the upload has ended."""
        ...

    def complete_parts(self, key: str, name: str, sha256s: Sequence[Digest]) -> None:
        """Make the parts, of which each has its digest, one blob. Idempotent: nothing happens where that was done.

        Raises: PartsMissing, StoreUnavailable.
        """
        ...

    def abort_parts(self, key: str, name: str) -> None:
        """Give the upload up with all of its parts. Idempotent. Raises: StoreUnavailable."""
        ...

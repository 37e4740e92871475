"""The port to an object store that writes each blob once.

A key is a relative POSIX path of safe segments. Guarantees hold for every adapter and are tried by one contract
suite (`tests/contract/blob_store.py`).
"""

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound, Unavailable
from archive.kernel.instants import Instant

_MAX_KEY_BYTES: Final = 1024
_MAX_SEGMENT_BYTES: Final = 255


class BlobExists(Conflict):
    """A blob with this key exists already; it was not touched."""

    code = "store.blob_exists"


class BlobMissing(NotFound):
    """There is no blob with this key."""

    code = "store.blob_missing"


class BadKey(InvalidInput):
    """The key is not a relative path of safe segments."""

    code = "store.bad_key"


class BlobChanged(Conflict):
    """The blob is not the one that was to be replaced; it was not touched."""

    code = "store.blob_changed"


class StoreBroken(LiuhenError):
    """The store holds something that it cannot hold by its own rules."""

    code = "store.broken"
    exit_code = 74


class StoreUnavailable(Unavailable):
    """The store refused an operation; what it held is untouched."""

    code = "store.unavailable"


def check_key(key: str) -> tuple[str, ...]:
    """Return the segments of a key, the same rule for every adapter.

    Units: at most 1024 bytes of UTF-8, at most 255 in a segment. A segment is not empty, not `.` or `..`, and has no
    control character and no backslash.
    Raises: BadKey.
    """
    try:
        raw = key.encode()
    except UnicodeEncodeError as exc:
        raise BadKey("The key is not Unicode text", key=ascii(key)[:64]) from exc
    segments = tuple(key.split("/"))
    if len(raw) > _MAX_KEY_BYTES or any(_is_bad(segment) for segment in segments):
        raise BadKey(key=key[:64])
    return segments


def _is_bad(segment: str) -> bool:
    return (
        segment in {"", ".", ".."}
        or len(segment.encode()) > _MAX_SEGMENT_BYTES
        or any(char == "\\" or unicodedata.category(char) == "Cc" for char in segment)
    )


class BlobStore(Protocol):
    """Put-once storage.

    Every method that writes returns only after bytes and directory entry are durable. A blob is visible whole or
    not at all, also after a crash; who is told BlobExists may rely on a durable blob. No key is a folder of another.
    Raises: StorageFull on ENOSPC and EDQUOT, StoreUnavailable for other trouble; nothing is left behind then, except a
    whole blob whose name could not be made durable: the next put finds it.
    """

    def put_once(self, key: str, source: BinaryIO) -> int:
        """Store the bytes of `source` under `key`; return their number. Raises: BlobExists, BadKey, StorageFull."""
        ...

    def adopt(self, key: str, staged: Path) -> None:
        """Store a durable local file under `key` without copying it where that is possible.

        `staged` must be complete and fsynced; it is made read-only and stays where it is until the caller removes it.
        Raises: BlobExists, BadKey, StorageFull.
        """
        ...

    def replace_if(self, key: str, data: bytes, *, expected_sha512: str | None) -> None:
        """Replace the blob atomically if its present bytes hash to `expected_sha512` (None: if there is none).

        Only for the root inventory of an OCFL object and its sidecar. Raises: BlobChanged.
        """
        ...

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open for reading `length` bytes from `offset` (to the end by default). Raises: BlobMissing."""
        ...

    def size_bytes(self, key: str) -> int:
        """Return the size. Raises: BlobMissing."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is a blob with this key."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield every key under `prefix` (a whole segment path, or empty), sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove a blob durably. Only disposition and the dropping of renditions may call it. Raises: BlobMissing."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Return the blob's path where it is a plain local file (for ffmpeg and sendfile), otherwise None.

        The path is for reading only. Raises: BlobMissing.
        """
        ...

    def borrow(self, key: str) -> AbstractContextManager[Path]:
        """Give the blob as a plain local file, for reading only and for the length of the block.

        A store without files fetches it, whole. Raises: BlobMissing, StorageFull, StoreUnavailable.
        """
        ...

    def sweep(self, *, older_than: timedelta) -> int:
        """Remove what dead writers left outside of blobs longer ago than this; return how much. For start-up."""
        ...


class LockableBlobStore(BlobStore, Protocol):
    """A store that can lock blobs, each from the moment that it is told to. How well is for its probe to show."""

    def lock(self, keys: Iterable[str], until: Instant | None = None) -> None:
        """Lock blobs until then, else for the store's term from now, and read the locks back.

        What is locked for longer stays so. A store that has no locks does nothing.
        Raises: BlobMissing; StoreBroken where the store does not keep what it was asked for.
        """
        ...

    def hold(self, keys: Iterable[str]) -> None:
        """Lock blobs without end, until the hold is released, and read that back. Raises: as `lock`."""
        ...

    def release_hold(self, keys: Iterable[str]) -> None:
        """Release the holds of blobs; their locks stay. Raises: BlobMissing, StoreUnavailable."""
        ...

    def locked_until(self, key: str) -> Instant | None:
        """Return until when a blob is locked, as the store says; None for not. Raises: BlobMissing."""
        ...

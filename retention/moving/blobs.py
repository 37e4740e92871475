"""What lies beside the originals: quarantine, drafts and journal are copied whole, renditions as far as they are there.

Keys of quarantine, drafts and journal are put once and stay; each blob is hashed as it is read and again where it was
put. A segment of the journal is copied once its row is there, and has the digest that the row tells. Renditions can be
made again and are changed meanwhile: what goes is removed, and what comes while switching is brought after it.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.kernel.digests import hash_stream
from archive.ledger.models import LogCheckpoint, LogSegment
from archive.ledger.segments import SegmentName
from archive.ports.blobs import BlobExists, BlobMissing, BlobStore, StoreBroken
from retention.moving.models import StoreMove
from retention.moving.parts import MoveParts, Sides

_SEGMENTS: Final = 1_000


class BlobDiffers(StoreBroken):
    """A file beside the originals is another in the new place than in the old one; it was not touched."""

    code = "move.blob_differs"


@dataclass(frozen=True, slots=True)
class Brought:
    """How many files a store holds in both places, and how many were put by this call."""

    files: int
    fresh: int


def copy_blobs(source: BlobStore, target: BlobStore, *, rereads: bool) -> Brought:
    """Bring what the source has into the target, and with `rereads` hold all that was there before against it.

    Idempotent: yes.
    Raises: BlobDiffers, which names the key; StorageFull, StoreUnavailable.
    """
    files = fresh = 0
    there = _Ahead(target.keys())
    for key in source.keys(""):
        files += 1
        if not there.has(key):
            fresh += _copy(source, target, key)
        elif rereads:
            _compare(source, target, key)
    return Brought(files, fresh)


def require_same(source: BlobStore, target: BlobStore) -> None:
    """Hold all that the source has against the target. Raises: BlobDiffers, also for what is missing there."""
    for key in source.keys(""):
        try:
            _compare(source, target, key)
        except BlobMissing as exc:
            raise BlobDiffers("A file of the old place is missing in the new one", key=key) from exc


def copy_renditions(source: BlobStore, target: BlobStore, *, removes: bool) -> Brought:
    """Bring the renditions that are missing in the target; with `removes` take away what the source has not.

    One that goes while it is read is left out. Raises: StorageFull, StoreUnavailable.
    """
    files = fresh = 0
    there = _Ahead(target.keys())
    for key in source.keys(""):
        files += 1
        if not there.has(key):
            with contextlib.suppress(BlobMissing):
                fresh += _copy(source, target, key)
    if removes:
        here = _Ahead(source.keys())
        for key in target.keys(""):
            if not here.has(key):
                with contextlib.suppress(BlobMissing):
                    target.delete(key)
    return Brought(files, fresh)


def copy_journal(parts: MoveParts, sides: Sides, move_id: UUID) -> int:
    """Bring the segments of the journal that were committed since the last call; return how many.

    Raises: BlobDiffers, StorageFull, StoreUnavailable; what was brought before that stays, and is found.
    """
    count = 0
    while True:
        with parts.database.read() as tx:
            since = tx.get_one(StoreMove, move_id).journal_size
            found = segments(tx, since, limit=_SEGMENTS)
        for name, sha256 in found:
            bring_segment(sides, name, sha256)
        if found:
            with parts.database.begin() as tx:
                newest = found[-1][0].new_size
                tx.execute(update(StoreMove).where(StoreMove.id == move_id).values(journal_size=newest))
        count += len(found)
        if len(found) < _SEGMENTS:
            return count


def segments(tx: Session, since: int, *, limit: int | None = None) -> list[tuple[SegmentName, bytes]]:
    """Return the segments that begin at a size of the log or later, each with its SHA-256, in their order."""
    rows = (
        select(LogSegment.previous_size, LogSegment.size, LogCheckpoint.root, LogSegment.sha256)
        .join(LogCheckpoint, LogCheckpoint.size == LogSegment.size)
        .where(LogSegment.previous_size >= since)
        .order_by(LogSegment.size)
        .limit(limit)
    )
    return [(SegmentName(row[0], row[1], bytes(row[2])), bytes(row[3])) for row in tx.execute(rows)]


def bring_segment(sides: Sides, name: SegmentName, sha256: bytes) -> None:
    """Bring one segment, and read it back against its digest. Raises: BlobDiffers; as `copy_journal`."""
    with contextlib.suppress(BlobExists), sides.source.journal.open(name.key) as source:
        sides.target.journal.put_once(name.key, source)
    check_segment(sides.target.journal, name, sha256)


def check_segment(journal: BlobStore, name: SegmentName, sha256: bytes) -> None:
    """Hold a segment against its digest. Raises: BlobDiffers, BlobMissing, StoreUnavailable."""
    with journal.open(name.key) as back:
        if hash_stream(back).sha256.value != sha256:
            raise BlobDiffers(key=name.key)


class _Ahead:
    """Keys in the order of their bytes, asked for in that order."""

    def __init__(self, keys: Iterator[str]) -> None:
        self._keys = keys
        self._next = next(keys, None)

    def has(self, key: str) -> bool:
        wanted = key.encode()
        while self._next is not None and self._next.encode() < wanted:
            self._next = next(self._keys, None)
        return self._next == key


def _copy(source: BlobStore, target: BlobStore, key: str) -> int:
    """Copy one blob and read it back; return 1, or 0 where another put it at this moment."""
    with source.open(key) as opened:
        hashing = _Hashing(opened)
        try:
            target.put_once(key, hashing)  # type: ignore[arg-type]
        except BlobExists:
            _compare(source, target, key)
            return 0
    with target.open(key) as back:
        if hash_stream(back).sha512.value != hashing.digest():
            raise BlobDiffers(key=key)
    return 1


def _compare(source: BlobStore, target: BlobStore, key: str) -> None:
    with source.open(key) as one, target.open(key) as other:
        if hash_stream(one).sha512 != hash_stream(other).sha512:
            raise BlobDiffers(key=key)


class _Hashing:
    """Reads a stream and hashes what was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source, self._hasher = source, hashlib.sha512()

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._hasher.update(block)
        return block

    def readinto(self, buffer: "bytearray | memoryview") -> int:
        block = self._source.read(len(buffer))
        buffer[: len(block)] = block
        self._hasher.update(block)
        return len(block)

    def digest(self) -> bytes:
        return self._hasher.digest()

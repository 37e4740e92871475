"""The encrypted journal of details: one segment for each sequencing round, its keys where they can be erased.

The segment is durable before the round's checkpoint is committed, and its keys are durable before the segment. So a
segment may be there whose checkpoint never came: it begins at the log's size, and `discard_from` removes it.

Source: INTEGRITY 1.1; docs/formats/journal.md.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final, NamedTuple

from archive.kernel.ids import EntryId
from archive.ledger.faults import SequencerFault
from archive.ledger.segments import (
    BLANK,
    FOLDER_ENTRIES,
    KEY_BYTES,
    WRAPPED_BYTES,
    DetailUnreadable,
    SealedDetail,
    SegmentMalformed,
    SegmentName,
    decode_keys,
    decode_segment,
    encode_keys,
    encode_segment,
    folder_of,
    open_detail,
    seal_detail,
    slot_offset,
)
from archive.ports.blobs import BlobExists, BlobStore
from archive.ports.erasable import ErasableStore
from archive.ports.keys import KeyWrapper, WrappedKeyUnreadable

_MOST_READ_BYTES: Final = 1 << 30


class Detail(NamedTuple):
    """What opens an entry's commitment; `salt` and `detail` are None where they were erased before."""

    entry_id: EntryId
    salt: bytes | None
    detail: bytes | None


class State(StrEnum):
    """What became of a detail in the journal."""

    KEPT = "kept"
    ERASED = "erased"
    ABSENT = "absent"
    """It was gone already when the segment was written."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class KeptDetail:
    """A detail as the journal has it; salt and detail only where it is kept."""

    index: int
    entry_id: EntryId
    state: State
    salt: bytes = b""
    detail: bytes = b""


class Journal:
    """The journal of one log."""

    def __init__(self, segments: BlobStore, keys: ErasableStore, wrapper: KeyWrapper) -> None:
        """Keep segments and keys in these stores; they must not be one."""
        self._segments, self._keys, self._wrapper = segments, keys, wrapper

    def write(self, name: SegmentName, details: Sequence[Detail]) -> bytes:
        """Make a segment and its keys durable, each detail under a fresh random key; return the segment's SHA-256.

        Raises: SequencerFault when there is one of this name already; StorageFull, StoreUnavailable, and what a missing
            key-encryption key raises. What is left then has no checkpoint, so `discard_from` removes it.
        """
        fresh = os.urandom(KEY_BYTES * len(details))
        keys = [fresh[at : at + KEY_BYTES] for at in range(0, len(fresh), KEY_BYTES)]
        sealed, wrapped = [], []
        for (entry_id, salt, detail), key, slot in zip(details, keys, self._wrapper.wrap(keys), strict=True):
            if salt is None or detail is None:
                sealed.append(SealedDetail(entry_id, b""))
                wrapped.append(BLANK)
            else:
                sealed.append(SealedDetail(entry_id, seal_detail(key, entry_id, salt, detail)))
                wrapped.append(slot)
        segment = encode_segment(name, sealed)
        try:
            self._keys.put_once(name.key, io.BytesIO(encode_keys(self._wrapper.id, wrapped)))
            self._segments.put_once(name.key, io.BytesIO(segment))
        except BlobExists as exc:
            raise SequencerFault("The journal has a segment of this round already", key=name.key) from exc
        return hashlib.sha256(segment).digest()

    def discard_from(self, size: int) -> int:
        """Remove what begins at the log's size, and so was never committed; return how many files.

        The caller holds the place of the checkpoint that follows this size: nobody else can be writing there.
        """
        removed = 0
        for store in (self._segments, self._keys):
            for name in _beginning_at(store, size):
                store.delete(name.key)
                removed += 1
        return removed

    def require_not_beyond(self, size: int) -> None:
        """Make sure that the journal does not tell of more than a log of this size and one round that broke off.

        Raises: SequencerFault, as where an old copy of the database was put back.
        """
        near = list(_names(self._segments, size))
        beyond = [near, *(_names(self._segments, name.new_size) for name in near if name.old_size == size)]
        if any(name.old_size > size for names in beyond for name in names):
            raise SequencerFault("The journal goes on after the database: is this an old copy of it?", stored=size)

    def first_beginning_after(self, index: int, *, end: int) -> int | None:
        """Return where the next segment begins after an index and before an end; None where there is none."""
        for near in range(index - index % FOLDER_ENTRIES, end, FOLDER_ENTRIES):
            starts = [name.old_size for name in _names(self._segments, near) if index < name.old_size < end]
            if starts:
                return min(starts)
        return None

    def beginning_at(self, index: int) -> Sequence[SegmentName]:
        """Return the segments that begin at an index, committed or not."""
        return _beginning_at(self._segments, index)

    def entry_ids(self, name: SegmentName) -> Sequence[EntryId]:
        """Return the ids of a segment's entries; needs no key. Raises: BlobMissing, SegmentMalformed."""
        return [sealed.entry_id for sealed in decode_segment(name, _read(self._segments, name))]

    def digest(self, name: SegmentName) -> bytes:
        """Return the SHA-256 of a segment as it lies there. Raises: BlobMissing."""
        return hashlib.sha256(_read(self._segments, name)).digest()

    def opened(self, name: SegmentName) -> BinaryIO:
        """Open the bytes of a segment. Raises: BlobMissing."""
        return self._segments.open(name.key)

    def read(self, name: SegmentName) -> Iterator[KeptDetail]:
        """Yield every detail of a segment, with its state.

        Raises: BlobMissing, SegmentMalformed, StoreUnavailable, and what a missing key-encryption key raises.
        """
        key_id, slots = decode_keys(name, _read(self._keys, name))
        is_ours = key_id == self._wrapper.id
        details = decode_segment(name, _read(self._segments, name))
        for number, ((entry_id, sealed), slot) in enumerate(zip(details, slots, strict=True)):
            index = name.old_size + number
            if not sealed or slot == BLANK:
                yield KeptDetail(index, entry_id, State.ERASED if sealed else State.ABSENT)
                continue
            opened = self._opened(entry_id, sealed, slot) if is_ours else None
            if opened is None:
                yield KeptDetail(index, entry_id, State.UNREADABLE)
            else:
                yield KeptDetail(index, entry_id, State.KEPT, *opened)

    def _opened(self, entry_id: EntryId, sealed: bytes, slot: bytes) -> tuple[bytes, bytes] | None:
        try:
            return open_detail(self._wrapper.unwrap(slot), entry_id, sealed)
        except (DetailUnreadable, WrappedKeyUnreadable):
            return None

    def erase(self, name: SegmentName, index: int) -> None:
        """Blank the key of one detail, durably. Idempotent; needs no key-encryption key.

        Raises: BlobMissing, SegmentMalformed, StoreUnavailable.
        """
        if not name.old_size <= index < name.new_size:
            raise SegmentMalformed("This segment is not of this entry", index=index)
        # Also where it reads as blank: whoever blanked it may have been killed before that was durable.
        self._keys.blank(name.key, offset=slot_offset(index - name.old_size), length=WRAPPED_BYTES)

    def drop_keys_without_segment(self, index: int) -> None:
        """Remove files of keys at an index whose segment was never written."""
        for name in _beginning_at(self._keys, index):
            if not self._segments.exists(name.key):
                self._keys.delete(name.key)


def _names(store: BlobStore, near: int) -> Iterator[SegmentName]:
    """Yield the names in the folder of an index. What has another name is left to fsck."""
    for key in store.keys(folder_of(near)):
        with contextlib.suppress(SegmentMalformed):
            yield SegmentName.parse(key)


def _beginning_at(store: BlobStore, index: int) -> Sequence[SegmentName]:
    return [name for name in _names(store, index) if name.old_size == index]


def _read(store: BlobStore, name: SegmentName) -> bytes:
    if store.size_bytes(name.key) > _MOST_READ_BYTES:
        raise SegmentMalformed("A file of the journal is too large", key=name.key)
    with store.open(name.key) as source:
        return source.read()

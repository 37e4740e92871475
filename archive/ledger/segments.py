"""Segments of the encrypted journal: the bytes of one sequencing round's details, and of the keys that open them.

Pure. A segment holds each detail sealed under a key of its own; the file of keys holds those keys, wrapped, in slots of
fixed size, so that one can be blanked where it lies.

Source: docs/formats/journal.md; NIST SP 800-38D (AES-GCM), RFC 3394 (AES-KW).
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import EntryId

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
WRAPPED_BYTES: Final = 40
FOLDER_ENTRIES: Final = 1000
"""How many indices share a folder."""
BLANK: Final = bytes(WRAPPED_BYTES)
_MAGIC: Final = b"liuhen-journal-v1\n"
_KEYS_MAGIC: Final = b"liuhen-jkeys-v1\n"
_KEY_ID_BYTES: Final = 8
_KEYS_HEADER_BYTES: Final = len(_KEYS_MAGIC) + _KEY_ID_BYTES
_RANGE: Final = struct.Struct(">QQ")
_ENTRY: Final = struct.Struct(">16sI")
_NONCE: Final = bytes(12)
"""Each key seals exactly one message, so the nonce says nothing."""
_NAME: Final = re.compile(r"([0-9]{3,}/[0-9]{3})/(0|[1-9][0-9]{0,18})-([1-9][0-9]{0,18})-([0-9a-f]{64})")


class SegmentMalformed(LiuhenError):
    """A file of the journal does not have the form of one; see `liuhen log journal check`."""

    code = "journal.malformed"
    exit_code = 74


class DetailUnreadable(LiuhenError):
    """A sealed detail does not open with its key: one of them was changed."""

    code = "journal.detail_unreadable"
    exit_code = 74


class SealedDetail(NamedTuple):
    """A detail as it stands in a segment; `sealed` is empty where there was no detail any more."""

    entry_id: EntryId
    sealed: bytes


@dataclass(frozen=True, slots=True)
class SegmentName:
    """Which round a segment is of: sizes of the log before and after it, and the root after it."""

    old_size: int
    new_size: int
    root: bytes

    @property
    def key(self) -> str:
        """The key in both stores: a folder holds what begins within a thousand entries."""
        return f"{folder_of(self.old_size)}/{self.old_size}-{self.new_size}-{self.root.hex()}"

    @property
    def count(self) -> int:
        """How many entries the segment is of."""
        return self.new_size - self.old_size

    @classmethod
    def parse(cls, key: str) -> Self:
        """Parse a key. Raises: SegmentMalformed for anything that `key` would not have given."""
        found = _NAME.fullmatch(key)
        name = None if found is None else cls(int(found[2]), int(found[3]), bytes.fromhex(found[4]))
        if name is None or name.key != key or name.count < 1:
            raise SegmentMalformed("A file of the journal has no name of a segment", key=key)
        return name


def folder_of(old_size: int) -> str:
    """Return the folder of the segments that begin near an index."""
    return f"{old_size // 1_000_000:03}/{old_size // FOLDER_ENTRIES % 1000:03}"


def seal_detail(key: bytes, entry_id: EntryId, salt: bytes, detail: bytes) -> bytes:
    """Encrypt salt and detail under a key that is used this once; they open only for this entry.

    Source: NIST SP 800-38D, with a 96-bit nonce of zeros and a 128-bit tag at the end.
    """
    return AESGCM(key).encrypt(_NONCE, salt + detail, entry_id.bytes)


def open_detail(key: bytes, entry_id: EntryId, sealed: bytes) -> tuple[bytes, bytes]:
    """Return salt and detail. Raises: DetailUnreadable."""
    try:
        plain = AESGCM(key).decrypt(_NONCE, sealed, entry_id.bytes)
    except InvalidTag as exc:
        raise DetailUnreadable(entry=entry_id) from exc
    return plain[:SALT_BYTES], plain[SALT_BYTES:]


def encode_segment(name: SegmentName, details: Sequence[SealedDetail]) -> bytes:
    """Return the bytes of a segment."""
    parts = [_MAGIC, _RANGE.pack(name.old_size, name.new_size), name.root]
    for entry_id, sealed in details:
        parts += (_ENTRY.pack(entry_id.bytes, len(sealed)), sealed)
    return b"".join(parts)


def decode_segment(name: SegmentName, data: bytes) -> Sequence[SealedDetail]:
    """Return the sealed details in the order of the log. Raises: SegmentMalformed."""
    head = _MAGIC + _RANGE.pack(name.old_size, name.new_size) + name.root
    if not data.startswith(head):
        raise SegmentMalformed("A segment begins otherwise than its name says", key=name.key)
    found: list[SealedDetail] = []
    at = len(head)
    while at < len(data) and len(found) < name.count:
        if at + _ENTRY.size > len(data):
            break
        entry_id, length = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        found.append(SealedDetail(EntryId(UUID(bytes=entry_id)), data[at : at + length]))
        at += length
    if at != len(data) or len(found) != name.count:
        raise SegmentMalformed("A segment is cut off, or goes on after its last entry", key=name.key)
    return found


def encode_keys(key_id: bytes, wrapped: Sequence[bytes]) -> bytes:
    """Return the bytes of a file of keys: its header, then one slot of 40 bytes an entry, zeros where there is none."""
    if len(key_id) != _KEY_ID_BYTES or any(len(slot) != WRAPPED_BYTES for slot in wrapped):
        raise SegmentMalformed("A slot or the id of the key has another length")
    return b"".join((_KEYS_MAGIC, key_id, *wrapped))


def slot_offset(number: int) -> int:
    """Return where the slot of a segment's entry begins; the first is number 0."""
    return _KEYS_HEADER_BYTES + number * WRAPPED_BYTES


def decode_keys(name: SegmentName, data: bytes) -> tuple[bytes, Sequence[bytes]]:
    """Return the id of the key-encryption key, and the slots. Raises: SegmentMalformed."""
    if not data.startswith(_KEYS_MAGIC) or len(data) != slot_offset(name.count):
        raise SegmentMalformed("A file of keys has another beginning or length than its segment asks for", key=name.key)
    slots = [data[slot_offset(number) : slot_offset(number + 1)] for number in range(name.count)]
    return data[len(_KEYS_MAGIC) : _KEYS_HEADER_BYTES], slots

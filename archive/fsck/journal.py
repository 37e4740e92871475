"""The encrypted journal against log and database: every segment is opened, every detail held against its entry.

Reads the files raw, by the rules of docs/formats/journal.md and through no code of the log's own.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from sqlalchemy import Connection

from archive.fsck.raw import Place, Places, as_uuid, files_below, is_plain_file, read_object, rows
from archive.kernel.findings import Finding, indeterminate, invalid, valid

_MOST_TOLD: Final = 20
_NAME: Final = re.compile(r"(0|[1-9][0-9]*)-([1-9][0-9]*)-([0-9a-f]{64})")
_SEGMENT_MAGIC: Final = b"liuhen-journal-v1\n"
_KEYS_MAGIC: Final = b"liuhen-jkeys-v1\n"
_HEADER_BYTES: Final = 24
_SLOT_BYTES: Final = 40
_BLANK: Final = bytes(_SLOT_BYTES)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment that the log's rows tell of."""

    old_size: int
    size: int
    root: bytes
    sha256: bytes

    @property
    def key(self) -> str:
        folder = f"{self.old_size // 1_000_000:03}/{self.old_size // 1000 % 1000:03}"
        return f"{folder}/{self.old_size}-{self.size}-{self.root.hex()}"


@dataclass(frozen=True, slots=True)
class _Logged:
    """An entry, and what the database holds of its detail."""

    id: UUID
    commitment: Any
    plain: bytes | None
    is_erased: bool
    is_told: bool
    """Whether the entry that tells of the erasure stands in the log; only then must the key be gone."""


def check_journal(
    connection: Connection, places: Places, key_file: Path, *, is_erased: Callable[[str], bool] = lambda _: False
) -> Iterator[Finding]:
    """Yield findings on segments, keys and details, and on the erasures that explain what is missing.

    `is_erased` tells of an entry whether its detail was erased after the state that the connection sees.
    """
    faults = list(_erasures(connection))
    segments = [
        _Segment(int(row["previous_size"]), int(row["size"]), bytes(row["root"]), bytes(row["sha256"]))
        for row in rows(
            connection,
            "SELECT s.previous_size, s.size, s.sha256, c.root FROM log_segment s "
            "JOIN log_checkpoint c ON c.size = s.size ORDER BY s.size",
        )
    ]
    size = max((int(row["size"]) for row in rows(connection, "SELECT size FROM log_checkpoint")), default=0)
    faults.extend(_gaps(segments, size))
    faults.extend(_strays(segments, size, places))
    kek = _key(key_file)
    opened = _Opened(places, kek, is_erased)
    for segment in segments:
        if len(faults) >= _MOST_TOLD:
            break
        faults.extend(opened.faults(connection, segment))
    yield from faults[:_MOST_TOLD]
    if kek is None:
        yield indeterminate(
            "fsck.journal_key", "The key of the journal is missing, or is none, so no detail was opened", "keys"
        )
    elif not faults:
        yield valid(
            "fsck.journal",
            f"{len(segments)} segments of the journal hold {opened.kept} details as the entries commit to them; "
            f"{opened.erased} were erased",
        )


def _erasures(connection: Connection) -> Iterator[Finding]:
    """Hold rows on erasures against the entries that tell of them, and against the details that are there or not."""
    told = {}
    for row in rows(connection, "SELECT id, body FROM log_entry"):
        fields = read_object(bytes(row["body"])) or {}
        if fields.get("type") == "detail.erased":
            told[as_uuid(row["id"])] = (fields.get("obj") or {}).get("ver")
    for row in rows(connection, "SELECT entry_id, told_by FROM log_erasure"):
        where = as_uuid(row["entry_id"])
        if told.pop(as_uuid(row["told_by"]), None) != where:
            yield invalid("fsck.unlogged", "No entry tells of the erasure of a detail", where)
    for missing in told.values():
        yield invalid("fsck.row_missing", "The log tells of an erasure that its table lacks", str(missing))
    for row in rows(
        connection,
        "SELECT e.id, x.entry_id FROM log_entry e LEFT JOIN log_detail d ON d.entry_id = e.id "
        "LEFT JOIN log_erasure x ON x.entry_id = e.id WHERE (d.entry_id IS NULL) = (x.entry_id IS NULL)",
    ):
        where = as_uuid(row["id"])
        if row["entry_id"] is None:
            yield invalid("fsck.detail_missing", "A detail is missing and no entry tells of its erasure", where)
        else:
            yield invalid("fsck.detail_not_erased", "A detail that was erased is in the database", where)


def _gaps(segments: Sequence[_Segment], size: int) -> Iterator[Finding]:
    if size and not segments:
        told = "There is no journal of this log yet: the sequencer's next start writes it"
        yield indeterminate("fsck.journal_gap", told)
        return
    at = 0
    for segment in segments:
        if segment.old_size != at:
            yield invalid("fsck.journal_gap", "The journal does not cover every entry of the log", str(at))
        at = segment.size
    if at != size:
        yield invalid("fsck.journal_gap", "The journal does not cover every entry of the log", str(at))


def _strays(segments: Sequence[_Segment], size: int, places: Places) -> Iterator[Finding]:
    """Tell of files that no row explains. What begins at the head is a round that is under way, or broke off."""
    known = {segment.key for segment in segments}
    for folder in (places.journal, places.journal_keys):
        for path in files_below(folder):
            found = _NAME.fullmatch(path.name)
            if _name_below(folder, path) not in known and (found is None or int(found[1]) < size):
                yield invalid("fsck.journal_stray", "A file of the journal belongs to no checkpoint", str(path))


class _Opened:
    """Opens one segment after the other, and counts what it finds."""

    def __init__(self, places: Places, kek: bytes | None, is_erased: Callable[[str], bool]) -> None:
        self._places, self._kek, self._is_erased = places, kek, is_erased
        self.kept = self.erased = 0

    def faults(self, connection: Connection, segment: _Segment) -> Iterator[Finding]:
        data = _bytes(self._places.journal / segment.key)
        slots = _bytes(self._places.journal_keys / segment.key)
        if data is None:
            yield invalid("fsck.journal_missing", "A segment of the journal is missing", segment.key)
            return
        if hashlib.sha256(data).digest() != segment.sha256:
            yield invalid("fsck.journal_changed", "A segment of the journal is not what was written", segment.key)
            return
        details, logged = list(_details(segment, data)), _logged(connection, segment)
        if list(logged) != [entry_id for entry_id, _ in details] or len(details) != segment.size - segment.old_size:
            told = "A segment of the journal is of other entries than the log"
            yield invalid("fsck.journal_changed", told, segment.key)
            return
        wrong = self._what_is_wrong(slots, len(details))
        if wrong is not None or slots is None:
            yield invalid("fsck.journal_keys", f"The keys of a segment are {wrong}", segment.key)
            return
        for number, (entry_id, sealed) in enumerate(details):
            yield from self._detail(segment, number, logged[entry_id], sealed, _slot(slots, number))

    def _what_is_wrong(self, slots: bytes | None, count: int) -> str | None:
        if slots is None:
            return "missing"
        if slots[:16] != _KEYS_MAGIC or len(slots) != _HEADER_BYTES + _SLOT_BYTES * count:
            return "cut off, or none"
        if self._kek is not None and slots[16:24] != hashlib.sha256(b"liuhen journal key" + self._kek).digest()[:8]:
            return "under another key than the archive's"
        return None

    def _detail(self, segment: _Segment, number: int, entry: _Logged, sealed: bytes, slot: bytes) -> Iterator[Finding]:
        where = str(entry.id)
        if entry.is_erased and sealed and slot != _BLANK:
            now = _bytes(self._places.journal_keys / segment.key) or b""  # it may be erased while we look
            if entry.is_told and _slot(now, number) != _BLANK:
                told = "The journal still has the key of a detail that was erased"
                yield invalid("fsck.journal_not_erased", told, where)
            return
        if slot == _BLANK or not sealed:
            self.erased += 1
            if not entry.is_erased and not self._is_erased(where):
                told = "The journal lacks a detail and no entry tells of its erasure"
                yield invalid("fsck.journal_detail_missing", told, where)
            return
        if self._kek is None:
            return
        try:
            plain = AESGCM(aes_key_unwrap(self._kek, slot)).decrypt(bytes(12), sealed, entry.id.bytes)
        except (InvalidTag, InvalidUnwrap, ValueError):
            yield invalid("fsck.journal_unreadable", "A detail of the journal does not open with its key", where)
            return
        if hashlib.sha256(plain).hexdigest() != entry.commitment:
            yield invalid("fsck.journal_detail", "A detail of the journal is not what its entry commits to", where)
        elif entry.plain is not None and plain != entry.plain:
            yield invalid("fsck.journal_detail", "Journal and database do not agree on a detail", where)
        else:
            self.kept += 1


def _name_below(folder: Place, path: Place) -> str:
    return "/".join(path.parts[len(folder.parts) :])


def _slot(keys: bytes, number: int) -> bytes:
    return keys[_HEADER_BYTES + number * _SLOT_BYTES :][:_SLOT_BYTES]


def _details(segment: _Segment, data: bytes) -> Iterator[tuple[UUID, bytes]]:
    """Yield entry and sealed detail; ends early where the bytes do."""
    head = _SEGMENT_MAGIC + struct.pack(">QQ", segment.old_size, segment.size) + segment.root
    if not data.startswith(head):
        return
    at = len(head)
    while at + 20 <= len(data):
        entry_id, length = struct.unpack_from(">16sI", data, at)
        if at + 20 + length > len(data):
            return
        yield UUID(bytes=entry_id), data[at + 20 : at + 20 + length]
        at += 20 + length


def _logged(connection: Connection, segment: _Segment) -> Mapping[UUID, _Logged]:
    found = {}
    for row in rows(
        connection,
        "SELECT e.id, e.body, d.salt, d.detail, x.entry_id AS erased, t.leaf_index AS told "
        "FROM log_leaf l "
        "JOIN log_entry e ON e.id = l.entry_id LEFT JOIN log_detail d ON d.entry_id = e.id "
        "LEFT JOIN log_erasure x ON x.entry_id = e.id LEFT JOIN log_leaf t ON t.entry_id = x.told_by "
        "WHERE l.leaf_index >= :start AND l.leaf_index < :end ORDER BY l.leaf_index",
        start=segment.old_size,
        end=segment.size,
    ):
        entry_id = UUID(as_uuid(row["id"]))
        plain = None if row["detail"] is None else bytes(row["salt"]) + bytes(row["detail"])
        told = (read_object(bytes(row["body"])) or {}).get("detail_c")
        found[entry_id] = _Logged(entry_id, told, plain, row["erased"] is not None, row["told"] is not None)
    return found


def _bytes(path: Place) -> bytes | None:
    return path.read_bytes() if is_plain_file(path) else None


def _key(path: Path) -> bytes | None:
    try:
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == 32 else None

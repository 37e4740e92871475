"""Checking a copy of the log whole, offline: entries, tiles, the root that was signed, and what was seen before.

Reads files only: `checkpoint`, `tile/<L>/…`, `tile/entries/…` (C2SP tlog-tiles). Memory does not grow with the log.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from archive.kernel.canonical import parse_json
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.note import NoteSignatureInvalid, NoteUnsigned, SignedNote, decode_base64, encode_base64, open_note
from archive.ledger.tiles import (
    ENTRIES,
    TILE_HEIGHT,
    TILE_WIDTH,
    MalformedTile,
    Tile,
    TiledHashes,
    parse_bundle,
)
from archive.ledger.tree import (
    HASH_BYTES,
    MAX_SIZE,
    CompactRange,
    ConsistencyInvalid,
    consistency_proof,
    leaf_hash,
    node_hash,
    verify_growth,
)
from archive.ledger.trustfile import TrustFile

ReadTile = Callable[[Tile], bytes]
"""Returns the bytes of a tile or bundle. Raises: OSError where there is none."""

_WHERE: Final = "checkpoint"


@dataclass(frozen=True, slots=True)
class Seen:
    """The head of a log as somebody saw it before."""

    size: int
    root: bytes

    @classmethod
    def of(cls, head: Checkpoint) -> Self:
        """Return the head to keep."""
        return cls(head.size, head.root)

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"size": self.size, "root": encode_base64(self.root)}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        try:
            size, root = value["size"], decode_base64(value["root"])
        except (KeyError, TypeError, AttributeError) as exc:
            raise InvalidInput("Not a head of a log that was kept") from exc
        if not isinstance(size, int) or not 0 <= size <= MAX_SIZE or len(root) != HASH_BYTES:
            raise InvalidInput("Not a head of a log that was kept")
        return cls(size, root)


@dataclass(frozen=True, slots=True)
class Monitored:
    """What was found, and the head that it holds up to; `last_entry` is the newest entry, byte for byte."""

    report: Report
    head: Checkpoint
    last_entry: bytes | None

    @property
    def time(self) -> str | None:
        """The time that the newest entry tells, by the archive's clock."""
        try:
            told = parse_json(self.last_entry or b"").get("t")
        except (InvalidInput, AttributeError):
            return None
        return told if isinstance(told, str) else None


def monitor(note: bytes, read: ReadTile, *, trust: TrustFile | None, seen: Seen | None = None) -> Monitored:
    """Check a log of which the checkpoint `note` and all tiles are at hand.

    1. Entries hash to the tiles, each level of tiles to the one above, all to the root of the checkpoint.
    2. The checkpoint is signed by a pinned key of the log; without pinned keys that is open.
    3. It goes on from the head that was seen before; the first time that is open.
    Raises: MalformedNote, MalformedCheckpoint.
    """
    head = Checkpoint.parse(SignedNote.parse(note).text)
    grown = _Growing(read, head.size)
    findings = [*grown.findings(head), _signature(note, head, trust), _since(head, read, seen)]
    return Monitored(Report(tuple(findings)), head, grown.last_entry)


@dataclass(slots=True)
class _Growing:
    """The tree as it grows from the entries; of each level only what has not filled a tile yet is kept."""

    read: ReadTile
    size: int
    rows: list[list[bytes]] = field(default_factory=lambda: [[]])
    counts: list[int] = field(default_factory=lambda: [0])
    last_entry: bytes | None = None

    def findings(self, head: Checkpoint) -> Iterator[Finding]:
        """Read everything, up to the first fault. Yields one finding where all is well."""
        tile = None
        try:
            for tile in self._bundles():
                self._add(tile)
            for level, row in enumerate(self.rows):
                if row:
                    tile = Tile(level, self.counts[level], len(row))
                    self._compare(tile, row)
        except OSError:
            yield invalid("log.tile_missing", "A tile or bundle of the log cannot be read", _path(tile))
            return
        except MalformedTile as exc:
            yield invalid("log.tile_malformed", exc.message, _path(tile))
            return
        except _Differs as exc:
            yield invalid("log.tile_differs", "A tile does not hold the hashes of what lies below it", exc.where)
            return
        if self._root() != head.root:
            yield invalid("log.root_differs", "The entries do not lead to the root that was signed", _WHERE)
            return
        yield valid("log.tree_valid", f"All {head.size} entries lead to the root of the checkpoint", _WHERE)

    def _bundles(self) -> Iterator[Tile]:
        for number in range(-(-self.size // TILE_WIDTH)):
            yield Tile(ENTRIES, number, min(TILE_WIDTH, self.size - number * TILE_WIDTH))

    def _add(self, bundle: Tile) -> None:
        entries = parse_bundle(self.read(bundle), count=bundle.width)
        self.last_entry = entries[-1]
        self._push(0, [leaf_hash(entry) for entry in entries])

    def _push(self, level: int, hashes: Sequence[bytes]) -> None:
        if level == len(self.rows):
            self.rows.append([])
            self.counts.append(0)
        row = self.rows[level]
        row += hashes
        if len(row) == TILE_WIDTH:
            self._compare(Tile(level, self.counts[level]), row)
            self.rows[level], self.counts[level] = [], self.counts[level] + 1
            self._push(level + 1, [_fold(row)])

    def _compare(self, tile: Tile, row: Sequence[bytes]) -> None:
        if self.read(tile) != b"".join(row):
            raise _Differs(tile.path)

    def _root(self) -> bytes:
        edge: list[bytes] = []
        for row in reversed(self.rows):
            edge += CompactRange().append(row).range.edge
        return CompactRange(self.size, tuple(edge)).root


class _Differs(Exception):
    """A tile is not what the tree says."""

    def __init__(self, where: str) -> None:
        """Keep which one."""
        super().__init__(where)
        self.where = where


def _fold(hashes: Sequence[bytes]) -> bytes:
    row = list(hashes)
    for _ in range(TILE_HEIGHT):
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def _signature(note: bytes, head: Checkpoint, trust: TrustFile | None) -> Finding:
    if trust is None:
        return indeterminate(
            "checkpoint.signer_not_established", "No key was given that could say who signed the checkpoint", _WHERE
        )
    try:
        open_note(note, trust.log_keys(head.origin))
    except NoteSignatureInvalid:
        return invalid("checkpoint.signature_invalid", "The signature of the pinned log key does not verify", _WHERE)
    except NoteUnsigned:
        return invalid("checkpoint.signer_unknown", "No pinned log key has signed the checkpoint", _WHERE)
    return valid("checkpoint.signature_valid", f"The log {head.origin} has signed the checkpoint", _WHERE)


def _since(head: Checkpoint, read: ReadTile, seen: Seen | None) -> Finding:
    if seen is None:
        return indeterminate(
            "log.first_seen", "There is no earlier head to compare with; keep this one with --state", _WHERE
        )
    if head.size < seen.size:
        return invalid("log.shrunk", f"The log had {seen.size} entries before, and has {head.size} now", _WHERE)
    try:
        proof = consistency_proof(seen.size, head.size, reader=TiledHashes(read, head.size)) if seen.size else []
        verify_growth(old_size=seen.size, old_root=seen.root, new_size=head.size, new_root=head.root, proof=proof)
    except (ConsistencyInvalid, OSError, LiuhenError):
        return invalid(
            "log.rewritten", f"The log does not begin with the {seen.size} entries that were seen before", _WHERE
        )
    return valid("log.consistent", f"The log goes on from the {seen.size} entries that were seen before", _WHERE)


def _path(tile: Tile | None) -> str:
    return _WHERE if tile is None else tile.path

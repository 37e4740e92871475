"""The log as it lies outside of the database: checkpoints, bundles of entries, segments of the journal."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import indeterminate, invalid
from archive.kernel.ids import EntryId, parse_uuid
from archive.ledger.checkpoint import Checkpoint, open_checkpoint
from archive.ledger.entries import EntryType, commitment
from archive.ledger.journal import Journal, KeptDetail, State
from archive.ledger.kept_notes import kept_rows
from archive.ledger.note import SignedNote, VerifierKey
from archive.ledger.publishing import NOTES, Published
from archive.ledger.segments import SegmentMalformed, SegmentName
from archive.ledger.tiles import ENTRIES, TILE_WIDTH, MalformedTile, Tile, parse_bundle
from archive.ports.blobs import BlobMissing
from archive.recovery.sources import Sources

_ERASING: Final = b'"detail.erased"'
_DISPOSING: Final = b'"disposal.'
_GOING: Final = {EntryType.DISPOSAL_BEGUN.value, EntryType.DISPOSAL_DONE.value}
MOST_ENTRIES: Final = 4096
"""How many entries are brought back in one transaction where no segment says it."""


class LogLost(LiuhenError):
    """No published checkpoint is left: without it nobody can say how long the log was."""

    code = "recovery.log_lost"
    exit_code = 66


class LogForeign(LiuhenError):
    """The files are of another log than the keys, or contradict each other; nothing that depends on it was written."""

    code = "recovery.log_foreign"
    exit_code = 65


class EntriesLost(LiuhenError):
    """A bundle of entries is missing or damaged: put it back from a copy of the log, then go on."""

    code = "recovery.entries_lost"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Step:
    """Entries that are brought back together, with the segment that holds their details, where there is one."""

    old_size: int
    new_size: int
    segment: SegmentName | None


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry: its id and bytes, and its detail with what became of that."""

    index: int
    id: EntryId
    body: bytes
    state: State
    salt: bytes = b""
    detail: bytes = b""


class Notes:
    """The kept checkpoints and cosignatures, read along once, in the order in which they were written."""

    def __init__(self, published: Published) -> None:
        """Begin at the first."""
        self._rows = kept_rows(published.private / NOTES)
        self._next: Mapping[str, Any] | None = next(self._rows, None)

    def up_to(self, size: int) -> Sequence[Mapping[str, Any]]:
        """Return what follows, up to the first checkpoint beyond a size."""
        found = []
        while self._next is not None and not ("note" in self._next and self._next["size"] > size):
            found.append(self._next)
            self._next = next(self._rows, None)
        return found


class LogSource:
    """One log outside of its database. `keys` are those that signed it."""

    def __init__(
        self, published: Published, journal: Journal, sources: Sources, *, keys: Sequence[VerifierKey], origin: str
    ) -> None:
        """Read the newest published checkpoint. Raises: LogLost, LogForeign."""
        self.published, self.journal = published, journal
        self._sources, self._keys, self._origin = sources, keys, origin
        note = published.checkpoint()
        if note is None:
            raise LogLost
        self.note = note
        self.head = self.opened(note)

    def opened(self, note: bytes) -> Checkpoint:
        """Return what a checkpoint says that a key of this log has signed. Raises: LogForeign."""
        try:
            return open_checkpoint(note, keys=self._keys, origin=self._origin).checkpoint
        except LiuhenError as exc:
            raise LogForeign(f"A checkpoint is not signed by the keys of this archive: {exc.message}") from exc

    @property
    def own_note(self) -> str:
        """The newest published checkpoint as the log itself signed it, without what witnesses put under it."""
        note = SignedNote.parse(self.note)
        lines = [str(line) for line in note.signatures if any(line.is_of(key) for key in self._keys)]
        return note.text + "\n" + "".join(f"{line}\n" for line in lines)

    def steps(self, size: int) -> Iterator[Step]:
        """Yield what is to be brought back beyond a size, and tell of segments that are missing or lie beyond the log.

        Of segments that begin at the same place the one that ends with the log's own checkpoint counts; which one that
        is shows when its root is compared.
        """
        at = size
        while at < self.head.size:
            fitting = [name for name in self.journal.beginning_at(at) if name.new_size <= self.head.size]
            if fitting:
                chosen = max(fitting, key=lambda name: name.new_size)
                yield Step(at, chosen.new_size, chosen)
                at = chosen.new_size
                continue
            after = self.journal.first_beginning_after(at, end=self.head.size)
            end = min(self.head.size if after is None else after, at + MOST_ENTRIES)
            told = "The journal lacks the segment of these entries, so what they commit to is lost"
            self._sources.tell(invalid("recovery.segment_missing", told, f"{at}-{end}"))
            yield Step(at, end, None)
            at = end
        for name in self.beyond(self.head.size):
            told = "The journal holds a round that was never published: its entries are lost"
            self._sources.tell(indeterminate("recovery.round_lost", told, name.key))

    def beyond(self, size: int) -> Sequence[SegmentName]:
        """Return the segments of rounds that follow each other from a size on."""
        found: list[SegmentName] = []
        ends = {size}
        while ends:
            names = [name for end in ends for name in self.journal.beginning_at(end)]
            found += names
            ends = {name.new_size for name in names}
        return found

    def rests(self) -> Mapping[EntryId, Mapping[str, Any]]:
        """Return what stayed of every erased detail, by its entry. Reads all bundles once. Raises: EntriesLost."""
        wanted: dict[int, EntryId] = {}
        for start in range(0, self.head.size, MOST_ENTRIES):
            for number, body in enumerate(self._bodies(start, min(start + MOST_ENTRIES, self.head.size))):
                if _ERASING in body and (fields := parse_canonical(body))["type"] == EntryType.DETAIL_ERASED:
                    wanted[start + number] = EntryId(parse_uuid(fields["obj"]["ver"]))
        found: dict[EntryId, Mapping[str, Any]] = {}
        if wanted:
            quiet = replace(self._sources, findings=[])  # what is damaged is told when its turn comes
            reader = LogSource(self.published, self.journal, quiet, keys=self._keys, origin=self._origin)
            for step in reader.steps(0):
                indices = [index for index in wanted if step.old_size <= index < step.new_size]
                kept = {entry.index: entry for entry in reader.entries(step)} if indices else {}
                for index in indices:
                    if kept[index].state is State.KEPT:
                        found[wanted[index]] = parse_canonical(kept[index].detail).get("rest", {})
        return found

    def destroyed(self) -> AbstractSet[UUID]:
        """Return the objects that were destroyed by the end of the log, or were being. Reads all bundles once.

        Raises: EntriesLost.
        """
        newest: dict[UUID, str] = {}
        for start in range(0, self.head.size, MOST_ENTRIES):
            for body in self._bodies(start, min(start + MOST_ENTRIES, self.head.size)):
                if _DISPOSING not in body:
                    continue
                fields = parse_canonical(body)
                about = fields.get("obj")
                if about is not None:
                    newest[parse_uuid(about["id"])] = str(fields["type"])
        return {object_id for object_id, kind in newest.items() if kind in _GOING}

    def entries(self, step: Step) -> Sequence[Kept]:
        """Return the entries of a step with their details. Raises: EntriesLost."""
        bodies = self._bodies(step.old_size, step.new_size)
        details = self._details(step)
        found = []
        for number, body in enumerate(bodies):
            fields = parse_canonical(body)
            entry_id, index = EntryId(parse_uuid(fields["id"])), step.old_size + number
            kept = details.get(index)
            if kept is None or kept.entry_id != entry_id:
                found.append(Kept(index, entry_id, body, State.UNREADABLE))
            elif kept.state is State.KEPT and commitment(kept.salt, kept.detail) != fields.get("detail_c"):
                told = "What the journal holds is not what the entry commits to"
                self._sources.tell(invalid("recovery.detail_changed", told, str(entry_id)))
                found.append(Kept(index, entry_id, body, State.UNREADABLE))
            else:
                found.append(Kept(index, entry_id, body, kept.state, kept.salt, kept.detail))
        return found

    def digest(self, name: SegmentName) -> bytes:
        """Return the SHA-256 of a segment. Raises: BlobMissing."""
        return self.journal.digest(name)

    def _details(self, step: Step) -> Mapping[int, KeptDetail]:
        if step.segment is None:
            return {}
        try:
            found = {kept.index: kept for kept in self.journal.read(step.segment)}
        except (BlobMissing, SegmentMalformed) as exc:
            told = f"A segment of the journal cannot be read, so what its entries commit to is lost: {exc.message}"
            self._sources.tell(invalid("recovery.segment_damaged", told, step.segment.key))
            return {}
        unreadable = [str(kept.entry_id) for kept in found.values() if kept.state is State.UNREADABLE]
        for where in unreadable:
            self._sources.tell(invalid("recovery.detail_unreadable", "A detail does not open with its key", where))
        return found

    def _bodies(self, start: int, end: int) -> Sequence[bytes]:
        found: list[bytes] = []
        for number in range(start // TILE_WIDTH, (end - 1) // TILE_WIDTH + 1):
            width = min(TILE_WIDTH, self.head.size - number * TILE_WIDTH)
            tile = Tile(ENTRIES, number, width)
            try:
                if not tile.is_full and not self.published.path_of(tile).exists():  # copied when it was whole already
                    tile = Tile(ENTRIES, number)
                entries = parse_bundle(self.published.path_of(tile).read_bytes(), count=tile.width)
            except (OSError, MalformedTile) as exc:
                raise EntriesLost(bundle=tile.path) from exc
            found += entries[max(start - tile.start, 0) : end - tile.start]
        return found

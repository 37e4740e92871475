"""Bringing the log and the catalogue back, step by step from where the database ends to where the log ends.

Each step is one transaction: entries, tree, checkpoint, segment, details, and the rows that the entries tell of.
Whoever is killed goes on from the newest checkpoint that is stored. An empty database begins at nothing (`recover`),
one that came out of a backup at what it holds (`restore`): entries that it has already are not replayed.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from archive.db.base import Base, insert_rows
from archive.db.database import Database
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.findings import indeterminate, invalid
from archive.kernel.ids import EntryId, parse_uuid
from archive.kernel.instants import Instant, parse_instant
from archive.ledger.checkpoint import Checkpoint, sign_checkpoint
from archive.ledger.entries import EntryType
from archive.ledger.erasure import forget_rows
from archive.ledger.journal import State
from archive.ledger.kept_notes import cut_notes
from archive.ledger.models import (
    LogCheckpoint,
    LogCosignature,
    LogDetail,
    LogEntry,
    LogErasure,
    LogLeaf,
    LogNode,
    LogPending,
    LogSegment,
)
from archive.ledger.note import Signer
from archive.ledger.proofs import NodeTable, head
from archive.ledger.publishing import NOTES
from archive.ledger.restoring import segment_row
from archive.ledger.tree import CompactRange, TreeDamaged, leaf_hash
from archive.ports.blobs import BlobExists
from archive.recovery.log_source import Kept, LogForeign, LogSource, Notes, Step
from archive.recovery.mark import MARK, set_mark
from archive.recovery.replaying import HANDLERS, is_known, note, replay
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import FactUnknown, Told

_FIRST_ROWS: Final = ("agency", "unit", "alembic_version")
"""Tables that a fresh database has rows in."""


class DatabaseInUse(Conflict):
    """The database has rows already. Recover into an empty one, or restore a backup."""

    code = "recovery.database_in_use"
    exit_code = 73


class DatabaseAhead(LiuhenError):
    """The database holds more than was ever published: it is newer than these files, or of another log."""

    code = "recovery.database_ahead"
    exit_code = 65


@dataclass(slots=True)
class Recovered:
    """What came of it. `replayed` counts entries, `there` those that the database had, `unknown` those without rows."""

    from_size: int = 0
    size: int = 0
    replayed: int = 0
    there: int = 0
    unknown: int = 0
    signed_anew: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)


Progress = Callable[[int, int], None]


class Recovery:
    """One recovery of one archive. The caller holds the sequencer's lock."""

    def __init__(
        self, database: Database, source: LogSource, sources: Sources, signers: Sequence[Signer], home: Path
    ) -> None:
        """Take the database to fill, the log outside of it, the stores, the log's keys, and the archive's folder."""
        self._database, self._source, self._sources = database, source, sources
        self._signers, self._home = signers, home
        self._rests: Mapping[EntryId, Mapping[str, Any]] = {}

    def begin(self) -> None:
        """Make sure that the database is empty, or that a recovery into it has not ended yet; and say that one goes on.

        Raises: DatabaseInUse.
        """
        if not (self._home / MARK).exists():
            with self._database.read() as tx:
                filled = [table for table in Base.metadata.tables if table not in _FIRST_ROWS and _has_rows(tx, table)]
            if filled:
                raise DatabaseInUse(tables=", ".join(sorted(filled)[:5]))
        set_mark(self._home)

    def set_lost_rounds_aside(self) -> int:
        """Put segments that begin at the log's end into quarantine; return how many. Their entries are nowhere.

        They would keep the sequencer from starting, as they should where the database is merely an old copy.
        """
        with self._database.read() as tx:
            last = head(tx)
        size = 0 if last is None else last.size
        names = self._source.beyond(size)
        for name in names:
            with suppress(BlobExists), self._source.journal.opened(name) as segment:
                self._sources.quarantine.put_once(f"lost-rounds/{name.key}", segment)
        for name in sorted(names, key=lambda name: -name.old_size):
            self._source.journal.discard_from(name.old_size)
        cut_notes(self._source.published.private / NOTES, size)
        return len(names)

    def run(self, progress: Progress = lambda *_: None) -> Recovered:
        """Bring back all up to the end of the log. Raises: LogForeign, EntriesLost, DatabaseAhead, StorageFull."""
        result, notes = Recovered(), Notes(self._source.published)
        self._rests = self._source.rests()
        self._sources.destroyed = self._source.destroyed()
        tree = self._begin_log(notes, result)
        result.from_size = tree.size
        progress(tree.size, self._source.head.size)
        for step in self._source.steps(tree.size):
            tree = self._bring_back(step, tree, notes, result)
            progress(tree.size, self._source.head.size)
        if (tree.size, tree.root) != (self._source.head.size, self._source.head.root):
            raise LogForeign("The entries do not have the root that was published", size=tree.size)
        result.size = tree.size
        return result

    def _begin_log(self, notes: Notes, result: Recovered) -> CompactRange:
        """Return the tree that the database holds; a log that is new gets its first checkpoint."""
        tree = CompactRange()
        with self._database.read() as tx:
            last = head(tx)
            if last is not None:
                if last.size > self._source.head.size:
                    raise DatabaseAhead(stored=last.size, published=self._source.head.size)
                try:
                    tree = CompactRange.read(last.size, reader=NodeTable(tx))
                except TreeDamaged as exc:
                    raise LogForeign("The tree in the database is damaged", size=last.size) from exc
        if last is not None:
            passed = notes.up_to(last.size)
            with self._database.begin() as tx:
                _add_cosignatures(tx, passed)
            return tree
        with self._database.begin() as tx:
            self._add_checkpoints(tx, notes.up_to(0), [], tree, None, at=None, result=result)
        return tree

    def _bring_back(self, step: Step, tree: CompactRange, notes: Notes, result: Recovered) -> CompactRange:
        kept = self._source.entries(step)
        growth = tree.append(leaf_hash(entry.body) for entry in kept)
        if step.segment is not None and growth.range.root != step.segment.root:
            raise LogForeign("A segment of the journal belongs to another log", segment=step.segment.key)
        with self._database.begin() as tx:
            rows, there = Rows(tx), self._known(tx, kept)
            self._add_entries(tx, kept, there, tree.size)
            insert_rows(tx, LogNode, [node._asdict() for node in growth.nodes])
            self._add_checkpoints(tx, notes.up_to(step.new_size), kept, tree, step, at=_time_of(kept), result=result)
            if step.segment is not None:
                insert_rows(tx, LogSegment, [segment_row(step.segment, self._source.digest(step.segment))])
            for entry in kept:
                self._erasure(tx, entry)
                if entry.id in there:
                    result.there += 1
                else:
                    self._replay(tx, rows, entry, result)
            rows.flush()
        return growth.range

    def _known(self, tx: Session, kept: Sequence[Kept]) -> set[EntryId]:
        """Return which of the entries the database has already, because they waited in it when it was copied."""
        found = tx.scalars(select(LogEntry.id).where(LogEntry.id.in_([entry.id for entry in kept])))
        return {EntryId(each) for each in found}

    def _add_entries(self, tx: Session, kept: Sequence[Kept], there: set[EntryId], start: int) -> None:
        fresh = [entry for entry in kept if entry.id not in there]
        insert_rows(tx, LogEntry, [{"id": entry.id, "body": entry.body} for entry in fresh])
        details = [
            {"entry_id": entry.id, "salt": entry.salt, "detail": entry.detail}
            for entry in fresh
            if entry.state is State.KEPT
        ]
        insert_rows(tx, LogDetail, details)
        leaves = [{"leaf_index": start + number, "entry_id": entry.id} for number, entry in enumerate(kept)]
        insert_rows(tx, LogLeaf, leaves)
        if there:
            tx.connection().execute(
                Base.metadata.tables[LogPending.__tablename__].delete().where(LogPending.entry_id.in_(there))
            )

    def _add_checkpoints(
        self,
        tx: Session,
        told: Sequence[Mapping[str, Any]],
        kept: Sequence[Kept],
        tree: CompactRange,
        step: Step | None,
        *,
        at: Instant | None,
        result: Recovered,
    ) -> None:
        """Store the checkpoints of a step as they were signed, held against the tree; a lost one is signed anew."""
        start = done = tree.size
        end = 0 if step is None else step.new_size
        leaves = [leaf_hash(entry.body) for entry in kept]
        previous = tx.scalar(select(func.max(LogCheckpoint.size)))
        for row in told:
            if "note" not in row or (previous is not None and row["size"] <= previous):
                continue
            size = row["size"]
            tree, done = tree.append(leaves[done - start : size - start]).range, size
            signed = self._source.opened(row["note"].encode())
            if (signed.size, signed.root) != (size, tree.root):
                raise LogForeign("A checkpoint that was kept signs another tree", size=size)
            _add_checkpoint(tx, size, previous, tree.root, row["note"], row["issued_at"])
            previous = size
        if previous != end:
            tree = tree.append(leaves[done - start :]).range
            signed_note, issued_at = self._signed(tree, at)
            _add_checkpoint(tx, end, previous, tree.root, signed_note, issued_at)
            result.signed_anew += 1
            told_of = "A checkpoint is not among those that were kept; the same tree was signed anew"
            self._sources.tell(indeterminate("recovery.checkpoint_signed", told_of, str(end)))
        _add_cosignatures(tx, told)

    def _signed(self, tree: CompactRange, at: Instant | None) -> tuple[str, Instant]:
        """Return the newest published checkpoint where it is of this tree, else one that is signed now."""
        issued_at = at or parse_instant("1970-01-01T00:00:00.000000Z")
        ours = self._source.head
        if (ours.size, ours.root) == (tree.size, tree.root):
            return self._source.own_note, issued_at
        checkpoint = Checkpoint(ours.origin, tree.size, tree.root)
        return sign_checkpoint(checkpoint, signers=self._signers, time_s=int(issued_at.timestamp())).decode(), issued_at

    def _erasure(self, tx: Session, entry: Kept) -> None:
        """Write what an entry tells of an erasure, and let the detail go where a backup still has it."""
        if entry.body.find(b'"detail.erased"') < 0:
            return
        fields = parse_canonical(entry.body)
        if fields["type"] != EntryType.DETAIL_ERASED:
            return
        erased = EntryId(parse_uuid(fields["obj"]["ver"]))
        if tx.get(LogErasure, erased) is None:
            insert_rows(tx, LogErasure, [{"entry_id": erased, "told_by": entry.id}])
            forget_rows(tx, [erased])

    def _replay(self, tx: Session, rows: Rows, entry: Kept, result: Recovered) -> None:
        told = Told.of(entry.index, entry.id, entry.body, entry.detail, entry.state, self._rests.get(entry.id))
        result.replayed += 1
        if not is_known(told.type):
            self._unknown(result, told, "The program does not know entries of this type")
            return
        self._attempt(lambda: note(told, rows), told, result)
        if told.type in HANDLERS:  # all rows of an entry or none: one whose facts are gone takes nothing with it
            with tx.begin_nested() as savepoint:
                if not self._attempt(lambda: replay(told, rows, self._sources), told, result):
                    savepoint.rollback()

    def _attempt(self, write: Callable[[], None], told: Told, result: Recovered) -> bool:
        try:
            write()
        except FactUnknown as exc:
            self._unknown(result, told, f"Its detail does not say: {exc.facts.get('fact')}")
        except IntegrityError:
            self._unknown(result, told, "It goes back to something that was not brought back")
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            self._unknown(result, told, f"Its detail has an odd form: {type(exc).__name__}")
        else:
            return True
        return False

    def _unknown(self, result: Recovered, told: Told, why: str) -> None:
        result.unknown += 1
        words = f"An entry of the type {told.type} was not turned into rows. {why}"
        finding = indeterminate if told.state in {State.ERASED, State.ABSENT} else invalid
        self._sources.tell(finding("recovery.entry_not_replayed", words, str(told.id)))


def counts(database: Database) -> Mapping[str, int]:
    """Return how many rows each table has."""
    with database.read() as tx:
        return {
            name: tx.scalar(select(func.count()).select_from(table)) or 0
            for name, table in sorted(Base.metadata.tables.items())
        }


def _has_rows(tx: Session, table: str) -> bool:
    found = Base.metadata.tables[table]
    return tx.execute(select(found).limit(1)).first() is not None


def _time_of(kept: Sequence[Kept]) -> Instant | None:
    return parse_instant(parse_canonical(kept[-1].body)["t"]) if kept else None


def _add_checkpoint(tx: Session, size: int, previous: int | None, root: bytes, note_: str, at: Instant) -> None:
    values = {"size": size, "previous_size": previous, "root": root, "note": note_, "issued_at": at}
    tx.connection().execute(insert(Base.metadata.tables[LogCheckpoint.__tablename__]), values)


def _add_cosignatures(tx: Session, told: Sequence[Mapping[str, Any]]) -> None:
    """Store cosignatures as they were kept; what is there already, or is of no checkpoint of ours, is left out."""
    for row in told:
        if "line" in row:
            key = {name: row[name] for name in ("size", "key", "time_s")}
            if tx.get(LogCosignature, key) is None and tx.get(LogCheckpoint, row["size"]) is not None:
                insert_rows(tx, LogCosignature, [dict(row)])

"""The one writer of the log: gives pending entries their index and signs a checkpoint over them.

Order that survives a crash: (1) read the head and pending entries, grow the tree, sign; (2) in one transaction, if the
head is still that one, store leaves, nodes and the checkpoint; its unique previous size is the compare-and-swap; then
make the round's segment of the journal durable; the commit is the commit point; (3) publish tiles, then the checkpoint
file. On any doubt: SequencerFault, the process ends, and `recover` decides from what is stored.

Source: INTEGRITY 1.2; C2SP tlog-tiles and tlog-checkpoint.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row, insert_rows
from archive.db.database import Database, unique_or
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import EntryId
from archive.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from archive.ledger.cosigning import cosigned_head
from archive.ledger.erasure import finish_erasures
from archive.ledger.faults import SequencerFault
from archive.ledger.journal import Detail, Journal
from archive.ledger.models import LogCheckpoint, LogDetail, LogEntry, LogLeaf, LogNode, LogPending, LogSegment
from archive.ledger.note import Signer
from archive.ledger.proofs import NodeTable, head
from archive.ledger.publishing import Published
from archive.ledger.restoring import fill_journal, require_no_later_journal, segment_row
from archive.ledger.segments import SegmentName
from archive.ledger.tree import CompactRange, TreeDamaged, leaf_hash
from archive.meters import meters
from archive.ports.clock import Clock

ROUND_ENTRIES: Final = 4096
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)
_FIRST: Final = select(LogPending.entry_id).order_by(LogPending.entry_id).limit(bindparam("most")).subquery()
_PENDING: Final = (
    select(LogEntry.id, LogEntry.body, LogDetail.salt, LogDetail.detail)
    .select_from(_FIRST)
    .outerjoin(LogEntry, LogEntry.id == _FIRST.c.entry_id)
    .outerjoin(LogDetail, LogDetail.entry_id == _FIRST.c.entry_id)
    .order_by(_FIRST.c.entry_id)
)


class Sequencer:
    """Sequences one log. The caller holds the sequencer's lock (`archive.ledger.lock`)."""

    def __init__(
        self,
        database: Database,
        *,
        origin: str,
        signers: Sequence[Signer],
        published: Published,
        journal: Journal,
        clock: Clock,
    ) -> None:
        """Take the log's keys, the place that it is published at, and the journal of its details."""
        self._database = database
        self._origin = origin
        self.signers = signers
        self._published = published
        self._journal = journal
        self._clock = clock
        self._is_settled = False
        """Whether the journal is known to hold nothing beyond the head. False after anything that broke off."""
        self._unfinished: LogCheckpoint | None = None
        """The checkpoint of a round that is committed, and that is not known to be published whole."""

    def recover(self) -> None:
        """Check the stored head against its nodes, its signature and what was published; start a log that is new.

        The journal gets the segments that it lacks, and what was to be erased in it is.

        Raises: SequencerFault when they contradict each other, when a later checkpoint was published than is stored, or
            one that this log never had, or when the journal goes on after the database.
        """
        with self._database.begin() as tx:
            last = head(tx)
            if last is None:
                last = self._signed(CompactRange(), previous_size=None)
                tx.add(last)
        stored = self._opened(last.note.encode())
        if (stored.size, stored.root) != (last.size, last.root):
            raise SequencerFault("The newest checkpoint signs another tree than is stored with it", size=last.size)
        with self._database.read() as tx:
            _stored_tree(tx, last)
        note = self._published.checkpoint()
        published = None if note is None else self._opened(note)
        if published is not None:
            self._compare_with_published(published, last)
        is_whole = published is not None and self._published.is_whole(published.size)
        from_size = published.size if published is not None and is_whole else 0
        self._is_settled = False
        self._published.look_again()
        require_no_later_journal(self._database, self._journal, size=last.size)
        fill_journal(self._database, self._journal)
        self._published.publish(last.note.encode(), old_size=from_size, new_size=last.size)
        finish_erasures(self._database, self._journal)
        self._unfinished = None
        self.republish()

    def sequence(self) -> int:
        """Give every pending entry (at most 4,096) its index under a new checkpoint; return how many.

        Raises: SequencerFault, also when another sequencer was quicker; StorageFull and Unavailable, when nothing was
            changed or what follows the commit is not done: the next call begins with it.
        """
        self._finish()
        with self._database.read() as tx:  # writers wait for the lock, so nothing is read or hashed under it
            rows = tx.execute(_PENDING, {"most": ROUND_ENTRIES}).all()
            if not rows:
                return 0
            last = head(tx)
            if last is None or any(row.id is None for row in rows):
                raise SequencerFault("The log lost its head or its pending entries under the sequencer")
            tree = _stored_tree(tx, last)
        if self._clock.now() <= last.issued_at:
            if last.issued_at - self._clock.now() > _CLOCK_TOLERANCE:
                raise SequencerFault("The clock went back behind the last checkpoint", last=last.issued_at)
            return 0
        growth = tree.append(leaf_hash(row.body) for row in rows)
        new = self._signed(growth.range, previous_size=last.size)
        leaves = [{"leaf_index": last.size + step, "entry_id": row.id} for step, row in enumerate(rows)]
        # None of these is erased meanwhile: a detail can be only once its entry has an index.
        details = [Detail(EntryId(row.id), row.salt, row.detail) for row in rows]
        with unique_or(SequencerFault), self._database.begin() as tx:
            current = head(tx)
            if current is None or current.size != last.size:
                raise SequencerFault("Another sequencer was quicker")
            insert_rows(tx, LogLeaf, leaves)
            insert_rows(tx, LogNode, [node._asdict() for node in growth.nodes])
            placed = select(LogLeaf.entry_id).where(LogLeaf.index >= last.size)
            tx.connection().execute(delete(LogPending).where(LogPending.entry_id.in_(placed)))
            tx.add(new)
            tx.flush()
            self._store_segment(tx, SegmentName(last.size, new.size, new.root), details)
        meters().checkpoints.inc()
        self._is_settled = True
        self._unfinished = new
        self._finish()
        return len(rows)

    def _finish(self) -> None:
        """Do what follows a commit. Where it fails, the next round begins with it."""
        if self._unfinished is not None:
            old_size, new = self._unfinished.previous_size or 0, self._unfinished
            self._published.publish(new.note.encode(), old_size=old_size, new_size=new.size)
            finish_erasures(self._database, self._journal, from_index=old_size)
            self._unfinished = None

    def republish(self) -> None:
        """Publish the newest checkpoint again, with the cosignatures that have come in. For the sequencer's thread."""
        with self._database.read() as tx:
            note = cosigned_head(tx)
        if note is not None:
            self._published.republish(note)

    def _compare_with_published(self, published: Checkpoint, last: LogCheckpoint) -> None:
        if published.size > last.size:
            raise SequencerFault(
                "A later checkpoint was published than the database holds: is this an old copy of it?",
                published=published.size,
                stored=last.size,
            )
        with self._database.read() as tx:
            same = tx.get(LogCheckpoint, published.size)
        if same is None or same.root != published.root:
            raise SequencerFault("The published checkpoint is not one of this log", published=published.size)

    def _signed(self, tree: CompactRange, *, previous_size: int | None) -> LogCheckpoint:
        at = self._clock.now()
        checkpoint = Checkpoint(self._origin, tree.size, tree.root)
        note = sign_checkpoint(checkpoint, signers=self.signers, time_s=int(at.timestamp()))
        return LogCheckpoint(
            size=tree.size,
            previous_size=previous_size,
            root=tree.root,
            note=note.decode(),
            issued_at=at,
        )

    def _store_segment(self, tx: Session, name: SegmentName, details: Sequence[Detail]) -> None:
        """Make the segment durable; the transaction, which holds the checkpoint's place, ends with its commit."""
        if not self._is_settled:
            self._journal.discard_from(name.old_size)
        self._is_settled = False
        insert_row(tx, LogSegment, **segment_row(name, self._journal.write(name, details)))

    def _opened(self, note: bytes) -> Checkpoint:
        try:
            return open_checkpoint(
                note, keys=[signer.verifier for signer in self.signers], origin=self._origin
            ).checkpoint
        except LiuhenError as exc:
            raise SequencerFault(f"A checkpoint of this log does not verify: {exc.message}") from exc


def _stored_tree(tx: Session, last: LogCheckpoint) -> CompactRange:
    try:
        tree = CompactRange.read(last.size, reader=NodeTable(tx))
    except TreeDamaged as exc:
        raise SequencerFault(f"The stored tree is damaged: {exc}", size=last.size) from exc
    if tree.root != last.root:
        raise SequencerFault("The stored tree does not have the root that was signed", size=last.size)
    return tree

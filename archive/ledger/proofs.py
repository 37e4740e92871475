"""Reading the log: where an entry stands, and the proofs of it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from archive.db.base import Base
from archive.kernel.errors import NotFound
from archive.kernel.ids import EntryId
from archive.ledger.models import LogCheckpoint, LogLeaf, LogNode, LogPending
from archive.ledger.proof import TlogProof
from archive.ledger.tree import consistency_proof, inclusion_proof

_NODES: Final = Base.metadata.tables[LogNode.__tablename__]
# Past the mapper, since a proof asks twenty times and more.
_HASHES: Final = (
    select(_NODES.c.hash)
    .where(
        _NODES.c.level == bindparam("level"),
        _NODES.c.position >= bindparam("start"),
        _NODES.c.position < bindparam("end"),
    )
    .order_by(_NODES.c.position)
)


class LeafNotFound(NotFound):
    """The log has no such entry, or no such checkpoint."""

    code = "ledger.leaf_not_found"
    exit_code = 66


class NodeTable:
    """Reads the tree's nodes from the database. Satisfies `archive.ledger.tree.HashReader`."""

    def __init__(self, tx: Session) -> None:
        """Read within this transaction."""
        self._tx = tx

    def hashes(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return `count` hashes of complete subtrees of 2^level leaves, from position `start` on."""
        rows = self._tx.connection().execute(_HASHES, {"level": level, "start": start, "end": start + count})
        return rows.scalars().all()


def head(tx: Session) -> LogCheckpoint | None:
    """Return the newest checkpoint; None before the log was started."""
    return tx.scalar(select(LogCheckpoint).order_by(LogCheckpoint.size.desc()).limit(1))


def find_index(tx: Session, entry_id: EntryId) -> int | None:
    """Return the index of an entry; None as long as no checkpoint covers it."""
    return tx.scalar(select(LogLeaf.index).where(LogLeaf.entry_id == entry_id))


def pending_count(tx: Session) -> int:
    """Return how many entries wait for their index."""
    return tx.scalar(select(func.count()).select_from(LogPending)) or 0


def inclusion(tx: Session, entry_id: EntryId) -> TlogProof | None:
    """Return the proof that an entry is in the log, under the newest checkpoint; None until one covers it.

    Raises: TreeDamaged when the stored tree lacks nodes.
    Source: C2SP tlog-proof.
    """
    index = find_index(tx, entry_id)
    return None if index is None else inclusion_at(tx, index)


def inclusion_at(tx: Session, index: int) -> TlogProof | None:
    """Return the proof that there is an entry at this index; None where the newest checkpoint covers none. As above."""
    newest = head(tx)
    if newest is None or index >= newest.size:
        return None
    hashes = inclusion_proof(index, newest.size, reader=NodeTable(tx))
    return TlogProof.of(index=index, hashes=hashes, note=newest.note.encode())


def checkpoint_of(tx: Session, size: int) -> LogCheckpoint | None:
    """Return the checkpoint of this size, if the log has signed one."""
    return tx.get(LogCheckpoint, size)


def consistency(tx: Session, *, old_size: int, new_size: int) -> Sequence[bytes]:
    """Return the proof that the log of `new_size` entries begins with the log of `old_size` entries.

    Raises: OutOfTree, TreeDamaged.
    Source: RFC 6962 section 2.1.2.
    """
    return consistency_proof(old_size, new_size, reader=NodeTable(tx))

"""What the log tells of certificates: each entry about one, or about a request, is found again by a row beside it."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.kernel.ids import EntryId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.models import LogDetail, LogLeaf
from archive.trust.models import KeyEvent

_MOST_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A log entry about a certificate. `detail` is empty where it was erased, `index` None until it is sequenced."""

    event: KeyEvent
    index: int | None
    detail: Mapping[str, Any]

    @property
    def words(self) -> str:
        """Why it was done, or what was answered; empty where nothing was said."""
        said = self.detail.get("reason") or self.detail.get("answer")
        return said if isinstance(said, str) else ""


def tell_of_key(
    tx: Session, kind: EntryType, target: Target, detail: Mapping[str, Any], *, by: Actor, at: Instant
) -> EntryId:
    """Write an entry about a certificate or a request, in the caller's transaction, and the row that finds it again."""
    entry_id = append_entry(tx, NewEntry(kind, by, target, detail=detail), at=at)
    insert_row(tx, KeyEvent, entry_id=entry_id, ref_id=target.id, type=kind.value, actor_id=by.id, at=at)
    return entry_id


def key_history(tx: Session, ids: Collection[UUID]) -> Sequence[KeyLine]:
    """Return what the log tells of these certificates and requests, the newest first."""
    rows: Any = tx.execute(
        select(KeyEvent, LogLeaf.index, LogDetail.detail)
        .outerjoin(LogLeaf, LogLeaf.entry_id == KeyEvent.entry_id)
        .outerjoin(LogDetail, LogDetail.entry_id == KeyEvent.entry_id)
        .where(KeyEvent.ref_id.in_(ids))
        .order_by(KeyEvent.entry_id.desc())
        .limit(_MOST_LINES)
    )
    return [KeyLine(event, index, {} if detail is None else json.loads(detail)) for event, index, detail in rows]

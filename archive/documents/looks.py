"""Looks at text records in work: who opens one, or takes its paper along, has a log entry before anything is shown.

The entry is about the case: a record in work is no object yet that others could have reach of.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.accesses import record_access
from archive.custody.models import AccessRecord
from archive.db.database import Database
from archive.documents.drafts import draft
from archive.documents.models import Draft
from archive.kernel.canonical import canonical_json
from archive.kernel.ids import CaseId, DraftId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.models import LogDetail

TOLD_ONCE_WITHIN: Final = timedelta(hours=1)
"""Within this time the same person's further looks at the same record have no entry of their own."""


def look_at_draft(database: Database, draft_id: DraftId, *, by: Actor, at: Instant) -> None:
    """Write down that somebody looks at a record in work. Idempotent: yes, within an hour.

    Guarantees: on return the log entry is committed that says so.
    Raises: DraftNotFound.
    """
    with database.read() as tx:
        if _is_told(tx, draft(tx, draft_id), by, at):
            return
    with database.begin() as tx:
        _write(tx, draft(tx, draft_id), EntryType.ACCESS_DRAFT, by=by, at=at)


def copy_draft(database: Database, draft_id: DraftId, *, by: Actor, at: Instant) -> None:
    """Write down that somebody takes the paper of a record in work along.

    Guarantees: on return the log entry is committed that says so.
    Raises: DraftNotFound.
    """
    with database.begin() as tx:
        _write(tx, draft(tx, draft_id), EntryType.ACCESS_DRAFT_COPIED, by=by, at=at)


def _is_told(tx: Session, row: Draft, by: Actor, at: Instant) -> bool:
    query = (
        select(AccessRecord.entry_id)
        .join(LogDetail, LogDetail.entry_id == AccessRecord.entry_id)
        .where(
            AccessRecord.actor_id == by.id,
            AccessRecord.type == EntryType.ACCESS_DRAFT.value,
            AccessRecord.ref_id == row.case_id,
            AccessRecord.at > at - TOLD_ONCE_WITHIN,
            LogDetail.detail == canonical_json(_detail(row)),
        )
    )
    return tx.scalar(query.limit(1)) is not None


def _write(tx: Session, row: Draft, entry_type: EntryType, *, by: Actor, at: Instant) -> None:
    case_id = CaseId(row.case_id)
    record_access(tx, NewEntry(entry_type, by, Target("case", case_id), case=case_id, detail=_detail(row)), at=at)


def _detail(row: Draft) -> dict[str, str]:
    return {"record": str(row.id)}

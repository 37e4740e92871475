"""Merges: two subjects turn out to be one, and, if that was wrong, two again.

Nothing moves: cases and numbers stay with the subject that they were recorded under. A merge is one row that says whom
a subject stands under, and a separation deletes it: what results depends on the merges that remain and on nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from archive.cases.indexing import index_subjects
from archive.cases.models import Subject, SubjectMerge
from archive.cases.subjects import SubjectNotFound, require_subject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import SubjectId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

_ADVISORY_KEY: Final = 0x6C68_6D65_7267_65  # "lhmerge"


class SubjectMerged(Conflict):
    """This subject has been merged into another one; go on with that one, or separate them first."""

    code = "cases.subject_merged"


class NotMerged(Conflict):
    """This subject is not merged into another one."""

    code = "cases.subject_not_merged"


def merge_subjects(
    database: Database, keep_id: SubjectId, gone_id: SubjectId, *, reason: str, by: Actor, at: Instant
) -> None:
    """Let one subject stand under another one; with it goes whoever stands under it.

    Raises: SubjectNotFound, SubjectMerged when one of them stands under somebody already, InvalidInput for one and the
        same, for a person and an organisation, or without a reason.
    """
    reason = clean_text(reason, "reason", 500)
    if keep_id == gone_id:
        raise InvalidInput("A subject cannot be merged into itself")
    with database.begin() as tx:
        _lock(tx, database)
        _require_free(tx, keep_id)
        _require_free(tx, gone_id)
        kinds = set(tx.scalars(select(Subject.kind).where(Subject.id.in_([keep_id, gone_id]))))
        if len(kinds) > 1:
            raise InvalidInput("A person and an organisation are not one subject")
        entry = NewEntry(
            EntryType.SUBJECT_MERGED, by, Target("subject", gone_id), detail={"into": str(keep_id), "reason": reason}
        )
        entry_id = append_entry(tx, entry, at=at)
        insert_row(
            tx,
            SubjectMerge,
            gone_id=gone_id,
            keep_id=keep_id,
            root_id=keep_id,
            entry_id=entry_id,
            merged_by=by.id,
            merged_at=at,
        )
        tx.execute(update(SubjectMerge).where(SubjectMerge.root_id == gone_id).values(root_id=keep_id))
        index_subjects(tx, [keep_id, gone_id])


def separate_subjects(database: Database, gone_id: SubjectId, *, reason: str, by: Actor, at: Instant) -> None:
    """Undo the merge of this subject; whoever was merged into it before goes with it again.

    Raises: SubjectNotFound, NotMerged, InvalidInput without a reason.
    """
    reason = clean_text(reason, "reason", 500)
    with database.begin() as tx:
        _lock(tx, database)
        require_subject(tx, gone_id)
        row = tx.get(SubjectMerge, gone_id)
        if row is None:
            raise NotMerged(subject_id=gone_id)
        keep_id, root_id = row.keep_id, row.root_id
        under = select(SubjectMerge.gone_id, SubjectMerge.keep_id).where(SubjectMerge.root_id == root_id)
        going = _below(gone_id, dict(tx.execute(under).all()))
        tx.execute(delete(SubjectMerge).where(SubjectMerge.gone_id == gone_id))
        tx.execute(update(SubjectMerge).where(SubjectMerge.gone_id.in_(going)).values(root_id=gone_id))
        append_entry(
            tx,
            NewEntry(
                EntryType.SUBJECT_SEPARATED,
                by,
                Target("subject", gone_id),
                detail={"from": str(keep_id), "reason": reason},
            ),
            at=at,
        )
        index_subjects(tx, [gone_id, root_id])


def resolved_subject(tx: Session, subject_id: SubjectId) -> SubjectId:
    """Return whom a subject stands under, in the end: itself where it is merged into nobody."""
    root_id = tx.scalar(select(SubjectMerge.root_id).where(SubjectMerge.gone_id == subject_id))
    return subject_id if root_id is None else SubjectId(root_id)


def members(tx: Session, subject_id: SubjectId) -> Sequence[SubjectId]:
    """Return every subject that stands under this one, this one first."""
    under = select(SubjectMerge.gone_id).where(SubjectMerge.root_id == subject_id)
    return [subject_id, *(SubjectId(found) for found in tx.scalars(under.order_by(SubjectMerge.merged_at)))]


def root_of(subject_id: InstrumentedAttribute[UUID]) -> ColumnElement[UUID]:
    """Return the expression of whom a subject stands under, for queries."""
    under = select(SubjectMerge.root_id).where(SubjectMerge.gone_id == subject_id)
    return func.coalesce(under.scalar_subquery(), subject_id)


def _below(subject_id: UUID, keeps: Mapping[UUID, UUID]) -> Sequence[UUID]:
    """Return whoever stands under a subject through merges into it, directly or not."""
    found: list[UUID] = []
    fresh = [subject_id]
    while fresh:
        fresh = [gone for gone, keep in keeps.items() if keep in fresh]
        found += fresh
    return found


def _require_free(tx: Session, subject_id: SubjectId) -> None:
    if tx.scalar(select(Subject.id).where(Subject.id == subject_id)) is None:
        raise SubjectNotFound(subject_id=subject_id)
    root_id = tx.scalar(select(SubjectMerge.root_id).where(SubjectMerge.gone_id == subject_id))
    if root_id is not None:
        raise SubjectMerged(subject_id=subject_id, root_id=root_id)


def _lock(tx: Session, database: Database) -> None:
    """Let merges and separations happen one after the other: SQLite's writing units do so anyway."""
    if not database.is_sqlite:
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})

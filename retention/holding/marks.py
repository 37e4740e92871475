"""Retention marks: somebody says that an object, or everything of a case, is what a schedule asks about.

A mark that is taken back keeps its row, and what it kept stays kept: `retain_until` only grows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, union, update
from sqlalchemy.orm import Session

from archive.cases.filing import require_case
from archive.cases.models import CaseLink
from archive.custody.events import object_to_file, preserved_object, record_event
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, NotFound
from archive.kernel.ids import CaseId, MarkId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.volumes.models import Volume
from retention.holding.models import RetentionMark
from retention.holding.terms import MarkedKind
from retention.schedules.terms import Mark

MAX_REASON_CHARACTERS: Final = 500

MarkStale = Callable[[Session, Sequence[UUID] | Select[UUID], Instant], None]
"""Says that what was planned of objects is stale, in the caller's transaction (`retention.planning.stale`)."""


class AlreadyMarked(Conflict):
    """This mark stands already."""

    code = "marks.already"


class MarkNotFound(NotFound):
    """There is no such mark, it was taken back already, or what it is on is not yours to see."""

    code = "marks.not_found"


@dataclass(frozen=True, slots=True)
class Marked:
    """What a mark is set on: an object, or a case with everything that is filed under it."""

    kind: MarkedKind
    id: UUID


@dataclass(frozen=True, slots=True)
class Marks:
    """What sets marks and takes them back; `mark_stale` has the objects planned anew."""

    mark_stale: MarkStale

    def set_mark(
        self, database: Database, on: Marked, mark: Mark, *, reason: str, by: Actor, at: Instant
    ) -> MarkId:  # fmt: skip
        """Mark an object or a case, with words of why; what is kept by that is planned anew.

        Raises: ObjectNotFound, ObjectDestroyed, CaseNotFound, AlreadyMarked, InvalidInput.
        """
        reason, mark_id = clean_text(reason, "reason", MAX_REASON_CHARACTERS), MarkId(new_uuid7())
        with unique_or(AlreadyMarked), database.begin() as tx:
            if on.kind is MarkedKind.OBJECT:
                object_to_file(tx, ObjectId(on.id))
            insert_row(
                tx,
                RetentionMark,
                id=mark_id,
                ref_kind=on.kind.value,
                ref_id=on.id,
                mark=mark.value,
                reason=reason,
                set_by=by.id,
                set_at=at,
            )
            told = {"kind": mark.value, "reason": reason}
            _tell(tx, EntryType.RETENTION_MARKED, on, mark_id, told, by=by, at=at)
            self.mark_stale(tx, _kept_with(on), at)
        return mark_id

    def take_back(self, database: Database, mark_id: MarkId, *, reason: str, by: Actor, at: Instant) -> Marked:
        """Take a mark back, with words of why; return what it was on. What it kept until now stays kept.

        Raises: MarkNotFound, InvalidInput.
        """
        reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
        with database.begin() as tx:
            standing = (RetentionMark.id == mark_id, RetentionMark.removed_at.is_(None))
            row = tx.scalar(select(RetentionMark).where(*standing).with_for_update())
            if row is None:
                raise MarkNotFound(mark_id=mark_id)
            on, mark = Marked(MarkedKind(row.ref_kind), row.ref_id), row.mark
            removed = {"removed_by": by.id, "removed_at": at, "removed_reason": reason}
            tx.execute(update(RetentionMark).where(RetentionMark.id == mark_id).values(**removed))
            told = {"kind": mark, "reason": reason}
            _tell(tx, EntryType.RETENTION_UNMARKED, on, mark_id, told, by=by, at=at)
            self.mark_stale(tx, _kept_with(on), at)
        return on


def standing_marks(tx: Session, on: Marked) -> Sequence[RetentionMark]:
    """Return the marks that stand on an object or a case, the oldest first."""
    standing = (RetentionMark.ref_id == on.id, RetentionMark.removed_at.is_(None))
    return tx.scalars(select(RetentionMark).where(*standing).order_by(RetentionMark.set_at, RetentionMark.id)).all()


def mark_on(tx: Session, mark_id: MarkId) -> Marked:
    """Return what a mark that stands is on. Raises: MarkNotFound."""
    standing = (RetentionMark.id == mark_id, RetentionMark.removed_at.is_(None))
    row = tx.scalar(select(RetentionMark).where(*standing))
    if row is None:
        raise MarkNotFound(mark_id=mark_id)
    return Marked(MarkedKind(row.ref_kind), row.ref_id)


def marks_by_cases(tx: Session, object_id: ObjectId) -> Sequence[tuple[UUID, RetentionMark]]:
    """Return the marks that stand on the cases of an object, each with its case."""
    marks = select(CaseLink.case_id, RetentionMark).join(RetentionMark, RetentionMark.ref_id == CaseLink.case_id)
    rows = tx.execute(marks.where(CaseLink.object_id == object_id, RetentionMark.removed_at.is_(None)))
    return [(case_id, mark) for case_id, mark in rows]


def _kept_with(on: Marked) -> Sequence[UUID] | Select[UUID]:
    """Return the objects that a mark keeps."""
    if on.kind is MarkedKind.OBJECT:
        return [on.id]
    kept = union(
        select(CaseLink.object_id.label("id")).where(CaseLink.case_id == on.id),
        select(Volume.object_id).where(Volume.case_id == on.id, Volume.object_id.is_not(None)),
    ).subquery("kept")
    return select(kept.c.id)


def _tell(
    tx: Session, kind: EntryType, on: Marked, mark_id: MarkId, detail: Mapping[str, Any], *, by: Actor, at: Instant
) -> None:
    """Write the entry of a mark: in the custody trail of an object, among the entries of a case.

    Raises: ObjectNotFound, CaseNotFound.
    """
    if on.kind is MarkedKind.OBJECT:
        row = preserved_object(tx, ObjectId(on.id))
        entry = NewEntry(kind, by, Target(row.kind, row.id), request=str(mark_id), detail=detail)
        record_event(tx, ObjectId(row.id), entry, at=at)
        return
    case_id = CaseId(require_case(tx, CaseId(on.id)).id)
    entry = NewEntry(kind, by, Target("case", case_id), case=case_id, request=str(mark_id), detail=detail)
    append_entry(tx, entry, at=at)

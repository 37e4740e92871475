"""Pages of cases, of footage that is filed nowhere, and one case with all that belongs to it."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session

from archive.cases.filing import CaseNotFound
from archive.cases.models import Act, Case, CaseLink, Subject
from archive.custody.models import CustodyEvent, PreservedObject
from archive.documents.models import TextRecord
from archive.evidence.models import EvidenceItem
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, ObjectId, parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant

Row = TypeVar("Row")

_NAMES: Final = (PreservedObject.name, EvidenceItem.device_serial)
_MOST_WORDS_CHARACTERS: Final = 1024


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case in a list."""

    case: Case
    subject: Subject
    footage_count: int
    record_count: int


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An evidence item in a list, with the act it is filed under in the case at hand."""

    item: EvidenceItem
    original: PreservedObject
    act_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A text record in a list."""

    record: TextRecord
    original: PreservedObject
    act_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with its subject, acts, text records and footage."""

    case: Case
    subject: Subject
    acts: Sequence[Act]
    records: Sequence[RecordRow]
    items: Sequence[ItemRow]


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """Rows of a list and the cursor of the next ones, None at the end."""

    rows: Sequence[Row]
    next_cursor: str | None


def cases(tx: Session, *, cursor: str | None = None, limit: int = 50, words: str = "") -> Slice[CaseRow]:
    """Return cases, newest first, whose number, title or subject holds `words`."""
    footage = (
        select(func.count()).select_from(CaseLink).join(EvidenceItem, EvidenceItem.object_id == CaseLink.object_id)
    )
    records = select(func.count()).select_from(CaseLink).join(TextRecord, TextRecord.object_id == CaseLink.object_id)
    query = (
        select(
            Case,
            Subject,
            footage.where(CaseLink.case_id == Case.id).scalar_subquery(),
            records.where(CaseLink.case_id == Case.id).scalar_subquery(),
        )
        .join(Subject, Subject.id == Case.subject_id)
        .order_by(Case.opened_at.desc(), Case.id.desc())
        .limit(limit + 1)
    )
    query = query.where(*_holding(words, Case.number, Case.title, Subject.name))
    if cursor is not None:
        query = query.where(_before(Case.opened_at, Case.id, cursor, "cases"))
    rows = [CaseRow(*row) for row in tx.execute(query)]
    return _slice(rows, limit, lambda row: _cursor("cases", row.case.opened_at, row.case.id))


def unlinked_items(tx: Session, *, cursor: str | None = None, limit: int = 50, words: str = "") -> Slice[ItemRow]:
    """Return items that are filed under no case, newest first, whose name or device holds `words`."""
    unlinked = ~exists().where(CaseLink.object_id == EvidenceItem.object_id)
    return _items(tx, [unlinked, *_holding(words, *_NAMES)], "unlinked", cursor, limit)


def items(tx: Session, *, cursor: str | None = None, limit: int = 50, words: str = "") -> Slice[ItemRow]:
    """Return all items, newest first, whose name or device holds `words`."""
    return _items(tx, _holding(words, *_NAMES), "items", cursor, limit)


def case_view(tx: Session, case_id: CaseId) -> CaseView:
    """Return one case with everything filed under it. Raises: CaseNotFound."""
    found = tx.execute(
        select(Case, Subject).join(Subject, Subject.id == Case.subject_id).where(Case.id == case_id)
    ).one_or_none()
    if found is None:
        raise CaseNotFound(case_id=case_id)
    case, subject = found
    acts = tx.scalars(select(Act).where(Act.case_id == case_id).order_by(Act.started_at, Act.id)).all()
    records = tx.execute(
        select(TextRecord, PreservedObject, CaseLink.act_id)
        .join(PreservedObject, PreservedObject.id == TextRecord.object_id)
        .join(CaseLink, CaseLink.object_id == TextRecord.object_id)
        .where(CaseLink.case_id == case_id)
        .order_by(TextRecord.filed_at, TextRecord.object_id)
    )
    footage = tx.execute(
        select(EvidenceItem, PreservedObject, CaseLink.act_id)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .join(CaseLink, CaseLink.object_id == EvidenceItem.object_id)
        .where(CaseLink.case_id == case_id)
        .order_by(func.coalesce(EvidenceItem.recorded_at, EvidenceItem.received_at), EvidenceItem.object_id)
    )
    return CaseView(case, subject, acts, [RecordRow(*row) for row in records], [ItemRow(*row) for row in footage])


def cases_of(tx: Session, object_id: ObjectId) -> Sequence[Case]:
    """Return the cases that an object is filed under."""
    return tx.scalars(
        select(Case)
        .join(CaseLink, CaseLink.case_id == Case.id)
        .where(CaseLink.object_id == object_id)
        .order_by(CaseLink.linked_at, Case.id)
    ).all()


def cases_of_events(tx: Session, object_id: ObjectId) -> Mapping[UUID, Case]:
    """Return, by log entry, the case that each custody event of an object is about, where it is about one."""
    rows = tx.execute(
        select(CustodyEvent.entry_id, Case)
        .join(Case, Case.id == CustodyEvent.case_id)
        .where(CustodyEvent.object_id == object_id)
    )
    return dict(rows.all())


def _holding(words: str, *columns: Any) -> list[ColumnElement[bool]]:
    """Return the condition that one of the columns holds `words`; no words, no condition."""
    words = unicodedata.normalize("NFC", words).strip()
    if not words:
        return []
    if len(words) > _MOST_WORDS_CHARACTERS or "\0" in words:  # no column holds that, and the databases refuse to look
        return [false()]
    return [or_(*(column.icontains(words, autoescape=True) for column in columns))]


def _items(
    tx: Session, conditions: Sequence[ColumnElement[bool]], listing: str, cursor: str | None, limit: int
) -> Slice[ItemRow]:
    query = (
        select(EvidenceItem, PreservedObject)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .order_by(EvidenceItem.received_at.desc(), EvidenceItem.object_id.desc())
        .limit(limit + 1)
    )
    query = query.where(*conditions)
    if cursor is not None:
        query = query.where(_before(EvidenceItem.received_at, EvidenceItem.object_id, cursor, listing))
    rows = [ItemRow(*row) for row in tx.execute(query)]
    return _slice(rows, limit, lambda row: _cursor(listing, row.item.received_at, row.item.object_id))


def _slice(rows: list[Row], limit: int, cursor_of: Callable[[Row], str]) -> Slice[Row]:
    more = len(rows) > limit
    kept = rows[:limit]
    return Slice(kept, cursor_of(kept[-1]) if more else None)


def _cursor(listing: str, at: Instant, row_id: UUID) -> str:
    return f"{listing}~{format_instant(at)}~{row_id}"


def _before(at_column: Any, id_column: Any, cursor: str, listing: str) -> ColumnElement[bool]:
    parts = cursor.split("~")
    if len(parts) != 3 or parts[0] != listing:
        raise InvalidInput("The cursor does not belong to this list")
    at, row_id = parse_instant(parts[1]), parse_uuid(parts[2])
    return or_(at_column < at, and_(at_column == at, id_column < row_id))

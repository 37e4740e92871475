"""Pages of cases, of footage that is filed nowhere, and one case with all that belongs to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, exists, func, select
from sqlalchemy.orm import Session

from archive.cases.filing import CaseNotFound
from archive.cases.merges import root_of
from archive.cases.models import Act, ActOfficer, Case, CaseLink, Subject
from archive.cases.reaching import CASE, ITEM
from archive.cases.slices import Slice, before, cursor_of, looked_up, newest_seen, place_before, sliced
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.sight import Reach, newest_of, sight_of, unbound
from archive.documents.models import TextRecord
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import CaseId, ObjectId
from archive.organisation.models import Officer
from archive.search.documents import Kind
from archive.search.queries import Filters, query_words


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case in a list, with the subject that its own one stands under."""

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
    """A case with the subject that its own one stands under, its acts, text records and footage.

    `officers` are those who took part in each act, by its id; `destroyed` is what was filed here and is gone.
    """

    case: Case
    subject: Subject
    acts: Sequence[Act]
    records: Sequence[RecordRow]
    items: Sequence[ItemRow]
    officers: Mapping[UUID, Sequence[Officer]]
    destroyed: Sequence[PreservedObject]


def cases(tx: Session, *, cursor: str | None = None, limit: int = 50, words: str = "") -> Slice[CaseRow]:
    """Return cases, newest first; with words those that hold them in number, title, subject or place."""
    if query_words(words) != ():
        return looked_up(tx, words, Filters(kind=Kind.CASE), lambda ids: _cases(tx, ids), cursor=cursor, limit=limit)
    if sight_of(tx) is not None:
        return newest_seen(tx, CASE, lambda ids: _cases(tx, ids), listing="cases", cursor=cursor, limit=limit)
    query = _case_rows().order_by(Case.opened_at.desc(), Case.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(before(Case.opened_at, Case.id, cursor, "cases"))
    rows = [CaseRow(*row) for row in tx.execute(query)]
    return sliced(rows, limit, lambda row: cursor_of("cases", row.case.opened_at, row.case.id))


def unlinked_items(tx: Session, *, cursor: str | None = None, limit: int = 50, words: str = "") -> Slice[ItemRow]:
    """Return items that are filed under no case, newest first; with words those that hold them in name or device."""
    unlinked = ~exists().where(CaseLink.object_id == EvidenceItem.object_id)
    filters = Filters(kind=Kind.ITEM, facets=(("linked", "no"),))
    return _items(tx, [unlinked], "unlinked", filters, words=words, cursor=cursor, limit=limit)


def items(tx: Session, *, cursor: str | None = None, limit: int = 50, words: str = "") -> Slice[ItemRow]:
    """Return all items, newest first; with words those that hold them in name, device, or what they are filed under."""
    return _items(tx, [], "items", Filters(kind=Kind.ITEM), words=words, cursor=cursor, limit=limit)


def _case_rows() -> Select[Any]:
    footage = (
        select(func.count()).select_from(CaseLink).join(EvidenceItem, EvidenceItem.object_id == CaseLink.object_id)
    )
    records = select(func.count()).select_from(CaseLink).join(TextRecord, TextRecord.object_id == CaseLink.object_id)
    return select(
        Case,
        Subject,
        footage.where(CaseLink.case_id == Case.id).scalar_subquery(),
        records.where(CaseLink.case_id == Case.id).scalar_subquery(),
    ).join(Subject, Subject.id == root_of(Case.subject_id))


def _cases(tx: Session, ids: Sequence[UUID]) -> Sequence[CaseRow]:
    rows = {row[0].id: CaseRow(*row) for row in tx.execute(_case_rows().where(Case.id.in_(ids)))}
    return [rows[case_id] for case_id in ids if case_id in rows]


def case_view(tx: Session, case_id: CaseId) -> CaseView:
    """Return one case with everything filed under it. Raises: CaseNotFound."""
    found = tx.execute(
        select(Case, Subject).join(Subject, Subject.id == root_of(Case.subject_id)).where(Case.id == case_id)
    ).one_or_none()
    if found is None:
        raise CaseNotFound(case_id=case_id)
    case, subject = found
    acts = tx.scalars(select(Act).where(Act.case_id == case_id).order_by(Act.started_at, Act.id)).all()
    records = tx.execute(
        select(TextRecord, PreservedObject, CaseLink.act_id)
        .join(PreservedObject, PreservedObject.id == TextRecord.object_id)
        .join(CaseLink, CaseLink.object_id == TextRecord.object_id)
        .where(CaseLink.case_id == case_id, PreservedObject.destroyed_at.is_(None))
        .order_by(TextRecord.filed_at, TextRecord.object_id)
    )
    footage = tx.execute(
        select(EvidenceItem, PreservedObject, CaseLink.act_id)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .join(CaseLink, CaseLink.object_id == EvidenceItem.object_id)
        .where(CaseLink.case_id == case_id, PreservedObject.destroyed_at.is_(None))
        .order_by(func.coalesce(EvidenceItem.recorded_at, EvidenceItem.received_at), EvidenceItem.object_id)
    )
    destroyed = tx.scalars(
        select(PreservedObject)
        .join(CaseLink, CaseLink.object_id == PreservedObject.id)
        .where(CaseLink.case_id == case_id, PreservedObject.destroyed_at.is_not(None))
        .order_by(PreservedObject.destroyed_at, PreservedObject.id)
    ).all()
    return CaseView(
        case,
        subject,
        acts,
        [RecordRow(*row) for row in records],
        [ItemRow(*row) for row in footage],
        _officers_of(tx, case_id),
        destroyed,
    )


def _officers_of(tx: Session, case_id: CaseId) -> Mapping[UUID, Sequence[Officer]]:
    rows = tx.execute(
        select(ActOfficer.act_id, Officer)
        .join(Officer, Officer.id == ActOfficer.officer_id)
        .join(Act, Act.id == ActOfficer.act_id)
        .where(Act.case_id == case_id)
        .order_by(Officer.name, Officer.certificate_number)
    )
    found: dict[UUID, list[Officer]] = {}
    for act_id, officer in rows:
        found.setdefault(act_id, []).append(officer)
    return found


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


def _items(
    tx: Session,
    conditions: Sequence[ColumnElement[bool]],
    listing: str,
    filters: Filters,
    *,
    words: str,
    cursor: str | None,
    limit: int,
) -> Slice[ItemRow]:
    query = select(EvidenceItem, PreservedObject).join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)

    def found(ids: Sequence[UUID]) -> Sequence[ItemRow]:
        rows = {row[1].id: ItemRow(*row) for row in tx.execute(query.where(EvidenceItem.object_id.in_(ids)))}
        return [rows[object_id] for object_id in ids if object_id in rows]

    def seen(ids: Sequence[UUID]) -> Sequence[ItemRow]:
        with unbound(tx):  # nothing beside these, of which the index has asked whether each is seen
            return found(ids)

    if query_words(words) != ():
        return looked_up(tx, words, filters, seen, cursor=cursor, limit=limit)
    if sight_of(tx) is not None and not conditions:
        return _newest_items(tx, listing, cursor=cursor, limit=limit)
    if sight_of(tx) is not None:

        def narrowed(found: Select[Any]) -> Select[Any]:
            return found.join(EvidenceItem, EvidenceItem.object_id == Reach.ref_id).where(*conditions)

        return newest_seen(
            tx,
            ITEM,
            found,
            listing=listing,
            cursor=cursor,
            limit=limit,
            narrowed=narrowed,
        )
    query = query.order_by(EvidenceItem.received_at.desc(), EvidenceItem.object_id.desc()).limit(limit + 1)
    query = query.where(*conditions)
    if cursor is not None:
        query = query.where(before(EvidenceItem.received_at, EvidenceItem.object_id, cursor, listing))
    rows = [ItemRow(*row) for row in tx.execute(query)]
    return sliced(rows, limit, lambda row: cursor_of(listing, row.item.received_at, row.item.object_id))


def _newest_items(tx: Session, listing: str, *, cursor: str | None, limit: int) -> Slice[ItemRow]:
    """Return the items that a bound transaction sees: one statement, as long as one for who sees all of them."""
    newest, values = newest_of(tx, ITEM, before=place_before(cursor, listing), limit=limit + 1)
    with unbound(tx):  # the statement names nothing beside what was found to be seen
        rows = [ItemRow(*row) for row in tx.execute(_rows_of_newest(newest), values)]
    return sliced(rows, limit, lambda row: cursor_of(listing, row.original.preserved_at, row.original.id))


@cache
def _rows_of_newest(newest: Subquery) -> Select[EvidenceItem, PreservedObject]:
    return (
        select(EvidenceItem, PreservedObject)
        .join(newest, newest.c.ref_id == EvidenceItem.object_id)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .order_by(newest.c.at.desc(), newest.c.ref_id.desc())
    )

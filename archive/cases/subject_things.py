"""Everything of one subject in time order (同一执法对象集中存储): its cases, their text records, their recordings.

Whatever is filed under any case of the subject, or of whoever stands under it, stands here once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import Subquery, func, literal, select, union_all
from sqlalchemy.orm import Session

from archive.cases.merges import members
from archive.cases.models import Case, CaseLink
from archive.cases.slices import Slice, before, cursor_of, sliced
from archive.custody.models import PreservedObject
from archive.documents.models import TextRecord
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import SubjectId
from archive.kernel.instants import Instant

_LISTING: Final = "subject"


class ThingKind(StrEnum):
    """What the time line of a subject is made of."""

    CASE = "case"
    RECORD = "record"
    FOOTAGE = "footage"
    AUDIO = "audio"
    PHOTO = "photo"
    DOCUMENT = "document"
    OTHER = "other"

    @classmethod
    def of(cls, word: str) -> "ThingKind":
        """Return the kind; what this program does not know is `other`."""
        return cls(word) if word in set(cls) else cls.OTHER


@dataclass(frozen=True, slots=True)
class Thing:
    """One line: a case, a text record or an evidence item, and the subject's cases that it is filed under."""

    kind: ThingKind
    at: Instant
    id: UUID
    cases: Sequence[Case] = ()
    record: TextRecord | None = None
    item: EvidenceItem | None = None
    original: PreservedObject | None = None


def subject_things(
    tx: Session, subject_id: SubjectId, *, kind: ThingKind | None = None, cursor: str | None = None, limit: int = 50
) -> Slice[Thing]:
    """Return everything of a subject, newest first; of one kind where one is named.

    A case stands at its opening, a text record at its filing, an item at its recording, or its arrival where nobody
    knows when it was recorded.
    """
    everybody = members(tx, subject_id)
    parts = _parts(everybody)
    query = select(parts.c.kind, parts.c.at, parts.c.id).order_by(parts.c.at.desc(), parts.c.id.desc()).limit(limit + 1)
    if kind is ThingKind.OTHER:
        query = query.where(parts.c.kind.not_in([known.value for known in ThingKind if known is not kind]))
    elif kind is not None:
        query = query.where(parts.c.kind == kind.value)
    if cursor is not None:
        query = query.where(before(parts.c.at, parts.c.id, cursor, _LISTING))
    rows = [Thing(ThingKind.of(word), at, row_id) for word, at, row_id in tx.execute(query)]
    found = sliced(rows, limit, lambda row: cursor_of(_LISTING, row.at, row.id))
    return Slice(_filled(tx, found.rows, everybody), found.next_cursor)


def thing_counts(tx: Session, subject_id: SubjectId) -> Mapping[ThingKind, int]:
    """Return how many things of each kind there are of a subject; kinds of which there is none are left out."""
    parts = _parts(members(tx, subject_id))
    counts: dict[ThingKind, int] = {}
    for word, count in tx.execute(select(parts.c.kind, func.count()).group_by(parts.c.kind)):
        counts[ThingKind.of(word)] = counts.get(ThingKind.of(word), 0) + count
    return {kind: counts[kind] for kind in ThingKind if kind in counts}


def _parts(everybody: Sequence[SubjectId]) -> Subquery:
    case_ids = select(Case.id).where(Case.subject_id.in_(everybody))
    gone = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))
    filed = select(CaseLink.object_id).where(CaseLink.case_id.in_(case_ids), CaseLink.object_id.not_in(gone))
    return union_all(
        select(literal(ThingKind.CASE.value).label("kind"), Case.opened_at.label("at"), Case.id.label("id")).where(
            Case.subject_id.in_(everybody)
        ),
        select(literal(ThingKind.RECORD.value), TextRecord.filed_at, TextRecord.object_id).where(
            TextRecord.object_id.in_(filed)
        ),
        select(
            EvidenceItem.kind,
            func.coalesce(EvidenceItem.recorded_at, EvidenceItem.received_at),
            EvidenceItem.object_id,
        ).where(EvidenceItem.object_id.in_(filed)),
    ).subquery()


def _filled(tx: Session, things: Sequence[Thing], everybody: Sequence[SubjectId]) -> Sequence[Thing]:
    """Give lines what they show, with a fixed number of queries."""
    ids = [thing.id for thing in things]
    own = {case.id: case for case in tx.scalars(select(Case).where(Case.id.in_(ids)))}
    originals = {row.id: row for row in tx.scalars(select(PreservedObject).where(PreservedObject.id.in_(ids)))}
    records = {row.object_id: row for row in tx.scalars(select(TextRecord).where(TextRecord.object_id.in_(ids)))}
    items = {row.object_id: row for row in tx.scalars(select(EvidenceItem).where(EvidenceItem.object_id.in_(ids)))}
    filed: dict[UUID, list[Case]] = {}
    links = (
        select(CaseLink.object_id, Case)
        .join(Case, Case.id == CaseLink.case_id)
        .where(CaseLink.object_id.in_(ids), Case.subject_id.in_(everybody))
        .order_by(Case.opened_at, Case.id)
    )
    for object_id, case in tx.execute(links):
        filed.setdefault(object_id, []).append(case)
    return [
        replace(
            thing,
            cases=[own[thing.id]] if thing.id in own else filed.get(thing.id, []),
            record=records.get(thing.id),
            item=items.get(thing.id),
            original=originals.get(thing.id),
        )
        for thing in things
    ]

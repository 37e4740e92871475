"""What a hold covers: as a query over the whole catalogue, and for some objects that somebody asks about.

A hold covers what belonged to it at any moment since it was placed. What the catalogue says now is asked each time, so
that nothing waits for a scan; what was filed under a held case meanwhile and taken out again is told by its custody
events, and whatever was found once has its row in `held_object`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, and_, cast, func, or_, select, union, union_all
from sqlalchemy.orm import Session

from archive.cases.models import Case, CaseLink, SubjectMerge
from archive.cases.reaching import subject_family
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import Base
from archive.db.sight import unbound
from archive.evidence.models import EvidenceItem
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType
from archive.organisation.units import below, lines_of
from archive.volumes.models import Volume
from retention.holding.hold_queries import BadHoldQuery, HoldQuery, QueryFacts
from retention.holding.models import HeldObject, Hold
from retention.holding.terms import HoldScope


def covered_ids(
    tx: Session, scope: HoldScope, *, ref_id: UUID | None, query: HoldQuery | None, since: Instant | None = None
) -> Subquery:
    """Return the ids of what a hold of this scope covers, as a table with one column `id`.

    `since` is when it was placed: what was filed under a case of it later and taken out again is in it too. What was
    destroyed is not.
    """
    if scope is HoldScope.QUERY:
        if query is None:
            raise BadHoldQuery
        return _still_there(query.select(_units_below(tx, query.unit_id)).subquery("found"))
    if ref_id is None:
        raise ValueError("a hold of an object, a case or a subject names it")
    if scope is HoldScope.OBJECT:
        bound = select(CaseLink.object_id).join(Volume, Volume.id == CaseLink.volume_id)
        itself = select(PreservedObject.id.label("id")).where(PreservedObject.id == ref_id)
        return _still_there(union(itself, bound.where(Volume.object_id == ref_id)).subquery("found"))
    of_cases = Case.id == ref_id if scope is HoldScope.CASE else Case.subject_id.in_(_family(tx, ref_id))
    parts: list[Select[Any]] = [
        select(CaseLink.object_id.label("id")).join(Case, Case.id == CaseLink.case_id).where(of_cases),
        select(Volume.object_id).join(Case, Case.id == Volume.case_id).where(of_cases, Volume.object_id.is_not(None)),
    ]
    if since is not None:
        filed = select(CustodyEvent.object_id).join(Case, Case.id == CustodyEvent.case_id)
        parts.append(filed.where(of_cases, *_filing_since(since)))
    return _still_there(union(*parts).subquery("found"))


def covered_by(tx: Session, hold: Hold) -> Subquery | None:
    """Return what a hold covers as `covered_ids` does; None where its query was erased from the log and lost."""
    scope = HoldScope(hold.scope)
    query = None if hold.query is None else HoldQuery.of(hold.query)
    if scope is HoldScope.QUERY and query is None:
        return None
    return covered_ids(tx, scope, ref_id=hold.ref_id, query=query, since=hold.placed_at)


def holding(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[UUID]]:
    """Return the holds that are placed, by each of these objects that one covers now. At most nine queries.

    Whoever asks: also what the transaction does not see.
    """
    found: dict[UUID, set[UUID]] = defaultdict(set)
    with unbound(tx):
        for part in (_written, _by_object, _by_case, _by_subject, _by_query):
            for object_id, hold_id in part(tx, object_ids):
                found[object_id].add(hold_id)
    return {object_id: sorted(holds) for object_id, holds in found.items()}


def filed_under(object_ids: Collection[UUID]) -> Subquery:
    """Return these objects with the cases that they are filed under, or are a volume of: `object_id`, `case_id`."""
    links = select(CaseLink.object_id.label("object_id"), CaseLink.case_id.label("case_id"))
    volumes = select(Volume.object_id, Volume.case_id).where(Volume.object_id.in_(object_ids))
    return union_all(links.where(CaseLink.object_id.in_(object_ids)), volumes).subquery("filed")


Pairs = Iterator[tuple[UUID, UUID]]


def _written(tx: Session, object_ids: Sequence[UUID]) -> Pairs:
    rows = select(HeldObject.object_id, HeldObject.hold_id).join(Hold, Hold.id == HeldObject.hold_id)
    rows = rows.where(HeldObject.object_id.in_(object_ids), Hold.released_at.is_(None))
    yield from ((row.object_id, row.hold_id) for row in tx.execute(rows))


def _by_object(tx: Session, object_ids: Sequence[UUID]) -> Pairs:
    """Yield holds on a closed volume for what is bound in it; those on an object itself have their row."""
    rows = (
        select(CaseLink.object_id, Hold.id)
        .join(Volume, Volume.id == CaseLink.volume_id)
        .join(Hold, and_(Hold.ref_id == Volume.object_id, Hold.scope == HoldScope.OBJECT.value))
        .where(CaseLink.object_id.in_(object_ids), Hold.released_at.is_(None))
    )
    yield from ((row.object_id, row.id) for row in tx.execute(rows))


def _by_case(tx: Session, object_ids: Sequence[UUID]) -> Pairs:
    member = _member_since(object_ids)
    rows = (
        select(member.c.object_id, Hold.id)
        .join(Hold, and_(Hold.ref_id == member.c.case_id, Hold.scope == HoldScope.CASE.value))
        .where(Hold.released_at.is_(None), or_(member.c.since.is_(None), member.c.since >= Hold.placed_at))
    )
    yield from ((row.object_id, row.id) for row in tx.execute(rows))


def _by_subject(tx: Session, object_ids: Sequence[UUID]) -> Pairs:
    """Yield holds on the subject of a case, or on whom that subject stands under, or who stands under the same."""
    root = func.coalesce(SubjectMerge.root_id, Hold.ref_id).label("root_id")
    placed = select(Hold.id, Hold.placed_at, root).outerjoin(SubjectMerge, SubjectMerge.gone_id == Hold.ref_id)
    holds = defaultdict[UUID, list[tuple[UUID, Instant]]](list)
    for hold in tx.execute(placed.where(Hold.scope == HoldScope.SUBJECT.value, Hold.released_at.is_(None))):
        holds[hold.root_id].append((hold.id, hold.placed_at))
    if not holds:
        return
    member = _member_since(object_ids)
    rows = (
        select(member.c.object_id, func.coalesce(SubjectMerge.root_id, Case.subject_id), member.c.since)
        .join(Case, Case.id == member.c.case_id)
        .outerjoin(SubjectMerge, SubjectMerge.gone_id == Case.subject_id)
    )
    for object_id, root_id, since in tx.execute(rows):
        yield from ((object_id, hold_id) for hold_id, at in holds.get(root_id, ()) if since is None or since >= at)


def _by_query(tx: Session, object_ids: Sequence[UUID]) -> Pairs:
    placed = select(Hold.id, Hold.query).where(Hold.scope == HoldScope.QUERY.value, Hold.released_at.is_(None))
    queries = [(row.id, HoldQuery.of(row.query)) for row in tx.execute(placed.where(Hold.query.is_not(None)))]
    if not queries:
        return
    for object_id, facts in query_facts(tx, object_ids).items():
        yield from ((object_id, hold_id) for hold_id, query in queries if query.covers(facts))


def query_facts(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, QueryFacts]:
    """Return what queries ask about, of each of these objects. Three queries, whatever their number."""
    rows = tx.execute(
        select(
            PreservedObject.id,
            PreservedObject.unit_id,
            func.coalesce(EvidenceItem.kind, PreservedObject.kind),
            EvidenceItem.device_serial,
            EvidenceItem.officer_number,
            func.coalesce(EvidenceItem.recorded_at, EvidenceItem.received_at),
        )
        .outerjoin(EvidenceItem, EvidenceItem.object_id == PreservedObject.id)
        .where(PreservedObject.id.in_(object_ids))
    ).all()
    filed, cases = filed_under(object_ids), defaultdict[UUID, list[tuple[str, str]]](list)
    of_case = select(filed.c.object_id, Case.category, Case.number).join(Case, Case.id == filed.c.case_id)
    for object_id, category, number in tx.execute(of_case):
        cases[object_id].append((category, number))
    lines = {unit_id: frozenset(line) for unit_id, line in lines_of(tx, {row[1] for row in rows}).items()}
    return {
        object_id: QueryFacts(lines[unit_id], kind, serial, officer, taken_at, tuple(cases[object_id]))
        for object_id, unit_id, kind, serial, officer, taken_at in rows
    }


def _member_since(object_ids: Sequence[UUID]) -> Subquery:
    """Return the cases of these objects: those of now with no time, those that they were ever filed under with one."""
    filed = filed_under(object_ids)
    now = select(filed.c.object_id, filed.c.case_id, cast(None, CustodyEvent.at.type).label("since"))
    ever = select(CustodyEvent.object_id, CustodyEvent.case_id, CustodyEvent.at).where(
        CustodyEvent.object_id.in_(object_ids), CustodyEvent.type == EntryType.CASE_LINK.value
    )
    return union_all(now, ever).subquery("member")


def _filing_since(since: Instant) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return CustodyEvent.type == EntryType.CASE_LINK.value, CustodyEvent.at >= since


def _still_there(found: Subquery) -> Subquery:
    things = Base.metadata.tables[PreservedObject.__tablename__]  # whoever asks has narrowed what is found already
    there = select(found.c.id).join(things, things.c.id == found.c.id).where(things.c.destroyed_at.is_(None))
    return there.subquery("covered")


def _family(tx: Session, subject_id: UUID) -> Collection[UUID]:
    with unbound(tx):
        return subject_family(tx, [subject_id])


def _units_below(tx: Session, unit_id: UUID) -> Collection[UUID]:
    with unbound(tx):
        return below(tx, unit_id)

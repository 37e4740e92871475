"""Who sees what, kept in step: units, officers and members of a case, for subjects, cases, items and text records.

* A case is seen by its unit and all above it, by the officers of its acts, by its members, and by the system that
  pushed it.
* An item or a text record is seen by its unit and all above it, by whoever wore the camera, whoever sent or filed it,
  and by whoever sees a case that it is filed under.
* A subject is seen by the unit that recorded it and by whoever sees a case of it.
* Restricted classes of a case hold for what is filed under it. Members, and systems for what they pushed, see them.

`archive.cases.indexing` calls this under the lock of each thing, with what is found of it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from archive.access.models import ExternalId
from archive.cases.models import Act, ActOfficer, Case, CaseLink, CaseMember, Subject, SubjectMerge
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import insert_rows
from archive.db.sight import EVERYBODYS, Reach, ending_party_of, microseconds, party_of
from archive.evidence.models import EvidenceItem
from archive.ledger.entries import EntryType
from archive.organisation.models import Officer
from archive.organisation.units import lines_of
from archive.search.documents import reach_facet

CASE: Final = "case"
SUBJECT: Final = "subject"
_SENDING: Final = (EntryType.INGEST_RECEIVED.value, EntryType.RECORD_FILED.value)
ITEM: Final = "item"
GONE: Final = "gone"
"""The kind of what was destroyed: who saw it sees its tombstone, and no list of items holds it."""
OBJECTS: Final = (ITEM, "record", GONE)
"""Kinds of what is reached; items and text records have that of their preserved object."""


@dataclass(frozen=True, slots=True)
class _Right:
    """That a party sees a case and what is filed under it. `is_member`: whatever is restricted there.

    `spared` are the classes that a member is spared: those of the thing and of the case, and of no other case.
    """

    party: int
    is_member: bool = False
    until: int | None = None
    spared: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of `reach`."""

    party: int
    kind: str
    at: int
    ref_id: UUID
    classes: int
    until: int | None


def reach_objects(tx: Session, object_ids: Collection[UUID]) -> None:
    """Bring in step who sees these items and text records."""
    _settle(tx, OBJECTS, object_ids, _rows_of_objects(tx, object_ids))


def reach_cases(tx: Session, case_ids: Collection[UUID]) -> None:
    """Bring in step who sees these cases; neither their subjects nor what is filed under them."""
    _settle(tx, [CASE], case_ids, _rows_of_cases(tx, case_ids))


def reach_subjects(tx: Session, subject_ids: Collection[UUID]) -> None:
    """Bring in step who sees these subjects, which are given together with those that they were merged with."""
    _settle(tx, [SUBJECT], subject_ids, _rows_of_subjects(tx, subject_ids))


def subject_family(tx: Session, subject_ids: Collection[UUID]) -> Collection[UUID]:
    """Return subjects with those that they were merged with."""
    roots = tx.scalars(select(SubjectMerge.root_id).where(SubjectMerge.gone_id.in_(subject_ids)))
    family = {*subject_ids, *roots}
    return family.union(tx.scalars(select(SubjectMerge.gone_id).where(SubjectMerge.root_id.in_(family))))


def reach_facets(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, Sequence[tuple[str, str]]]:
    """Return what the search index says of who sees these things; a right that ends is not in it."""
    facets: dict[UUID, list[tuple[str, str]]] = defaultdict(list)
    rows = select(Reach.ref_id, Reach.party, Reach.classes).where(Reach.ref_id.in_(ids), Reach.until.is_(None))
    for ref_id, party, classes in tx.execute(rows):
        facets[ref_id].append(reach_facet(party, classes))
    return facets


def _rows_of_objects(tx: Session, object_ids: Collection[UUID]) -> Iterator[_Row]:
    rows = tx.execute(
        select(
            PreservedObject.id,
            PreservedObject.kind,
            PreservedObject.preserved_at,
            PreservedObject.unit_id,
            PreservedObject.classes,
            PreservedObject.destroyed_at,
            Officer.id,
        )
        .outerjoin(EvidenceItem, EvidenceItem.object_id == PreservedObject.id)
        .outerjoin(Officer, Officer.certificate_number == EvidenceItem.officer_number)
        .where(PreservedObject.id.in_(object_ids))
    ).all()
    filed = defaultdict(list)
    for object_id, case_id, classes in tx.execute(
        select(CaseLink.object_id, Case.id, Case.classes)
        .join(Case, Case.id == CaseLink.case_id)
        .where(CaseLink.object_id.in_(object_ids))
    ):
        filed[object_id].append((case_id, classes))
    rights = _rights(tx, {case_id for found in filed.values() for case_id, _ in found})
    lines = _lines(tx, {row.unit_id for row in rows})
    senders = defaultdict(set)
    for object_id, actor_id in tx.execute(
        select(CustodyEvent.object_id, CustodyEvent.actor_id).where(
            CustodyEvent.object_id.in_(object_ids), CustodyEvent.type.in_(_SENDING)
        )
    ):
        senders[object_id].add(actor_id)
    for object_id, own_kind, at, unit_id, own_classes, destroyed_at, officer_id in rows:
        kind = own_kind if destroyed_at is None else GONE
        classes = own_classes
        for _, of_case in filed[object_id]:
            classes |= of_case
        found = [_Right(party) for party in lines[unit_id]]
        if officer_id is not None:
            found.append(_Right(party_of(officer_id)))
        found += [_Right(party_of(sender)) for sender in senders[object_id]]
        for case_id, of_case in filed[object_id]:
            elsewhere = 0
            for other_id, of_other in filed[object_id]:
                elsewhere |= 0 if other_id == case_id else of_other
            spared = (own_classes | of_case) & ~elsewhere
            found += [replace(right, spared=spared if right.is_member else 0) for right in rights[case_id]]
        yield from _told(kind, microseconds(at), object_id, classes, found)


def _rows_of_cases(tx: Session, case_ids: Collection[UUID]) -> Iterator[_Row]:
    rights = _rights(tx, case_ids)
    for case_id, opened_at, classes in tx.execute(
        select(Case.id, Case.opened_at, Case.classes).where(Case.id.in_(case_ids))
    ):
        pushed = [_Right(party_of(system), is_member=True) for system in _pushers(tx, case_id)]
        found = [replace(right, spared=classes if right.is_member else 0) for right in (*rights[case_id], *pushed)]
        yield from _told(CASE, microseconds(opened_at), case_id, classes, found)


def _rows_of_subjects(tx: Session, family: Collection[UUID]) -> Iterator[_Row]:
    """Yield the rows of subjects; whoever sees one sees the one that it was merged with, and the other way round."""
    merged = select(SubjectMerge.gone_id, SubjectMerge.root_id).where(SubjectMerge.gone_id.in_(family))
    roots = dict(tx.execute(merged).all())
    subjects = tx.execute(select(Subject.id, Subject.created_at, Subject.unit_id).where(Subject.id.in_(family))).all()
    cases = tx.execute(select(Case.id, Case.subject_id).where(Case.subject_id.in_(family))).all()
    rights, lines = _rights(tx, {case_id for case_id, _ in cases}), _lines(tx, {row.unit_id for row in subjects})
    found: dict[UUID, list[_Right]] = defaultdict(list)
    for subject_id, _, unit_id in subjects:
        found[roots.get(subject_id, subject_id)] += [_Right(party) for party in lines[unit_id]]
        found[roots.get(subject_id, subject_id)] += [_Right(party_of(system)) for system in _pushers(tx, subject_id)]
    for case_id, subject_id in cases:
        found[roots.get(subject_id, subject_id)] += rights[case_id]
    for subject_id, created_at, _ in subjects:
        root = roots.get(subject_id, subject_id)
        yield from _told(SUBJECT, microseconds(created_at), subject_id, 0, found[root])


def _rights(tx: Session, case_ids: Collection[UUID]) -> Mapping[UUID, list[_Right]]:
    """Return who sees each of these cases."""
    rights: dict[UUID, list[_Right]] = defaultdict(list)
    if not case_ids:
        return rights
    units = tx.execute(select(Case.id, Case.unit_id).where(Case.id.in_(case_ids))).all()
    lines = _lines(tx, {unit_id for _, unit_id in units})
    for case_id, unit_id in units:
        rights[case_id] += [_Right(party) for party in lines[unit_id]]
    officers = (
        select(Act.case_id, ActOfficer.officer_id)
        .join(ActOfficer, ActOfficer.act_id == Act.id)
        .where(Act.case_id.in_(case_ids))
        .distinct()
    )
    for case_id, officer_id in tx.execute(officers):
        rights[case_id].append(_Right(party_of(officer_id)))
    members = select(CaseMember.case_id, CaseMember.account_id, CaseMember.until)
    for case_id, account_id, until in tx.execute(members.where(CaseMember.case_id.in_(case_ids))):
        if until is None:
            rights[case_id].append(_Right(party_of(account_id), is_member=True))
        else:
            ends = microseconds(until)
            rights[case_id].append(_Right(ending_party_of(account_id), is_member=True, until=ends))
    return rights


def _pushers(tx: Session, thing_id: UUID) -> Iterable[UUID]:
    return tx.scalars(select(ExternalId.integration_id).where(ExternalId.internal_id == thing_id))


def _lines(tx: Session, unit_ids: Collection[UUID]) -> Mapping[UUID, list[int]]:
    """Return the parties that see what each of these units has."""
    return {unit: [*map(party_of, line), EVERYBODYS] for unit, line in lines_of(tx, unit_ids).items()}


def _told(kind: str, at: int, ref_id: UUID, classes: int, rights: Iterable[_Right]) -> Iterator[_Row]:
    """Yield one row for each party: its widest right."""
    widest: dict[int, _Right] = {}
    for right in rights:
        known = widest.get(right.party)
        if known is None or _width(right, classes) > _width(known, classes):
            widest[right.party] = right
    for right in widest.values():
        yield _Row(right.party, kind, at, ref_id, classes & ~right.spared, right.until)


def _width(right: _Right, classes: int) -> tuple[int, bool, int]:
    """Return what makes one right wider than another: fewer classes to be cleared for, then a later end."""
    return -(classes & ~right.spared).bit_count(), right.until is None, right.until or 0


def _settle(tx: Session, kinds: Sequence[str], ref_ids: Collection[UUID], wanted: Iterable[_Row]) -> None:
    """Write what is wanted and take away what is not."""
    rows = set(wanted)
    columns = (Reach.party, Reach.kind, Reach.at, Reach.ref_id, Reach.classes, Reach.until)
    query = select(*columns).where(Reach.ref_id.in_(ref_ids), Reach.kind.in_(kinds))
    there = {_Row(*row) for row in tx.execute(query)}
    gone = [(row.party, row.kind, row.at, row.ref_id) for row in there - rows]
    if gone:
        tx.execute(delete(Reach).where(tuple_(Reach.party, Reach.kind, Reach.at, Reach.ref_id).in_(gone)))
    insert_rows(tx, Reach, [asdict(row) for row in rows - there])

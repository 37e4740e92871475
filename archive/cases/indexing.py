"""What the search index says of cases, subjects and what is filed; and making the whole index again.

What changes often or for many at once does not stand in the documents of others: a subject's name is found at the
subject and its cases, an officer's at the officer. Numbers that identify a subject are in no document.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from archive.cases.models import Act, ActOfficer, Case, CaseLink, Subject, SubjectMerge
from archive.cases.reaching import reach_cases, reach_facets, reach_objects, reach_subjects, subject_family
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.db.sight import Reach, unbound
from archive.documents.models import ItemText, TextRecord
from archive.evidence.models import EvidenceItem
from archive.organisation.indexing import officer_documents
from archive.organisation.models import Officer
from archive.search.documents import Document, Kind, clear_index, index_documents
from archive.search.models import SearchDocument

_MOST_VALUES: Final = 50
"""How many of one name a document shows, such as places of a case."""
_BATCH: Final = 200
_TAGS: Final = ("title", "comment", "description", "make", "model", "artist", "location")

Named = tuple[str, str]


def index_cases(tx: Session, case_ids: Collection[UUID]) -> None:
    """Bring what is found of cases in step, at the end of the transaction that changed them."""
    with unbound(tx):
        index_documents(tx, case_ids, lambda ids: _case_documents(tx, ids))


def index_sight(tx: Session, case_ids: Collection[UUID]) -> None:
    """Bring in step who sees cases, their subjects and what is filed under them, and what is found of all these.

    Goes at the end of the transaction that changed unit, restricted classes, members or officers of a case, or made it.
    """
    with unbound(tx):
        filed = tx.scalars(select(CaseLink.object_id).where(CaseLink.case_id.in_(case_ids))).all()
        subjects = tx.scalars(select(Case.subject_id).where(Case.id.in_(case_ids))).all()
        family = subject_family(tx, subjects)
        index_documents(tx, {*case_ids, *filed, *family}, lambda ids: _all_documents(tx, ids))


def index_subjects(tx: Session, subject_ids: Collection[UUID]) -> None:
    """Bring what is found of subjects and of their cases in step, at the end of the transaction that changed them."""
    with unbound(tx):
        # Who stands under somebody is told there, and so is that it does not any more.
        everybody = subject_family(tx, subject_ids)
        index_documents(tx, everybody, lambda ids: _subject_documents(tx, ids))
        index_cases(tx, tx.scalars(select(Case.id).where(Case.subject_id.in_(everybody))).all())


def index_objects(tx: Session, object_ids: Collection[UUID]) -> None:
    """Bring what is found of items and text records in step, at the end of the transaction that changed them."""
    with unbound(tx):
        index_documents(tx, object_ids, lambda ids: _object_documents(tx, ids))


def index_act(tx: Session, case_id: UUID, act_id: UUID) -> None:
    """Bring what is found through an act in step: its case, and what is filed under it."""
    with unbound(tx):
        index_cases(tx, [case_id])
        index_objects(tx, tx.scalars(select(CaseLink.object_id).where(CaseLink.act_id == act_id)).all())


def index_filed(tx: Session, case_id: UUID) -> None:
    """Bring everything that is filed under a case in step, at the end of the transaction that gave it a new number."""
    with unbound(tx):
        index_objects(tx, tx.scalars(select(CaseLink.object_id).where(CaseLink.case_id == case_id)).all())


def rebuild_index(database: Database, *, on_progress: Callable[[int], None] = lambda _: None) -> int:
    """Empty the index and fill it from the catalogue, in portions, while the archive goes on; return how many things.

    Until it ends, less is found than there is. What is changed meanwhile is indexed as ever.
    """
    with database.begin() as tx:
        clear_index(tx)
    done = 0
    for ids, build in _portions(database):
        with database.begin() as tx:
            index_documents(tx, ids, lambda asked, build=build, tx=tx: build(tx, asked))  # type: ignore[misc]
        done += len(ids)
        on_progress(done)
    return done


def missing_count(tx: Session) -> int:
    """Return how many things of the catalogue the index does not know: none, unless it has to be rebuilt.

    What was destroyed is in no index.
    """
    gone = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))
    return sum(
        tx.scalar(
            select(func.count())
            .select_from(id_column.class_)
            .where(or_(*(~exists().where(found == id_column) for found in known)), id_column.not_in(gone), *conditions)
        )
        or 0
        for id_column, _, conditions in _sources()
        for known in [[SearchDocument.ref_id] if id_column is Officer.id else [SearchDocument.ref_id, Reach.ref_id]]
    )


_Batch = Callable[[Session, Sequence[UUID]], Iterable[Document]]


def _sources() -> Sequence[tuple[InstrumentedAttribute[UUID], _Batch, Sequence[Any]]]:
    stands_under = exists().where(SubjectMerge.gone_id == Subject.id)
    return (
        (Officer.id, officer_documents, ()),
        (Subject.id, _documents_of_families, (~stands_under,)),
        (Case.id, _case_documents, ()),
        (TextRecord.object_id, _object_documents, ()),
        (EvidenceItem.object_id, _object_documents, ()),
    )


def _portions(database: Database) -> Iterator[tuple[Sequence[UUID], _Batch]]:
    gone = (PreservedObject.id, _object_documents, (PreservedObject.destroyed_at.is_not(None),))  # who sees tombstones
    for id_column, build, conditions in (*_sources(), gone):
        last: UUID | None = None
        query = select(id_column).where(*conditions).order_by(id_column).limit(_BATCH)
        while True:
            with database.read() as tx:
                ids = tx.scalars(query if last is None else query.where(id_column > last)).all()
            if not ids:
                break
            yield ids, build
            last = ids[-1]


def _all_documents(tx: Session, ids: Sequence[UUID]) -> Iterator[Document]:
    # Who sees a case is asked for what is filed there, and not the other way round.
    yield from _case_documents(tx, ids)
    yield from _subject_documents(tx, ids)
    yield from _object_documents(tx, ids)


def _case_documents(tx: Session, ids: Sequence[UUID]) -> Iterator[Document]:
    reach_cases(tx, ids)
    reach = reach_facets(tx, ids)
    # Columns, not rows of the session: those may be older than the lock that this is built under.
    recorded = dict(tx.execute(select(Subject.id, Subject.name).join(Case).where(Case.id.in_(ids))).all())
    places = _grouped(
        tx.execute(select(Act.case_id, Act.place).where(Act.case_id.in_(ids)).order_by(Act.started_at, Act.id))
    )
    officers = _grouped(
        tx.execute(
            select(Act.case_id, ActOfficer.officer_id)
            .join(ActOfficer, ActOfficer.act_id == Act.id)
            .where(Act.case_id.in_(ids))
        )
    )
    rows = tx.execute(
        select(
            Case.id, Case.number, Case.title, Case.category, Case.opened_at, Case.subject_id, Subject.id, Subject.name
        )
        .outerjoin(SubjectMerge, SubjectMerge.gone_id == Case.subject_id)
        .join(Subject, Subject.id == func.coalesce(SubjectMerge.root_id, Case.subject_id))
        .where(Case.id.in_(ids))
    )
    for case_id, number, title, category, opened_at, subject_id, root_id, root_name in rows:
        names = [("subject", root_name), ("subject", recorded[subject_id])]
        where = [("place", place) for (place,) in places[case_id]]
        yield Document(
            kind=Kind.CASE,
            ref_id=case_id,
            fields=[("name", title), ("number", number), *_few(names), *_few(where)],
            facets=[
                ("case", str(case_id)),
                ("category", category),
                ("subject", str(root_id)),
                *(("officer", officer) for officer in {str(officer_id) for (officer_id,) in officers[case_id]}),
                *reach[case_id],
            ],
            taken_at=opened_at,
            happened_at=opened_at,
        )


def _documents_of_families(tx: Session, ids: Sequence[UUID]) -> Iterator[Document]:
    """Yield the documents of subjects, and bring in step who sees them and those that were merged into them."""
    yield from _subject_documents(tx, list(subject_family(tx, ids)))


def _subject_documents(tx: Session, ids: Sequence[UUID]) -> Iterator[Document]:
    reach_subjects(tx, ids)
    reach = reach_facets(tx, ids)
    others = _grouped(
        tx.execute(
            select(SubjectMerge.root_id, Subject.name)
            .join(Subject, Subject.id == SubjectMerge.gone_id)
            .where(SubjectMerge.root_id.in_(ids))
            .order_by(Subject.id)
        )
    )
    rows = tx.execute(
        select(Subject.id, Subject.name, Subject.kind, Subject.created_at).where(
            Subject.id.in_(ids), ~exists().where(SubjectMerge.gone_id == Subject.id)
        )
    )
    for subject_id, name, kind, created_at in rows:
        also = [("also", other) for (other,) in others[subject_id] if other != name]
        yield Document(
            kind=Kind.SUBJECT,
            ref_id=subject_id,
            fields=[("name", name), *_few(also)],
            facets=[("subject", str(subject_id)), ("subject_kind", kind), *reach[subject_id]],
            taken_at=created_at,
            happened_at=created_at,
        )


def _object_documents(tx: Session, ids: Sequence[UUID]) -> Iterator[Document]:
    reach_objects(tx, ids)
    reach = reach_facets(tx, ids)
    links = _grouped(
        tx.execute(
            select(CaseLink.object_id, Case.id, Case.number, Act.place)
            .join(Case, Case.id == CaseLink.case_id)
            .outerjoin(Act, Act.id == CaseLink.act_id)
            .where(CaseLink.object_id.in_(ids))
            .order_by(CaseLink.linked_at, Case.id)
        )
    )
    yield from _item_documents(tx, ids, links, reach)
    yield from _record_documents(tx, ids, links, reach)


def _item_documents(
    tx: Session, ids: Sequence[UUID], links: Mapping[UUID, Any], reach: Mapping[UUID, Sequence[Named]]
) -> Iterator[Document]:
    item, original = EvidenceItem, PreservedObject
    rows = tx.execute(
        select(
            item.object_id, original.name, item.kind, item.dock_id, item.device_serial, item.officer_number,
            item.source_kind, item.recorded_at, item.received_at, item.probe, item.play_state, ItemText.text,
        )
        .join(original, original.id == item.object_id)
        .outerjoin(ItemText, ItemText.object_id == item.object_id)
        .where(item.object_id.in_(ids), original.destroyed_at.is_(None))
    )  # fmt: skip
    for row in rows:
        fields, facets = _filed(links[row.object_id])
        told = {
            "name": row.name,
            "device": row.device_serial,
            "officer": row.officer_number,
        }
        known = {
            "media": row.kind,
            "state": row.play_state,
            "dock": str(row.dock_id),
            "officer": row.officer_number,
            "source": row.source_kind,
        }
        yield Document(
            kind=Kind.ITEM,
            ref_id=row.object_id,
            fields=[*_given(told), *fields, *_tags(row.probe)],
            facets=[*_given(known), *facets, *reach[row.object_id]],
            taken_at=row.received_at,
            happened_at=row.recorded_at or row.received_at,
            content=row.text or "",
        )


def _record_documents(
    tx: Session, ids: Sequence[UUID], links: Mapping[UUID, Any], reach: Mapping[UUID, Sequence[Named]]
) -> Iterator[Document]:
    rows = tx.execute(
        select(
            TextRecord.object_id, TextRecord.title, TextRecord.form, TextRecord.filed_at, PreservedObject.name,
            ItemText.text,
        )
        .join(PreservedObject, PreservedObject.id == TextRecord.object_id)
        .outerjoin(ItemText, ItemText.object_id == TextRecord.object_id)
        .where(TextRecord.object_id.in_(ids), PreservedObject.destroyed_at.is_(None))
    )  # fmt: skip
    for object_id, title, form, filed_at, file_name, content in rows:
        fields, facets = _filed(links[object_id])
        yield Document(
            kind=Kind.RECORD,
            ref_id=object_id,
            fields=[("name", title), ("file", file_name), *fields],
            facets=[("form", form), *facets, *reach[object_id]],
            taken_at=filed_at,
            happened_at=filed_at,
            content=content or "",
        )


def _filed(links: Sequence[Any]) -> tuple[list[Named], list[Named]]:
    """Return fields and facets of something that is filed under these cases, or under none."""
    fields = [("number", number) for _, number, _ in links] + [("place", place) for _, _, place in links if place]
    facets = [("case", str(case_id)) for case_id, _, _ in links]
    return _few(fields), [*facets, ("linked", "yes" if links else "no")]


def _tags(probe: Any) -> list[Named]:
    tags = probe.get("tags") if isinstance(probe, dict) else None
    return [("tag", tags[name]) for name in _TAGS if tags.get(name)] if isinstance(tags, dict) else []


def _given(values: Mapping[str, str | None]) -> list[Named]:
    return [(name, value) for name, value in values.items() if value]


def _few(pairs: Iterable[Named]) -> list[Named]:
    """Return pairs once each, and not too many of one name."""
    counts: dict[str, int] = defaultdict(int)
    found: list[Named] = []
    for name, value in dict.fromkeys(pairs):
        counts[name] += 1
        if counts[name] <= _MOST_VALUES:
            found.append((name, value))
    return found


def _grouped(rows: Any) -> Mapping[UUID, list[Any]]:
    """Return rows by their first column, without it."""
    groups: dict[UUID, list[Any]] = defaultdict(list)
    for first, *rest in rows:
        groups[first].append(tuple(rest))
    return groups

"""Finding subjects, and one of them with its numbers and whoever was merged into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from archive.cases.identifiers import LAST, IdentifierKind, masked, searched_numbers
from archive.cases.merges import members, root_of
from archive.cases.models import Case, Subject, SubjectIdentifier, SubjectMerge
from archive.cases.reaching import SUBJECT
from archive.cases.slices import Slice, before, cursor_of, looked_up, newest_seen, sliced
from archive.cases.subjects import SubjectNotFound, identifier_rows, last_index, opened_identifier, whole_index
from archive.cases.terms import SubjectKind
from archive.db.sight import Reach, sight_of
from archive.kernel.canonical import parse_json
from archive.kernel.ids import IdentifierId, SubjectId
from archive.kernel.instants import Instant
from archive.ledger.models import LogDetail
from archive.ports.identifiers import IdentifierUnreadable, IdentifierVault
from archive.search.documents import Kind
from archive.search.queries import Filters, query_words

_LISTING: Final = "subjects"
_MOST_NAMESAKES: Final = 100


@dataclass(frozen=True, slots=True)
class ShownIdentifier:
    """A number as screens show it; `text` is None where it cannot be opened."""

    id: IdentifierId
    subject_id: SubjectId
    kind: IdentifierKind
    text: str | None
    recorded_at: Instant


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A subject as lists show it, with what is known of all who stand under it."""

    subject: Subject
    identifiers: Sequence[ShownIdentifier]
    also_named: Sequence[str]
    case_count: int
    last_opened_at: Instant | None


@dataclass(frozen=True, slots=True)
class MergedSubject:
    """A subject that stands under another one, and the merge that put it there; its reason may have been erased."""

    subject: Subject
    merge: SubjectMerge
    reason: str | None
    identifiers: Sequence[ShownIdentifier]
    case_count: int


@dataclass(frozen=True, slots=True)
class SubjectView:
    """A subject with its own numbers, and whoever stands under it."""

    subject: Subject
    identifiers: Sequence[ShownIdentifier]
    merged: Sequence[MergedSubject]
    case_count: int

    @property
    def all_identifiers(self) -> Sequence[ShownIdentifier]:
        """The numbers of all of them."""
        return [*self.identifiers, *(found for one in self.merged for found in one.identifiers)]


def subjects(
    tx: Session,
    vault: IdentifierVault,
    *,
    cursor: str | None = None,
    limit: int = 50,
    words: str = "",
    number: str = "",
) -> Slice[SubjectRow]:
    """Return subjects, newest first: those known by `number`, whole or its last four, else whose name holds `words`.

    Whoever stands under another one is found by name and number, and shown as that other one.
    """
    query = select(Subject).where(_is_root()).order_by(Subject.created_at.desc(), Subject.id.desc()).limit(limit + 1)
    if number.strip():
        query = query.where(Subject.id.in_(_known_by(vault, number)))
    elif query_words(words) != ():
        return looked_up(
            tx, words, Filters(kind=Kind.SUBJECT), lambda ids: _named(tx, vault, ids), cursor=cursor, limit=limit
        )
    elif sight_of(tx) is not None:
        return newest_seen(
            tx,
            SUBJECT,
            lambda ids: _named(tx, vault, ids),
            listing=_LISTING,
            cursor=cursor,
            limit=limit,
            narrowed=lambda seen: seen.where(~exists().where(SubjectMerge.gone_id == Reach.ref_id)),
        )
    if cursor is not None:
        query = query.where(before(Subject.created_at, Subject.id, cursor, _LISTING))
    found = sliced(tx.scalars(query).all(), limit, lambda row: cursor_of(_LISTING, row.created_at, row.id))
    return Slice(_as_rows(tx, vault, found.rows), found.next_cursor)


def likely_subjects(
    tx: Session, vault: IdentifierVault, *, name: str, number: str, limit: int = 10
) -> Sequence[SubjectRow]:
    """Return whom somebody may mean who writes this name or this number: those that fit exactly come first."""
    found: dict[UUID, SubjectRow] = {}
    name = name.strip()
    if number.strip():
        found = {row.subject.id: row for row in subjects(tx, vault, number=number, limit=limit).rows}
    owners = set(found)
    if name:
        same = select(Subject).where(_is_root(), Subject.name == name).order_by(Subject.created_at.desc()).limit(limit)
        rows = [*_as_rows(tx, vault, tx.scalars(same).all()), *subjects(tx, vault, words=name, limit=limit).rows]
        for row in rows:
            found.setdefault(row.subject.id, row)
    ranked = sorted(found.values(), key=lambda row: (row.subject.id not in owners, row.subject.name != name))
    return ranked[:limit]


def namesakes(tx: Session, name: str, kind: SubjectKind) -> Sequence[SubjectId]:
    """Return the subjects that have just this name and kind, or under whom somebody stands who has."""
    named = select(root_of(Subject.id)).where(Subject.name == name, Subject.kind == kind.value)
    return [SubjectId(found) for found in tx.scalars(named.distinct().limit(_MOST_NAMESAKES))]


def subject_row(tx: Session, vault: IdentifierVault, subject_id: SubjectId) -> SubjectRow:
    """Return one subject as lists show it. Raises: SubjectNotFound, also where it stands under another one."""
    found = tx.scalar(select(Subject).where(_is_root(), Subject.id == subject_id))
    if found is None:
        raise SubjectNotFound(subject_id=subject_id)
    return _as_rows(tx, vault, [found])[0]


def subject_view(tx: Session, vault: IdentifierVault, subject_id: SubjectId) -> SubjectView:
    """Return one subject. Raises: SubjectNotFound."""
    subject = tx.get(Subject, subject_id)
    if subject is None:
        raise SubjectNotFound(subject_id=subject_id)
    everybody = members(tx, subject_id)
    numbers = shown_identifiers(tx, vault, everybody)
    counts = _cases_of(tx, everybody)
    merged = tx.execute(
        select(Subject, SubjectMerge, LogDetail.detail)
        .join(SubjectMerge, SubjectMerge.gone_id == Subject.id)
        .outerjoin(LogDetail, LogDetail.entry_id == SubjectMerge.entry_id)
        .where(SubjectMerge.root_id == subject_id)
        .order_by(SubjectMerge.merged_at, Subject.id)
    )
    return SubjectView(
        subject=subject,
        identifiers=[number for number in numbers if number.subject_id == subject_id],
        merged=[
            MergedSubject(
                subject=gone,
                merge=merge,
                reason=parse_json(detail).get("reason") if detail else None,
                identifiers=[number for number in numbers if number.subject_id == gone.id],
                case_count=counts.get(gone.id, (0, None))[0],
            )
            for gone, merge, detail in merged
        ],
        case_count=sum(count for count, _ in counts.values()),
    )


def shown_identifiers(
    tx: Session, vault: IdentifierVault, subject_ids: Sequence[SubjectId]
) -> Sequence[ShownIdentifier]:
    """Return the numbers of these subjects as screens show them."""
    return [
        ShownIdentifier(
            id=IdentifierId(row.id),
            subject_id=SubjectId(row.subject_id),
            kind=IdentifierKind(row.kind),
            text=_masked(vault, row),
            recorded_at=row.recorded_at,
        )
        for row in identifier_rows(tx, subject_ids)
    ]


def _named(tx: Session, vault: IdentifierVault, ids: Sequence[UUID]) -> Sequence[SubjectRow]:
    found = {subject.id: subject for subject in tx.scalars(select(Subject).where(_is_root(), Subject.id.in_(ids)))}
    return _as_rows(tx, vault, [found[subject_id] for subject_id in ids if subject_id in found])


def _as_rows(tx: Session, vault: IdentifierVault, found: Sequence[Subject]) -> Sequence[SubjectRow]:
    """Give subjects what lists show beside them, with a fixed number of queries."""
    roots = {subject.id: subject.id for subject in found}
    gone = aliased(Subject)
    under = tx.execute(
        select(SubjectMerge.gone_id, SubjectMerge.root_id, gone.name)
        .join(gone, gone.id == SubjectMerge.gone_id)
        .where(SubjectMerge.root_id.in_(list(roots)))
        .order_by(SubjectMerge.merged_at, gone.id)
    ).all()
    names: dict[UUID, list[str]] = {subject.id: [] for subject in found}
    for gone_id, root_id, name in under:
        roots[gone_id] = root_id
        names[root_id].append(name)
    numbers = shown_identifiers(tx, vault, [SubjectId(one) for one in roots])
    cases = _cases_of(tx, [SubjectId(one) for one in roots])
    rows = []
    for subject in found:
        own = [cases[one] for one, root in roots.items() if root == subject.id and one in cases]
        rows.append(
            SubjectRow(
                subject=subject,
                identifiers=[number for number in numbers if roots[number.subject_id] == subject.id],
                also_named=[name for name in dict.fromkeys(names[subject.id]) if name != subject.name],
                case_count=sum(count for count, _ in own),
                last_opened_at=max((last for _, last in own), default=None),
            )
        )
    return rows


def _cases_of(tx: Session, subject_ids: Sequence[SubjectId]) -> Mapping[UUID, tuple[int, Instant]]:
    """Return how many cases were opened under each of these very subjects, and when the last one was."""
    rows = tx.execute(
        select(Case.subject_id, func.count(), func.max(Case.opened_at))
        .where(Case.subject_id.in_(subject_ids))
        .group_by(Case.subject_id)
    )
    return {subject_id: (count, last) for subject_id, count, last in rows}


def _known_by(vault: IdentifierVault, text: str) -> Select[UUID]:
    """Return whom a number leads to: one of `LAST` characters is the end of one, any other a whole one."""
    wanted = searched_numbers(text)
    key_ids = vault.key_ids
    whole = [whole_index(vault, number, key_id) for number in wanted for key_id in key_ids]
    last = [last_index(vault, number, key_id) for number in wanted for key_id in key_ids if len(number.number) == LAST]
    return select(root_of(SubjectIdentifier.subject_id)).where(
        or_(SubjectIdentifier.whole_index.in_(whole), SubjectIdentifier.last_index.in_(last))
    )


def _is_root() -> ColumnElement[bool]:
    return ~exists().where(SubjectMerge.gone_id == Subject.id)


def _masked(vault: IdentifierVault, row: SubjectIdentifier) -> str | None:
    try:
        return masked(opened_identifier(vault, row).number)
    except IdentifierUnreadable:
        return None

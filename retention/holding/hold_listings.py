"""Lists of holds, one of them with all that belongs to it, and what one would cover before it is placed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.cases.models import Case, Subject
from archive.cases.reaching import subject_family
from archive.cases.slices import Slice, before, cursor_of, newest_seen, sliced
from archive.custody.models import PreservedObject
from archive.db.sight import Reach, sight_of, unbound
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, HoldId, ObjectId, parse_uuid
from archive.kernel.instants import Instant
from archive.organisation.models import Unit
from retention.holding.hold_coverage import covered_ids, holding
from retention.holding.hold_entries import HOLD
from retention.holding.hold_queries import HoldQuery
from retention.holding.holds import HoldNotFound
from retention.holding.models import HeldObject, Hold, HoldReview
from retention.holding.rules import HoldRules
from retention.holding.terms import HoldScope

MOST_COUNTED: Final = 10_000
"""Objects are counted up to this number."""
_HELD: Final = "held"


class WhichHolds(StrEnum):
    """What a list shows: all that are placed, those whose review is due soon or has passed, those released."""

    PLACED = "placed"
    DUE = "due"
    RELEASED = "released"
    ALL = "all"


class Review(StrEnum):
    """How the day of a review stands."""

    LATER = "later"
    DUE = "due"
    OVERDUE = "overdue"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Ref:
    """The thing that a hold is on, as far as whoever looks sees it: what it is called, and where its page is."""

    name: str
    number: str
    address: str


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold in a list, with its unit, how its review stands, and what it is on.

    `ref` is None for a query, and for a thing that whoever looks does not see: then nothing is told of why, either.
    """

    hold: Hold
    unit: str
    review: Review
    ref: Ref | None

    @property
    def is_told(self) -> bool:
        """Whether reason and authority are shown: they speak of what the hold is on."""
        return self.ref is not None or self.hold.scope == HoldScope.QUERY

    @property
    def query(self) -> HoldQuery | None:
        """What is asked for, where it is a query that is still known."""
        return None if self.hold.query is None else HoldQuery.of(self.hold.query)


@dataclass(frozen=True, slots=True)
class Count:
    """How much a hold covers, as far as whoever counts sees it, up to 10,000 objects; `is_more`: there are more."""

    objects: int
    size_bytes: int
    is_more: bool


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold with its reviews, the oldest first, and how much it covers. `is_complete`: all of it is written down."""

    row: HoldRow
    reviews: Sequence[HoldReview]
    count: Count
    is_complete: bool

    @property
    def hold(self) -> Hold:
        """The hold itself."""
        return self.row.hold


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One thing that a hold covers, and since when."""

    original: PreservedObject
    since: Instant


@dataclass(frozen=True, slots=True)
class HoldsOn:
    """The holds that cover a thing: those that whoever looks sees, and how many there are beside."""

    holds: Sequence[Hold]
    hidden: int


def holds(
    tx: Session,
    rules: HoldRules,
    *,
    which: WhichHolds = WhichHolds.PLACED,
    at: Instant,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[HoldRow]:
    """Return holds, the newest first. Raises: InvalidInput for another list's cursor."""
    condition, listing = _condition(which, rules, local_day(at)), f"holds-{which.value}"

    def rows_of(ids: Sequence[UUID]) -> Sequence[HoldRow]:
        return _rows(tx, ids, rules, at)

    if sight_of(tx) is not None:

        def narrowed(seen: Select[Any]) -> Select[Any]:
            return seen.join(Hold, Hold.id == Reach.ref_id).where(condition)

        return newest_seen(tx, HOLD, rows_of, listing=listing, cursor=cursor, limit=limit, narrowed=narrowed)
    query = select(Hold.id, Hold.placed_at).where(condition)
    if cursor is not None:
        query = query.where(before(Hold.placed_at, Hold.id, cursor, listing))
    query = query.order_by(Hold.placed_at.desc(), Hold.id.desc()).limit(limit + 1)
    found = sliced(tx.execute(query).all(), limit, lambda row: cursor_of(listing, row.placed_at, row.id))
    return Slice(rows_of([row.id for row in found.rows]), found.next_cursor)


def hold_view(tx: Session, rules: HoldRules, hold_id: HoldId, *, at: Instant) -> HoldView:
    """Return one hold. Raises: HoldNotFound."""
    rows = _rows(tx, [hold_id], rules, at)
    if not rows:
        raise HoldNotFound(hold_id=hold_id)
    reviews = select(HoldReview).where(HoldReview.hold_id == hold_id).order_by(HoldReview.at, HoldReview.entry_id)
    held = select(PreservedObject.id, PreservedObject.size_bytes).join(
        HeldObject, HeldObject.object_id == PreservedObject.id
    )
    counted = _count(tx, held.where(HeldObject.hold_id == hold_id, PreservedObject.destroyed_at.is_(None)))
    return HoldView(rows[0], tx.scalars(reviews).all(), counted, rows[0].hold.scanned_at is not None)


def held_objects(
    tx: Session, hold_id: HoldId, *, cursor: str | None = None, limit: int = 50
) -> Slice[HeldRow]:  # fmt: skip
    """Return what a hold covers and what is there still, as far as it is seen, by their ids. Raises: InvalidInput."""
    query = select(PreservedObject, HeldObject.since).join(HeldObject, HeldObject.object_id == PreservedObject.id)
    query = query.where(HeldObject.hold_id == hold_id, PreservedObject.destroyed_at.is_(None))
    if cursor is not None:
        listing, _, last = cursor.partition("~")
        if listing != _HELD:
            raise InvalidInput("The cursor does not belong to this list")
        query = query.where(HeldObject.object_id > parse_uuid(last))
    rows = [HeldRow(*row) for row in tx.execute(query.order_by(HeldObject.object_id).limit(limit + 1))]
    return sliced(rows, limit, lambda row: f"{_HELD}~{row.original.id}")


def would_cover(tx: Session, scope: HoldScope, *, ref_id: UUID | None, query: HoldQuery | None) -> Count:
    """Return how much a hold would cover, as far as whoever asks sees it."""
    covered = covered_ids(tx, scope, ref_id=ref_id, query=query)
    return _count(
        tx, select(PreservedObject.id, PreservedObject.size_bytes).join(covered, covered.c.id == PreservedObject.id)
    )


def holds_on_object(tx: Session, object_id: ObjectId) -> HoldsOn:
    """Return the holds that cover an object now."""
    return _seen(tx, holding(tx, [object_id]).get(object_id, ()))


def holds_on_case(tx: Session, case_id: CaseId) -> HoldsOn:
    """Return the holds that are placed on a case itself, or on its subject."""
    with unbound(tx):
        subject_id = tx.scalar(select(Case.subject_id).where(Case.id == case_id))
        family = () if subject_id is None else subject_family(tx, [subject_id])
        on_case = and_(Hold.scope == HoldScope.CASE.value, Hold.ref_id == case_id)
        on_subject = and_(Hold.scope == HoldScope.SUBJECT.value, Hold.ref_id.in_(family))
        placed = tx.scalars(select(Hold.id).where(Hold.released_at.is_(None), on_case | on_subject)).all()
    return _seen(tx, placed)


def holds_on_subject(tx: Session, subject_id: UUID) -> HoldsOn:
    """Return the holds that are placed on a subject, or on one that it was merged with."""
    with unbound(tx):
        family = subject_family(tx, [subject_id])
        on_subject = (Hold.scope == HoldScope.SUBJECT.value, Hold.ref_id.in_(family))
        placed = tx.scalars(select(Hold.id).where(Hold.released_at.is_(None), *on_subject)).all()
    return _seen(tx, placed)


def _seen(tx: Session, hold_ids: Sequence[UUID]) -> HoldsOn:
    if not hold_ids:
        return HoldsOn((), 0)
    seen = tx.scalars(select(Hold).where(Hold.id.in_(hold_ids)).order_by(Hold.placed_at, Hold.id)).all()
    return HoldsOn(seen, len(hold_ids) - len(seen))


def _rows(tx: Session, ids: Sequence[UUID], rules: HoldRules, at: Instant) -> Sequence[HoldRow]:
    query = select(Hold, Unit.name).join(Unit, Unit.id == Hold.unit_id).where(Hold.id.in_(ids))
    found = {hold.id: (hold, unit) for hold, unit in tx.execute(query)}
    refs = _refs(tx, [hold for hold, _ in found.values()])
    today = local_day(at)
    return [
        HoldRow(*found[hold_id], _review(found[hold_id][0], rules, today), refs.get(found[hold_id][0].ref_id))
        for hold_id in ids
        if hold_id in found
    ]


def _refs(tx: Session, rows: Sequence[Hold]) -> dict[UUID | None, Ref]:
    """Return what holds are on, as far as it is seen. Three queries, whatever their number."""
    wanted = {scope: [row.ref_id for row in rows if row.scope == scope] for scope in HoldScope}
    found: dict[UUID | None, Ref] = {}
    objects = select(PreservedObject.id, PreservedObject.kind, PreservedObject.name)
    for object_id, kind, name in tx.execute(objects.where(PreservedObject.id.in_(wanted[HoldScope.OBJECT]))):
        found[object_id] = Ref(name or str(object_id), "", f"/{'records' if kind == 'record' else 'items'}/{object_id}")
    cases = select(Case.id, Case.title, Case.number).where(Case.id.in_(wanted[HoldScope.CASE]))
    for case_id, title, number in tx.execute(cases):
        found[case_id] = Ref(title, number, f"/cases/{case_id}")
    subjects = select(Subject.id, Subject.name).where(Subject.id.in_(wanted[HoldScope.SUBJECT]))
    for subject_id, name in tx.execute(subjects):
        found[subject_id] = Ref(name, "", f"/subjects/{subject_id}")
    return found


def _review(hold: Hold, rules: HoldRules, today: date) -> Review:
    if hold.released_at is not None:
        return Review.ENDED
    if hold.review_on < today:
        return Review.OVERDUE
    return Review.DUE if hold.review_on <= today + timedelta(days=rules.warn_days) else Review.LATER


def _count(tx: Session, objects: Select[UUID, int]) -> Count:
    some = objects.limit(MOST_COUNTED + 1).subquery("some")
    count, size = tx.execute(select(func.count(), func.coalesce(func.sum(some.c.size_bytes), 0))).one()
    return Count(min(count, MOST_COUNTED), int(size), count > MOST_COUNTED)


def _condition(which: WhichHolds, rules: HoldRules, today: date) -> ColumnElement[bool]:
    match which:
        case WhichHolds.ALL:
            return Hold.id.is_not(None)
        case WhichHolds.PLACED:
            return Hold.released_at.is_(None)
        case WhichHolds.DUE:
            return and_(Hold.released_at.is_(None), Hold.review_on <= today + timedelta(days=rules.warn_days))
        case _:
            return Hold.released_at.is_not(None)

"""Placing, reviewing and releasing holds (冻结).

Nobody releases a hold that they placed themselves, and none ends by itself. Source: docs/adr/0034.
"""

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.access.actors import unit_of
from archive.calendar.days import local_day
from archive.cases.filing import require_case
from archive.cases.subjects import require_subject
from archive.custody.events import object_to_file
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import EVERYBODYS, party_of, sight_of, unbound
from archive.jobs.queue import hasten_job
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import CaseId, HoldId, ObjectId, SubjectId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor, EntryType
from archive.organisation.units import lines_of
from retention.holding.hold_entries import MOST_TOLD, extend_hold, tell_of_hold, write_held
from retention.holding.hold_queries import HoldQuery
from retention.holding.hold_scans import SCAN_HOLDS, not_yet_held
from retention.holding.models import Hold, HoldCount, HoldReview
from retention.holding.reaching import reach_holds
from retention.holding.rules import HoldRules
from retention.holding.terms import HoldScope

MAX_AUTHORITY_CHARACTERS: Final = 300
MAX_REASON_CHARACTERS: Final = 1000
MAX_REQUEST_CHARACTERS: Final = 100
_MOST_AT_ONCE: Final = 5_000
"""How many objects are written down with the hold itself; the job goes on with what is beyond."""


class HoldNotFound(NotFound):
    """There is no such hold, or it is not yours to see."""

    code = "holds.not_found"


class HoldRequestUsed(Conflict):
    """Another hold was placed under this id of a request: a request that is sent again says the same."""

    code = "holds.request_used"


class HoldNumberTaken(Conflict):
    """Another hold has this number; the scheme of numbers may have been changed to one that was used before."""

    code = "holds.number_taken"


class HoldReleased(Conflict):
    """This hold was released already."""

    code = "holds.released"


class OwnHold(Forbidden):
    """Nobody releases a hold that they placed themselves: ask a second person."""

    code = "holds.own_hold"


class ReviewDayImpossible(InvalidInput):
    """The day of the review is today or later, and not further ahead than the rules allow."""

    code = "holds.review_day_impossible"


class NotYourUnit(Forbidden):
    """A query asks for things of a unit that you see."""

    code = "holds.not_your_unit"


@dataclass(frozen=True, slots=True)
class NewHold:
    """What is to be held, who asked for it by what paper (`authority`), why, and when it is looked at again.

    `ref_id` names an object, a case or a subject, `query` what is asked for. `request` is an id that the caller chose:
    under the same one the same hold is placed once, however often it is sent.
    """

    scope: HoldScope
    ref_id: uuid.UUID | None
    query: HoldQuery | None
    authority: str
    reason: str
    review_on: date
    request: str

    def __post_init__(self) -> None:
        """Refuse what names both a thing and a query, or neither."""
        if (self.scope is HoldScope.QUERY) != (self.query is not None) or (self.ref_id is None) == (self.query is None):
            raise InvalidInput("A hold names what it is on: an object, a case, a subject, or a query")


def place_hold(database: Database, rules: HoldRules, given: NewHold, *, by: Actor, at: Instant) -> HoldId:
    """Place a hold: from the commit on, nothing that it covers is disposed of, also what comes to it later.

    Idempotent: yes, by `request` and whoever places it.
    Raises: ObjectNotFound, CaseNotFound, SubjectNotFound, NotYourUnit, ReviewDayImpossible, HoldRequestUsed,
        HoldNumberTaken, InvalidInput.
    """
    authority = clean_text(given.authority, "authority", MAX_AUTHORITY_CHARACTERS)
    reason = clean_text(given.reason, "reason", MAX_REASON_CHARACTERS)
    hold_id = HoldId(uuid.uuid5(by.id, clean_text(given.request, "id of the request", MAX_REQUEST_CHARACTERS)))
    known = _placed_before(database, hold_id, given, authority=authority, reason=reason)
    if known is not None:
        return known
    if not rules.is_review_day(given.review_on, at):
        raise ReviewDayImpossible(review_on=given.review_on.isoformat())
    try:
        with unique_or(HoldNumberTaken), database.begin() as tx:
            _require_ref(tx, given)
            number = _next_number(tx, rules, at)
            columns = {
                "id": hold_id,
                "number": number,
                "scope": given.scope.value,
                "ref_id": given.ref_id,
                "query": None if given.query is None else given.query.text,
                "authority": authority,
                "reason": reason,
                "review_on": given.review_on,
                "unit_id": unit_of(tx, by),
                "placed_by": by.id,
                "placed_at": at,
            }
            insert_row(tx, Hold, **columns)
            with unbound(tx):
                _hold_what_is_there(tx, Hold(**columns), by=by, at=at)
            reach_holds(tx, [hold_id])
    except HoldNumberTaken:  # perhaps by the same request, at the same moment
        known = _placed_before(database, hold_id, given, authority=authority, reason=reason)
        if known is None:
            raise
        return known
    return hold_id


def review_hold(
    database: Database, rules: HoldRules, hold_id: HoldId, *, review_on: date, reason: str, by: Actor, at: Instant
) -> None:
    """Look at a hold again and keep it, with words of why, until the day of another review.

    Raises: HoldNotFound, HoldReleased, ReviewDayImpossible, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    if not rules.is_review_day(review_on, at):
        raise ReviewDayImpossible(review_on=review_on.isoformat())
    with database.begin() as tx:
        hold = _standing(tx, hold_id)
        was_on = hold.review_on
        detail = {"review_by": review_on.isoformat(), "was": {"review_by": was_on.isoformat()}, "reason": reason}
        entry_id = tell_of_hold(tx, EntryType.HOLD_REVIEWED, hold, detail, by=by, at=at)
        tx.execute(update(Hold).where(Hold.id == hold_id).values(review_on=review_on))
        insert_row(
            tx,
            HoldReview,
            entry_id=entry_id,
            hold_id=hold_id,
            reason=reason,
            was_on=was_on,
            review_on=review_on,
            by_id=by.id,
            at=at,
        )


def release_hold(database: Database, hold_id: HoldId, *, reason: str, by: Actor, at: Instant) -> None:
    """Release a hold, with words of why. What else holds the same things goes on to hold them.

    Raises: HoldNotFound, HoldReleased, OwnHold for whoever placed it, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        hold = _standing(tx, hold_id)
        if hold.placed_by == by.id:
            raise OwnHold
        tell_of_hold(tx, EntryType.HOLD_RELEASED, hold, {"reason": reason}, by=by, at=at)
        values = {"released_by": by.id, "released_at": at, "release_reason": reason}
        tx.execute(update(Hold).where(Hold.id == hold_id).values(**values))


def _placed_before(
    database: Database, hold_id: HoldId, given: NewHold, *, authority: str, reason: str
) -> HoldId | None:
    """Return the id where this very hold was placed before. Raises: HoldRequestUsed where it was another one."""
    with database.read() as tx, unbound(tx):
        row = tx.get(Hold, hold_id)
    if row is None:
        return None
    query = None if given.query is None else given.query.text
    said = (given.scope.value, given.ref_id, query, authority, reason)
    if (row.scope, row.ref_id, row.query, row.authority, row.reason) != said:
        raise HoldRequestUsed(hold_id=hold_id)
    return hold_id


def _require_ref(tx: Session, given: NewHold) -> None:
    """Make sure that whoever places a hold sees what it is on."""
    if given.query is not None:
        _require_unit(tx, given.query.unit_id)
    elif given.ref_id is not None:
        match given.scope:
            case HoldScope.OBJECT:
                object_to_file(tx, ObjectId(given.ref_id))
            case HoldScope.CASE:
                require_case(tx, CaseId(given.ref_id))
            case _:
                require_subject(tx, SubjectId(given.ref_id))


def _require_unit(tx: Session, unit_id: uuid.UUID) -> None:
    line = lines_of(tx, [unit_id])[unit_id]
    sight = sight_of(tx)
    if not line or (sight is not None and sight.parties.isdisjoint({*map(party_of, line), EVERYBODYS})):
        raise NotYourUnit(unit_id=unit_id)


def _next_number(tx: Session, rules: HoldRules, at: Instant) -> str:
    """Return the next number of the year. The row is locked to the end of the transaction: no number is given twice."""
    year = local_day(at).year
    upsert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    serial = tx.execute(
        upsert(HoldCount)
        .values(series=rules.series(year=year), last=1)
        .on_conflict_do_update(index_elements=[HoldCount.series], set_={"last": HoldCount.last + 1})
        .returning(HoldCount.last)
    ).scalar_one()
    return rules.number(year=year, serial=serial)


def _hold_what_is_there(tx: Session, hold: Hold, *, by: Actor, at: Instant) -> None:
    """Write down what a new hold covers now, with its entries; the job goes on where that is very much."""
    found = not_yet_held(tx, hold, limit=_MOST_AT_ONCE + 1)
    held, first = found[:_MOST_AT_ONCE], found[:MOST_TOLD]
    detail = {
        "number": hold.number,
        "kind": hold.scope,
        "ref": None if hold.ref_id is None else str(hold.ref_id),
        "query": hold.query,
        "authority": hold.authority,
        "reason": hold.reason,
        "review_by": hold.review_on.isoformat(),
        "unit": str(hold.unit_id),
        "objects": [str(object_id) for object_id in first],
    }
    write_held(tx, hold.id, first, at=at)
    tell_of_hold(tx, EntryType.HOLD_PLACED, hold, detail, by=by, at=at)
    extend_hold(tx, hold, held[MOST_TOLD:], by=by, at=at)
    if len(found) > len(held):
        hasten_job(tx, SCAN_HOLDS, at=at)
    else:
        tx.execute(update(Hold).where(Hold.id == hold.id).values(scanned_at=at))


def _standing(tx: Session, hold_id: HoldId) -> Hold:
    """Return a hold that is placed, locked. Raises: HoldNotFound, HoldReleased."""
    hold = tx.scalar(select(Hold).where(Hold.id == hold_id).with_for_update())
    if hold is None:
        raise HoldNotFound(hold_id=hold_id)
    if hold.released_at is not None:
        raise HoldReleased(hold_id=hold_id)
    return hold

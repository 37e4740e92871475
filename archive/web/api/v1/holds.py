"""Holds for other systems: what is held, placing a hold, looking at one again, releasing one.

A system is one party like a person is: what it has placed, somebody else releases.
"""

from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy.orm import Session

from archive.access.actors import unit_of
from archive.access.integrations import IntegrationCaller
from archive.cases.terms import Category
from archive.kernel.ids import HoldId, parse_uuid
from archive.kernel.instants import Instant, format_instant
from archive.web.api.v1.forms import Moment, Sent, whole_day
from archive.web.api.v1.guards import Cursor, HoldPlacer, HoldReader, HoldReleaser, Limit, ServicesDep
from archive.web.api.v1.routes import ApiRoute, problems
from archive.web.pages.guards import hold_id_in_path
from archive.wiring import Services
from retention.holding.hold_listings import HoldRow, WhichHolds, hold_view, holds
from retention.holding.hold_queries import (
    MAX_OFFICER_CHARACTERS,
    MAX_PREFIX_CHARACTERS,
    MAX_SERIAL_CHARACTERS,
    HoldQuery,
)
from retention.holding.holds import (
    MAX_AUTHORITY_CHARACTERS,
    MAX_REASON_CHARACTERS,
    MAX_REQUEST_CHARACTERS,
    NewHold,
    place_hold,
    release_hold,
    review_hold,
)
from retention.holding.terms import HeldKind, HoldScope

router = APIRouter(prefix="/api/v1/holds", tags=["holds"], route_class=ApiRoute)

_ID: Final = "01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01"

Id = Annotated[str, Field(examples=[_ID])]
Day = Annotated[date, BeforeValidator(whole_day), Field(examples=["2027-03-01"])]
Reason = Annotated[str, Field(max_length=4 * MAX_REASON_CHARACTERS, examples=["行政诉讼，一审期间保留全部证据"])]
HoldIdPath = Annotated[HoldId, Depends(hold_id_in_path)]


class QuerySent(Sent):
    """What a hold asks for. Every part that is given must be met."""

    unit: Annotated[Id | None, Field(description="Whose things, with the units below it; without it your own.")] = None
    kind: HeldKind | None = None
    category: Annotated[Category | None, Field(description="Filed under a case of this category.")] = None
    number_prefix: Annotated[
        str | None, Field(description="With a case whose number begins so.", max_length=4 * MAX_PREFIX_CHARACTERS)
    ] = None
    device: Annotated[str | None, Field(description="Serial number.", max_length=4 * MAX_SERIAL_CHARACTERS)] = None
    officer: Annotated[str | None, Field(description="Certificate number.", max_length=4 * MAX_OFFICER_CHARACTERS)] = (
        None
    )
    recorded_from: Moment | None = None
    recorded_until: Annotated[Moment | None, Field(description="Not meant with.")] = None


class HoldSent(Sent):
    """What is to be held: `ref` names an object, a case or a subject by our id, `query` asks for it."""

    request: Annotated[
        str,
        Field(
            description="An id that you choose: under the same one the same hold is placed once.",
            max_length=4 * MAX_REQUEST_CHARACTERS,
            examples=["lawsuit-2026-0012"],
        ),
    ]
    scope: HoldScope
    ref: Id | None = None
    query: QuerySent | None = None
    authority: Annotated[
        str,
        Field(
            description="Who asks for it, and by which paper.",
            max_length=4 * MAX_AUTHORITY_CHARACTERS,
            examples=["官渡区人民法院（2026）云0111行初12号应诉通知书"],
        ),
    ]
    reason: Reason
    review_on: Annotated[Day, Field(description="When it is looked at again, at most a year ahead.")]


class ReviewSent(Sent):
    """That a hold goes on."""

    reason: Reason
    review_on: Day


class ReleaseSent(Sent):
    """Why a hold is released."""

    reason: Reason


class HoldRead(BaseModel):
    """A hold. `authority` and `reason` are null where what is held is not yours to see."""

    id: str
    number: Annotated[str, Field(examples=["冻〔2026〕0007号"])]
    scope: HoldScope
    ref: str | None
    query: dict[str, Any] | None
    authority: str | None
    reason: str | None
    review_on: str
    review: Annotated[str, Field(description="later, due, overdue, or ended.", examples=["later"])]
    placed_at: str
    released_at: str | None
    page: Annotated[str, Field(description="Where people who may read of it find it, on this server.")]


class HoldList(BaseModel):
    """Holds, the newest first. `next` is the cursor of what follows."""

    holds: list[HoldRead]
    next: str | None


@router.get("", operation_id="list_holds", responses=problems(422))
def list_holds(
    caller: HoldReader,
    services: ServicesDep,
    *,
    which: Annotated[WhichHolds, Query(description="Which ones.")] = WhichHolds.PLACED,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HoldList:
    """Return the holds that the unit of the calling system sees."""
    del caller
    at = services.clock.now()
    with services.database.read() as tx:
        found = holds(tx, services.holding.rules, which=which, at=at, cursor=cursor, limit=limit)
    return HoldList(holds=[_read(row) for row in found.rows], next=found.next_cursor)


@router.get("/{hold_id}", operation_id="read_hold", responses=problems(404))
def read_hold(hold_id: HoldIdPath, caller: HoldReader, services: ServicesDep) -> HoldRead:
    """Return one hold."""
    del caller
    return _one(services, hold_id)


@router.post("", operation_id="place_hold", responses=problems(400, 404, 409, 413, 422))
def place(body: HoldSent, caller: HoldPlacer, services: ServicesDep) -> HoldRead:
    """Place a hold; what is sent again under the same `request` is answered with the hold that there is."""
    with services.database.read() as tx:
        query = None if body.query is None else _query(tx, body.query, caller)
    ref = None if body.ref is None else parse_uuid(body.ref)
    given = NewHold(body.scope, ref, query, body.authority, body.reason, body.review_on, body.request)
    hold_id = place_hold(services.database, services.holding.rules, given, by=caller.actor, at=services.clock.now())
    return _one(services, hold_id)


@router.post("/{hold_id}/reviews", operation_id="review_hold", responses=problems(400, 404, 409, 413, 422))
def review(hold_id: HoldIdPath, body: ReviewSent, caller: HoldPlacer, services: ServicesDep) -> HoldRead:
    """Look at a hold again and keep it."""
    review_hold(
        services.database,
        services.holding.rules,
        hold_id,
        review_on=body.review_on,
        reason=body.reason,
        by=caller.actor,
        at=services.clock.now(),
    )
    return _one(services, hold_id)


@router.post("/{hold_id}/release", operation_id="release_hold", responses=problems(400, 404, 409, 413, 422))
def release(hold_id: HoldIdPath, body: ReleaseSent, caller: HoldReleaser, services: ServicesDep) -> HoldRead:
    """Release a hold that somebody else has placed."""
    release_hold(services.database, hold_id, reason=body.reason, by=caller.actor, at=services.clock.now())
    return _one(services, hold_id)


def _one(services: Services, hold_id: HoldId) -> HoldRead:
    with services.database.read() as tx:
        return _read(hold_view(tx, services.holding.rules, hold_id, at=services.clock.now()).row)


def _query(tx: Session, sent: QuerySent, caller: IntegrationCaller) -> HoldQuery:
    """Return what is asked for. Raises: BadHoldQuery."""
    unit_id: UUID = unit_of(tx, caller.actor) if sent.unit is None else parse_uuid(sent.unit)
    return HoldQuery(
        unit_id,
        sent.device,
        sent.officer,
        sent.recorded_from,
        sent.recorded_until,
        sent.category,
        sent.number_prefix,
        sent.kind,
    )


def _read(row: HoldRow) -> HoldRead:
    hold = row.hold
    return HoldRead(
        id=str(hold.id),
        number=hold.number,
        scope=HoldScope(hold.scope),
        ref=None if hold.ref_id is None else str(hold.ref_id),
        query=None if row.query is None else dict(row.query.told),
        authority=hold.authority if row.is_told else None,
        reason=hold.reason if row.is_told else None,
        review_on=hold.review_on.isoformat(),
        review=row.review.value,
        placed_at=format_instant(hold.placed_at),
        released_at=_moment(hold.released_at),
        page=f"/holds/{hold.id}",
    )


def _moment(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)

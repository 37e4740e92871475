"""Holds: the list, and placing one with a count of what it would cover."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.calendar.days import local_day
from archive.cases.terms import Category
from archive.kernel.ids import new_uuid7
from archive.organisation.listings import unit_names
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import HoldPlacer, RetentionReader, object_id_in_path
from archive.web.pages.hold_forms import offered_units, wanted_hold
from archive.web.pages.objects import object_address
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services
from retention.holding.hold_listings import HoldRow, WhichHolds, holds, would_cover
from retention.holding.holds import (
    MAX_AUTHORITY_CHARACTERS,
    MAX_REASON_CHARACTERS,
    MAX_REQUEST_CHARACTERS,
    HoldNumberTaken,
    HoldRequestUsed,
    NewHold,
    ReviewDayImpossible,
    place_hold,
)
from retention.holding.terms import HeldKind, HoldScope

router = APIRouter(prefix="/holds", include_in_schema=False)

_PANEL: Final = "hold"
_USUAL_REVIEW: Final = timedelta(days=180)
_PAGES: Final = {HoldScope.CASE: "/cases", HoldScope.SUBJECT: "/subjects"}

Id = Annotated[str, Query(max_length=36)]


@router.get("")
def holds_page(
    request: Request,
    caller: RetentionReader,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=20)] = WhichHolds.PLACED.value,
    object: Id = "",  # noqa: A002 - the word in the address
    case: Id = "",
    subject: Id = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List holds; with a thing in the address the form to place one on it is filled in."""
    chosen = WhichHolds(which) if which in set(WhichHolds) else WhichHolds.PLACED
    things = {HoldScope.OBJECT: object, HoldScope.CASE: case, HoldScope.SUBJECT: subject}
    begun = next(((scope, thing) for scope, thing in things.items() if thing), None)
    form = None if begun is None else _begun(services, *begun)
    return _list(request, caller, services, which=chosen, cursor=cursor, form=form)


@router.post("")
def hold_posted(request: Request, form: FormDep, caller: HoldPlacer, services: ServicesDep) -> Response:
    """Place a hold."""
    authority = form.text("authority", most=MAX_AUTHORITY_CHARACTERS)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    review_on = form.day("review_on", required=True)
    sent = form.text("request", most=MAX_REQUEST_CHARACTERS)
    with services.database.read() as tx:
        wanted = wanted_hold(tx, form, caller)
    if form.is_good and wanted is not None and review_on is not None:
        given = NewHold(wanted.scope, wanted.ref_id, wanted.query, authority, reason, review_on, sent)
        at = services.clock.now()
        try:
            hold_id = place_hold(services.database, services.holding.rules, given, by=caller.actor, at=at)
        except ReviewDayImpossible:
            form.refuse("review_on", "error.holds.review_day_impossible")
        except HoldRequestUsed:
            form.refuse("scope", "error.holds.request_used")
        except HoldNumberTaken:
            form.refuse("scope", "error.holds.number_taken")
        else:
            return go_to(f"/holds/{hold_id}?done=hold_placed")
    return _list(request, caller, services, form=form, status=422)


@router.post("/preview", dependencies=[by_account(Cost.SEARCHES)])
def preview_posted(request: Request, form: FormDep, caller: HoldPlacer, services: ServicesDep) -> Response:
    """Show how much a hold would cover that is being filled in; nothing while it is not."""
    with services.database.read() as tx:
        count = _count(tx, form, caller)
    return render(request, "_hold_count.html", caller=caller, count=count)


def _count(tx: Session, form: Form, caller: Caller) -> Any:
    wanted = wanted_hold(tx, Form(form.values), caller)
    return None if wanted is None else would_cover(tx, wanted.scope, ref_id=wanted.ref_id, query=wanted.query)


def _list(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    which: WhichHolds = WhichHolds.PLACED,
    cursor: str | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts, at, rules = reader_texts(request), services.clock.now(), services.holding.rules
    if form is not None:
        form.panel = _PANEL
    with services.database.read() as tx:
        found = holds(tx, rules, which=which, at=at, cursor=cursor)
        context: dict[str, Any] = {
            "found": found,
            "names": actor_names(tx, {row.hold.placed_by for row in found.rows}, texts=texts),
            "query_units": query_units(tx, found.rows),
            **(_form_context(tx, caller, form) if caller.may(Capability.PLACE_HOLDS) else {}),
        }
    is_more = is_fragment(request) and request.method == "GET" and cursor is not None
    review_on, last_review = usual_review(services)
    return render(
        request,
        "_hold_rows.html" if is_more else "holds.html",
        caller=caller,
        status=status,
        form=form,
        tab="holds",
        which=which.value,
        listing=which.value,
        filters=list(WhichHolds),
        review_on=review_on,
        last_review=last_review,
        fresh=str(new_uuid7()),
        most={"authority": MAX_AUTHORITY_CHARACTERS, "reason": MAX_REASON_CHARACTERS},
        **context,
    )


def _form_context(tx: Session, caller: Caller, form: Form | None) -> Mapping[str, Any]:
    return {
        "scopes": list(HoldScope),
        "offered_units": offered_units(tx, caller),
        "categories": list(Category),
        "held_kinds": list(HeldKind),
        "count": None if form is None else _count(tx, form, caller),
        "own_unit": caller.unit_id,
    }


def query_units(tx: Session, rows: Sequence[HoldRow]) -> Mapping[UUID, str]:
    """Return the names of the units that the queries of holds ask for."""
    return unit_names(tx, {row.query.unit_id for row in rows if row.query is not None})


def usual_review(services: Services) -> tuple[str, str]:
    """Return the day of review that forms offer, and the last one that the rules allow."""
    today, most = local_day(services.clock.now()), timedelta(days=services.holding.rules.most_review_days)
    return (today + min(_USUAL_REVIEW, most)).isoformat(), (today + most).isoformat()


def _begun(services: Services, scope: HoldScope, thing: str) -> Form:
    """Return the form with the address of the page of a thing that a hold is begun for."""
    is_object = scope is HoldScope.OBJECT
    address = object_address(services, object_id_in_path(thing)) if is_object else f"{_PAGES[scope]}/{thing}"
    return Form({"scope": scope.value, scope.value: address, "review_on": usual_review(services)[0]})

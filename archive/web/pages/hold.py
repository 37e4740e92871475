"""One hold: what it is on, what it covers, its history; reviewing and releasing it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from archive.access.callers import Caller
from archive.kernel.ids import HoldId
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import HiddenRetentionReader, HoldIdPath, HoldPlacer
from archive.web.pages.holds import query_units, usual_review
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services
from retention.holding.hold_listings import held_objects, hold_view
from retention.holding.holds import (
    MAX_REASON_CHARACTERS,
    HoldReleased,
    OwnHold,
    ReviewDayImpossible,
    release_hold,
    review_hold,
)

router = APIRouter(prefix="/holds/{hold_id}", include_in_schema=False)


@router.get("")
def hold_page(
    request: Request,
    hold_id: HoldIdPath,
    caller: HiddenRetentionReader,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show a hold."""
    return _show(request, hold_id, caller, services, cursor=cursor)


@router.post("/reviews")
def review_posted(
    request: Request, hold_id: HoldIdPath, form: FormDep, caller: HoldPlacer, services: ServicesDep
) -> Response:
    """Look at a hold again and keep it."""
    form.panel = "review"
    reason, review_on = form.text("reason", most=MAX_REASON_CHARACTERS), form.day("review_on", required=True)
    if form.is_good and review_on is not None:
        at, rules = services.clock.now(), services.holding.rules
        try:
            review_hold(
                services.database, rules, hold_id, review_on=review_on, reason=reason, by=caller.actor, at=at
            )  # fmt: skip
        except ReviewDayImpossible:
            form.refuse("review_on", "error.holds.review_day_impossible")
        except HoldReleased:
            form.refuse("review_on", "error.holds.released")
        else:
            return go_to(f"/holds/{hold_id}?done=hold_reviewed")
    return _show(request, hold_id, caller, services, form=form, status=422)


@router.post("/release")
def release_posted(
    request: Request, hold_id: HoldIdPath, form: FormDep, caller: HoldPlacer, services: ServicesDep
) -> Response:
    """Release a hold."""
    form.panel = "release"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        try:
            release_hold(services.database, hold_id, reason=reason, by=caller.actor, at=services.clock.now())
        except OwnHold:
            form.refuse("reason", "error.holds.own_hold")
        except HoldReleased:
            form.refuse("reason", "error.holds.released")
        else:
            return go_to(f"/holds/{hold_id}?done=hold_released")
    return _show(request, hold_id, caller, services, form=form, status=422)


def _show(
    request: Request,
    hold_id: HoldId,
    caller: Caller,
    services: Services,
    *,
    cursor: str | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts, at, rules = reader_texts(request), services.clock.now(), services.holding.rules
    with services.database.read() as tx:
        view = hold_view(tx, rules, hold_id, at=at)
        found = held_objects(tx, hold_id, cursor=cursor)
        people = {view.hold.placed_by, *(review.by_id for review in view.reviews)}
        if view.hold.released_by is not None:
            people.add(view.hold.released_by)
        names = actor_names(tx, people, texts=texts)
        units = query_units(tx, [view.row])
    is_more = is_fragment(request) and request.method == "GET" and cursor is not None
    review_on, last_review = usual_review(services)
    return render(
        request,
        "_held_rows.html" if is_more else "hold.html",
        caller=caller,
        status=status,
        form=form,
        view=view,
        row=view.row,
        hold=view.hold,
        found=found,
        address=f"/holds/{hold_id}",
        names=names,
        query_units=units,
        tab="holds",
        most=MAX_REASON_CHARACTERS,
        review_on=review_on,
        last_review=last_review,
        here=f"/holds/{hold_id}",
    )

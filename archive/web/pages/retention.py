"""Retention: how much is kept until when, what falls due, what it costs."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.cases.slices import Slice
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.organisation.models import Unit
from archive.web.dependencies import ServicesDep
from archive.web.pages.guards import RetentionReader
from archive.web.pages.rendering import is_fragment, reader_texts, render
from archive.wiring import Services
from archive.wiring.retention_parts import stops
from retention.planning.listings import (
    CostRow,
    Keeping,
    KeptRow,
    Tally,
    costs,
    due_by_month,
    kept_as,
    kept_until,
    month_bounds,
    overview,
    plan_of,
    year_bounds,
)

router = APIRouter(include_in_schema=False)

_STATES: Final = (
    Keeping.PERMANENT, Keeping.WAITING, Keeping.NO_RULE, Keeping.UNPLANNED, Keeping.DUE, Keeping.HELD,
)  # fmt: skip
_TERABYTE: Final = 10**12
_NOW: Final = "now"
Cursor = Annotated[str | None, Query(max_length=200)]


@router.get("/retention")
def retention_page(
    request: Request,
    caller: RetentionReader,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=16)] = "",
    cursor: Cursor = None,
) -> Response:
    """Show how much is kept, by state and year; or the objects in one state."""
    at, texts = services.clock.now(), reader_texts(request)
    if which:
        state = _state(which)
        with services.database.read() as tx:
            if state is Keeping.DUE:
                found = kept_until(tx, after=None, until=at, cursor=cursor)
            else:
                found = kept_as(tx, state, cursor=cursor)
            heading, address = texts.term("retention_state", state.value), f"/retention?which={state.value}"
            return _listed(request, caller, services, tx, found, heading=heading, address=address, at=at)
    with services.database.read() as tx:
        view = overview(tx, at=at)
    return render(
        request, "retention.html", caller=caller, tab="overview", view=view, states=_STATES, nothing=Tally(0, 0), now=at
    )


@router.get("/retention/due")
def due_page(
    request: Request,
    caller: RetentionReader,
    services: ServicesDep,
    month: Annotated[str, Query(max_length=7)] = "",
    year: Annotated[int | None, Query(ge=1900, le=9998)] = None,
    cursor: Cursor = None,
) -> Response:
    """Show what falls due by month; or what falls due in one month or year, with everything that stops it."""
    at, texts = services.clock.now(), reader_texts(request)
    with services.database.read() as tx:
        if not month and year is None:
            overdue, months = due_by_month(tx, at=at)
            return render(request, "retention_due.html", caller=caller, tab="due", overdue=overdue, months=months)
        if year is not None:
            when, (after, until) = str(year), year_bounds(year)
            found = kept_until(tx, after=max(after, at), until=until, cursor=cursor)
        elif month == _NOW:
            when, found = _NOW, kept_until(tx, after=None, until=at, cursor=cursor)
        else:
            first = _month(month)
            when, (after, until) = f"{first:%Y-%m}", month_bounds(first)
            found = kept_until(tx, after=max(after, at), until=until, cursor=cursor)
        heading = texts.text("retention.due_now") if when == _NOW else texts.text("retention.due_in", when=when)
        address = f"/retention/due?{'month' if year is None else 'year'}={when}"
        return _listed(request, caller, services, tx, found, heading=heading, address=address, at=at)


@router.get("/retention/costs")
def costs_page(request: Request, caller: RetentionReader, services: ServicesDep) -> Response:
    """Show what each unit keeps by each rule, how it grows, and what that costs."""
    at, settings = services.clock.now(), services.settings
    with services.database.read() as tx:
        rows = costs(tx, at=at)
        units = dict(tx.execute(select(Unit.id, Unit.name).where(Unit.id.in_({row.unit_id for row in rows}))).all())
        titles = titles_of(tx, services, at)
    second = settings.copy_price_per_tb_month if services.copies.place else Decimal(0)
    price = settings.price_per_tb_month + second
    kept = Tally(sum(row.kept.objects for row in rows), sum(row.kept.size_bytes for row in rows))
    return render(
        request,
        "retention_costs.html",
        caller=caller,
        tab="costs",
        rows=rows,
        total=CostRow(UUID(int=0), None, False, kept, sum(row.growth_bytes for row in rows)),  # noqa: FBT003 - a row
        units=units,
        titles=titles,
        price=price,
        first_price=settings.price_per_tb_month,
        second_price=second,
        currency=settings.currency,
        cost=lambda size_bytes: f"{price * size_bytes / _TERABYTE:,.2f}",
    )


def retention_of(tx: Session, object_id: UUID, caller: Caller, services: Services) -> Mapping[str, Any]:
    """Return what the box on an object's page says: its plan, and for who may read it everything that stops it."""
    at, plan = services.clock.now(), plan_of(tx, object_id)
    may_read = caller.may(Capability.READ_RETENTION)
    return {
        "plan": plan,
        "titles": {} if plan is None or plan.rule is None else titles_of(tx, services, at),
        "stops": stops(tx, [object_id], at)[object_id] if may_read else None,
    }


def titles_of(tx: Session, services: Services, at: Instant) -> Mapping[str | None, str]:
    """Return what the rules in force are called, by their codes."""
    return {rule.code: rule.title for rule in services.planner.rules_at(tx, at)}


def _listed(
    request: Request,
    caller: Caller,
    services: Services,
    tx: Session,
    found: Slice[KeptRow],
    *,
    heading: str,
    address: str,
    at: Instant,
) -> Response:
    is_more, back = is_fragment(request) and "cursor" in request.query_params, address.partition("?")[0]
    return render(
        request,
        "_retention_rows.html" if is_more else "retention_list.html",
        caller=caller,
        tab="due" if back == "/retention/due" else "overview",
        back=back,
        heading=heading,
        found=found,
        stops=stops(tx, [row.original.id for row in found.rows], at),
        titles=titles_of(tx, services, at),
        address=address,
    )


def _state(text: str) -> Keeping:
    if text not in {state.value for state in _STATES}:
        raise InvalidInput("There is no such list")
    return Keeping(text)


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as exc:
        raise InvalidInput("A month is a year and a number, as 2031-05") from exc

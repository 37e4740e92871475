"""Lists of what may be destroyed: the ones there are, and proposing one after a dry run."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.calendar.days import day_start
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.organisation.models import Unit
from archive.organisation.units import below
from archive.web.dependencies import RequestIdDep, ServicesDep
from archive.web.pages.confirming import confirmed
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Proposer, RetentionReader
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services
from retention.disposition.deciding import PartRefused
from retention.disposition.listings import Which, disposition_lists
from retention.disposition.proposing import (
    MOST_OBJECTS,
    MOST_REASON,
    MOST_TITLE,
    NothingToDispose,
    Wanted,
    candidates,
    dry_run,
    propose_list,
)
from retention.stops import Stop, StopKind

router = APIRouter(prefix="/dispositions", include_in_schema=False)

_KINDS: Final = ("item", "record", "volume")
_SHOWN: Final = 50
_PLACES: Final = {
    StopKind.HOLD: "/holds/{}",
    StopKind.OPEN_CASE: "/cases/{}",
    StopKind.OPEN_COMPLAINT: "/complaints/{}",
    StopKind.IN_DISPOSITION: "/dispositions/{}",
}


@router.get("")
def dispositions_page(
    request: Request,
    caller: RetentionReader,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=20)] = Which.OPEN.value,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List the lists, by whether they are under way."""
    chosen = Which(which) if which in set(Which) else Which.OPEN
    with services.database.read() as tx:
        found = disposition_lists(tx, which=chosen, cursor=cursor)
        units = _unit_names(tx, {row.unit_id for row in found.rows})
    is_more = is_fragment(request) and cursor is not None
    return render(
        request,
        "_disposition_rows.html" if is_more else "dispositions.html",
        caller=caller,
        found=found,
        units=units,
        which=chosen.value,
        filters=[each.value for each in Which],
    )


@router.get("/new")
def disposition_new_page(
    request: Request,
    caller: Proposer,
    services: ServicesDep,
    kind: Annotated[str, Query(max_length=16)] = "",
    unit: Annotated[str, Query(max_length=36)] = "",
    case: Annotated[str, Query(max_length=100)] = "",
    due_by: Annotated[str, Query(max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show what a list would hold: candidates with everything that stops each, counts and bytes."""
    form = Form({"kind": kind, "unit": unit, "case": case, "due_by": due_by}, panel="filter")
    return _new(request, caller, services, form, cursor=cursor)


@router.post("")
def disposition_posted(
    request: Request, form: FormDep, caller: Proposer, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Propose a list of what the filter finds and nothing stops."""
    form.panel = "propose"
    title, reason = form.text("title", most=MOST_TITLE), form.text("reason", most=MOST_REASON)
    wanted = _wanted(form)
    by = confirmed(form, caller, services, request_id)
    if form.is_good and by is not None:
        at = services.clock.now()
        try:
            list_id = propose_list(
                services.database, services.disposal_rules, wanted, title=title, reason=reason, by=by, at=at
            )
        except NothingToDispose:
            form.refuse("title", "error.disposition.nothing")
        except PartRefused as error:
            form.refuse("title", f"objection.{error.facts['why']}")
        else:
            return go_to(f"/dispositions/{list_id}?done=disposition_proposed")
    return _new(request, caller, services, form, status=422)


def _new(
    request: Request, caller: Caller, services: Services, form: Form, *, cursor: str | None = None, status: int = 200
) -> Response:
    wanted, at, rules = _wanted(form), services.clock.now(), services.disposal_rules
    with services.database.read() as tx:
        rows = list(candidates(tx, rules, wanted, at=at, after=_after(cursor), limit=_SHOWN + 1))
        shown = rows[:_SHOWN]
        more = f"{format_instant(shown[-1].retain_until)}~{shown[-1].object_id}" if len(rows) > _SHOWN else None
        context: dict[str, Any] = {"rows": shown, "next_cursor": more, "stop_link": stop_link, "now": at}
        if not (is_fragment(request) and cursor is not None):
            context |= {"run": dry_run(tx, rules, wanted, at=at), "units": _units(tx, caller)}
    is_more = is_fragment(request) and cursor is not None
    return render(
        request,
        "_disposition_candidates.html" if is_more else "disposition_new.html",
        caller=caller,
        status=status,
        form=form,
        filtered={name: form.value(name) for name in ("kind", "unit", "case", "due_by")},
        kinds=_KINDS,
        most=MOST_OBJECTS,
        most_title=MOST_TITLE,
        most_reason=MOST_REASON,
        period_days=rules.period.days,
        **context,
    )


def _wanted(form: Form) -> Wanted:
    """Return what a filter asks for; what it cannot mean is left out, with a fault."""
    day = form.day("due_by")
    unit_id: UUID | None = None
    if form.value("unit"):
        try:
            unit_id = parse_uuid(form.value("unit"))
        except InvalidInput:
            form.refuse("unit", "form.choose")
    kind = form.value("kind") if form.value("kind") in _KINDS else ""
    return Wanted(kind, unit_id, form.value("case").strip(), None if day is None else day_start(day))


def _after(cursor: str | None) -> tuple[Instant, UUID] | None:
    if cursor is None:
        return None
    until, _, object_id = cursor.partition("~")
    return parse_instant(until), parse_uuid(object_id)


def stop_link(stop: Stop) -> str | None:
    """Return where a reader sees what stops an object; None where there is no page of it."""
    place = _PLACES.get(stop.kind)
    return None if place is None or stop.ref_id is None else place.format(stop.ref_id)


def _units(tx: Session, caller: Caller) -> list[Unit]:
    ids = below(tx, caller.unit_id)
    return list(tx.scalars(select(Unit).where(Unit.id.in_(ids)).order_by(Unit.code)))


def _unit_names(tx: Session, unit_ids: set[UUID]) -> Mapping[UUID, str]:
    return dict(tx.execute(select(Unit.id, Unit.name).where(Unit.id.in_(unit_ids))).all())

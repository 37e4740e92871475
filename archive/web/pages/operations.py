"""For whoever keeps the archive going: how long tonight will take, and what one dock may send.

And for supervisors: what waits at the docks, and what is to be sent first.
"""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.db.database import Database
from archive.jobs.queue import DELIVERY as DELIVERIES
from archive.jobs.queue import FIXITY, IDLE, LONG, PACKAGE, PROMPT, PROXY
from archive.kernel.errors import NotFound
from archive.kernel.ids import DockId
from archive.web.dependencies import ServicesDep
from archive.web.metrics import disk_places
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator, DockIdPath, Operator, needs, waiting_id_in_path
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services
from ingest.capacity import capacity
from ingest.docks import MOST_BYTES, MOST_UPLOADS, set_dock_limits
from ingest.models import Dock
from ingest.pressure import bytes_of_day, dock_limits
from ingest.waiting import MOST_SHOWN, waiting_rows, wish

router = APIRouter(include_in_schema=False)

FirstSender = Annotated[Caller, Depends(needs(Capability.SEND_FIRST))]
WaitingIdPath = Annotated[UUID, Depends(waiting_id_in_path)]
_GB: Final = 1_000_000_000
_MB: Final = 1_000_000
_MOST_DIGITS: Final = 12


@router.get("/admin/capacity")
def capacity_page(request: Request, caller: Operator, services: ServicesDep) -> Response:
    """Show how long tonight's queue takes and how long the disk does."""
    settings = services.settings
    at_once = {PROMPT: settings.prompt_workers, LONG: settings.long_workers, DELIVERIES: settings.webhook_workers}
    with services.database.read() as tx:
        found = capacity(
            tx,
            places=disk_places(services),
            reserve_bytes=settings.reserve_bytes,
            at_once={**dict.fromkeys((IDLE, PROXY, PACKAGE, FIXITY), 1), **at_once},
            at=services.clock.now(),
        )
    template = "_capacity.html" if is_fragment(request) else "capacity.html"
    return render(request, template, caller=caller, found=found, looked_at=services.clock.now(), lasting=lasting)


@router.get("/admin/docks/{dock_id}")
def dock_page(request: Request, dock_id: DockIdPath, caller: Operator, services: ServicesDep) -> Response:
    """Show what a dock may send, and what it has sent."""
    return _dock(request, dock_id, caller, services)


@router.post("/admin/docks/{dock_id}/limits")
def limits_posted(
    request: Request, dock_id: DockIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Set what a dock may send."""
    form.panel = "limits"
    per_day = _amount(form, "bytes_per_day", unit=_GB, most=MOST_BYTES)
    per_s = _amount(form, "bytes_per_s", unit=_MB, most=MOST_BYTES)
    uploads = _amount(form, "uploads", unit=1, most=MOST_UPLOADS)
    if not form.is_good:
        return _dock(request, dock_id, caller, services, form=form)
    set_dock_limits(
        services.database, dock_id, bytes_per_day=per_day, bytes_per_s=per_s, uploads=uploads, by=caller.actor,
        at=services.clock.now(),
    )  # fmt: skip
    return go_to(f"/admin/docks/{dock_id}?done=dock_limited")


@router.get("/waiting")
def waiting_page(request: Request, caller: FirstSender, services: ServicesDep) -> Response:
    """Show what waits at the docks of the units that the caller sees."""
    with services.database.read() as tx:
        rows = waiting_rows(tx, caller.sight)
    template = "_waiting_rows.html" if is_fragment(request) else "waiting.html"
    return render(request, template, caller=caller, rows=rows, most=MOST_SHOWN)


@router.post("/waiting/{waiting_id}/wish")
def wish_posted(waiting_id: WaitingIdPath, caller: FirstSender, services: ServicesDep) -> Response:
    """Have a dock send a recording first."""
    wish(services.database, waiting_id, by=caller, at=services.clock.now())
    return go_to("/waiting?done=wished")


def lasting(span: timedelta | None) -> tuple[str, str]:
    """Return the key of a text for a forecast, and the number in it. Pure."""
    if span is None:
        return "unknown", ""
    minutes = span / timedelta(minutes=1)
    if minutes < 1:
        return ("now", "") if not span else ("soon", "")
    if minutes < 90:
        return "minutes", f"{minutes:.0f}"
    if minutes < 48 * 60:
        return "hours", f"{minutes / 60:.1f}"
    return "days", f"{minutes / 60 / 24:,.0f}"


def _dock(
    request: Request, dock_id: DockId, caller: Caller, services: Services, *, form: Form | None = None
) -> Response:
    database: Database = services.database
    with database.read() as tx:
        dock = tx.get(Dock, dock_id)
        if dock is None:
            raise NotFound
        begun, _ = bytes_of_day(tx, dock_id, at=services.clock.now())
    return render(
        request, "dock.html", caller=caller, status=200 if form is None else 422, form=form, dock=dock, begun=begun,
        limits=dock_limits(services.intake, dock), usual=services.intake.dock_limits, shown=_shown,
    )  # fmt: skip


def _amount(form: Form, name: str, *, unit: int, most: int) -> int | None:
    """Return a limit in its unit as a whole number of bytes or uploads; None where the field is empty."""
    text = form.value(name).strip()
    if not text:
        return None
    try:
        amount = Decimal(text) * unit
    except InvalidOperation:
        form.refuse(name, "form.not_an_amount")
        return None
    if len(text) > _MOST_DIGITS or not amount.is_finite() or not 0 <= amount <= most or amount != int(amount):
        form.refuse(name, "form.not_an_amount")
        return None
    return int(amount)


def _shown(amount: int | None, unit: int) -> str:
    """Return a limit as its field has it."""
    return "" if amount is None else f"{(Decimal(amount) / unit).normalize():f}"

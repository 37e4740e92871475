"""The house's own pages: docks, accounts, quarantine and jobs for the administrator; the log for the auditor."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from archive.access.callers import Caller
from archive.access.listings import accounts, unit_choices
from archive.access.policy import Capability
from archive.jobs.listings import dead_jobs, unfinished_counts
from archive.ledger.listings import newest_entries
from archive.ledger.proofs import head, pending_count
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator, DockIdPath, JobIdPath, LogReader, Operator
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.web.pages.units import chosen_unit
from archive.wiring import Services
from ingest.docks import invite_dock, revoke_dock
from ingest.listings import dock_rows, quarantine
from ingest.retrying import retry_job

router = APIRouter(include_in_schema=False)

_LOG_ROWS: Final = 50


@router.get("/admin")
def admin_page(request: Request, caller: Operator, services: ServicesDep) -> Response:
    """Show docks, accounts, quarantine and jobs."""
    return _admin(request, caller, services)


@router.post("/admin/invitations")
def invitation_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Make a one-time code for a dock and show it, once."""
    form.panel = "invite"
    name = form.text("name", most=200)
    unit_id = chosen_unit(form, services)
    if not form.is_good or unit_id is None:
        return _admin(request, caller, services, form=form, status=422)
    code = invite_dock(services.database, name=name, unit_id=unit_id, by=caller.actor, at=services.clock.now())
    return _admin(request, caller, services, invited=(name, code))


@router.post("/admin/docks/{dock_id}/revocation")
def revocation_posted(dock_id: DockIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """Refuse a dock from now on."""
    revoke_dock(services.database, dock_id, by=caller.actor, at=services.clock.now())
    return go_to("/admin?done=dock_revoked")


@router.post("/admin/jobs/{job_id}/retry")
def job_retry_posted(job_id: JobIdPath, caller: Operator, services: ServicesDep) -> Response:
    """Try again a job that was given up."""
    retry_job(services.database, job_id, by=caller.actor, at=services.clock.now())
    return go_to("/admin?done=job_retried")


@router.get("/log")
def log_page(
    request: Request,
    caller: LogReader,
    services: ServicesDep,
    before: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
) -> Response:
    """Show the log's head and its newest entries, as they were logged."""
    with services.database.read() as tx:
        checkpoint = head(tx)
        pending = pending_count(tx)
        entries = newest_entries(tx, before=before, limit=_LOG_ROWS + 1)
    more = len(entries) > _LOG_ROWS
    return render(
        request,
        "_log_rows.html" if is_fragment(request) else "log.html",
        caller=caller,
        checkpoint=checkpoint,
        pending=pending,
        origin=services.settings.origin,
        trust=str(services.trust),
        entries=entries[:_LOG_ROWS],
        before=entries[_LOG_ROWS - 1].index if more else None,
    )


def _admin(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    invited: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as tx:
        context: dict[str, Any] = {
            "docks": dock_rows(tx),
            "units": unit_choices(tx) if caller.may(Capability.ADMINISTER) else (),
            "accounts": accounts(tx) if caller.may(Capability.ADMINISTER) else None,
            "quarantine": quarantine(tx),
            "job_counts": unfinished_counts(tx),
            "dead_jobs": dead_jobs(tx),
        }
    return render(
        request, "admin.html", caller=caller, status=status, form=form, invited=invited, here="/admin", **context
    )

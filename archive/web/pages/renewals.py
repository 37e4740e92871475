"""What ages and when, what was renewed, and what could not be and why: for records managers, auditors, operators."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.web.dependencies import ServicesDep
from archive.web.pages.guards import needs_either
from archive.web.pages.rendering import render

router = APIRouter(prefix="/renewals", include_in_schema=False)

# The root is extended by whoever keeps the archive going.
RenewalReader = Annotated[Caller, Depends(needs_either(Capability.READ_RETENTION, Capability.OPERATE))]
_YEARS: Final = (1, 2, 5, 10, 25)
_USUAL: Final = 2
_YEAR: Final = timedelta(days=366)
_SHOWN: Final = 5 * _YEAR


@router.get("")
def renewals_page(
    request: Request,
    caller: RenewalReader,
    services: ServicesDep,
    years: Annotated[int, Query(ge=1, le=100)] = _USUAL,
) -> Response:
    """Show what falls due within some years, what was renewed, and what could not be."""
    at, listing = services.clock.now(), services.renewal_listing
    chosen = years if years in _YEARS else _USUAL
    with services.database.read() as tx:
        due = listing.due(tx, at + chosen * _YEAR)
        done, faults = listing.done(tx, at - _SHOWN), listing.faults(tx)
    return render(
        request,
        "renewals.html",
        caller=caller,
        tab="renewals",
        due=due,
        done=done,
        faults=faults,
        at=at,
        years=_YEARS,
        chosen=chosen,
    )

"""Clearances of an account for restricted classes, for the administrator: given for a time, and ended."""

from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.accounts import OwnAccount
from archive.access.classes import RestrictedClass
from archive.access.clearances import LONGEST, MAX_REASON_CHARACTERS, end_clearance, grant_clearance
from archive.web.dependencies import ServicesDep
from archive.web.pages.accounts import shown_account
from archive.web.pages.forms import FormDep
from archive.web.pages.guards import AccountIdPath, Administrator, ClearanceIdPath
from archive.web.pages.rendering import go_to

router = APIRouter(prefix="/admin/accounts/{account_id}/clearances", include_in_schema=False)

_SHOWN: Final = "/admin/accounts"


@router.post("")
def clearance_posted(
    request: Request, account_id: AccountIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Clear somebody for a restricted class until a moment. Raises: AccountNotFound."""
    form.panel = "clearance"
    restricted_class = form.choice("class", RestrictedClass)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    until = form.moment("until")
    now = services.clock.now()
    if until is not None and not now < until <= now + LONGEST:
        form.refuse("until", "clearance.until_within", days=LONGEST.days)
    if form.is_good and until is not None:
        try:
            grant_clearance(
                services.database,
                account_id,
                restricted_class=restricted_class,
                until=until,
                reason=reason,
                by=caller.actor,
                at=now,
            )
        except OwnAccount:
            form.refuse("", "error.access.own_account")
        else:
            return go_to(f"{_SHOWN}/{account_id}?done=clearance_granted")
    return shown_account(request, caller, services, account_id, form=form, status=422)


@router.post("/{clearance_id}/end")
def clearance_ended(
    account_id: AccountIdPath, clearance_id: ClearanceIdPath, caller: Administrator, services: ServicesDep
) -> Response:
    """End a clearance now. Raises: ClearanceNotFound, also for one of another account."""
    end_clearance(services.database, account_id, clearance_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_SHOWN}/{account_id}?done=clearance_ended")

"""The passkeys of the own account: made, named, removed."""

from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.passkeys import (
    MAX_NAME_CHARACTERS,
    PasskeyRefused,
    PasskeyTaken,
    TooManyPasskeys,
    add_passkey,
    offer_passkey,
    passkeys_of,
    remove_passkey,
)
from archive.web.dependencies import CallerDep, RequestIdDep, ServicesDep
from archive.web.pages.account import is_asked_again, own_account
from archive.web.pages.forms import FormDep
from archive.web.pages.guards import PasskeyIdPath
from archive.web.pages.relying import relying_party, shown
from archive.web.pages.rendering import go_to

router = APIRouter(prefix="/account/passkeys", include_in_schema=False)

_MOST_CREDENTIAL_CHARACTERS: Final = 32 * 1024
_MOST_CHALLENGE_CHARACTERS: Final = 200


@router.post("/offers")
def passkey_offer_posted(
    request: Request, form: FormDep, caller: CallerDep, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Ask for the password and a name, and hand the browser what makes a passkey; nothing is kept yet."""
    form.panel = "passkey"
    form.text("name", most=MAX_NAME_CHARACTERS)
    party = relying_party(request, services)
    if party is None:
        form.refuse("", "account.no_passkeys_here")
    if not form.is_good or party is None or not is_asked_again(form, caller, services, request_id):
        return own_account(request, caller, services, form=form, status=422)
    with services.database.read() as tx:
        known = passkeys_of(tx, caller.account_id)
    offer = offer_passkey(
        services.sign_ins,
        party,
        caller.account_id,
        username=caller.username,
        display_name=caller.display_name,
        known=known,
        at=services.clock.now(),
    )
    return own_account(request, caller, services, form=form, passkey=shown(offer))


@router.post("")
def passkey_posted(request: Request, form: FormDep, caller: CallerDep, services: ServicesDep) -> Response:
    """Write down the passkey that the browser made; the first one comes with recovery codes, shown once."""
    form.panel = "passkey"
    name = form.text("name", most=MAX_NAME_CHARACTERS)
    credential = form.text("credential", most=_MOST_CREDENTIAL_CHARACTERS)
    challenge = form.text("challenge", most=_MOST_CHALLENGE_CHARACTERS)
    party = relying_party(request, services)
    if form.is_good and party is not None:
        try:
            codes = add_passkey(
                services.sign_ins,
                party,
                caller.account_id,
                name=name,
                credential=credential,
                challenge=challenge,
                by=caller.actor,
                at=services.clock.now(),
            )
        except (PasskeyRefused, PasskeyTaken, TooManyPasskeys) as error:
            form.refuse("", f"error.{error.code}")
        else:
            return (
                own_account(request, caller, services, codes=codes) if codes else go_to("/account?done=passkey_added")
            )
    else:
        form.refuse("", "error.access.passkey_refused")
    return own_account(request, caller, services, form=form, status=422)


@router.post("/{passkey_id}/removal")
def passkey_removal_posted(
    request: Request,
    passkey_id: PasskeyIdPath,
    form: FormDep,
    caller: CallerDep,
    services: ServicesDep,
    request_id: RequestIdDep,
) -> Response:
    """Let a passkey open nothing any more. Raises: PasskeyNotFound."""
    form.panel = f"passkey-{passkey_id}"
    if not is_asked_again(form, caller, services, request_id):
        return own_account(request, caller, services, form=form, status=422)
    remove_passkey(services.sign_ins, caller.account_id, passkey_id, by=caller.actor, at=services.clock.now())
    return go_to("/account?done=passkey_removed")

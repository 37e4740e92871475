"""Whom passkeys are for: the host whose pages these are, as the house says it or as the request names it."""

import ipaddress
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

from archive.access.passkeys import PasskeyOffer, RelyingParty, offer_sign_in
from archive.wiring import Services


@dataclass(frozen=True, slots=True)
class ShownOffer:
    """What a page hands to the browser's own dialogue, as JSON, and the challenge that comes back."""

    options: str
    challenge: str


def relying_party(request: Request, services: Services) -> RelyingParty | None:
    """Return whom passkeys are for here; None where they cannot be: at an address that is no name.

    A name that somebody makes up in a request is worth nothing: browsers sign the one that they see, and a passkey
    answers only to the name that it was made for.
    """
    given = public_origin(request, services)
    name = urlsplit(given).hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return RelyingParty(name, given, services.settings.organisation) if name else None
    return None


def public_origin(request: Request, services: Services) -> str:
    """Return the address of these pages as browsers see it, without a path."""
    return services.settings.public_origin or f"{request.url.scheme}://{request.url.netloc}"


def shown(offer: PasskeyOffer) -> ShownOffer:
    """Return an offer as a page shows it."""
    return ShownOffer(json.dumps(offer.options), offer.challenge)


def sign_in_offer(request: Request, services: Services) -> ShownOffer | None:
    """Return what asks the browser for a passkey, where there can be any."""
    party = relying_party(request, services)
    return None if party is None else shown(offer_sign_in(services.sign_ins, party, at=services.clock.now()))

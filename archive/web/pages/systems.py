"""Other systems, for the administrator: their keys, their webhooks, and what could not be delivered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from archive.access.api_keys import INTEGRATION_SCOPES, LIFETIME
from archive.access.callers import Caller
from archive.access.integrations import (
    LONGEST_LIFETIME,
    MAX_NAME_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    IntegrationNotFound,
    NameInvalid,
    integration_keys,
    integration_named,
    integrations,
    issue_integration_key,
    move_integration,
    revoke_integration_key,
)
from archive.access.listings import unit_choices
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import IntegrationId, WebhookId, parse_uuid
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.notify.events import EventType
from archive.notify.listings import deliveries, webhook_rows
from archive.notify.webhooks import NewWebhook, remove_webhook, renew_secret, replay_events, set_webhook
from archive.organisation.units import UnitNotFound
from archive.ports.outbound import UrlRefused
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator, WebhookIdPath
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

router = APIRouter(prefix="/admin/systems", include_in_schema=False)

_HERE: Final = "/admin/systems"
_MOST_URL_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Shown:
    """A secret on the page that answers its making, and never again. `what` is key or secret."""

    what: str
    name: str
    secret: str


@router.get("")
def systems_page(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Show every system with its keys and webhooks."""
    return _page(request, caller, services)


@router.post("/keys")
def key_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Make a key and show it, once."""
    form.panel = "key"
    now = services.clock.now()
    name = form.text("name", most=MAX_NAME_CHARACTERS)
    title = form.text("title", most=MAX_TITLE_CHARACTERS) if form.value("title").strip() else None
    scopes = [scope for scope in INTEGRATION_SCOPES if form.value(f"scope-{scope.value}")]
    if not scopes:
        form.refuse("scopes", "form.choose")
    lifetime = _lifetime(form, now)
    unit_id = _unit(form) if form.value("unit") else None
    if form.is_good and lifetime is not None:
        try:
            key = issue_integration_key(
                services.database,
                name=name,
                title=title,
                scopes=scopes,
                lifetime=lifetime,
                unit_id=unit_id,
                by=caller.actor,
                at=now,
            )
        except NameInvalid:
            form.refuse("name", "error.access.integration_name_invalid")
        except UnitNotFound:
            form.refuse("unit", "form.choose")
        else:
            return _page(request, caller, services, shown=_Shown("key", title or name, key))
    return _page(request, caller, services, form=form, status=422)


@router.post("/{name}/unit")
def unit_posted(request: Request, name: str, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Put a system into another unit. Raises: IntegrationNotFound."""
    form.panel = f"unit-{name}"
    unit_id = _unit(form)
    if unit_id is not None:
        try:
            move_integration(services.database, name, unit_id, by=caller.actor, at=services.clock.now())
        except UnitNotFound:
            form.refuse("unit", "form.choose")
        else:
            return go_to(f"{_HERE}?done=system_moved")
    return _page(request, caller, services, form=form, status=422)


@router.post("/keys/{prefix}/revocation")
def key_revocation_posted(prefix: str, caller: Administrator, services: ServicesDep) -> Response:
    """Refuse a key from now on."""
    revoke_integration_key(services.database, prefix, by=caller.actor, at=services.clock.now())
    return go_to(f"{_HERE}?done=key_revoked")


@router.post("/webhooks")
def webhook_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Set a webhook and show its secret, once."""
    form.panel = "webhook"
    url = form.text("url", most=_MOST_URL_CHARACTERS)
    types = [event_type for event_type in EventType if form.value(f"type-{event_type.value}")]
    if not types:
        form.refuse("types", "form.choose")
    integration_id = _chosen_system(form, services)
    if form.is_good and integration_id is not None:
        try:
            made = set_webhook(
                services.webhooks,
                integration_id=integration_id,
                url=url,
                types=types,
                by=caller.actor,
                at=services.clock.now(),
            )
        except UrlRefused:
            form.refuse("url", "error.webhooks.url_refused")
        else:
            return _page(request, caller, services, shown=_Shown("secret", form.value("system"), made.secret))
    return _page(request, caller, services, form=form, status=422)


@router.post("/webhooks/{webhook_id}/secret")
def secret_posted(
    request: Request, webhook_id: WebhookIdPath, caller: Administrator, services: ServicesDep
) -> Response:
    """Give a webhook a new secret and show it, once."""
    made: NewWebhook = renew_secret(services.webhooks, webhook_id, by=caller.actor, at=services.clock.now())
    return _page(request, caller, services, shown=_Shown("secret", str(webhook_id), made.secret))


@router.post("/webhooks/{webhook_id}/removal")
def webhook_removal_posted(webhook_id: WebhookIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """Send nothing more to a webhook."""
    remove_webhook(services.database, webhook_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_HERE}?done=webhook_removed")


@router.post("/webhooks/{webhook_id}/replay")
def replay_posted(
    request: Request, webhook_id: WebhookIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Send everything since a time once more."""
    form.panel = f"replay-{webhook_id}"
    since = form.moment("since")
    if since is None or not form.is_good:
        return _page(request, caller, services, form=form, status=422)
    replay_events(
        services.webhooks,
        webhook_id,
        since=since,
        dead_only=bool(form.value("dead_only")),
        by=caller.actor,
        at=services.clock.now(),
    )
    return go_to(f"{_HERE}?done=replayed")


def _unit(form: Form) -> UUID | None:
    try:
        return parse_uuid(form.value("unit"))
    except InvalidInput:
        form.refuse("unit", "form.choose")
        return None


def _lifetime(form: Form, now: Instant) -> timedelta | None:
    """Return how long a key is valid: to the end of a day in the bureau's zone."""
    text = form.value("expires_on").strip()
    try:
        day = date.fromisoformat(text)
        ends = datetime.combine(day + timedelta(days=1), time(), BUREAU_ZONE)
    except (ValueError, OverflowError):
        form.refuse("expires_on", "form.not_a_time" if text else "form.required")
        return None
    lifetime = ends - now
    if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
        form.refuse("expires_on", "systems.bad_expiry")
        return None
    return lifetime


def _chosen_system(form: Form, services: Services) -> IntegrationId | None:
    with services.database.read() as tx:
        try:
            return IntegrationId(integration_named(tx, form.value("system")).id)
        except IntegrationNotFound:
            form.refuse("system", "form.choose")
            return None


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    shown: _Shown | None = None,
    status: int = 200,
) -> Response:
    now = services.clock.now()
    with services.database.read() as tx:
        systems = integrations(tx)
        keys = integration_keys(tx)
        webhooks = webhook_rows(tx)
        units = unit_choices(tx)
        failing = deliveries(tx, [WebhookId(row.webhook.id) for row in webhooks])
    titles: Mapping[UUID, str] = {system.id: system.title for system in systems}
    context: dict[str, Any] = {
        "systems": systems,
        "units": units,
        "unit_names": {unit.id: unit.name for unit in units},
        "keys": keys,
        "webhooks": webhooks,
        "failing": failing,
        "titles": titles,
        "scopes": INTEGRATION_SCOPES,
        "event_types": list(EventType),
        "now": now,
        "a_year_on": (now + LIFETIME).astimezone(BUREAU_ZONE).date().isoformat(),
    }
    return render(request, "systems.html", caller=caller, status=status, form=form, shown=shown, here=_HERE, **context)

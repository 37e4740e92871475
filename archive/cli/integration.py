"""For whoever connects other systems: their keys, their webhooks, sending events again."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from archive.access.api_keys import INTEGRATION_SCOPES, LIFETIME, Scope, keys_of_hashes, stale_count
from archive.access.integrations import (
    integration_keys,
    integration_named,
    integrations,
    issue_integration_key,
    move_integration,
    revoke_integration_key,
)
from archive.cli.options import AsJson, Home, named_unit, opened
from archive.cli.processes import alone
from archive.kernel.ids import IntegrationId, WebhookId, parse_uuid
from archive.kernel.instants import format_instant
from archive.ledger.entries import OPERATOR
from archive.notify.events import EventType
from archive.notify.listings import deliveries, webhook_rows
from archive.notify.webhooks import remove_webhook, renew_secret, replay_events, set_webhook
from ingest.agent.printable import printable

_SCOPES = ", ".join(INTEGRATION_SCOPES)
_Webhook = Annotated[str, typer.Argument(help="Id of the webhook.")]


def register(app: typer.Typer) -> None:
    """Add the commands about other systems."""
    keys = typer.Typer(help="API keys of other systems.", no_args_is_help=True)
    keys.command("issue")(issue)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    keys.command("move")(move)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")
    webhooks = typer.Typer(help="Where events are sent to.", no_args_is_help=True)
    webhooks.command("set")(set_)
    webhooks.command("list")(list_webhooks)
    webhooks.command("renew")(renew)
    webhooks.command("remove")(remove)
    webhooks.command("replay")(replay)
    app.add_typer(webhooks, name="webhooks")


def issue(
    system: Annotated[str, typer.Option(help="Short name of the system, as it stands in addresses: a-z, 0-9, hyphen.")],
    scope: Annotated[list[Scope], typer.Option(help=f"What the key may do; repeatable: {_SCOPES}.", metavar="SCOPE")],
    title: Annotated[str | None, typer.Option(help="Name of the system, for people.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Days until the key expires.")] = LIFETIME.days,
    unit: Annotated[str, typer.Option(help="Agency and unit, by code or name, as AGENCY/UNIT; else the first.")] = "",
    home: Home = None,
) -> None:
    """Make a key for another system; it is printed this once."""
    with opened(home) as services:
        key = issue_integration_key(
            services.database,
            name=system,
            title=title,
            scopes=scope,
            lifetime=timedelta(days=days),
            unit_id=named_unit(services, unit) if unit else None,
            by=OPERATOR,
            at=services.clock.now(),
        )
    print(key)


def list_keys(home: Home = None, as_json: AsJson = False) -> None:
    """List the keys of other systems."""
    with opened(home) as services, services.database.read() as tx:
        now = services.clock.now()
        rows = integration_keys(tx)
    told = [
        {
            "key": row.key.prefix,
            "system": row.integration.name,
            "title": row.integration.title,
            "state": "revoked" if row.key.revoked_at else "valid" if row.is_valid(now) else "expired",
            "scopes": [scope.value for scope in row.scopes],
            "expires_at": format_instant(row.key.expires_at),
            "unit": str(row.integration.unit_id),
            "last_used_at": None if row.key.last_used_at is None else format_instant(row.key.last_used_at),
        }
        for row in rows
    ]
    for row in told:
        used = (row["last_used_at"] or "-")[:16]
        line = f"{row['key']}  {row['state']:8}  {row['expires_at'][:10]}  {row['system']}  {' '.join(row['scopes'])}"  # type: ignore[index,arg-type]
        line += f"  used {used}"
        print(json.dumps(row, ensure_ascii=False) if as_json else line)


def revoke(
    key: Annotated[str, typer.Argument(help="The twelve characters after lh_, as `keys list` shows them.")],
    home: Home = None,
) -> None:
    """Refuse a key from now on."""
    with opened(home) as services:
        revoke_integration_key(services.database, key, by=OPERATOR, at=services.clock.now())


def move(
    system: Annotated[str, typer.Option(help="Short name of the system.")],
    unit: Annotated[str, typer.Option(help="Agency and unit, by code or name, as AGENCY/UNIT.")],
    home: Home = None,
) -> None:
    """Put a system into another unit; what it has made stays where it is."""
    with opened(home) as services:
        unit_id = named_unit(services, unit)
        move_integration(services.database, system, unit_id, by=OPERATOR, at=services.clock.now())


def rotate(
    forget: Annotated[bool, typer.Option(help="Remove older keys that no valid API key is under any more.")] = False,
    home: Home = None,
) -> None:
    """Hash API keys with a new key of the house from now on; each is hashed anew when it is used next."""
    with opened(home) as services, alone(services.settings.home, "rotate"):
        if forget:
            with services.database.read() as tx:
                used = keys_of_hashes(tx, at=services.clock.now())
            gone = services.api_key_hashes.forget_keys(but=used)
            print(f"Older keys removed: {len(gone)}")
        else:
            print(f"API keys are hashed with the key {services.api_key_hashes.add_key()}.")
        with services.database.read() as tx:
            waiting = stale_count(tx, at=services.clock.now())
        print(f"Valid API keys still under an older one, until they are used: {waiting}")


def set_(
    system: Annotated[str, typer.Option(help="Short name of the system; `keys issue` makes it known.")],
    url: Annotated[str, typer.Option(help="Where events are posted to: https://...")],
    event: Annotated[
        list[EventType] | None, typer.Option(help="Type of event; repeatable; without any, all types.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Have another system told of events; prints the id, and the secret this once."""
    with opened(home) as services:
        with services.database.read() as tx:
            integration_id = IntegrationId(integration_named(tx, system).id)
        made = set_webhook(
            services.webhooks,
            integration_id=integration_id,
            url=url,
            types=event or list(EventType),
            by=OPERATOR,
            at=services.clock.now(),
        )
    _print_secret(made.id, made.secret, as_json=as_json)


def list_webhooks(home: Home = None, as_json: AsJson = False) -> None:
    """List the webhooks, and what could not be delivered."""
    with opened(home) as services, services.database.read() as tx:
        names = {integration.id: integration.name for integration in integrations(tx)}
        rows = webhook_rows(tx)
        failing = deliveries(tx, [WebhookId(row.webhook.id) for row in rows])
    for row in rows:
        told: dict[str, Any] = {
            "id": str(row.webhook.id),
            "system": names.get(row.webhook.integration_id, ""),
            "url": row.webhook.url,
            "types": row.webhook.types,
            **{state: row.count(state) for state in ("waiting", "delivered", "dead")},
            "failing": [
                {
                    "event": str(found.event.id),
                    "type": found.event.type,
                    "state": found.delivery.state,
                    "attempts": found.delivery.attempts,
                    "status": found.delivery.status,
                    "cause": found.delivery.cause,
                }
                for found in failing
                if found.delivery.webhook_id == row.webhook.id
            ],
        }
        if as_json:
            print(json.dumps(told, ensure_ascii=False))
            continue
        counts = f"{told['delivered']} delivered, {told['waiting']} waiting, {told['dead']} given up"
        print(f"{told['id']}  {told['system']}  {counts}  {printable(told['url'])}")
        for found in told["failing"]:
            status = "" if found["status"] is None else f" HTTP {found['status']}"
            print(f"    {found['state']:8}{found['type']:18}{found['attempts']:>3} attempts  {found['cause']}{status}")


def renew(webhook: _Webhook, home: Home = None, as_json: AsJson = False) -> None:
    """Give a webhook a new secret; for a day events are signed under both."""
    with opened(home) as services:
        webhook_id = WebhookId(parse_uuid(webhook))
        made = renew_secret(services.webhooks, webhook_id, by=OPERATOR, at=services.clock.now())
    _print_secret(made.id, made.secret, as_json=as_json)


def remove(webhook: _Webhook, home: Home = None) -> None:
    """Send nothing more to a webhook; what waits is dropped."""
    with opened(home) as services:
        remove_webhook(services.database, WebhookId(parse_uuid(webhook)), by=OPERATOR, at=services.clock.now())


def replay(
    webhook: _Webhook,
    since: Annotated[datetime, typer.Option(help="Everything from this time on, local time.")],
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    home: Home = None,
) -> None:
    """Send events to a webhook once more; prints how many."""
    with opened(home) as services:
        count = replay_events(
            services.webhooks,
            WebhookId(parse_uuid(webhook)),
            since=since.astimezone(),
            dead_only=dead,
            by=OPERATOR,
            at=services.clock.now(),
        )
    print(count)


def _print_secret(webhook_id: WebhookId, secret: str, *, as_json: bool) -> None:
    print(json.dumps({"id": str(webhook_id), "secret": secret}) if as_json else f"{webhook_id}\n{secret}")

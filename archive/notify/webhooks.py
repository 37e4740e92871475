"""Webhooks: setting, renewing and removing them, and sending again what they may have missed."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.db.sight import Sight
from archive.db.word_seals import sealed_words
from archive.jobs.queue import DELIVERY, hasten_job, renew_job
from archive.kernel.errors import InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import EventId, IntegrationId, WebhookId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.notify.events import DELIVER_EVENT, EventType, delivery_args, delivery_key
from archive.notify.models import OutboxEvent, Webhook, WebhookDelivery
from archive.notify.signature import secret_hash, shown_secret, webhook_secret
from archive.ports.outbound import Outbound

ROTATION: Final = timedelta(hours=24)
"""How long a renewed webhook is signed under its former secret too."""
_AT_ONCE: Final = 500


class WebhookNotFound(NotFound):
    """There is no such webhook, or it was removed."""

    code = "webhooks.not_found"


class SecretLost(LiuhenError):
    """The archive's webhook key is not the one that this webhook's secret was made with; renew the secret."""

    code = "webhooks.secret_lost"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What webhooks need, put together by wiring.

    `source` names this archive in its events. `sight_of` tells what an integration sees at a moment.
    """

    database: Database
    outbound: Outbound
    key: bytes
    source: str
    sight_of: Callable[[Session, UUID, Instant], Sight]

    def database_of(self, webhook: Webhook, *, at: Instant) -> Database:
        """Return the database as the system of a webhook sees it: it is told of nothing else."""
        with self.database.read() as tx:
            sight = self.sight_of(tx, webhook.integration_id, at)
        return self.database.seen_by(sight)


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook and its secret, which is shown this once."""

    id: WebhookId
    secret: str


def set_webhook(
    webhooks: Webhooks, *, integration_id: IntegrationId, url: str, types: Sequence[EventType], by: Actor, at: Instant
) -> NewWebhook:
    """Have an integration told of events of these types, at an address.

    Raises: UrlRefused, InvalidInput without any type.
    """
    webhooks.outbound.check(url)
    if not types:
        raise InvalidInput("A webhook wants at least one type of event")
    webhook_id = WebhookId(new_uuid7())
    wanted = sorted({event_type.value for event_type in types})
    secret = webhook_secret(webhooks.key, webhook_id, 1)
    with webhooks.database.begin() as tx:
        tx.add(
            Webhook(
                id=webhook_id,
                integration_id=integration_id,
                url=url,
                types=wanted,
                secret_version=1,
                secret_hash=secret_hash(secret),
                created_at=at,
                failures=0,
            )
        )
        _tell_set(tx, webhook_id, integration_id, url, 1, types=wanted, by=by, at=at)
    return NewWebhook(webhook_id, shown_secret(secret))


def renew_secret(webhooks: Webhooks, webhook_id: WebhookId, *, by: Actor, at: Instant) -> NewWebhook:
    """Give a webhook a new secret; for a day its events are signed under both. Raises: WebhookNotFound."""
    with webhooks.database.begin() as tx:
        row = require_webhook(tx, webhook_id)
        version = row.secret_version + 1
        secret = webhook_secret(webhooks.key, webhook_id, version)
        row.secret_version, row.secret_hash, row.rotated_at = version, secret_hash(secret), at
        _tell_set(tx, webhook_id, IntegrationId(row.integration_id), row.url, version, types=row.types, by=by, at=at)
    return NewWebhook(webhook_id, shown_secret(secret))


def remove_webhook(database: Database, webhook_id: WebhookId, *, by: Actor, at: Instant) -> None:
    """Send nothing more to a webhook; what waits is dropped. Raises: WebhookNotFound."""
    with database.begin() as tx:
        row = require_webhook(tx, webhook_id)
        row.removed_at = at
        tx.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.state == "waiting")
            .values(state="dropped", next_at=None)
        )
        append_entry(tx, NewEntry(EntryType.ADMIN_WEBHOOK_REMOVED, by, Target("webhook", webhook_id)), at=at)


def replay_events(
    webhooks: Webhooks,
    webhook_id: WebhookId,
    *,
    since: Instant,
    dead_only: bool = False,
    by: Actor,
    at: Instant,
) -> int:
    """Have everything since then sent to a webhook once more, or only what was given up; return how many events.

    An event keeps its id, so that a receiver knows what it has seen. What came before the webhook was set is sent too;
    what its system does not see is not. Raises: WebhookNotFound.
    """
    with webhooks.database.read() as tx:
        webhook = tx.get(Webhook, webhook_id)
    if webhook is None:
        raise WebhookNotFound(webhook_id=webhook_id)
    database = webhooks.database_of(webhook, at=at)
    with database.read() as tx:
        newest = tx.execute(
            select(OutboxEvent.at, OutboxEvent.id).order_by(OutboxEvent.at.desc(), OutboxEvent.id.desc()).limit(1)
        ).one_or_none()
    count = 0
    after: tuple[Instant, EventId] | None = None
    while newest is not None:
        with database.begin() as tx:
            row = require_webhook(tx, webhook_id)
            if after is None:
                row.quiet_until, row.failures = None, 0
                detail = {"since": since.isoformat(), "dead_only": dead_only}
                entry = NewEntry(EntryType.ADMIN_JOB_RETRIED, by, Target("webhook", webhook_id), detail=detail)
                append_entry(tx, entry, at=at)
            found = _events_of(
                tx, row, since=since, after=after, until=(newest[0], EventId(newest[1])), dead_only=dead_only
            )
            for event in found:
                _send_again(tx, webhook_id, EventId(event.id), at=at)
        count += len(found)
        if len(found) < _AT_ONCE:
            break
        after = (found[-1].at, EventId(found[-1].id))
    return count


def forget_events(database: Database, *, before: Instant) -> int:
    """Delete a number of old events that no delivery waits for; return how many. The log tells the same for ever."""
    waits = select(WebhookDelivery.event_id).where(WebhookDelivery.state == "waiting")
    with database.begin() as tx:
        old = tx.scalars(
            select(OutboxEvent.id).where(OutboxEvent.at < before, OutboxEvent.id.not_in(waits)).limit(_AT_ONCE)
        ).all()
        tx.execute(delete(WebhookDelivery).where(WebhookDelivery.event_id.in_(old)))
        tx.execute(delete(OutboxEvent).where(OutboxEvent.id.in_(old)))
    return len(old)


def address_of(webhook_id: UUID) -> str:
    """Return what the sealed address of a webhook is bound to."""
    return f"liuhen webhook address v1 {webhook_id}"


def require_webhook(tx: Session, webhook_id: WebhookId) -> Webhook:
    """Return a webhook that is in force, locked where the transaction writes. Raises: WebhookNotFound."""
    row = tx.scalar(select(Webhook).where(Webhook.id == webhook_id, Webhook.removed_at.is_(None)).with_for_update())
    if row is None:
        raise WebhookNotFound(webhook_id=webhook_id)
    return row


def secrets_of(webhooks: Webhooks, row: Webhook, *, at: Instant) -> Sequence[bytes]:
    """Return the secrets that an event is signed under now, the newest first. Raises: SecretLost."""
    secret = webhook_secret(webhooks.key, WebhookId(row.id), row.secret_version)
    if secret_hash(secret) != row.secret_hash:
        raise SecretLost(webhook_id=row.id)
    if row.rotated_at is None or at - row.rotated_at >= ROTATION:
        return [secret]
    return [secret, webhook_secret(webhooks.key, WebhookId(row.id), row.secret_version - 1)]


def _events_of(
    tx: Session,
    row: Webhook,
    *,
    since: Instant,
    after: tuple[Instant, EventId] | None,
    until: tuple[Instant, EventId],
    dead_only: bool,
) -> Sequence[OutboxEvent]:
    """Return the next events of a replay, oldest first; it ends with what was there when it began."""
    query = select(OutboxEvent).where(
        OutboxEvent.at >= since,
        or_(OutboxEvent.at < until[0], and_(OutboxEvent.at == until[0], OutboxEvent.id <= until[1])),
        OutboxEvent.type.in_(row.types),
    )
    if after is not None:
        query = query.where(or_(OutboxEvent.at > after[0], and_(OutboxEvent.at == after[0], OutboxEvent.id > after[1])))
    if dead_only:
        query = query.join(
            WebhookDelivery,
            and_(WebhookDelivery.event_id == OutboxEvent.id, WebhookDelivery.webhook_id == row.id),
        ).where(WebhookDelivery.state == "dead")
    return tx.scalars(query.order_by(OutboxEvent.at, OutboxEvent.id).limit(_AT_ONCE)).all()


def _send_again(tx: Session, webhook_id: WebhookId, event_id: EventId, *, at: Instant) -> None:
    upsert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    afresh = {"state": "waiting", "attempts": 0, "first_at": at, "next_at": at}
    tx.execute(
        upsert(WebhookDelivery)
        .values(webhook_id=webhook_id, event_id=event_id, **afresh)
        .on_conflict_do_update(index_elements=[WebhookDelivery.webhook_id, WebhookDelivery.event_id], set_=afresh)
    )
    key = delivery_key(webhook_id, event_id)
    renew_job(tx, DELIVER_EVENT, delivery_args(webhook_id, event_id), at=at, queue=DELIVERY, key=key)
    hasten_job(tx, key, at=at)


def _tell_set(
    tx: Session,
    webhook_id: WebhookId,
    integration_id: IntegrationId,
    url: str,
    version: int,
    *,
    types: Sequence[str],
    by: Actor,
    at: Instant,
) -> None:
    # The address only sealed: it may carry a token.
    detail = {
        "integration": str(integration_id),
        "url_sealed": sealed_words(tx, url, bound_to=address_of(webhook_id)),
        "host": urlsplit(url).hostname,
        "url_sha256": hashlib.sha256(url.encode()).hexdigest(),
        "types": list(types),
        "secret_version": version,
    }
    append_entry(tx, NewEntry(EntryType.ADMIN_WEBHOOK_SET, by, Target("webhook", webhook_id), detail=detail), at=at)

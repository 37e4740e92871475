"""Lists of events, webhooks and deliveries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from archive.kernel.errors import InvalidInput
from archive.kernel.ids import IntegrationId, WebhookId, parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.notify.events import EventType
from archive.notify.models import OutboxEvent, Webhook, WebhookDelivery

_CURSOR: Final = "events"


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events and the cursor of the next ones, None at the end."""

    rows: Sequence[OutboxEvent]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook, and how many deliveries wait, were made, were given up."""

    webhook: Webhook
    counts: Mapping[str, int]

    def count(self, state: str) -> int:
        """Return how many deliveries are in a state."""
        return self.counts.get(state, 0)


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery with its event."""

    delivery: WebhookDelivery
    event: OutboxEvent


def events(
    tx: Session,
    *,
    since: Instant | None = None,
    types: Sequence[EventType] = (),
    cursor: str | None = None,
    limit: int = 50,
) -> EventPage:
    """Return events, the newest first. Raises: InvalidInput for another list's cursor."""
    query = select(OutboxEvent).order_by(OutboxEvent.at.desc(), OutboxEvent.id.desc()).limit(limit + 1)
    if since is not None:
        query = query.where(OutboxEvent.at >= since)
    if types:
        query = query.where(OutboxEvent.type.in_([event_type.value for event_type in types]))
    if cursor is not None:
        parts = cursor.split("~")
        if len(parts) != 3 or parts[0] != _CURSOR:
            raise InvalidInput("The cursor does not belong to this list")
        at, row_id = parse_instant(parts[1]), parse_uuid(parts[2])
        query = query.where(or_(OutboxEvent.at < at, and_(OutboxEvent.at == at, OutboxEvent.id < row_id)))
    rows = tx.scalars(query).all()
    kept = rows[:limit]
    last = kept[-1] if len(rows) > limit else None
    return EventPage(kept, None if last is None else f"{_CURSOR}~{format_instant(last.at)}~{last.id}")


def webhook_rows(tx: Session, *, integration_id: IntegrationId | None = None) -> Sequence[WebhookRow]:
    """Return the webhooks in force, of all integrations or one, the oldest first."""
    query = select(Webhook).where(Webhook.removed_at.is_(None)).order_by(Webhook.created_at, Webhook.id)
    if integration_id is not None:
        query = query.where(Webhook.integration_id == integration_id)
    webhooks = tx.scalars(query).all()
    counted = tx.execute(
        select(WebhookDelivery.webhook_id, WebhookDelivery.state, func.count())
        .where(WebhookDelivery.webhook_id.in_([webhook.id for webhook in webhooks]))
        .group_by(WebhookDelivery.webhook_id, WebhookDelivery.state)
    )
    counts: dict[UUID, dict[str, int]] = {}
    for webhook_id, state, count in counted:
        counts.setdefault(webhook_id, {})[state] = count
    return [WebhookRow(webhook, counts.get(webhook.id, {})) for webhook in webhooks]


def deliveries(
    tx: Session, webhook_ids: Sequence[WebhookId], *, states: Sequence[str] = ("waiting", "dead"), limit: int = 50
) -> Sequence[DeliveryRow]:
    """Return deliveries in these states that have failed at least once, those tried last first."""
    rows = tx.execute(
        select(WebhookDelivery, OutboxEvent)
        .join(OutboxEvent, OutboxEvent.id == WebhookDelivery.event_id)
        .where(
            WebhookDelivery.webhook_id.in_(webhook_ids),
            WebhookDelivery.state.in_(states),
            WebhookDelivery.cause.is_not(None),
        )
        .order_by(WebhookDelivery.tried_at.desc(), WebhookDelivery.event_id.desc())
        .limit(limit)
    )
    return [DeliveryRow(*row) for row in rows]

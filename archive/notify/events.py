"""Events of items: written down with the change that they tell of, and told as CloudEvents.

No personal data stands in an event: ids, external ids, numbers and digests only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.sight import seen_among
from archive.jobs.queue import DELIVERY, add_job
from archive.kernel.canonical import canonical_json
from archive.kernel.ids import EventId, IntegrationId, new_uuid7, parse_uuid
from archive.kernel.instants import Instant, format_instant
from archive.notify.models import EventCount, OutboxEvent, Webhook, WebhookDelivery

DELIVER_EVENT: Final = "deliver_event"
_TYPE_PREFIX: Final = "liuhen."


class EventType(StrEnum):
    """What other systems can be told of."""

    ITEM_READY = "item.ready"
    ITEM_UNPLAYABLE = "item.unplayable"
    ITEM_QUARANTINED = "item.quarantined"
    ITEM_LINKED = "item.linked"
    ITEM_UNLINKED = "item.unlinked"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to `about_id`: an item, or an upload that became none.

    `external` maps an integration to what it calls things of ours, by their ids.
    """

    type: EventType
    about_id: UUID
    data: Mapping[str, Any]
    external: Mapping[IntegrationId, Mapping[UUID, str]] = field(default_factory=dict)


def publish(tx: Session, event: Event, *, at: Instant) -> EventId:
    """Write an event down in the transaction of its change, with a delivery to each webhook that wants it."""
    event_id = EventId(new_uuid7())
    insert_row(
        tx,
        OutboxEvent,
        id=event_id,
        type=event.type.value,
        about_id=event.about_id,
        sequence=_next_number(tx, event.about_id),
        at=at,
        data=dict(event.data),
        external={
            str(integration): {str(thing): name for thing, name in names.items()}
            for integration, names in event.external.items()
        },
    )
    for webhook in tx.scalars(select(Webhook).where(Webhook.removed_at.is_(None)).order_by(Webhook.id)):
        if event.type in webhook.types:
            insert_row(
                tx,
                WebhookDelivery,
                webhook_id=webhook.id,
                event_id=event_id,
                state="waiting",
                attempts=0,
                first_at=at,
                next_at=at,
            )
            add_job(
                tx,
                DELIVER_EVENT,
                delivery_args(webhook.id, event_id),
                at=at,
                queue=DELIVERY,
                key=delivery_key(webhook.id, event_id),
            )
    return event_id


def delivery_args(webhook_id: UUID, event_id: UUID) -> dict[str, str]:
    """Return what the job of a delivery is told."""
    return {"webhook_id": str(webhook_id), "event_id": str(event_id)}


def delivery_key(webhook_id: UUID, event_id: UUID) -> str:
    """Return the key of the job of a delivery."""
    return f"deliver:{webhook_id}:{event_id}"


def _next_number(tx: Session, about_id: UUID) -> int:
    # The row is locked from here to the end of the transaction: of two events at once each has its own number.
    upsert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    return tx.execute(
        upsert(EventCount)
        .values(about_id=about_id, last=1)
        .on_conflict_do_update(index_elements=[EventCount.about_id], set_={"last": EventCount.last + 1})
        .returning(EventCount.last)
    ).scalar_one()


def told_of(tx: Session, rows: Sequence[OutboxEvent]) -> Sequence[OutboxEvent]:
    """Return events as the transaction's sight is told them, of cases that it does not see nothing.

    The rows are taken out of the transaction, so that nothing writes them as they are told.
    """
    named = {parse_uuid(case["id"]) for row in rows for case in _cases(row.data)}
    seen = {str(case_id) for case_id in seen_among(tx, named)}
    told = []
    for row in rows:
        cases = [case for case in _cases(row.data) if case["id"] in seen]
        tx.expunge(row)
        if "cases" in row.data:
            row.data = {**row.data, "cases": cases}
        elif len(cases) < len(_cases(row.data)):
            continue
        told.append(row)
    return told


def _cases(data: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """Return the cases that an event names: one that something was filed under, or all of an item."""
    return data["cases"] if "cases" in data else [data["case"]] if "case" in data else []


def cloud_event(row: OutboxEvent, *, source: str, integration_id: UUID) -> dict[str, Any]:
    """Return an event as one integration is told it. Source: CloudEvents 1.0.2; extension `sequence`."""
    names = row.external.get(str(integration_id), {})
    return {
        "specversion": "1.0",
        "id": str(row.id),
        "source": source,
        "type": _TYPE_PREFIX + row.type,
        "subject": str(row.about_id),
        "time": format_instant(row.at),
        "datacontenttype": "application/json",
        "sequence": str(row.sequence),
        "sequencetype": "Integer",
        "data": _named(row.data, names),
    }


def cloud_event_bytes(row: OutboxEvent, *, source: str, integration_id: UUID) -> bytes:
    """Return the bytes of an event in structured mode: the same ones at every attempt."""
    return canonical_json(cloud_event(row, source=source, integration_id=integration_id))


def _named(value: Any, names: Mapping[str, str]) -> Any:
    """Put beside each id what the other system calls the thing."""
    if isinstance(value, Mapping):
        found = {key: _named(inner, names) for key, inner in value.items()}
        if value.get("id") in names:
            found["external_id"] = names[value["id"]]
        return found
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_named(inner, names) for inner in value]
    return value

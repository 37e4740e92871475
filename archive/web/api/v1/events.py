"""Events for systems that ask, and the webhooks of the calling system: what waits, what was given up, sending again."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool

from archive.access.integrations import IntegrationCaller
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import WebhookId, parse_uuid
from archive.kernel.instants import format_instant
from archive.notify.events import EventType, cloud_event, told_of
from archive.notify.listings import WebhookRow, deliveries, events, webhook_rows
from archive.notify.webhooks import WebhookNotFound, replay_events
from archive.web.api.v1.forms import Moment, Sent, Since
from archive.web.api.v1.guards import Cursor, EventReader, Limit, ServicesDep
from archive.web.api.v1.routes import ApiRoute, problems
from archive.wiring import Services

router = APIRouter(prefix="/api/v1", tags=["events"], route_class=ApiRoute)

_EXAMPLE: Final = {
    "specversion": "1.0",
    "id": "01980f3e-8a8e-7c3a-9c8f-3f1b1f0a5d11",
    "source": "urn:liuhen:liuhen.local/1f0a5d11/log",
    "type": "liuhen.item.linked",
    "subject": "01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01",
    "time": "2026-03-02T01:35:12.123456Z",
    "datacontenttype": "application/json",
    "sequence": "2",
    "sequencetype": "Integer",
    "data": {
        "item": {"id": "01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01"},
        "case": {
            "id": "01980f3d-77aa-7d0e-b1c2-5a1b0c9d8e7f",
            "number": "官综执罚〔2026〕第031号",
            "external_id": "CASE/2026/0031",
        },
        "act": None,
    },
}


class EventList(BaseModel):
    """CloudEvents, the newest first, as webhooks get them. `next` is the cursor of what follows."""

    events: Annotated[list[dict[str, Any]], Field(examples=[[_EXAMPLE]])]
    next: str | None


class DeliveryRead(BaseModel):
    """A delivery that has failed: it waits for another attempt, or was given up."""

    event: str
    type: str
    state: Annotated[str, Field(examples=["dead"])]
    attempts: int
    status: Annotated[int | None, Field(description="What the receiver answered, if it answered.")]
    cause: str | None
    tried_at: str | None
    next_at: str | None


class WebhookRead(BaseModel):
    """A webhook of the calling system, and what came of its deliveries."""

    id: str
    types: list[str]
    waiting: int
    delivered: int
    dead: int
    quiet_until: Annotated[str | None, Field(description="Nothing is sent before then: the receiver was unwell.")]
    failing: list[DeliveryRead]


class WebhookList(BaseModel):
    """The webhooks of the calling system."""

    webhooks: list[WebhookRead]


class ReplaySent(Sent):
    """What to send once more."""

    since: Moment
    dead_only: Annotated[StrictBool, Field(description="Only what was given up.")] = False


class ReplayRead(BaseModel):
    """How many events are on their way again."""

    events: int


@router.get("/events", operation_id="list_events", responses=problems(422))
def list_events(
    caller: EventReader,
    services: ServicesDep,
    *,
    since: Annotated[Since | None, Query(description="Only from this time on (RFC 3339).")] = None,
    type: Annotated[list[EventType] | None, Query(description="Only these types; repeatable.")] = None,  # noqa: A002 - its name on the wire
    cursor: Cursor = None,
    limit: Limit = 50,
) -> EventList:
    """Return events, for systems that would rather ask than be told. External ids are those of the calling system."""
    with services.database.read() as tx:
        found = events(tx, since=since, types=type or (), cursor=cursor, limit=limit)
        told = told_of(tx, found.rows)
    source = services.webhooks.source
    return EventList(
        events=[cloud_event(row, source=source, integration_id=caller.id) for row in told], next=found.next_cursor
    )


@router.get("/webhooks", operation_id="list_webhooks", responses=problems())
def list_webhooks(caller: EventReader, services: ServicesDep) -> WebhookList:
    """Return the webhooks of this system; the administrator makes and removes them."""
    with services.database.read() as tx:
        rows = webhook_rows(tx, integration_id=caller.id)
        failing = {row.webhook.id: deliveries(tx, [WebhookId(row.webhook.id)]) for row in rows}
    told = {
        webhook_id: [
            DeliveryRead(
                event=str(row.event.id),
                type=row.event.type,
                state=row.delivery.state,
                attempts=row.delivery.attempts,
                status=row.delivery.status,
                cause=row.delivery.cause,
                tried_at=_moment(row.delivery.tried_at),
                next_at=_moment(row.delivery.next_at),
            )
            for row in found
        ]
        for webhook_id, found in failing.items()
    }
    return WebhookList(webhooks=[_webhook(row, told[row.webhook.id]) for row in rows])


@router.post(
    "/webhooks/{webhook_id}/replay",
    status_code=202,
    operation_id="replay_events",
    responses=problems(400, 404, 413, 422),
)
def replay(webhook_id: str, body: ReplaySent, caller: EventReader, services: ServicesDep) -> ReplayRead:
    """Send events once more to a webhook of this system. They keep their ids."""
    own = _own(services, webhook_id, caller)
    now = services.clock.now()
    count = replay_events(services.webhooks, own, since=body.since, dead_only=body.dead_only, by=caller.actor, at=now)
    return ReplayRead(events=count)


def _own(services: Services, text: str, caller: IntegrationCaller) -> WebhookId:
    try:
        webhook_id: UUID = parse_uuid(text)
    except InvalidInput as exc:
        raise WebhookNotFound from exc
    with services.database.read() as tx:
        if webhook_id not in {row.webhook.id for row in webhook_rows(tx, integration_id=caller.id)}:
            raise WebhookNotFound
    return WebhookId(webhook_id)


def _webhook(row: WebhookRow, failing: list[DeliveryRead]) -> WebhookRead:
    return WebhookRead(
        id=str(row.webhook.id),
        types=row.webhook.types,
        waiting=row.count("waiting"),
        delivered=row.count("delivered"),
        dead=row.count("dead"),
        quiet_until=_moment(row.webhook.quiet_until),
        failing=failing,
    )


def _moment(at: Any) -> str | None:
    return None if at is None else format_instant(at)

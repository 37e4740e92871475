"""Delivering events: signed, at least once, again with growing pauses, given up after days.

Two things can go wrong. Nobody answers, or the receiver is unwell: then the whole webhook is left alone for a while,
and what waits for it is not tried one by one. Or the receiver refuses one event: then only this one is tried again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.jobs.queue import DELIVERY, ClaimedJob, finish_job, postpone_job, renew_job, repeat_job
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import EventId, WebhookId, parse_uuid
from archive.kernel.instants import Instant
from archive.notify.events import DELIVER_EVENT, cloud_event_bytes, told_of
from archive.notify.models import OutboxEvent, Webhook, WebhookDelivery
from archive.notify.signature import signed_headers
from archive.notify.webhooks import SecretLost, Webhooks, forget_events, secrets_of
from archive.ports.clock import Clock
from archive.ports.outbound import Undelivered

FORGET_EVENTS: Final = "forget_events"
GIVEN_UP_AFTER: Final = timedelta(days=3)
_FORGETS_EVERY: Final = timedelta(days=1)
_REFUSED_PAUSES: Final = tuple(timedelta(seconds=pause) for pause in (5, 60, 600, 3600, 7200, 18_000, 36_000, 43_200))
"""Pauses after the refusals of one event, the last one again and again."""
_FIRST_QUIET_S: Final = 5
_LONGEST_QUIET: Final = timedelta(minutes=30)
_MOST_DOUBLINGS: Final = 16
_GONE: Final = 410
_UNWELL: Final = {408, 425, 429}
_USER_AGENT: Final = "liuhen-webhooks/1"

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How an attempt ended. `is_unwell`: the receiver as a whole cannot take events now."""

    status: int | None
    cause: str | None
    is_unwell: bool = False
    is_final: bool = False
    pause: timedelta | None = None

    @property
    def is_delivered(self) -> bool:
        return self.cause is None


@dataclass(frozen=True, slots=True)
class DeliveryJobs:
    """The jobs that tell other systems of events, and the one that forgets old ones."""

    webhooks: Webhooks
    clock: Clock
    kept: timedelta

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {DELIVER_EVENT: self.deliver_event, FORGET_EVENTS: self.forget_old_events}

    def begin(self) -> None:
        """Make sure that old events are forgotten from now on. Idempotent; for the worker's start."""
        with self.webhooks.database.begin() as tx:
            renew_job(tx, FORGET_EVENTS, {}, at=self.clock.now(), queue=DELIVERY, key=FORGET_EVENTS)

    def forget_old_events(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Delete old events, and come back tomorrow. Raises: LeaseLost."""
        while forget_events(self.webhooks.database, before=self.clock.now() - self.kept):
            report(0)
        with self.webhooks.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _FORGETS_EVERY)

    def deliver_event(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Send one event to one webhook, or put it off. Raises: LeaseLost."""
        del report
        webhook_id = WebhookId(parse_uuid(job.args["webhook_id"]))
        event_id = EventId(parse_uuid(job.args["event_id"]))
        with self.webhooks.database.read() as tx:
            webhook = tx.get(Webhook, webhook_id)
            delivery = tx.get(WebhookDelivery, (webhook_id, event_id))
        now = self.clock.now()
        if webhook is None or delivery is None or delivery.state != "waiting":
            with self.webhooks.database.begin() as tx:
                finish_job(tx, job, at=now)
            return
        with self.webhooks.database_of(webhook, at=now).read() as tx:
            found = tx.get(OutboxEvent, event_id)
            event = next(iter(told_of(tx, [] if found is None else [found])), None)
        if webhook.removed_at is not None or event is None:  # gone, or of what the system does not see
            with self.webhooks.database.begin() as tx:
                _set(tx, delivery, {"state": "dropped", "next_at": None})
                finish_job(tx, job, at=now)
        elif webhook.quiet_until is not None and webhook.quiet_until > now:
            self._wait(job, delivery, until=webhook.quiet_until)
        else:
            outcome = self._attempt(webhook, event, at=now)
            self._write(job, delivery, outcome)

    def _attempt(self, webhook: Webhook, event: OutboxEvent, *, at: Instant) -> _Outcome:
        body = cloud_event_bytes(event, source=self.webhooks.source, integration_id=webhook.integration_id)
        try:
            secrets = secrets_of(self.webhooks, webhook, at=at)
            headers = {
                "Content-Type": "application/cloudevents+json; charset=utf-8",
                "User-Agent": _USER_AGENT,
                **signed_headers(secrets, message_id=str(event.id), at=at, body=body),
            }
            reply = self.webhooks.outbound.post(webhook.url, headers=headers, body=body)
        except (Undelivered, SecretLost, InvalidInput) as error:
            return _Outcome(None, error.code, is_unwell=True)
        if 200 <= reply.status < 300:
            return _Outcome(reply.status, None)
        pause = None if reply.retry_after_s is None else timedelta(seconds=reply.retry_after_s)
        if reply.status == _GONE:
            return _Outcome(reply.status, "webhooks.gone", is_final=True)
        if 300 <= reply.status < 400:
            return _Outcome(reply.status, "webhooks.redirected", is_unwell=True)
        is_unwell = reply.status >= 500 or reply.status in _UNWELL
        return _Outcome(reply.status, "webhooks.refused", is_unwell=is_unwell, pause=pause)

    def _wait(self, job: ClaimedJob, delivery: WebhookDelivery, *, until: Instant) -> None:
        now = self.clock.now()
        with self.webhooks.database.begin() as tx:
            if now - delivery.first_at >= GIVEN_UP_AFTER:
                _set(tx, delivery, {"state": "dead", "next_at": None, "cause": delivery.cause or Undelivered.code})
                finish_job(tx, job, at=now)
            else:
                _set(tx, delivery, {"next_at": until})
                postpone_job(tx, job, until=until)

    def _write(self, job: ClaimedJob, delivery: WebhookDelivery, outcome: _Outcome) -> None:
        now = self.clock.now()
        told = {
            "attempts": WebhookDelivery.attempts + 1,
            "tried_at": now,
            "status": outcome.status,
            "cause": outcome.cause,
        }
        with self.webhooks.database.begin() as tx:
            webhook = tx.scalar(select(Webhook).where(Webhook.id == delivery.webhook_id).with_for_update())
            if webhook is None or webhook.removed_at is not None:
                _set(tx, delivery, {**told, "state": "dropped", "next_at": None})
                finish_job(tx, job, at=now)
            elif outcome.is_delivered:
                webhook.failures, webhook.quiet_until, webhook.last_delivered_at = 0, None, now
                _set(tx, delivery, {**told, "state": "delivered", "next_at": None})
                finish_job(tx, job, at=now)
            else:
                again = now + self._pause(webhook, delivery, outcome)
                if outcome.is_unwell:
                    webhook.failures, webhook.quiet_until = webhook.failures + 1, again
                if outcome.is_final or now - delivery.first_at >= GIVEN_UP_AFTER:
                    _set(tx, delivery, {**told, "state": "dead", "next_at": None})
                    finish_job(tx, job, at=now)
                else:
                    _set(tx, delivery, {**told, "next_at": again})
                    postpone_job(tx, job, until=again)

    def _pause(self, webhook: Webhook, delivery: WebhookDelivery, outcome: _Outcome) -> timedelta:
        if outcome.is_unwell:
            doublings = min(webhook.failures, _MOST_DOUBLINGS)
            pause = min(timedelta(seconds=_FIRST_QUIET_S << doublings), _LONGEST_QUIET)
        else:
            pause = _REFUSED_PAUSES[min(delivery.attempts, len(_REFUSED_PAUSES) - 1)]
        return pause if outcome.pause is None else max(pause, min(outcome.pause, _LONGEST_QUIET))


def _set(tx: Session, delivery: WebhookDelivery, values: Mapping[str, Any]) -> None:
    tx.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.webhook_id == delivery.webhook_id,
            WebhookDelivery.event_id == delivery.event_id,
            WebhookDelivery.state == "waiting",
        )
        .values(**values)
    )

"""Events written with their change, told to whoever wants them: signed, again until they arrive, given up after days."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from archive.access.api_keys import Scope
from archive.access.external_ids import ExternalKind, bind_external_id
from archive.access.integrations import integration_named, issue_integration_key
from archive.cases.filing import link_object, unlink_object
from archive.db.sight import FIRST_UNIT
from archive.jobs.queue import DELIVERY, PROMPT
from archive.kernel.ids import CaseId, IntegrationId, ObjectId, UnitId, WebhookId
from archive.ledger.entries import OPERATOR
from archive.notify.delivery import GIVEN_UP_AFTER
from archive.notify.events import EventType
from archive.notify.listings import webhook_rows
from archive.notify.models import OutboxEvent, Webhook, WebhookDelivery
from archive.notify.webhooks import (
    NewWebhook,
    SecretLost,
    WebhookNotFound,
    forget_events,
    remove_webhook,
    renew_secret,
    replay_events,
    secrets_of,
    set_webhook,
)
from archive.organisation.units import record_unit
from archive.ports.outbound import UrlRefused
from archive.worker.loop import Worker
from ingest.accept import finish_upload
from ingest.errors import DigestMismatch
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.receiver import OK, Receiver

_serial = iter(range(1, 10_000))


def system(home: ArchiveHome, name: str = "cms", *, unit_id: UnitId | None = None) -> IntegrationId:
    issue_integration_key(
        home.database, name=name, title="案件系统", scopes=[Scope.EVENTS_READ], unit_id=unit_id, by=OPERATOR,
        at=home.clock.now(),
    )  # fmt: skip
    with home.database.read() as tx:
        return IntegrationId(integration_named(tx, name).id)


@pytest.fixture
def webhook(home: ArchiveHome, receiver: Receiver) -> Iterator[NewWebhook]:
    """A webhook for every type of event, and no other one."""
    made = hook(home, receiver)
    yield made
    with home.database.read() as tx:
        left = [WebhookId(row.webhook.id) for row in webhook_rows(tx)]
    for webhook_id in left:
        remove_webhook(home.database, webhook_id, by=OPERATOR, at=home.clock.now())


def hook(
    home: ArchiveHome, receiver: Receiver, *types: EventType, name: str = "cms", unit_id: UnitId | None = None
) -> NewWebhook:
    return set_webhook(
        home.services.webhooks,
        integration_id=system(home, name, unit_id=unit_id),
        url=receiver.url,
        types=types or list(EventType),
        by=OPERATOR,
        at=home.clock.now(),
    )


def work(home: ArchiveHome, *queues: str) -> int:
    """Run every job that is due; return how many."""
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    count = 0
    while worker.run_once(queues or [DELIVERY]):
        count += 1
    return count


def linked(home: ArchiveHome, dock: EnrolledDock) -> tuple[CaseId, ObjectId]:
    """Deliver an item and file it under a new case: one event."""
    number = next(_serial)
    object_id = home.deliver(dock, f"footage {number}".encode())
    case_id = home.case(f"{number} 号")
    link_object(
        home.database, case_id, object_id, act_id=None, reason="含有姓名的事由", by=OPERATOR, at=home.clock.now()
    )
    return case_id, object_id


def delivery(home: ArchiveHome, made: NewWebhook) -> WebhookDelivery:
    with home.database.read() as tx:
        return tx.scalars(select(WebhookDelivery).where(WebhookDelivery.webhook_id == made.id)).one()


def quiet(home: ArchiveHome, made: NewWebhook) -> Any:
    with home.database.read() as tx:
        return tx.get_one(Webhook, made.id).quiet_until


# ---- what is told --------------------------------------------------------------------------------------------------


def test_a_link_is_told_signed_and_in_the_form_of_cloudevents(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    case_id, object_id = linked(home, dock)
    work(home)
    (received,) = receiver.wait(1)
    event = received.event
    assert {name: event[name] for name in ("specversion", "type", "subject", "sequence", "sequencetype")} == {
        "specversion": "1.0", "type": "liuhen.item.linked", "subject": str(object_id), "sequence": "1",
        "sequencetype": "Integer",
    }  # fmt: skip
    assert event["source"] == f"urn:liuhen:{home.settings.origin}"
    assert event["data"]["item"] == {"id": str(object_id)}
    assert event["data"]["case"]["id"] == str(case_id)
    assert received.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert received.headers["webhook-id"] == event["id"]
    assert received.is_signed_by(webhook.secret)
    assert not received.is_signed_by("whsec_" + "A" * 43 + "=")
    assert delivery(home, webhook).state == "delivered"
    unlink_object(home.database, case_id, object_id, reason="误", by=OPERATOR, at=home.clock.now())
    work(home)
    later = receiver.wait(2)[1].event
    assert (later["type"], later["sequence"]) == ("liuhen.item.unlinked", "2")


def test_no_personal_data_is_told(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    object_id = home.deliver(dock, b"footage of somebody", "王某某询问.mp4")
    case_id = home.case("隐私 1 号", title="王某某案", subject="王某某")
    link_object(home.database, case_id, object_id, act_id=None, reason="王某某", by=OPERATOR, at=home.clock.now())
    work(home, PROMPT)
    work(home)
    told = b"".join(received.body for received in receiver.wait(2)).decode()
    assert "王某某" not in told
    assert "CAM-0042" not in told


def test_each_system_is_told_its_own_names_only(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    hook(home, receiver, name="other")
    case_id, object_id = home.case(f"名 {next(_serial)} 号"), home.deliver(dock, b"named")
    for name, external_id in (("cms", "CASE/\u202e1"), ("other", "Ω-9")):
        with home.database.begin() as tx:
            integration_id = IntegrationId(integration_named(tx, name).id)
            bind_external_id(
                tx, integration_id, ExternalKind.CASE, external_id, case_id, by=OPERATOR, at=home.clock.now()
            )
    link_object(home.database, case_id, object_id, act_id=None, reason="r", by=OPERATOR, at=home.clock.now())
    work(home)
    told = {event["data"]["case"]["external_id"] for event in (r.event for r in receiver.wait(2))}
    assert told == {"CASE/\u202e1", "Ω-9"}


def test_what_a_system_does_not_see_is_not_told(home: ArchiveHome, dock: EnrolledDock, receiver: Receiver) -> None:
    north, south = (
        record_unit(home.database, parent_id=UnitId(FIRST_UNIT), code=f"w{n}", name=f"w{n}", by=OPERATOR, at=home.clock.now())
        for n in (next(_serial), next(_serial))
    )  # fmt: skip
    began, made = home.clock.now(), hook(home, receiver, name="north", unit_id=north)
    own, others = (home.deliver(home.dock(f"w{where}", unit_id=where), where.bytes) for where in (north, south))
    case_id = home.case(f"w {next(_serial)} 号")
    for object_id in (own, others):  # the case is of neither unit
        link_object(home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    work(home, PROMPT)
    work(home)
    assert [(event["type"], event["data"]["cases"]) for event in receiver.events()] == [("liuhen.item.unplayable", [])]
    assert {event["subject"] for event in receiver.events()} == {str(own)}
    with home.database.read() as tx:
        states = tx.scalars(select(WebhookDelivery.state).where(WebhookDelivery.webhook_id == made.id)).all()
    assert (states.count("delivered"), set(states)) == (1, {"delivered", "dropped"})
    replay_events(home.services.webhooks, made.id, since=began, by=OPERATOR, at=home.clock.now())
    work(home)
    assert {event["subject"] for event in receiver.events()} == {str(own)}
    remove_webhook(home.database, made.id, by=OPERATOR, at=home.clock.now())


def test_what_becomes_of_an_item_is_told_with_the_change(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    number = f"终 {next(_serial)} 号"
    case_id = home.case(number)
    work(home, PROMPT)  # what other tests delivered
    work(home)
    receiver.got.clear()
    object_id = home.deliver(dock, bytes(range(256)), "a.mp4", case=number)
    work(home, PROMPT)
    wrong = home.bring(dock, b"two", said=b"TWO")
    with pytest.raises(DigestMismatch):
        finish_upload(home.intake, wrong)
    work(home)
    told = [received.event for received in receiver.wait(3)]
    assert sorted(event["type"] for event in told) == [
        "liuhen.item.linked", "liuhen.item.quarantined", "liuhen.item.unplayable",
    ]  # fmt: skip
    by_type = {event["type"].removeprefix("liuhen.item."): event for event in told}
    assert by_type["unplayable"]["data"]["reason"]
    assert by_type["unplayable"]["data"]["cases"] == [{"id": str(case_id), "number": number}]
    assert by_type["unplayable"]["subject"] == str(object_id)
    assert by_type["quarantined"]["subject"] == str(wrong)
    assert by_type["quarantined"]["data"]["reason"] == "ingest.digest_mismatch"


def test_only_the_types_that_were_asked_for_are_sent(home: ArchiveHome, dock: EnrolledDock, receiver: Receiver) -> None:
    made = hook(home, receiver, EventType.ITEM_UNLINKED)
    case_id, object_id = linked(home, dock)
    unlink_object(home.database, case_id, object_id, reason="误", by=OPERATOR, at=home.clock.now())
    work(home)
    assert [event["type"] for event in receiver.events()] == ["liuhen.item.unlinked"]
    remove_webhook(home.database, made.id, by=OPERATOR, at=home.clock.now())


def test_an_event_that_is_rolled_back_with_its_change_is_never_told(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    case_id, object_id = linked(home, dock)
    before = home.count("event_outbox")
    with pytest.raises(ZeroDivisionError), home.database.begin() as tx:
        from archive.cases.events import publish_linked

        publish_linked(tx, case_id, object_id, act_id=None, at=home.clock.now())
        1 / 0  # noqa: B018
    assert home.count("event_outbox") == before
    work(home)
    assert len(receiver.wait(1)) == 1


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_receiver_that_fails_is_left_alone_for_longer_and_longer(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    receiver.answer = lambda _: (500, {})
    linked(home, dock)
    pauses = []
    for _ in range(4):
        work(home)
        pauses.append((quiet(home, webhook) - home.clock.now()).total_seconds())
        home.clock.step(timedelta(seconds=pauses[-1] + 1))
    assert [round(pause / 5) for pause in pauses] == [1, 2, 4, 8]
    assert (delivery(home, webhook).attempts, delivery(home, webhook).status) == (4, 500)
    receiver.answer = lambda _: OK
    work(home)
    assert delivery(home, webhook).state == "delivered"
    assert quiet(home, webhook) is None
    assert len({received.headers["webhook-id"] for received in receiver.got}) == 1
    assert len({received.body for received in receiver.got}) == 1


def test_while_a_receiver_is_unwell_nothing_else_is_tried_and_then_everything_arrives(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    receiver.answer = lambda _: (503, {"Retry-After": "120"})
    for _ in range(3):
        linked(home, dock)
    work(home)
    assert len(receiver.got) == 1
    assert 100 < (quiet(home, webhook) - home.clock.now()).total_seconds() <= 120
    receiver.answer = lambda _: OK
    work(home)
    assert len(receiver.got) == 1
    home.clock.step(timedelta(seconds=121))
    work(home)
    assert len({event["id"] for event in receiver.events()}) == 3


def test_one_event_that_is_refused_does_not_hold_up_the_others(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    _, refused = linked(home, dock)
    receiver.answer = lambda received: (422, {}) if received.event["subject"] == str(refused) else OK
    linked(home, dock)
    work(home)
    assert len(receiver.got) == 2
    assert quiet(home, webhook) is None
    home.clock.step(timedelta(seconds=6))
    work(home)
    assert len(receiver.got) == 3
    home.clock.step(timedelta(seconds=30))
    work(home)
    assert len(receiver.got) == 3


def test_after_three_days_a_delivery_is_given_up_and_can_be_sent_again(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    receiver.answer = lambda _: (500, {})
    began = home.clock.now()
    linked(home, dock)
    for _ in range(40):
        if delivery(home, webhook).state != "waiting":
            break
        work(home)
        home.clock.step(timedelta(hours=4))
    assert delivery(home, webhook).state == "dead"
    assert GIVEN_UP_AFTER <= home.clock.now() - began < GIVEN_UP_AFTER + timedelta(hours=9)
    receiver.answer = lambda _: OK
    home.clock.step(timedelta(days=1))
    count = len(receiver.got)
    work(home)
    assert len(receiver.got) == count
    sent = replay_events(
        home.services.webhooks, webhook.id, since=began, dead_only=True, by=OPERATOR, at=home.clock.now()
    )
    assert sent == 1
    work(home)
    assert len(receiver.got) == count + 1
    assert delivery(home, webhook).state == "delivered"
    assert home.entries()[-1]["type"] == "admin.job_retried"


def test_everything_since_a_time_can_be_sent_again_also_from_before_the_webhook(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver
) -> None:
    home.clock.step(timedelta(hours=1))
    began = home.clock.now()
    wanted = {str(linked(home, dock)[1]) for _ in range(3)}
    made = hook(home, receiver)
    work(home)
    assert receiver.got == []
    assert replay_events(home.services.webhooks, made.id, since=began, by=OPERATOR, at=home.clock.now()) == 3
    work(home)
    assert replay_events(home.services.webhooks, made.id, since=began, by=OPERATOR, at=home.clock.now()) == 3
    work(home)
    events = receiver.events()
    assert {event["subject"] for event in events} == wanted
    assert len(events) == 6
    assert len({event["id"] for event in events}) == 3
    remove_webhook(home.database, made.id, by=OPERATOR, at=home.clock.now())
    with pytest.raises(WebhookNotFound):
        replay_events(home.services.webhooks, made.id, since=began, by=OPERATOR, at=home.clock.now())


def test_a_redirect_is_not_followed(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    linked(home, dock)
    for status in (301, 302, 303, 307, 308):
        answer = (status, {"Location": "/elsewhere"})
        receiver.answer = lambda received, answer=answer: answer if received.path == "/hook" else OK
        work(home)
        home.clock.step(timedelta(minutes=31))
    assert [received.path for received in receiver.got] == ["/hook"] * 5
    assert (delivery(home, webhook).state, delivery(home, webhook).cause) == ("waiting", "webhooks.redirected")


def test_an_address_that_is_gone_is_not_tried_again(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    receiver.answer = lambda _: (410, {})
    linked(home, dock)
    work(home)
    assert (delivery(home, webhook).state, delivery(home, webhook).cause) == ("dead", "webhooks.gone")


def test_a_removed_webhook_gets_nothing_more(home: ArchiveHome, dock: EnrolledDock, receiver: Receiver) -> None:
    made, other = hook(home, receiver), hook(home, receiver)
    linked(home, dock)
    for webhook in (made, other):
        remove_webhook(home.database, webhook.id, by=OPERATOR, at=home.clock.now())
    with home.database.begin() as tx:  # as a delivery that was published at the very moment of the removal
        tx.execute(update(WebhookDelivery).where(WebhookDelivery.webhook_id == other.id).values(state="waiting"))
    linked(home, dock)
    work(home)
    assert receiver.got == []
    assert [delivery(home, webhook).state for webhook in (made, other)] == ["dropped", "dropped"]
    with pytest.raises(WebhookNotFound):
        remove_webhook(home.database, made.id, by=OPERATOR, at=home.clock.now())


# ---- secrets -------------------------------------------------------------------------------------------------------


def test_a_new_secret_is_used_beside_the_former_one_for_a_day(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    renewed = renew_secret(home.services.webhooks, webhook.id, by=OPERATOR, at=home.clock.now())
    assert renewed.secret != webhook.secret
    linked(home, dock)
    work(home)
    home.clock.step(timedelta(hours=24, minutes=1))
    linked(home, dock)
    work(home)
    within, after = receiver.wait(2)
    assert within.is_signed_by(webhook.secret)
    assert within.is_signed_by(renewed.secret)
    assert after.is_signed_by(renewed.secret)
    assert not after.is_signed_by(webhook.secret)


def test_a_secret_stands_nowhere(home: ArchiveHome, webhook: NewWebhook) -> None:
    kept = repr(home.rows("SELECT * FROM webhook")) + repr(home.rows("SELECT * FROM log_detail"))
    assert webhook.secret.removeprefix("whsec_") not in kept
    assert home.services.webhooks.key.hex() not in kept


def test_an_archive_with_another_key_says_so_and_signs_nothing(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    path: Path = home.path / "keys" / "webhooks.key"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    path.unlink()
    home.reopen()
    with home.database.read() as tx, pytest.raises(SecretLost):
        secrets_of(home.services.webhooks, tx.get_one(Webhook, webhook.id), at=home.clock.now())
    linked(home, dock)
    work(home)
    assert receiver.got == []
    assert delivery(home, webhook).cause == "webhooks.secret_lost"
    path.write_bytes(kept)
    home.reopen()


def test_a_webhook_goes_to_an_address_that_can_be_sent_to(home: ArchiveHome, receiver: Receiver) -> None:
    count = len(home.entries())
    for url in (
        "ftp://127.0.0.1/",
        "http://",
        "https://u:p@host/",
        "https://host/#x",
        "https://ho st/",
        "",
        "javascript:1",
    ):
        receiver.url = url
        with pytest.raises(UrlRefused):
            hook(home, receiver)
    assert [entry["type"] for entry in home.entries()[count:]] == ["admin.key_issued"] * 7


# ---- keeping and forgetting ------------------------------------------------------------------------------------------


def test_events_of_one_item_are_numbered_without_gap(home: ArchiveHome, dock: EnrolledDock) -> None:
    case_id, object_id = linked(home, dock)
    for _ in range(3):
        unlink_object(home.database, case_id, object_id, reason="误", by=OPERATOR, at=home.clock.now())
        link_object(home.database, case_id, object_id, act_id=None, reason="r", by=OPERATOR, at=home.clock.now())
    with home.database.read() as tx:
        rows = tx.execute(
            select(OutboxEvent.sequence, OutboxEvent.type)
            .where(OutboxEvent.about_id == object_id)
            .order_by(OutboxEvent.sequence)
        ).all()
    assert [sequence for sequence, _ in rows] == list(range(1, 8))


def test_old_events_are_forgotten_but_not_those_that_wait(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    receiver.answer = lambda _: (500, {})
    linked(home, dock)
    remaining = home.count("event_outbox")
    while gone := forget_events(home.database, before=home.clock.now() + timedelta(days=1)):
        remaining -= gone
    assert home.count("event_outbox") == remaining == home.count("webhook_delivery", "state = 'waiting'")
    receiver.answer = lambda _: OK
    home.services.delivery.begin()
    home.clock.step(timedelta(days=home.settings.event_days + 1))
    home.services.delivery.begin()
    assert home.count("job", "kind = 'forget_events'") == 1
    work(home)
    work(home)


def test_the_archive_is_sound_after_all_this(home: ArchiveHome) -> None:
    locks = home.services.locks
    if locks.term:  # months went by, by the clock of these tests
        locks.note_new()
        while locks.renew_some():
            pass
    home.sequence()
    home.assert_sound()


def test_an_event_is_json_that_anybody_reads(
    home: ArchiveHome, dock: EnrolledDock, receiver: Receiver, webhook: NewWebhook
) -> None:
    linked(home, dock)
    work(home)
    assert isinstance(json.loads(receiver.wait(1)[0].body)["data"], dict)

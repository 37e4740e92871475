"""What other systems read of footage and do with it: state, digests, linking by their own names, events, webhooks."""

import json
from typing import Any

from archive.access.integrations import integration_named
from archive.jobs.queue import DELIVERY, PROMPT
from archive.kernel.digests import digest_of
from archive.kernel.ids import IntegrationId
from archive.ledger.entries import OPERATOR
from archive.notify.events import EventType
from archive.notify.webhooks import NewWebhook, set_webhook
from archive.worker.loop import Worker
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.case_system import CaseSystem
from tests.support.receiver import OK, Receiver, receiving

_serial = iter(range(1, 10_000))


def work(home: ArchiveHome, *queues: str) -> None:
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    while worker.run_once(queues):
        pass


def footage(home: ArchiveHome, dock: EnrolledDock) -> tuple[str, bytes]:
    data = f"recording {next(_serial)}".encode()
    return str(home.deliver(dock, data, "现场.mp4")), data


def hook(home: ArchiveHome, cms: CaseSystem, receiver: Receiver) -> NewWebhook:
    with home.database.read() as tx:
        integration_id = IntegrationId(integration_named(tx, cms.name).id)
    return set_webhook(
        home.services.webhooks,
        integration_id=integration_id,
        url=receiver.url,
        types=list(EventType),
        by=OPERATOR,
        at=home.clock.now(),
    )


def test_an_item_is_linked_read_and_taken_out_again(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    case = cms.push_all()["case"].json()
    item, data = footage(home, dock)
    unlinked = cms.client.get("/api/v1/items", params={"unlinked": True}).json()["items"]
    assert item in {found["id"] for found in unlinked}

    link = {"item": item, "case": "CASE-1", "act": "ACT-1", "reason": "现场检查的执法记录"}
    made = cms.post("links", link)
    assert (made.status_code, made.json()) == (
        201, {"item": item, "case": {"id": case["id"], "external_id": "CASE-1"}, "outcome": "created"},
    )  # fmt: skip
    assert home.entries()[-1]["type"] == "case.link"
    count = len(home.entries())
    assert (cms.post("links", link).status_code, cms.post("links", link).json()["outcome"]) == (200, "unchanged")
    other_act = cms.post("links", {**link, "act": None})
    assert (other_act.status_code, other_act.json()["code"]) == (409, "cases.already_linked")
    assert len(home.entries()) == count

    read = cms.client.get(f"/api/v1/items/{item}").json()
    assert read["digests"]["sha256"] == digest_of(data).sha256.hex
    assert read["digests"]["sha512"] == digest_of(data).sha512.hex
    assert read["state"] == "pending"
    assert read["page"] == f"/items/{item}"
    (filed,) = read["filed_under"]
    assert filed["case"] == {"id": case["id"], "external_id": "CASE-1"}
    assert filed["act"]["external_id"] == "ACT-1"
    assert cms.client.get(f"/api/v1/cases/{case['id']}/items").json()["items"] == [read]
    assert item not in {
        found["id"] for found in cms.client.get("/api/v1/items", params={"unlinked": True}).json()["items"]
    }

    gone = cms.post("removals", {"item": item, "case": "CASE-1", "reason": "误关联"})
    assert (gone.status_code, gone.json()["outcome"]) == (200, "removed")
    assert home.entries()[-1]["type"] == "case.unlink"
    again = cms.post("removals", {"item": item, "case": "CASE-1", "reason": "误关联"})
    assert (again.status_code, again.json()["code"]) == (404, "cases.not_linked")


def test_a_link_to_nothing_is_refused(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    cms.push_all()
    item, _ = footage(home, dock)
    for changes, expected in (
        ({"case": "NOWHERE"}, 422), ({"act": "NOTHING"}, 422), ({"reason": ""}, 422), ({"reason": "  "}, 422),
        ({"item": "01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01"}, 404), ({"item": "x"}, 404),
    ):  # fmt: skip
        refused = cms.post("links", {"item": item, "case": "CASE-1", "reason": "r", **changes})
        assert refused.status_code == expected, changes


def test_an_act_of_another_case_is_refused(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    cms.push_all()
    cms.put("cases", "CASE-2", cms.case(2))
    item, _ = footage(home, dock)
    assert cms.post("links", {"item": item, "case": "CASE-2", "act": "ACT-1", "reason": "r"}).status_code == 422


def test_lists_come_in_pages_that_hold_everything_once(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    for number in range(7):
        cms.put("officers", f"OFF-{number}", cms.officer(number))
    wanted = [f"OFF-{number}" for number in reversed(range(7))]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = cms.list("officers", limit=3, **({} if cursor is None else {"cursor": cursor})).json()
        found += [row["external_id"] for row in page["officers"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == wanted
    other_list = cms.list("subjects", cursor=cms.list("officers", limit=3).json()["next"])
    assert other_list.status_code == 422
    assert cms.list("officers", limit=0).status_code == 422
    assert cms.list("officers", limit=201).status_code == 422


def test_items_of_no_case_and_unknown_items_are_not_found(cms: CaseSystem) -> None:
    for path in (
        "/api/v1/items/x",
        "/api/v1/cases/x/items",
        "/api/v1/cases/01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01/items",
    ):
        assert cms.client.get(path).status_code == 404


# ---- a whole case, end to end ---------------------------------------------------------------------------------------


def test_a_case_system_lives_with_the_archive(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    """The case is pushed, its footage comes from a dock, the case system hears of it and reads what it is."""
    with receiving() as receiver:
        made = hook(home, cms, receiver)
        cms.push_all()
        item = str(home.deliver(dock, bytes(range(250)), "现场.mp4", case=cms.case()["number"]))
        work(home, PROMPT)
        work(home, DELIVERY)
        told = [received for received in receiver.got if received.event["subject"] == item]
        assert {received.event["type"] for received in told} >= {"liuhen.item.linked"}
        assert len(told) == 2
        for received in told:
            assert received.is_signed_by(made.secret)
            data = received.event["data"]
            named = data.get("case") or data["cases"][0]
            assert (named["external_id"], named["number"]) == ("CASE-1", cms.case()["number"])
        asked = cms.client.get(f"/api/v1/items/{item}").json()
        assert asked["filed_under"][0]["case"]["external_id"] == "CASE-1"
        listed = cms.client.get("/api/v1/events", params={"type": ["item.linked"], "limit": 1}).json()
        assert listed["events"][0] == next(r.event for r in told if r.event["type"] == "liuhen.item.linked")
        webhooks = cms.client.get("/api/v1/webhooks").json()["webhooks"]
        assert [(row["id"], row["dead"], row["waiting"]) for row in webhooks] == [(str(made.id), 0, 0)]
        assert made.secret not in json.dumps(webhooks)
    home.sequence()
    home.assert_sound()


def test_a_system_sees_and_replays_its_own_webhooks_only(
    home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem, connect: Any
) -> None:
    other = connect()
    with receiving() as receiver:
        made = hook(home, cms, receiver)
        receiver.answer = lambda _: (422, {})
        cms.push_all()
        item, _ = footage(home, dock)
        since = home.clock.now().isoformat()
        cms.post("links", {"item": item, "case": "CASE-1", "reason": "r"})
        work(home, DELIVERY)
        (shown,) = cms.client.get("/api/v1/webhooks").json()["webhooks"]
        (failing,) = shown["failing"]
        assert (failing["type"], failing["status"], failing["cause"], failing["state"]) == (
            "item.linked", 422, "webhooks.refused", "waiting",
        )  # fmt: skip
        assert other.client.get("/api/v1/webhooks").json()["webhooks"] == []
        body = {"since": since}
        assert other.client.post(f"/api/v1/webhooks/{made.id}/replay", json=body).status_code == 404
        assert cms.client.post("/api/v1/webhooks/x/replay", json=body).status_code == 404
        receiver.answer = lambda _: OK
        replayed = cms.client.post(f"/api/v1/webhooks/{made.id}/replay", json=body)
        assert (replayed.status_code, replayed.json()) == (202, {"events": 1})
        work(home, DELIVERY)
        (shown,) = cms.client.get("/api/v1/webhooks").json()["webhooks"]
        assert (shown["delivered"], shown["failing"]) == (1, [])
        assert len({received.headers["webhook-id"] for received in receiver.got}) == 1


def test_a_batch_does_what_it_can_and_says_what_it_could_not(home: ArchiveHome, cms: CaseSystem) -> None:
    operations = [
        {"kind": "subject", "external_id": "PARTY-1", "body": cms.subject()},
        {"kind": "officer", "external_id": "OFF-1", "body": cms.officer(1)},
        {"kind": "officer", "external_id": "OFF-2", "body": cms.officer(2)},
        {"kind": "case", "external_id": "CASE-1", "body": cms.case()},
        {"kind": "case", "external_id": "CASE-2", "body": cms.case(2, subject="NOBODY")},
        {"kind": "case", "external_id": "CASE-3", "body": {"number": "x"}},
        {"kind": "case", "external_id": "CASE-4", "body": cms.case()},
        {"kind": "act", "external_id": "ACT-1", "body": cms.act()},
        {"kind": "officer", "external_id": "OFF-1", "body": cms.officer(1), "if_match": "no"},
    ]
    answer = cms.post("batch", {"operations": operations})
    assert answer.status_code == 207
    told = answer.json()
    assert [row["status"] for row in told["results"]] == [201, 201, 201, 201, 422, 422, 409, 201, 412]
    assert told["failed"] == 4
    assert told["results"][4]["problem"]["code"] == "cases.unknown_reference"
    assert "number" not in told["results"][5]["problem"]["facts"]["where"].split(":")[0]
    assert told["results"][6]["problem"]["facts"]["external_id"] == "CASE-1"
    count = len(home.entries())
    again = cms.post("batch", {"operations": operations[:4]})
    assert (again.status_code, {row["outcome"] for row in again.json()["results"]}) == (200, {"unchanged"})
    assert len(home.entries()) == count
    assert cms.post("batch", {"operations": []}).status_code == 422
    assert cms.post("batch", {"operations": operations[:1] * 1001}).status_code in {413, 422}

"""Holds through the API: a system places, reviews, reads; what it has placed somebody else releases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from archive.access.api_keys import Scope
from archive.calendar.days import local_day
from archive.kernel.ids import HoldId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from retention.holding.holds import release_hold
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.case_system import CaseSystem


def body(home: ArchiveHome, **changes: Any) -> dict[str, Any]:
    day = local_day(home.clock.now()) + timedelta(days=100)
    usual = {"scope": "object", "authority": "法院通知书", "reason": "诉讼", "review_on": day.isoformat()}
    return {"request": str(new_uuid7()), **usual, **changes}


def test_a_hold_is_placed_once_read_reviewed_and_released_by_another(
    home: ArchiveHome, dock: EnrolledDock, connect: Callable[..., CaseSystem]
) -> None:
    item = home.deliver(dock, b"held by a system", "held.mp4")
    court, other = connect(), connect()
    sent = body(home, ref=str(item))
    placed = court.client.post("/api/v1/holds", json=sent)
    assert placed.status_code == 200, placed.text
    told = placed.json()
    assert court.client.post("/api/v1/holds", json=sent).json() == told
    assert (told["scope"], told["ref"], told["reason"], told["review"]) == ("object", str(item), "诉讼", "later")
    address = f"/api/v1/holds/{told['id']}"
    assert court.client.get(address).json() == told
    assert told in court.client.get("/api/v1/holds").json()["holds"]
    day = (local_day(home.clock.now()) + timedelta(days=5)).isoformat()
    reviewed = court.client.post(f"{address}/reviews", json={"reason": "二审", "review_on": day}).json()
    assert (reviewed["review_on"], reviewed["review"]) == (day, "due")
    own = court.client.post(f"{address}/release", json={"reason": "x"})
    assert (own.status_code, own.json()["code"]) == (403, "holds.own_hold")
    ended = other.client.post(f"{address}/release", json={"reason": "判决生效"}).json()
    assert (ended["review"], ended["released_at"] is not None) == ("ended", True)
    again = other.client.post(f"{address}/release", json={"reason": "x"})
    assert (again.status_code, again.json()["code"]) == (409, "holds.released")
    assert ended in court.client.get("/api/v1/holds?which=released").json()["holds"]


def test_a_query_is_of_the_own_unit_unless_another_one_is_named(home: ArchiveHome, cms: CaseSystem) -> None:
    sent = body(
        home, scope="query", query={"device": "CAM-77", "kind": "footage", "recorded_from": "2026-03-01T00:00:00+08:00"}
    )
    told = cms.client.post("/api/v1/holds", json=sent).json()
    assert told["query"] == {
        "unit": str(FIRST_UNIT), "device": "CAM-77", "kind": "footage", "recorded_from": "2026-02-28T16:00:00.000000Z",
    }  # fmt: skip
    release_hold(home.database, HoldId(UUID(told["id"])), reason="x", by=OPERATOR, at=home.clock.now())


def test_what_cannot_be_is_refused_in_words(home: ArchiveHome, cms: CaseSystem) -> None:
    thing = str(new_uuid7())
    for sent, status, code in (
        (body(home, ref=thing), 404, "custody.object_not_found"),
        (body(home, scope="case", ref=thing), 404, "cases.not_found"),
        (body(home), 422, "input.unprocessable"),
        (body(home, ref="x"), 422, "input.unprocessable"),
        (body(home, ref=thing, query={}), 422, "input.unprocessable"),
        (body(home, scope="query", query={"unit": thing}), 403, "holds.not_your_unit"),
        (body(home, scope="query", query={"device": " "}), 422, "holds.bad_query"),
        (body(home, scope="query", query={"place": "x"}), 422, "input.unprocessable"),
        (body(home, ref=thing, review_on="2020-01-01"), 422, "holds.review_day_impossible"),
        (body(home, ref=thing, review_on=20260101), 422, "input.unprocessable"),
    ):
        answer = cms.client.post("/api/v1/holds", json=sent)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert cms.client.get(f"/api/v1/holds/{thing}").json()["code"] == "holds.not_found"
    assert cms.client.get("/api/v1/holds?which=some").status_code == 422


def test_a_request_that_says_something_else_is_refused(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    item = home.deliver(dock, b"asked for twice", "twice.mp4")
    sent = body(home, ref=str(item))
    assert cms.client.post("/api/v1/holds", json=sent).status_code == 200
    answer = cms.client.post("/api/v1/holds", json={**sent, "reason": "另一事由"})
    assert (answer.status_code, answer.json()["code"]) == (409, "holds.request_used")


def test_who_only_places_does_not_release(
    home: ArchiveHome, dock: EnrolledDock, connect: Callable[..., CaseSystem]
) -> None:
    item = home.deliver(dock, b"placed by one", "one.mp4")
    placing, reading = connect(None, Scope.HOLDS_PLACE), connect(None, Scope.HOLDS_READ)
    told = placing.client.post("/api/v1/holds", json=body(home, ref=str(item))).json()
    for system in (placing, reading):
        answer = system.client.post(f"/api/v1/holds/{told['id']}/release", json={"reason": "x"})
        assert (answer.status_code, answer.json()["code"]) == (403, "access.forbidden")

"""Keys of systems: made by the administrator, for some scopes and some time; and what every request is held to."""

import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from archive.access.api_keys import INTEGRATION_SCOPES, Scope
from archive.access.integrations import (
    KeyNotFound,
    NameInvalid,
    integration_keys,
    issue_integration_key,
    revoke_integration_key,
)
from archive.kernel.errors import InvalidInput
from archive.ledger.entries import OPERATOR
from archive.web.api.v1.limits import MOST_BODY_BYTES
from archive.web.app import create_app
from archive.web.limits import Meter, TooManyRequests
from tests.support import seed
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.case_system import CaseSystem


def status(client: httpx.Client, path: str, key: str | None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.get(path, headers=headers).status_code


def test_a_key_works_until_it_ends_or_is_revoked(home: ArchiveHome, connect: Callable[..., CaseSystem]) -> None:
    cms = connect()
    assert cms.list("cases").status_code == 200
    prefix = cms.key.split("_")[1]
    revoke_integration_key(home.database, prefix, by=OPERATOR, at=home.clock.now())
    refused = cms.list("cases")
    assert (refused.status_code, refused.json()["code"]) == (401, "access.key_refused")
    assert refused.headers["www-authenticate"] == "Bearer"
    with pytest.raises(KeyNotFound):
        revoke_integration_key(home.database, prefix, by=OPERATOR, at=home.clock.now())
    short = connect(cms.name, lifetime=timedelta(minutes=5))
    assert short.list("cases").status_code == 200
    home.clock.step(timedelta(minutes=6))
    assert short.list("cases").status_code == 401


def test_what_is_written_down_of_a_key(home: ArchiveHome, connect: Callable[..., CaseSystem]) -> None:
    cms = connect(None, Scope.CASES_READ)
    issued = home.entries()[-1]
    assert issued["type"] == "admin.key_issued"
    assert issued["obj"]["kind"] == "integration"
    kept = repr(home.rows("SELECT * FROM api_key")) + repr(home.rows("SELECT * FROM log_detail"))
    assert cms.key.split("_", 2)[2] not in kept
    cms.list("cases")
    with home.database.read() as tx:
        (row,) = [row for row in integration_keys(tx) if row.integration.name == cms.name]
    assert row.scopes == [Scope.CASES_READ]
    assert row.key.last_used_at is not None
    assert row.is_valid(home.clock.now())


def test_wrong_keys_are_refused_in_the_same_words(home: ArchiveHome, dock: EnrolledDock, cms: CaseSystem) -> None:
    told = set()
    for authorization in (
        "",
        "Bearer",
        "Basic eA==",
        f"Bearer {cms.key}x",
        f"Bearer {dock.api_key}",
        cms.key,
        "Bearer lh_a_b",
    ):
        answer = cms.client.get("/api/v1/items", headers={"Authorization": authorization})
        assert answer.status_code == 401
        told.add((answer.json()["title"], tuple(answer.json().get("facts", ()))))
    assert len(told) == 1


THING = "01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01"
NEEDED = [
    ("GET", "/api/v1/systems/{}/cases", {Scope.CASES_READ, Scope.CASES_WRITE}),
    ("GET", "/api/v1/systems/{}/subjects/X", {Scope.CASES_READ, Scope.CASES_WRITE}),
    ("GET", "/api/v1/systems/{}/officers", {Scope.CASES_READ, Scope.OFFICERS_WRITE}),
    ("PUT", "/api/v1/systems/{}/subjects/X", {Scope.CASES_WRITE}),
    ("PUT", "/api/v1/systems/{}/cases/X", {Scope.CASES_WRITE}),
    ("PUT", "/api/v1/systems/{}/acts/X", {Scope.CASES_WRITE}),
    ("PUT", "/api/v1/systems/{}/officers/X", {Scope.OFFICERS_WRITE}),
    ("POST", "/api/v1/systems/{}/links", {Scope.CASES_WRITE}),
    ("POST", "/api/v1/systems/{}/removals", {Scope.CASES_WRITE}),
    ("GET", "/api/v1/items", {Scope.ITEMS_READ}),
    ("GET", f"/api/v1/items/{THING}", {Scope.ITEMS_READ}),
    ("GET", f"/api/v1/cases/{THING}/items", {Scope.ITEMS_READ}),
    ("GET", "/api/v1/holds", {Scope.HOLDS_READ, Scope.HOLDS_PLACE, Scope.HOLDS_RELEASE}),
    ("GET", f"/api/v1/holds/{THING}", {Scope.HOLDS_READ, Scope.HOLDS_PLACE, Scope.HOLDS_RELEASE}),
    ("POST", "/api/v1/holds", {Scope.HOLDS_PLACE}),
    ("POST", f"/api/v1/holds/{THING}/reviews", {Scope.HOLDS_PLACE}),
    ("POST", f"/api/v1/holds/{THING}/release", {Scope.HOLDS_RELEASE}),
    ("GET", "/api/v1/events", {Scope.EVENTS_READ}),
    ("GET", "/api/v1/webhooks", {Scope.EVENTS_READ}),
    ("POST", f"/api/v1/webhooks/{THING}/replay", {Scope.EVENTS_READ}),
]


def test_each_endpoint_asks_for_its_scope(connect: Callable[..., CaseSystem]) -> None:
    bodies = {
        "subjects": "subject", "cases": "case", "acts": "act", "officers": "officer",
    }  # fmt: skip
    link = {"item": "x", "case": "X", "reason": "r"}
    for scope in INTEGRATION_SCOPES:
        system = connect(None, scope)
        for method, path, scopes in NEEDED:
            place = path.split("/")[-2]
            body = getattr(system, bodies[place])() if method == "PUT" else link
            body = {"since": "2026-01-01T00:00:00Z"} if path.endswith("replay") else body
            answer = system.client.request(method, path.format(system.name), json=body if method != "GET" else None)
            assert (answer.status_code != 403) == (scope in scopes), (method, path, scope, answer.text)
            assert answer.status_code != 401


def test_a_batch_is_held_to_the_scopes_operation_by_operation(connect: Callable[..., CaseSystem]) -> None:
    system = connect(None, Scope.OFFICERS_WRITE)
    answer = system.post(
        "batch",
        {
            "operations": [
                {"kind": "officer", "external_id": "1", "body": system.officer()},
                {"kind": "subject", "external_id": "1", "body": system.subject()},
            ]
        },
    )
    assert [result["status"] for result in answer.json()["results"]] == [201, 403]


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a-", "ä", "a/b", "x" * 65, "a\n", ".."])
def test_a_name_that_does_not_fit_an_address_is_refused(home: ArchiveHome, name: str) -> None:
    with pytest.raises(NameInvalid):
        issue_integration_key(
            home.database, name=name, title=None, scopes=[Scope.CASES_READ], by=OPERATOR, at=home.clock.now()
        )


@pytest.mark.parametrize(
    ("scopes", "days"), [([], 1), ([Scope.UPLOAD], 1), ([Scope.CASES_READ], 0), ([Scope.CASES_READ], 4000)]
)
def test_a_key_has_scopes_and_an_end(home: ArchiveHome, scopes: list[Scope], days: int) -> None:
    with pytest.raises(InvalidInput):
        issue_integration_key(
            home.database,
            name="x",
            title=None,
            scopes=scopes,
            lifetime=timedelta(days=days),
            by=OPERATOR,
            at=home.clock.now(),
        )


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_a_body_has_at_most_one_mebibyte(cms: CaseSystem) -> None:
    fits = json.dumps(cms.officer()).encode().ljust(MOST_BODY_BYTES)
    path = cms.address("officers", "1")
    kind = {"Content-Type": "application/json"}
    assert cms.client.put(path, content=fits, headers=kind).status_code == 201
    too_large = cms.client.put(path, content=fits + b" ", headers=kind)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "input.too_large")
    assert too_large.json()["facts"] == {"most_bytes": MOST_BODY_BYTES}

    def pieces() -> list[bytes]:
        return [fits[:1000], fits[1000:]]

    assert cms.client.put(path, content=iter(pieces()), headers=kind).status_code == 200
    try:
        without_length = cms.client.put(path, content=iter([*pieces(), b" "]), headers=kind).status_code
    except (httpx.WriteError, httpx.RemoteProtocolError):
        without_length = 413  # it was answered, and hung up on, before everything was sent
    assert without_length == 413


def test_too_many_requests_are_told_when_to_go_on(home: ArchiveHome, issue: Callable[..., str]) -> None:
    key = issue("hasty")
    app = create_app(home.services)
    app.state.meter = Meter(60)
    with seed.listening(app) as address, httpx.Client(base_url=address, trust_env=False) as client:
        answers = [client.get("/api/v1/items", headers={"Authorization": f"Bearer {key}"}) for _ in range(14)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 2 <= len(refused) <= 4
    assert refused[0].json()["code"] == "access.too_many_requests"
    assert 1 <= int(refused[0].headers["retry-after"]) <= 2


def test_the_meter_fills_again_and_counts_each_for_itself() -> None:
    from uuid import UUID

    meter, one, other = Meter(600), UUID(int=1), UUID(int=2)
    for _ in range(100):
        meter.take(one, now_s=0)
    with pytest.raises(TooManyRequests):
        meter.take(one, now_s=0)
    meter.take(other, now_s=0)
    meter.take(one, now_s=0.11)
    with pytest.raises(TooManyRequests):
        meter.take(one, now_s=0.11)


BAD_BODIES = [
    (b"", 422), (b"{", 400), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"{}", 422), (b"\xff\xfe", 400),
    (b"[" * 100_000, 400), (b'{"kind": "organisation", "name": "a", "surplus": 1}', 422),
    (b'{"kind": "dragon", "name": "a"}', 422), (b'{"kind": "person", "name": "\\u0000"}', 422),
    (b'{"kind": "person", "name": "\\ud800"}', 422), (b'{"kind": "person", "name": ""}', 422),
    (b'{"kind": "person", "name": "   "}', 422), (b'{"kind": "person", "name": 7}', 422),
    (b'{"kind": "person", "name": "a", "identifiers": [{"kind": "resident_id", "number": "11010519491231002Y"}]}', 422),
    (b'{"kind": "person", "name": "a", "identifiers": [{"kind": "credit_code", "number": "91530100MA6K3XQ84M"}]}', 422),
]  # fmt: skip


def test_a_bad_body_is_a_problem_that_says_where(home: ArchiveHome, cms: CaseSystem) -> None:
    count = len(home.entries())
    for raw, expected in BAD_BODIES:
        answer = cms.client.put(cms.address("subjects", "1"), content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code == expected, (raw[:60], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "11010519491231002Y" not in answer.text
    assert len(home.entries()) == count


def test_an_act_that_cannot_be_is_refused(cms: CaseSystem) -> None:
    cms.push_all()
    for changes in (
        {"started_at": "2026-03-02T09:30:00"}, {"started_at": "yesterday"}, {"started_at": 1}, {"started_at": None},
        {"ended_at": "2026-03-01T00:00:00Z"}, {"stage": "party"}, {"officers": "OFF-1"}, {"officers": [1]},
        {"started_at": "0001-01-01T00:00:00+14:00"}, {"place": "x" * 301}, {"case": None},
    ):  # fmt: skip
        assert cms.put("acts", "ACT-9", cms.act(**changes)).status_code == 422, changes


def test_an_officer_that_cannot_be_is_refused(cms: CaseSystem) -> None:
    for changes in (
        {"valid_until": "2020-01-01"}, {"valid_from": "2026-02-30"}, {"categories": ["a\nb"]}, {"categories": ["x"] * 51},
    ):  # fmt: skip
        assert cms.put("officers", "1", cms.officer(**changes)).status_code == 422, changes


@pytest.mark.parametrize("day", [0, 1_700_000_000, "0", "1700000000", "2024-05-01T00:00:00", True, []], ids=repr)
def test_a_day_is_a_day_and_no_number(cms: CaseSystem, day: object) -> None:
    answer = cms.put("officers", "OFF-9", cms.officer(9, valid_until=day))
    assert answer.status_code == 422
    assert "valid_until" in answer.json()["facts"]["where"]


@pytest.mark.parametrize("truth", [0, 1, "true", "no"], ids=repr)
def test_a_truth_is_no_number_and_no_word(cms: CaseSystem, truth: object) -> None:
    operation = {"kind": "officer", "external_id": "OFF-9", "adopt": truth, "body": cms.officer(9)}
    assert cms.post("batch", {"operations": [operation]}).status_code == 422


def test_without_a_key_nothing_is_told_of_an_id(cms: CaseSystem, base: str) -> None:
    address = cms.address("cases", "x" * 300)
    assert cms.client.get(address).status_code == 422
    assert httpx.get(f"{base}{address}", trust_env=False).status_code == 401


@pytest.mark.parametrize("key", ["\u00e9" * 44, "\u5bc6\u94a5", "!" * 44, ""])
def test_a_public_key_that_is_not_in_base64_is_refused(base: str, key: str) -> None:
    sent = {"code": "7QWK-2M9T-XH4B-VVR3", "public_key": key}
    answer = httpx.post(f"{base}/api/v1/docks/enrolment", json=sent, trust_env=False)
    assert answer.status_code in {400, 403}
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_method_of_an_address_is_told(cms: CaseSystem) -> None:
    answer = cms.client.request("DELETE", cms.address("cases", "CASE/1"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")
    assert cms.client.request("PUT", "/api/v1/items").headers["allow"] == "GET"
    assert cms.client.request("PUT", "/static/app.css").headers["allow"] == "GET, HEAD"

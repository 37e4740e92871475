"""Retrieval in the pages: asking, deciding, seeing under an approval, emergencies, renewing, the trace as a file."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from archive.access.policy import Role
from archive.web.app import create_app
from tests.integration.web.conftest import HTMX, signed_in_at, small_scene, words
from tests.support import retrievals, seed
from tests.support.seed import PEOPLE, Bureau

WHY = {"purpose": "案件办理", "reference": "任务 7"}
People = Mapping[Role, httpx.Client]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bureau, People]]:
    """A bureau in which one recording is a state secret, and a browser for everybody."""
    folder: Path = tmp_path_factory.mktemp("retrievals")
    bureau = seed.new_bureau(folder / "home", cn_profile=True)
    small_scene(bureau, folder / "media")
    retrievals.make_secret(bureau, "audio")
    with ExitStack() as opened:
        opened.callback(bureau.services.close)
        base = opened.enter_context(seed.listening(create_app(bureau.services)))
        yield bureau, signed_in_at(base, opened, {role: name for role, (name, _) in PEOPLE.items()})


def test_what_needs_an_approval_is_asked_for_decided_and_seen(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    asker, head, item = people[Role.SUPERVISOR], people[Role.UNIT_HEAD], bureau.items["audio"]
    page = asker.get(f"/items/{item}")
    assert "须经单位负责人批准后调阅" in words(page)
    assert '/play"' not in page.text
    assert asker.post(f"/items/{item}/play", data=WHY, headers=HTMX).status_code == 403
    path = f"/objects/{item}/requests"
    for wrong in ({"days": "0"}, {"days": "91"}, {"days": "x"}, {"purpose": " "}, {"reference": "x" * 101}):
        refused = asker.post(path, data={"kind": "view", "days": "7", **WHY, **wrong})
        assert refused.status_code == 422
        assert f'id="ask-view-{next(iter(wrong))}-fault"' in refused.text
    asked = asker.post(path, data={"kind": "view", "days": "7", **WHY})
    assert asked.headers["location"] == f"/items/{item}?done=retrieval_asked"
    again = asker.post(path, data={"kind": "view", "days": "7", **WHY})
    assert again.status_code == 422
    assert "待单位负责人审批" in words(asker.get(f"/items/{item}"))
    assert "待审批" in words(asker.get("/retrievals"))
    deciding = head.get("/retrievals?which=deciding")
    assert PEOPLE[Role.SUPERVISOR][1] in words(deciding)
    decision = re.search(r"/retrievals/[0-9a-f-]+/decision", deciding.text)
    assert decision is not None
    refused = head.post(decision[0], data={"decision": "refuse", "reason": ""})
    assert refused.status_code == 422
    assert "-reason-fault" in refused.text
    assert head.post(decision[0], data={"decision": "approve"}).status_code == 303
    late = head.post(decision[0], data={"decision": "approve"})
    assert (late.status_code, "已审批" in words(late)) == (422, False)
    page = asker.get(f"/items/{item}")
    assert "已批准，有效至" in words(page)
    played = asker.post(f"/items/{item}/play", data={"nothing": ""}, headers=HTMX)
    assert "<audio" in played.text
    assert "任务 7" in words(played)
    ending = re.search(r"/retrievals/[0-9a-f-]+/end", head.get("/retrievals?which=deciding").text)
    assert ending is not None
    assert head.post(ending[0], data={"reason": ""}).status_code == 422
    assert head.post(ending[0], data={"reason": "案件移交"}).status_code == 303
    source = re.search(r"/content/[0-9a-f-]+/playable", played.text)
    assert source is not None
    assert asker.get(source[0]).status_code == 404, "what runs ends with the approval"
    assert "已终止" in words(asker.get("/retrievals"))


def test_a_copy_is_asked_for_and_withdrawn(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    handler, record = people[Role.CASE_HANDLER], bureau.records["inspection"]
    for kind in ("export", "print"):
        asked = handler.post(f"/objects/{record}/requests", data={"kind": kind, "days": "3", "purpose": "举证"})
        assert asked.headers["location"] == f"/records/{record}?done=retrieval_asked"
    page = handler.get("/retrievals")
    assert "官综执罚〔2026〕第031号" in words(page), "what is filed is for its case"
    withdrawal = re.findall(r"/retrievals/[0-9a-f-]+/withdrawal", page.text)
    assert len(withdrawal) == 2
    for address in withdrawal:
        assert handler.post(address).headers["location"] == "/retrievals?done=retrieval_withdrawn"
        assert handler.post(address).status_code == 409
    assert "已撤回" in words(handler.get("/retrievals"))


def test_a_record_is_printed_under_a_grant_of_its_own(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    supervisor, record = people[Role.SUPERVISOR], bureau.records["inspection"]
    printed = supervisor.post(f"/records/{record}/print", data=WHY)
    address = printed.headers["location"]
    assert re.fullmatch(r"/content/[0-9a-f-]+/print", address)
    answer = supervisor.get(address)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("inline")
    assert supervisor.get(address.replace("/print", "/document")).status_code == 404
    assert supervisor.get(address.replace("/print", "/original")).status_code == 404


def test_an_emergency_is_shown_and_told_at_once(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    handler, item = people[Role.CASE_HANDLER], bureau.items["audio"]
    refused = handler.post(f"/objects/{item}/emergency", data={"purpose": "", "reference": ""})
    assert refused.status_code == 422
    assert 'id="emergency-purpose-fault"' in refused.text
    shown = handler.post(f"/objects/{item}/emergency", data=WHY)
    page = handler.get(shown.headers["location"])
    assert "<audio" in page.text
    assert "本次为紧急调阅" in words(page)
    assert people[Role.SUPERVISOR].get(shown.headers["location"]).status_code == 404, "it is nobody else's"
    for role in (Role.UNIT_HEAD, Role.AUDITOR):
        assert f"{PEOPLE[Role.CASE_HANDLER][1]} 未经审批紧急调阅" in words(people[role].get("/notices"))


def test_a_grant_is_renewed_from_the_player(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    supervisor = people[Role.SUPERVISOR]
    page = supervisor.post(f"/items/{bureau.items['video']}/play", data=WHY, headers=HTMX)
    assert 'data-warn-s="600"' in page.text
    left = re.search(r'data-left-s="(\d+)"', page.text)
    assert left is not None
    assert 14_300 < int(left[1]) <= 14_400
    renewal = re.search(r"/content/[0-9a-f-]+/renewal", page.text)
    assert renewal is not None
    assert 'data-left-s="' in supervisor.post(renewal[0], headers=HTMX).text
    assert supervisor.post(renewal[0]).headers["location"].startswith(f"/items/{bureau.items['video']}?grant=")
    assert people[Role.UNIT_HEAD].post(renewal[0]).status_code == 404


def test_the_trace_is_read_and_taken_away(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    handler, auditor = people[Role.CASE_HANDLER], people[Role.AUDITOR]
    handler.post(f"/items/{bureau.items['video']}/play", data={"purpose": "=1+1", "reference": "@x"}, headers=HTMX)
    assert "=1+1" in words(handler.get("/trace"))
    assert handler.get("/trace?which=accesses").status_code == 403
    assert "=1+1" in words(auditor.get("/trace?which=accesses"))
    answer = auditor.post("/trace/lists", data={"which": "accesses"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][:3] == ["时间", "调阅人", "操作"]
    assert ["'=1+1", "'@x"] in [row[4:6] for row in rows]
    assert "调阅记录" in words(auditor.get("/trace?which=copies")), "taking it away is a copy"
    for address in ("/trace?which=nothing", "/trace?who=x&of=y", "/trace?which=mine&who="):
        assert auditor.get(address).status_code == 200


def test_what_was_unusual_is_looked_into(scene: tuple[Bureau, People]) -> None:
    bureau, people = scene
    people[Role.CASE_HANDLER].post(f"/objects/{bureau.items['audio']}/emergency", data=WHY)
    while retrievals.judge_accesses(bureau.services.database, bureau.services.retrievals.rules, at=bureau.now()):
        pass
    auditor = people[Role.AUDITOR]
    page = auditor.get("/trace?which=unusual")
    assert "紧急调阅" in words(page)
    check = re.search(r"/trace/[0-9a-f-]+/check", page.text)
    assert check is not None
    assert auditor.post(check[0], data={"words": " "}).status_code == 422
    assert auditor.post(check[0], data={"words": "属实，已补办手续"}).status_code == 303
    assert auditor.post(check[0], data={"words": "再次"}).status_code == 422
    assert "属实，已补办手续" in words(auditor.get("/trace?which=unusual"))

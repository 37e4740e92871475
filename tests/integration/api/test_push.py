"""Pushing a case by the ids of the case system: created once, the same again is nothing, conflicts say how to go on."""

import threading
from collections.abc import Callable
from typing import Any

import httpx

from archive.cases.filing import open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import ArchiveHome
from tests.support.case_system import CaseSystem, credit_code


def facts(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    return {"code": told["code"], **told.get("facts", {})}


def test_a_whole_case_is_pushed_once_and_again(home: ArchiveHome, cms: CaseSystem) -> None:
    first = cms.push_all()
    assert {name: answer.status_code for name, answer in first.items()} == dict.fromkeys(first, 201), [
        answer.text for answer in first.values()
    ]
    count = len(home.entries())
    again = cms.push_all()
    assert {name: answer.status_code for name, answer in again.items()} == dict.fromkeys(first, 200)
    assert {answer.json()["outcome"] for answer in again.values()} == {"unchanged"}
    assert len(home.entries()) == count
    for name, answer in first.items():
        assert answer.headers["etag"] == again[name].headers["etag"]
        assert answer.json()["id"] == again[name].json()["id"]


def test_what_was_pushed_is_read_back_in_the_names_of_the_system(home: ArchiveHome, cms: CaseSystem) -> None:
    pushed = {name: answer.json() for name, answer in cms.push_all().items()}
    subject, case = cms.get("subjects", "PARTY-1").json(), cms.get("cases", "CASE-1").json()
    act, officer = cms.get("acts", "ACT-1").json(), cms.get("officers", "OFF-1").json()
    code = cms.subject()["identifiers"][0]["number"]
    assert subject["identifiers"] == [{"kind": "credit_code", "masked": f"915{'*' * 11}{code[-4:]}"}]
    assert code not in cms.get("subjects", "PARTY-1").text
    assert case["subject"] == {"id": pushed["subject"]["id"], "external_id": "PARTY-1"}
    assert case["page"] == f"/cases/{case['id']}"
    assert act["case"] == {"id": case["id"], "external_id": "CASE-1"}
    assert {found["external_id"] for found in act["officers"]} == {"OFF-1", "OFF-2"}
    assert (act["started_at"], act["ended_at"]) == ("2026-03-02T01:30:00.000000Z", "2026-03-02T02:05:00.000000Z")
    assert officer["valid_until"] == "2029-04-30"
    assert officer["categories"] == ["城市管理"]
    assert cms.get("cases", "CASE-2").status_code == 404
    assert facts(cms.get("cases", "CASE-2"))["code"] == "cases.nothing_pushed"


def test_a_change_is_written_down_with_what_was_there(home: ArchiveHome, cms: CaseSystem) -> None:
    cms.push_all()
    count = len(home.entries())
    changed = [
        cms.put("subjects", "PARTY-1", cms.subject(name="官渡区阿明餐饮店")),
        cms.put("cases", "CASE-1", cms.case(number=f"{cms.name}-正式1号", title="占道经营案")),
        cms.put("acts", "ACT-1", cms.act(place="北京路 190 号", officers=["OFF-2"])),
        cms.put("officers", "OFF-1", cms.officer(unit="关上中队", valid_until=None)),
    ]
    assert [(answer.status_code, answer.json()["outcome"]) for answer in changed] == [(200, "changed")] * 4
    written = [entry["type"] for entry in home.entries()[count:]]
    assert written == [
        "subject.updated", "case.updated", "case.act_updated", "case.act_updated", "admin.officer_recorded",
    ]  # fmt: skip
    assert cms.get("cases", "CASE-1").json()["number"] == f"{cms.name}-正式1号"
    assert [found["external_id"] for found in cms.get("acts", "ACT-1").json()["officers"]] == ["OFF-2"]
    kept = cms.put(
        "acts", "ACT-1", {key: value for key, value in cms.act(place="北京路 190 号").items() if key != "officers"}
    )
    assert kept.json()["outcome"] == "unchanged"


def test_numbers_that_are_left_out_stay_and_new_ones_come_to_it(cms: CaseSystem) -> None:
    cms.push_all()
    without = cms.put("subjects", "PARTY-1", cms.subject(identifiers=[]))
    assert without.json()["outcome"] == "unchanged"
    assert len(without.json()["identifiers"]) == 1
    more = cms.put("subjects", "PARTY-1", cms.subject(identifiers=[{"kind": "other", "number": f"{cms.name} 77"}]))
    assert more.json()["outcome"] == "changed"
    assert {found["kind"] for found in more.json()["identifiers"]} == {"credit_code", "other"}


# ---- conflicts ---------------------------------------------------------------------------------------------------


def by_hand(home: ArchiveHome, number: str, name: str = "某某店") -> str:
    return str(
        open_case(
            home.database,
            home.services.identifiers,
            number=number,
            title="手工立案",
            category=Category.INSPECTION,
            subject=NewSubject(name, SubjectKind.ORGANISATION),
            by=OPERATOR,
            at=home.clock.now(),
        )
    )


def test_a_number_of_a_case_made_by_hand_is_a_conflict_that_adopting_settles(
    home: ArchiveHome, cms: CaseSystem
) -> None:
    cms.put("subjects", "PARTY-1", cms.subject())
    case_id = by_hand(home, cms.case()["number"])
    refused = cms.put("cases", "CASE-1", cms.case())
    assert refused.status_code == 409
    assert facts(refused) == {"code": "cases.number_taken", "case_id": case_id, "adopt": "adopt=true"}
    adopted = cms.put("cases", "CASE-1", cms.case(), adopt=True)
    assert (adopted.status_code, adopted.json()["outcome"], adopted.json()["id"]) == (200, "adopted", case_id)
    assert adopted.json()["title"] == cms.case()["title"]
    assert cms.put("cases", "CASE-1", cms.case(), adopt=True).json()["outcome"] == "unchanged"


def test_a_number_of_another_external_id_is_a_conflict_that_adopting_does_not_settle(cms: CaseSystem) -> None:
    cms.push_all()
    for adopt in (False, True):
        refused = cms.put("cases", "CASE-2", cms.case(), adopt=adopt)
        assert refused.status_code == 409
        told = facts(refused)
        assert (told["code"], told["external_id"]) == ("cases.number_taken", "CASE-1")
        assert "adopt" not in told
    assert cms.put("cases", "CASE-2", cms.case(2)).status_code == 201
    moved = cms.put("cases", "CASE-2", cms.case())
    assert facts(moved)["external_id"] == "CASE-1"
    assert cms.get("cases", "CASE-2").json()["number"] == cms.case(2)["number"]


def test_two_systems_may_have_one_case_each_by_its_own_name(connect: Callable[..., CaseSystem]) -> None:
    one, other = connect(), connect()
    pushed = one.push_all()["case"].json()
    other.put("subjects", "P", {**one.subject()}, adopt=True)
    body = {**one.case(), "subject": "P"}
    assert facts(other.put("cases", "K", body))["adopt"] == "adopt=true"
    adopted = other.put("cases", "K", body, adopt=True)
    assert adopted.json()["id"] == pushed["id"]
    assert other.get("cases", "CASE-1").status_code == 404
    assert one.get("cases", "CASE-1").json()["id"] == pushed["id"]


def test_an_identifier_of_another_subject_is_a_conflict(connect: Callable[..., CaseSystem]) -> None:
    one, other = connect(), connect()
    known = one.put("subjects", "PARTY-1", one.subject()).json()
    twice = one.put("subjects", "PARTY-2", one.subject(name="同一家"), adopt=True)
    assert facts(twice) == {
        "code": "cases.identifier_taken", "subject_id": known["id"], "external_id": "PARTY-1",
    }  # fmt: skip
    foreign = other.put("subjects", "X", one.subject(name="另一名称"))
    assert facts(foreign) == {"code": "cases.identifier_taken", "subject_id": known["id"], "adopt": "adopt=true"}
    adopted = other.put("subjects", "X", one.subject(name="另一名称"), adopt=True)
    assert (adopted.json()["outcome"], adopted.json()["id"]) == ("adopted", known["id"])
    assert one.get("subjects", "PARTY-1").json()["name"] == "另一名称"
    other.put("subjects", "Y", other.subject())
    taken = other.put("subjects", "Y", other.subject(identifiers=one.subject()["identifiers"]))
    assert facts(taken)["external_id"] == "X"
    both = one.put(
        "subjects", "PARTY-3", one.subject(identifiers=[*one.subject()["identifiers"], *other.subject()["identifiers"]])
    )
    assert facts(both)["code"] == "cases.several_subjects"


def test_a_certificate_of_another_officer_is_a_conflict(connect: Callable[..., CaseSystem]) -> None:
    one, other = connect(), connect()
    known = one.put("officers", "OFF-1", one.officer()).json()
    assert facts(one.put("officers", "OFF-9", one.officer()))["external_id"] == "OFF-1"
    assert facts(other.put("officers", "7", one.officer())) == {
        "code": "access.certificate_taken", "officer_id": known["id"], "adopt": "adopt=true",
    }  # fmt: skip
    assert other.put("officers", "7", one.officer(), adopt=True).json()["id"] == known["id"]
    one.put("officers", "OFF-2", one.officer(2))
    assert facts(one.put("officers", "OFF-2", one.officer()))["code"] == "access.certificate_taken"


def test_an_act_does_not_change_its_case(cms: CaseSystem) -> None:
    cms.push_all()
    cms.put("cases", "CASE-2", cms.case(2))
    refused = cms.put("acts", "ACT-1", cms.act(case="CASE-2"))
    assert refused.status_code == 409
    assert (facts(refused)["code"], facts(refused)["external_id"]) == ("cases.act_of_other_case", "CASE-1")


def test_what_was_not_pushed_cannot_be_referred_to(home: ArchiveHome, cms: CaseSystem) -> None:
    cms.push_all()
    count = len(home.entries())
    for kind, body, named in (
        ("cases", cms.case(7, subject="NOBODY"), ("subject", "NOBODY")),
        ("acts", cms.act(case="NOWHERE"), ("case", "NOWHERE")),
        ("acts", cms.act(officers=["OFF-1", "幽灵"]), ("officer", "幽灵")),
    ):
        refused = cms.put(kind, "NEW", body)
        assert refused.status_code == 422
        told = facts(refused)
        assert (told["code"], told["kind"], told["external_id"]) == ("cases.unknown_reference", *named)
        assert cms.get(kind, "NEW").status_code == 404
    assert len(home.entries()) == count


def test_a_condition_names_the_version_that_may_be_changed(cms: CaseSystem) -> None:
    cms.push_all()
    etag = cms.get("cases", "CASE-1").headers["etag"]
    changed = cms.put("cases", "CASE-1", cms.case(title="改"), **{"If-Match": etag})
    assert changed.status_code == 200
    late = cms.put("cases", "CASE-1", cms.case(title="又改"), **{"If-Match": etag})
    assert (late.status_code, facts(late)["code"]) == (412, "cases.version_mismatch")
    assert facts(late)["version"] == changed.headers["etag"].strip('"')
    assert cms.put("cases", "CASE-1", cms.case(title="又改"), **{"If-Match": "*"}).status_code == 200
    assert cms.put("cases", "NEW", cms.case(9), **{"If-Match": "*"}).status_code == 412


# ---- two at once ---------------------------------------------------------------------------------------------------


def at_once(*works: Callable[[], httpx.Response]) -> list[httpx.Response]:
    gate = threading.Barrier(len(works))
    answers: list[httpx.Response] = []

    def run(work: Callable[[], httpx.Response]) -> None:
        gate.wait()
        answers.append(work())

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_two_that_push_the_same_at_once_make_one_thing(home: ArchiveHome, cms: CaseSystem) -> None:
    cms.put("officers", "OFF-1", cms.officer(1))
    cms.put("officers", "OFF-2", cms.officer(2))
    for kind, name, body in (
        ("subjects", "PARTY-1", cms.subject()),
        ("cases", "CASE-1", cms.case()),
        ("acts", "ACT-1", cms.act()),
        ("officers", "OFF-3", cms.officer(3)),
    ):
        count = len(home.entries())
        answers = at_once(*[lambda kind=kind, name=name, body=body: cms.put(kind, name, body)] * 4)
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201], [a.text for a in answers]
        assert len({answer.json()["id"] for answer in answers}) == 1
        first = len(home.entries()) - count
        assert first == {"subjects": 2, "cases": 2, "acts": 3, "officers": 2}[kind]


def test_two_external_ids_for_one_number_at_once_end_as_one_case_and_one_conflict(cms: CaseSystem) -> None:
    cms.put("subjects", "PARTY-1", cms.subject())
    answers = at_once(
        lambda: cms.put("cases", "A", cms.case(5)),
        lambda: cms.put("cases", "B", cms.case(5)),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]


def test_two_changes_at_once_happen_one_after_the_other(home: ArchiveHome, cms: CaseSystem) -> None:
    cms.push_all()
    answers = at_once(*[lambda n=n: cms.put("cases", "CASE-1", cms.case(title=f"第 {n} 稿")) for n in range(6)])
    assert {answer.status_code for answer in answers} == {200}
    assert cms.get("cases", "CASE-1").json()["title"] in {f"第 {n} 稿" for n in range(6)}


def test_the_archive_is_sound_after_all_this(home: ArchiveHome, cms: CaseSystem) -> None:
    cms.push_all()
    home.sequence()
    home.assert_sound()


def test_the_codes_of_the_tests_hold() -> None:
    assert credit_code(1) != credit_code(2)

"""Subjects on pages: finding them, choosing them for a case, their numbers, merging them. On both databases."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from archive.access.policy import Role
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.listings import case_view
from archive.cases.subject_listings import subject_view
from archive.cases.subjects import KnownSubject, NewSubject, record_subject
from archive.cases.terms import SubjectKind
from archive.kernel.ids import CaseId, SubjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.web.app import create_app
from tests.integration.web.conftest import HTMX, browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401

PERSON, ORGANISATION = SubjectKind
RESIDENT = Identifier(IdentifierKind.RESIDENT_ID, "11010519491231002X")
CODE = Identifier(IdentifierKind.CREDIT_CODE, "91350100M000100Y43")


@pytest.fixture
def client(home: ArchiveHome) -> Iterator[httpx.Client]:  # noqa: F811
    """A case handler's browser on an archive of its own."""
    home.person(Role.CASE_HANDLER, "handler")
    with seed.listening(create_app(home.services)) as base, browser(base) as opened:
        opened.post("/sign-in", data={"username": "handler", "password": PASSWORD})
        yield opened


def subject(home: ArchiveHome, name: str, kind: SubjectKind = PERSON, number: Any = None) -> SubjectId:  # noqa: F811
    given = NewSubject(name, kind, number)
    return record_subject(home.database, home.services.identifiers, given, by=OPERATOR, at=home.clock.now())


def titles(answer: httpx.Response) -> list[str]:
    return re.findall(r'class="row-link" href="[^"]*">([^<]*)</a>', answer.text)


def more(answer: httpx.Response) -> str | None:
    match = re.search(r'class="more" href="([^"]*)"', answer.text)
    return None if match is None else match[1].replace("&amp;", "&")


def choices(answer: httpx.Response) -> list[str]:
    return re.findall(r'name="subject_id" value="([^"]*)"', answer.text)


def new_case(**changed: str) -> dict[str, str]:
    given = {"number": "甲1", "title": "无证经营案", "category": "penalty", "subject_kind": "person"}
    return {**given, "subject_name": "张三", "identifier": "", "identifier_kind": "resident_id", **changed}


def name_of_case(home: ArchiveHome, answer: httpx.Response) -> str:  # noqa: F811
    match = re.fullmatch(r"/cases/([0-9a-f-]+)\?done=case_opened", answer.headers["location"])
    assert match is not None
    with home.database.read() as tx:
        view = case_view(tx, CaseId(new_uuid7().__class__(match[1])))
    return f"{view.subject.name} {view.subject.id}"


# ---- finding --------------------------------------------------------------------------------------------------------


def test_subjects_are_found_by_name_and_shown_masked(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    assert "还没有执法对象" in words(client.get("/subjects"))
    subject(home, "张三", PERSON, RESIDENT)
    subject(home, "阿明 <b>烧烤</b>", ORGANISATION, CODE)
    page = client.get("/subjects")
    assert titles(page) == ["阿明 &lt;b&gt;烧烤&lt;/b&gt;", "张三"]
    assert "110***********002X" in words(page)
    assert RESIDENT.number not in page.text
    assert titles(client.get("/subjects", params={"q": "明 <b"})) == ["阿明 &lt;b&gt;烧烤&lt;/b&gt;"]
    assert titles(client.get("/subjects", params={"q": RESIDENT.number})) == []
    part = client.get("/subjects", params={"q": "没有"}, headers=HTMX)
    assert part.text.lstrip().startswith('<div id="results">')
    assert "没有名称含有“没有”的执法对象" in words(part)


def test_numbers_are_asked_for_without_standing_in_an_address(
    client: httpx.Client,
    home: ArchiveHome,  # noqa: F811
) -> None:
    subject(home, "张三", PERSON, RESIDENT)
    for number in (RESIDENT.number, " 110105-19491231-002x ", "002x", "110105491231002"):
        answer = client.post("/subjects/search", data={"number": number})
        assert (answer.status_code, titles(answer)) == (200, ["张三"])
    assert "没有执法对象登记过这个号码" in words(client.post("/subjects/search", data={"number": "9999"}))
    assert client.post("/subjects/search", data={"number": " "}).status_code == 422
    assert RESIDENT.number not in client.get("/subjects").text


def test_going_on_shows_each_subject_once(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    for place in range(53):
        number = Identifier(IdentifierKind.OTHER, f"NO {place:03d} 7777")
        subject(home, f"人{place:02d}", PERSON, number)
    first = client.get("/subjects", params={"q": "人"})
    address = more(first)
    assert address is not None
    rest = client.get(address, headers=HTMX)
    assert titles(first) + titles(rest) == [f"人{place:02d}" for place in reversed(range(53))]
    by_number = client.post("/subjects/search", data={"number": "7777"})
    cursor = re.search(r'name="cursor" value="([^"]*)"', by_number.text)
    assert cursor is not None
    rest = client.post("/subjects/search", data={"number": "7777", "cursor": cursor[1]}, headers=HTMX)
    assert len(titles(by_number) + titles(rest)) == len(set(titles(by_number) + titles(rest))) == 53
    assert client.get("/subjects", params={"cursor": "nonsense"}).status_code == 400


# ---- choosing for a case --------------------------------------------------------------------------------------------


def test_a_new_name_is_recorded_with_the_case(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    answer = client.post("/cases", data=new_case(identifier=RESIDENT.number.lower()))
    assert name_of_case(home, answer).startswith("张三 ")
    page = client.get(answer.headers["location"])
    link = re.search(r'href="(/subjects/[0-9a-f-]+)">张三', page.text)
    assert link is not None
    assert "110***********002X" in words(client.get(link[1]))
    assert home.count("subject_identifier") == 1


def test_a_name_on_record_must_be_decided_upon(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first = subject(home, "张三")
    undecided = client.post("/cases", data=new_case())
    assert undecided.status_code == 422
    assert 'id="case-subject_id-fault"' in undecided.text
    assert choices(undecided) == [str(first), "new"]
    chosen = client.post("/cases", data=new_case(subject_id=str(first)))
    assert name_of_case(home, chosen) == f"张三 {first}"
    other = client.post("/cases", data=new_case(number="甲2", subject_id="new"))
    assert name_of_case(home, other) != f"张三 {first}"
    organisation = client.post("/cases", data=new_case(number="甲3", subject_kind="organisation"))
    assert organisation.status_code == 303, "a person is no namesake of an organisation"
    for nonsense in ("nonsense", str(new_uuid7())):
        answer = client.post("/cases", data=new_case(number="甲4", subject_id=nonsense))
        assert answer.status_code == 422
        assert "请选择一项" in words(answer)
    assert home.count("case_file") == 3


def test_a_number_on_record_is_who_it_belongs_to(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first = subject(home, "张三", PERSON, RESIDENT)
    same = client.post("/cases", data=new_case(identifier=RESIDENT.number))
    assert name_of_case(home, same) == f"张三 {first}"
    for decided in ("", "new"):
        other = new_case(number="甲2", subject_name="李四", identifier=RESIDENT.number, subject_id=decided)
        answer = client.post("/cases", data=other)
        assert answer.status_code == 422
        assert "这个号码属于另一个已登记的执法对象" in words(answer)
        assert choices(answer)[0] == str(first)
    second = subject(home, "李四")
    taken = client.post("/cases", data=new_case(number="甲2", subject_id=str(second), identifier=RESIDENT.number))
    assert 'id="case-identifier-fault"' in taken.text
    assert "这个号码已登记在另一个执法对象名下" in words(taken)
    given = new_case(number="甲2", subject_id=str(second), identifier="440524188001010014")
    assert name_of_case(home, client.post("/cases", data=given)) == f"李四 {second}"
    assert home.count("subject_identifier") == 2


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"identifier": "110105194912310021"}, "identifier", "校验码不符"),
        ({"identifier": "110105194902300021"}, "identifier", "出生日期不存在"),
        ({"identifier": "1"}, "identifier", "位数不对"),
        ({"identifier": "x", "identifier_kind": "nonsense"}, "identifier_kind", "请选择一项"),
        ({"identifier": CODE.number, "identifier_kind": "credit_code"}, "identifier_kind", "与执法对象的类型不符"),
        ({"subject_name": "", "identifier": RESIDENT.number}, "subject_name", "请填写此项"),
    ],
)
def test_a_number_that_cannot_be_is_refused_at_its_field(
    client: httpx.Client,
    home: ArchiveHome,  # noqa: F811
    changed: dict[str, str],
    field: str,
    message: str,
) -> None:
    answer = client.post("/cases", data=new_case(**changed))
    assert answer.status_code == 422
    assert f'id="case-{field}-fault"' in answer.text
    assert message in words(answer)
    assert home.count("case_file") == home.count("subject") == 0


def test_who_may_be_meant_is_offered_while_writing(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first, second = subject(home, "张三丰", PERSON), subject(home, "张三", PERSON, RESIDENT)
    third = subject(home, "李四", PERSON)

    def offered(**form: str) -> list[str]:
        return choices(client.post("/subjects/choices", data={"panel": "case", **form}, headers=HTMX))

    assert offered(subject_name="张三") == [str(second), str(first), "new"], "the very name comes first"
    assert offered(subject_name="李四", identifier="002x") == [str(second), str(third), "new"], "a number before it"
    assert offered(subject_name="没有这个人") == offered(subject_name="", identifier=" ") == []
    assert offered(subject_name="张三", panel="merge", self_id=str(first)) == [str(second)]
    assert offered(subject_name="张三", panel="<script>") == [str(second), str(first), "new"]
    assert offered(subject_name="x" * 3000, identifier="\x00") == []


# ---- one subject ----------------------------------------------------------------------------------------------------


def test_everything_of_a_subject_stands_in_time_order(
    client: httpx.Client,
    home: ArchiveHome,  # noqa: F811
    dock: EnrolledDock,  # noqa: F811
) -> None:
    first = subject(home, "张三")
    one = home.case("甲1", "第一案", KnownSubject(first))
    home.clock.step(timedelta(minutes=10))
    home.case("甲2", "第二案", KnownSubject(first))
    home.case("乙1", "别人的案", NewSubject("李四", PERSON))
    home.deliver(dock, b"shared", "两案共用.mp4", case="甲1")
    home.deliver(dock, b"shared", "两案共用.mp4", case="甲2")
    home.deliver(dock, b"other", "别人的.mp4", case="乙1")
    form = {"title": "笔录", "form": "questioning_record"}
    pdf = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
    client.post(f"/cases/{one}/records", data=form, files={"file": ("a.pdf", pdf, "application/pdf")})
    page = client.get(f"/subjects/{first}")
    assert titles(page) == ["笔录", "第二案", "第一案", "两案共用.mp4"]
    text = words(page)
    assert "全部 4 案件 2 文书 1" in text
    row = re.search(r"<tr class=\"thing-(?!case|record).*?</tr>", page.text, re.DOTALL)
    assert row is not None
    assert re.findall(r'href="/cases/[^"]*" title="[^"]*">([^<]*)<', row[0]) == ["甲1", "甲2"]
    only = client.get(f"/subjects/{first}?kind=case", headers=HTMX)
    assert only.text.lstrip().startswith('<section id="things"')
    assert titles(only) == ["第二案", "第一案"]
    assert titles(client.get(f"/subjects/{first}?kind=nonsense")) == titles(page)
    assert titles(client.get(f"/subjects/{first}?kind=photo")) == []


def test_going_on_shows_each_thing_once(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first = subject(home, "张三")
    for number in range(53):
        home.case(f"甲{number}", f"案{number:02d}", KnownSubject(first))
    page = client.get(f"/subjects/{first}")
    address = more(page)
    assert address is not None
    rest = client.get(address, headers=HTMX)
    assert titles(page) + titles(rest) == [f"案{number:02d}" for number in reversed(range(53))]
    assert titles(client.get(address)) == titles(rest)
    assert client.get(f"/subjects/{first}?cursor=x").status_code == 400


def test_a_whole_number_is_shown_once_for_a_purpose(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first = subject(home, "张三", PERSON, RESIDENT)
    page = client.get(f"/subjects/{first}")
    address = re.search(r'action="(/subjects/[^"]*/sight)"', page.text)
    assert address is not None
    assert RESIDENT.number not in page.text
    assert client.post(address[1], data={"purpose": " "}).status_code == 422
    assert "access.identifier" not in home.types()
    shown = client.post(address[1], data={"purpose": "核对身份"})
    assert f'<code id="number-{address[1].split("/")[4]}">{RESIDENT.number}</code>' in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert home.types().count("access.identifier") == 1
    assert RESIDENT.number not in client.get(f"/subjects/{first}").text
    assert (
        client.post(address[1].replace(str(first), str(subject(home, "别人"))), data={"purpose": "x"}).status_code
        == 404
    )


def test_name_kind_and_numbers_are_corrected(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first = subject(home, "张三")
    answer = client.post(f"/subjects/{first}/changes", data={"name": "张叁", "kind": "person"})
    assert answer.headers["location"] == f"/subjects/{first}?done=subject_updated"
    assert "执法对象已变更。" in words(client.get(answer.headers["location"]))
    bad = client.post(f"/subjects/{first}/changes", data={"name": "", "kind": "person"})
    assert 'id="change-name-fault"' in bad.text
    address = f"/subjects/{first}/identifiers"
    for number, kind, field in (
        ("", "resident_id", "identifier"),
        ("1", "resident_id", "identifier"),
        (CODE.number, "credit_code", "identifier_kind"),
    ):
        refused = client.post(address, data={"identifier": number, "identifier_kind": kind})
        assert refused.status_code == 422
        assert f'id="identifier-{field}-fault"' in refused.text
    added = client.post(address, data={"identifier": RESIDENT.number, "identifier_kind": "resident_id"})
    assert added.headers["location"].endswith("done=identifier_added")
    refused = client.post(f"/subjects/{first}/changes", data={"name": "张叁", "kind": "organisation"})
    assert 'id="change-kind-fault"' in refused.text
    other = subject(home, "李四")
    taken = client.post(
        f"/subjects/{other}/identifiers", data={"identifier": RESIDENT.number, "identifier_kind": "resident_id"}
    )
    assert "这个号码已登记在另一个执法对象名下" in words(taken)
    removal = re.search(r'action="(/subjects/[^"]*/removal)"', client.get(f"/subjects/{first}").text)
    assert removal is not None
    assert client.post(removal[1], data={"reason": ""}).status_code == 422
    assert client.post(removal[1], data={"reason": "登记错误"}).headers["location"].endswith("done=identifier_removed")
    assert client.post(removal[1], data={"reason": "登记错误"}).status_code == 404
    home.sequence()
    home.assert_sound()


# ---- merging --------------------------------------------------------------------------------------------------------


def test_two_are_compared_merged_and_separated_again(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first, second = subject(home, "张三", PERSON, RESIDENT), subject(home, "张叁")
    case_id = home.case("甲1", "张叁的案", KnownSubject(second))
    nobody = client.post(f"/subjects/{first}/comparison", data={"self_id": str(first), "subject_name": "张"})
    assert nobody.status_code == 422
    assert choices(nobody) == [str(second)]
    answer = client.post(f"/subjects/{first}/comparison", data={"subject_id": str(second)})
    assert answer.headers["location"] == f"/subjects/{first}/merge?other={second}"
    page = client.get(answer.headers["location"])
    assert "张三" in words(page)
    assert "张叁" in words(page)
    assert 'class="differs"' in page.text
    form = {"other_id": str(second), "keep": "this", "reason": "姓名登记有误"}
    for changed in ({"reason": ""}, {"keep": "both"}):
        assert client.post(f"/subjects/{first}/merges", data={**form, **changed}).status_code == 422
    merged = client.post(f"/subjects/{first}/merges", data=form)
    assert merged.headers["location"] == f"/subjects/{first}?done=subjects_merged"
    assert client.get(f"/subjects/{second}").headers["location"] == f"/subjects/{first}"
    text = words(client.get(f"/subjects/{first}"))
    assert "张叁的案" in text
    assert "姓名登记有误" in text
    assert titles(client.get("/subjects", params={"q": "张叁"})) == ["张三"]
    assert "张三" in words(client.get(f"/cases/{case_id}"))
    assert "张叁的案" in words(client.get("/", params={"q": "张叁"}))
    assert client.post(f"/subjects/{first}/merges", data=form).status_code == 409
    undo = {"gone_id": str(second), "reason": ""}
    assert client.post(f"/subjects/{first}/separations", data=undo).status_code == 422
    undone = client.post(f"/subjects/{first}/separations", data={**undo, "reason": "两个人"})
    assert undone.headers["location"] == f"/subjects/{second}?done=subjects_separated"
    assert titles(client.get(f"/subjects/{first}")) == []
    assert titles(client.get(f"/subjects/{second}")) == ["张叁的案"]
    home.sequence()
    home.assert_sound()


def test_the_other_one_may_be_kept(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first, second = subject(home, "张三"), subject(home, "张叁")
    form = {"other_id": str(second), "keep": "other", "reason": "x"}
    answer = client.post(f"/subjects/{first}/merges", data=form)
    assert answer.headers["location"] == f"/subjects/{second}?done=subjects_merged"
    with home.database.read() as tx:
        assert [one.subject.id for one in subject_view(tx, home.services.identifiers, second).merged] == [first]


def test_what_cannot_be_merged_says_so(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    first = subject(home, "张三", PERSON, RESIDENT)
    shop = subject(home, "张三", ORGANISATION)
    twin = subject(home, "张三", PERSON, Identifier(IdentifierKind.RESIDENT_ID, "440524188001010014"))
    for other in (shop, first):
        page = client.get(f"/subjects/{first}/merge?other={other}")
        assert "不能合并" in words(page)
        assert 'name="keep"' not in page.text
    assert "只有一个" in words(client.get(f"/subjects/{first}/merge?other={twin}"))
    form = {"other_id": str(shop), "keep": "this", "reason": "x"}
    assert client.post(f"/subjects/{first}/merges", data=form).status_code == 400
    for other in ("", "nonsense", str(new_uuid7())):
        assert client.get(f"/subjects/{first}/merge?other={other}").status_code == 404
    assert "subject.merged" not in home.types()


# ---- correcting a case ----------------------------------------------------------------------------------------------


def test_a_case_is_corrected(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    case_id, other = home.case("甲1", "无证经营案", NewSubject("张三", PERSON)), subject(home, "李四", PERSON)
    form = {"title": "无证经营餐饮案", "category": "coercion"}
    answer = client.post(f"/cases/{case_id}/changes", data=form)
    assert answer.headers["location"] == f"/cases/{case_id}?done=case_updated"
    text = words(client.get(answer.headers["location"]))
    assert "案件信息已变更。" in text
    assert "无证经营餐饮案" in text
    assert client.post(f"/cases/{case_id}/changes", data={**form, "subject_id": str(other)}).status_code == 303
    assert "李四" in words(client.get(f"/cases/{case_id}"))
    undecided = {**form, "subject_name": "张三", "subject_kind": "person"}
    answer = client.post(f"/cases/{case_id}/changes", data=undecided)
    assert answer.status_code == 422
    assert 'id="edit" open' in answer.text
    assert 'id="edit-subject_id-fault"' in answer.text
    answer = client.post(f"/cases/{case_id}/changes", data={**form, "title": ""})
    assert 'id="edit-title-fault"' in answer.text
    assert client.post(f"/cases/{new_uuid7()}/changes", data=form).status_code == 404


def test_an_act_is_corrected(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    case_id = home.case()
    form = {"stage": "inspection", "place": "店内", "started_at": "2026-03-02T09:30", "ended_at": ""}
    client.post(f"/cases/{case_id}/acts", data=form)
    page = client.get(f"/cases/{case_id}")
    address = re.search(r'action="(/cases/[^"]*/acts/[^"]*/changes)"', page.text)
    assert address is not None
    assert 'value="2026-03-02T09:30:00"' in page.text
    changed = {**form, "place": "后厨", "ended_at": "2026-03-02T10:00:30"}
    assert client.post(address[1], data=changed).headers["location"].endswith("done=act_updated")
    with home.database.read() as tx:
        (act,) = case_view(tx, case_id).acts
    assert (act.place, act.ended_at) == ("后厨", datetime(2026, 3, 2, 2, 0, 30, tzinfo=UTC))
    bad = client.post(address[1], data={**changed, "ended_at": "2026-03-02T09:00"})
    assert bad.status_code == 422
    assert "结束时间早于开始时间" in words(bad)
    missing = address[1].replace(address[1].split("/")[4], str(new_uuid7()))
    assert client.post(missing, data=changed).status_code == 404


def test_whoever_only_reads_sees_no_number_and_no_form(
    auditor: httpx.Client,
    bureau: seed.Bureau,
) -> None:
    page = auditor.get(f"/subjects/{bureau.subjects['main']}")
    assert "925***********CD24" in words(page)
    assert re.findall(r'<form[^>]*action="(/subjects[^"]*)"', page.text) == []
    assert "占道经营烧烤摊点案" in words(page)

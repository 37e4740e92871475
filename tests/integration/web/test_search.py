"""The search page: what is found, how far somebody may look, numbers, lists to take away. On both databases."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from archive.access.policy import Role
from archive.cases.filing import open_case, record_act
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.indexing import index_objects
from archive.cases.records import file_text_record
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.documents.texts import FoundText, keep_text
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.web.app import create_app
from tests.integration.web.conftest import HTMX, browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, PDF, ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401

RESIDENT = Identifier(IdentifierKind.RESIDENT_ID, "530111198503120018")
START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


class Office:
    """An archive with a little of everything, and a browser for each role that asks."""

    def __init__(self, home: ArchiveHome, dock: EnrolledDock, base: str) -> None:  # noqa: F811
        self.home = home
        self.base = base
        self.by = {"by": OPERATOR, "at": home.clock.now()}
        self.case = open_case(
            home.database, home.services.identifiers, number="官综执罚〔2026〕31号", title="占道经营<b>烧烤</b>摊点案",
            category=Category.PENALTY, subject=NewSubject("王某某", SubjectKind.PERSON, RESIDENT), **self.by,
        )  # fmt: skip
        self.act = record_act(
            home.database, self.case, stage=Stage.INSPECTION, place="官渡区北京路 188 号", started_at=START,
            ended_at=None, **self.by,
        )  # fmt: skip
        self.record = file_text_record(
            home.database, home.services.objects, home.services.signer, case_id=self.case,
            form=RecordForm.INSPECTION_RECORD, title="现场检查笔录", name="笔录.pdf", pdf=PDF, **self.by,
        )  # fmt: skip
        with home.database.begin() as tx:
            keep_text(tx, self.record, FoundText("当事人摆放\n炉具，炉具已收。", "zh", False, "x"), at=home.clock.now())
            index_objects(tx, [self.record])
        self.linked = home.deliver(dock, b"one", "BWC0117_20260302.mp4", case="官综执罚〔2026〕31号")
        self.unlinked = home.deliver(dock, b"two", "=cmd|' /C calc'!A0.mp4", device={"serial": "REC-77"})
        record_officer(home.database, OfficerFacts("YN-0217", "李建国", agency="官渡区综合执法局"), **self.by)
        self.dock = dock

    @contextmanager
    def browser(self, role: Role) -> Iterator[httpx.Client]:
        with browser(self.base) as client:
            client.post("/sign-in", data={"username": role.value, "password": PASSWORD})
            yield client


@pytest.fixture
def office(home: ArchiveHome, dock: EnrolledDock) -> Iterator[Office]:  # noqa: F811
    for role in (Role.CASE_HANDLER, Role.SUPERVISOR, Role.AUDITOR):
        home.person(role)
    with seed.listening(create_app(home.services)) as base:
        yield Office(home, dock, base)


@pytest.fixture
def look(office: Office) -> Iterator[Callable[..., list[str]]]:
    """`look(q, **filters)`: the titles that a supervisor finds."""
    with office.browser(Role.SUPERVISOR) as client:

        def looked(q: str = "", **filters: str) -> list[str]:
            answer = client.get("/search", params={"q": q, **filters})
            assert answer.status_code == 200, answer.text[:300]
            return titles(answer)

        yield looked


def titles(answer: httpx.Response) -> list[str]:
    found = re.findall(r'class="row-link" href="[^"]*">(.*?)</a>', answer.text)
    return [re.sub(r"</?mark>", "", title) for title in found]


CASE, RECORD, LINKED, UNLINKED = (
    "占道经营&lt;b&gt;烧烤&lt;/b&gt;摊点案", "现场检查笔录", "BWC0117_20260302.mp4", "=cmd|&#39; /C calc&#39;!A0.mp4",
)  # fmt: skip


def test_two_characters_find_and_every_filter_narrows(office: Office, look: Callable[..., list[str]]) -> None:
    home_dock = str(office.dock.id)
    for asked, found in [
        ({"q": "烧烤"}, [CASE]),
        ({"q": "2026〕31"}, [CASE, RECORD, LINKED]),
        ({"q": "0117"}, [LINKED]),
        ({"q": "笔录"}, [RECORD]),
        ({"q": "王某"}, ["王某某", CASE]),
        ({"q": "北京路"}, [CASE]),
        ({"q": "李建"}, ["李建国"]),
        ({"q": "炉具"}, [RECORD]),
        ({"q": "摆放炉具"}, [RECORD]),
        ({"q": "官综", "kind": "item"}, [LINKED]),
        ({"kind": "record"}, [RECORD]),
        ({"linked": "no"}, [UNLINKED]),
        ({"linked": "yes"}, [RECORD, LINKED]),
        ({"device": "rec-7"}, [UNLINKED]),
        ({"device": "cam", "linked": "yes"}, [LINKED]),
        ({"place": "北京"}, [CASE]),
        ({"category": "penalty"}, [CASE]),
        ({"category": "inspection"}, []),
        ({"state": "pending"}, [UNLINKED, LINKED]),
        ({"media": "footage"}, []),
        ({"dock": home_dock, "kind": "item"}, [UNLINKED, LINKED]),
        ({"officer": "李建国"}, ["李建国"]),
        ({"officer": "YN-0217"}, ["李建国"]),
        ({"officer": "nobody"}, []),
        ({"case": str(office.case)}, [CASE, RECORD, LINKED]),
        ({"q": "mp4", "since": "2026-03-01", "until": "2026-03-01"}, [UNLINKED, LINKED]),
        ({"q": "mp4", "since": "2026-03-02"}, []),
        ({"q": "mp4", "since": "2026-03-02", "by": "taken"}, [UNLINKED, LINKED]),
        ({"kind": "nonsense", "q": "烧烤"}, [CASE]),
        ({"since": "tomorrow", "q": "烧烤"}, [CASE]),
        ({"case": "x\0'", "q": "烧烤"}, []),
        ({}, []),
    ]:  # fmt: skip
        assert sorted(look(**asked)) == sorted(found), asked  # both items are of one instant


def test_what_was_found_is_marked_and_what_people_wrote_is_text(office: Office) -> None:
    with office.browser(Role.CASE_HANDLER) as client:
        page = client.get("/search", params={"q": "烧烤 北京路"})
        assert "占道经营&lt;b&gt;<mark>烧烤</mark>&lt;/b&gt;摊点案" in page.text
        assert "官渡区<mark>北京路</mark> 188 号" in page.text
        assert f'href="/search?case={office.case}"' in page.text
        nothing = client.get("/search", params={"q": "<script>alert(1)</script>", "place": '"><img src=x>'})
        assert "<script>alert" not in nothing.text
        assert "<img src=x>" not in nothing.text
        assert "没有找到符合条件的内容" in words(nothing)
        assert "去掉筛选条件再找" in words(nothing)
        assert "请输入要查找的内容" in words(client.get("/search"))
        within = client.get("/search", params={"case": str(office.case)})
        assert "只查找案件内的资料： 官综执罚〔2026〕31号" in words(within)


def test_what_is_typed_gets_the_results_only_and_going_on_the_rows(office: Office) -> None:
    for number in range(53):
        office.home.case(f"案-{number:03d}", f"案 {number:03d}")
    with office.browser(Role.AUDITOR) as client:
        first = client.get("/search", params={"q": "案-"}, headers=HTMX)
        assert first.text.lstrip().startswith('<div id="results">')
        match = re.search(r'class="more" href="([^"]*)" hx-get="([^"]*)"', first.text)
        assert match is not None
        rest = client.get(match[1].replace("&amp;", "&"), headers=HTMX)
        assert rest.text.lstrip().startswith("<tr>")
        assert titles(first) + titles(rest) == [f"案 {number:03d}" for number in reversed(range(53))]
        assert client.get("/search", params={"q": "案", "cursor": "cases~1"}).status_code == 400


def test_the_text_inside_is_searched_by_those_who_may_view_it_and_never_shown(office: Office) -> None:
    with office.browser(Role.CASE_HANDLER) as client:
        page = client.get("/search", params={"q": "炉具"})
        assert titles(page) == [RECORD]
        assert "正文 出现 2 次" in words(page)
        assert "当事人摆放" not in page.text
    with office.browser(Role.AUDITOR) as client:
        assert titles(client.get("/search", params={"q": "炉具"})) == []
        assert titles(client.get("/search", params={"q": "检查笔录"})) == [RECORD]


def test_whoever_a_number_names_is_found_by_it(office: Office) -> None:
    with office.browser(Role.CASE_HANDLER) as client:
        for asked in ({"q": RESIDENT.number}, {"q": "5301 1119 8503 1200 18"}, {"q": "0018", "kind": "subject"}):
            page = client.get("/search", params=asked)
            assert "按证件号码找到的执法对象 王某某" in words(page), asked
            assert titles(page) == []
        for asked in ({"q": "530111198503120019"}, {"q": "0018"}, {"q": "0019", "kind": "subject"}):
            assert "按证件号码" not in words(client.get("/search", params=asked)), asked
    assert RESIDENT.number not in str(office.home.rows("SELECT folded, fields, facets FROM search_document"))


HARMLESS = [
    "x" * 1000, "检" * 1000, "🚓" * 300, "\u202eabc", "a\0b", '"x', "' OR 1=1 --", "NEAR(a b)", "*", "words:x", "%q", "1" * 4097,
]  # fmt: skip


def test_whatever_is_asked_there_is_an_answer(office: Office) -> None:
    with office.browser(Role.AUDITOR) as client:
        for q in HARMLESS:
            page = client.get("/search", params={"q": q, "device": q[:200], "officer": q[:200], "place": q[:200]})
            assert page.status_code == (400 if len(q) > 4096 else 200), q[:20]
            assert titles(page) == []
        raw = client.get("/search?q=%ED%A0%80%FF&kind=%00&case=%ED%A0%80")
        assert raw.status_code == 200


def test_a_list_is_taken_away_after_its_log_entry(office: Office) -> None:
    home = office.home  # noqa: F811
    with office.browser(Role.SUPERVISOR) as client:
        answer = client.post("/search/lists", data={"q": "mp4", "as": "csv", "kind": "item"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch(r'attachment; filename="liuhen-\d{8}-\d{6}\.csv"', answer.headers["content-disposition"])
        assert answer.content.startswith(b"\xef\xbb\xbf")
        header, *unordered = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
        rows = sorted(unordered, key=lambda row: row[1])
        assert header[:3] == ["种类", "名称", "案号"]
        assert [row[1] for row in rows] == ["'=cmd|' /C calc'!A0.mp4", "BWC0117_20260302.mp4"]
        assert rows[1][2:9] == ["官综执罚〔2026〕31号", "", "", "", "CAM-0042", "", "准备中"]
        assert rows[0][-1] == str(office.unlinked)
        lines = client.post("/search/lists", data={"q": "官综", "as": "jsonl"})
        assert lines.headers["content-type"] == "application/jsonl; charset=utf-8"
        values = [json.loads(line) for line in lines.text.splitlines()]
        assert [value["kind"] for value in values] == ["case", "record", "item"]
        assert values[0]["fields"]["number"] == ["官综执罚〔2026〕31号"]
        assert values[2]["happened_at"] == "2026-03-01T07:30:00.000000Z"
        assert "炉具" not in lines.text
        assert client.post("/search/lists", data={"q": " "}).status_code == 400
    entries = [entry for entry in home.entries() if entry["type"] == "access.list_exported"]
    assert len(entries) == 2
    assert "官综" not in json.dumps(entries, ensure_ascii=False)
    details = [
        json.loads(bytes(row[0])) for row in home.rows("SELECT detail FROM log_detail ORDER BY entry_id DESC LIMIT 2")
    ]
    assert details[1] == {"query": "mp4", "filters": {"kind": "item"}, "depth": "content", "form": "csv"}


def test_a_list_is_for_those_who_may_take_content_away(office: Office) -> None:
    for role in (Role.CASE_HANDLER, Role.AUDITOR):
        with office.browser(role) as client:
            assert "/search/lists" not in client.get("/search", params={"q": "烧烤"}).text
            assert client.post("/search/lists", data={"q": "烧烤"}).status_code == 403
    assert "access.list_exported" not in office.home.types()


@pytest.mark.long("a list of thousands")
def test_a_long_list_is_sent_as_it_is_read(office: Office) -> None:
    for number in range(501):
        office.home.case(f"长-{number}", "+长清单")
    with (
        office.browser(Role.SUPERVISOR) as client,
        client.stream("POST", "/search/lists", data={"q": "长清单"}) as answer,
    ):
        rows = list(csv.reader(answer.iter_lines()))
    assert len(rows) == 502
    assert {row[1] for row in rows[1:]} == {"'+长清单"}

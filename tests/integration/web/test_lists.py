"""The lists: searching, going on, opening a case. On both databases."""

import re
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from archive.access.policy import Role
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from tests.integration.web.conftest import HTMX, browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401


@pytest.fixture
def client(home: ArchiveHome) -> Iterator[httpx.Client]:  # noqa: F811
    """A case handler's browser on an archive of its own."""
    home.person(Role.CASE_HANDLER, "handler")
    with seed.listening(create_app(home.services)) as base, browser(base) as opened:
        opened.post("/sign-in", data={"username": "handler", "password": PASSWORD})
        yield opened


def _titles(answer: httpx.Response) -> list[str]:
    return re.findall(r'class="row-link" href="[^"]*">([^<]*)</a>', answer.text)


def _more(answer: httpx.Response) -> str | None:
    match = re.search(r'class="more" href="([^"]*)" hx-get="([^"]*)"', answer.text)
    return None if match is None else match[1].replace("&amp;", "&")


def _new_case(**changed: str) -> dict[str, str]:
    return {
        "number": "甲〔2026〕9号",
        "title": "无证经营案",
        "category": "penalty",
        "subject_name": "某某餐饮店",
        "subject_kind": "organisation",
        **changed,
    }


def test_an_empty_archive_says_so(client: httpx.Client) -> None:
    assert "还没有案件" in words(client.get("/"))
    assert "所有音像都已归入案件" in words(client.get("/unlinked"))
    assert "还没有入库的证据" in words(client.get("/items"))


def test_cases_are_found_by_number_title_and_subject(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    home.case("甲〔2026〕1号", "占道经营案", "阿明烧烤店")
    home.case("乙〔2026〕2号", "扬尘检查", "嘉禾建筑")
    home.case("C-100%", "percent", "A_B")
    assert _titles(client.get("/")) == ["percent", "扬尘检查", "占道经营案"]
    assert _titles(client.get("/", params={"q": "占道"})) == ["占道经营案"]
    assert _titles(client.get("/", params={"q": "嘉禾"})) == ["扬尘检查"]
    assert _titles(client.get("/", params={"q": " 乙〔2026〕 "})) == ["扬尘检查"]
    assert _titles(client.get("/", params={"q": "100%"})) == ["percent"]
    assert _titles(client.get("/", params={"q": "a_b"})) == ["percent"]
    nothing = client.get("/", params={"q": "<script>alert(1)</script>"})
    assert _titles(nothing) == []
    assert "<script>alert" not in nothing.text
    assert "没有符合“<script>alert(1)</script>”的案件" in words(nothing)


def test_a_search_as_one_types_gets_the_results_only(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    home.case()
    part = client.get("/", params={"q": "经营"}, headers=HTMX)
    assert part.text.lstrip().startswith('<div id="results">')
    assert _titles(part) == ["无证经营案"]
    again = client.get("/", params={"q": "经营"}, headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert again.text.startswith("<!doctype html>")


def test_going_on_shows_each_case_once(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    for number in range(53):
        home.case(f"案-{number:03d}", f"案 {number:03d}")
    first = client.get("/", params={"q": "案"})
    home.case("案-later", "案 later")  # what comes in meanwhile neither repeats nor hides a row
    address = _more(first)
    assert address is not None
    part = client.get(address, headers=HTMX)
    assert part.text.lstrip().startswith("<tr>")
    assert _more(part) is None
    assert _titles(first) + _titles(part) == [f"案 {number:03d}" for number in reversed(range(53))]
    whole = client.get(address)  # without scripts the link is a page
    assert whole.text.startswith("<!doctype html>")
    assert _titles(whole) == _titles(part)


@pytest.mark.parametrize("cursor", ["x", f"items~2026-01-01T00:00:00Z~{UUID(int=7)}", "cases~yesterday~x", "cases~~"])
def test_a_cursor_from_elsewhere_is_refused(handler: httpx.Client, cursor: str) -> None:
    assert handler.get("/", params={"cursor": cursor}).status_code == 400


def test_items_are_listed_and_found(client: httpx.Client, home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    home.case("甲1")
    home.deliver(dock, b"one", "现场一.mp4", case="甲1")
    home.deliver(dock, b"two", "<img src=x>.mp4", device={"serial": "REC-77"})
    home.deliver(dock, b"three", "无设备.mp4", device={})
    assert _titles(client.get("/items")) == ["无设备.mp4", "&lt;img src=x&gt;.mp4", "现场一.mp4"]
    assert _titles(client.get("/unlinked")) == ["无设备.mp4", "&lt;img src=x&gt;.mp4"]
    assert _titles(client.get("/items", params={"q": "现场"})) == ["现场一.mp4"]
    assert _titles(client.get("/unlinked", params={"q": "rec-77"})) == ["&lt;img src=x&gt;.mp4"]
    assert "没有符合“nothing”的资料" in words(client.get("/items", params={"q": "nothing"}, headers=HTMX))


def test_going_on_through_items(client: httpx.Client, home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    made: list[ObjectId] = [home.deliver(dock, f"{number}".encode(), f"{number:02d}.mp4") for number in range(51)]
    first = client.get("/unlinked")
    address = _more(first)
    assert address is not None
    rest = client.get(address, headers=HTMX)
    assert len(_titles(first) + _titles(rest)) == len(made)
    assert _titles(rest) == ["00.mp4"]


# ---- opening a case ------------------------------------------------------------------------------------------------


def test_a_case_is_opened_and_logged(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    answer = client.post("/cases", data=_new_case())
    assert answer.status_code == 303
    page = client.get(answer.headers["location"])
    assert "案件已建立" in words(page)
    assert "甲〔2026〕9号" in words(page)
    assert home.types().count("case.opened") == 1


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"number": " "}, "number", "请填写此项"),
        ({"number": "x" * 101}, "number", "最多 100 个字"),
        ({"title": "a\x07b"}, "title", "控制字符"),
        ({"category": "nonsense"}, "category", "请选择一项"),
        ({"subject_name": ""}, "subject_name", "请填写此项"),
        ({"number": "官综执罚〔2026〕第031号"}, "number", "已有这个案号的案件"),
    ],
)
def test_each_fault_stands_at_its_field(
    handler: httpx.Client, changed: dict[str, str], field: str, message: str
) -> None:
    answer = handler.post("/cases", data=_new_case(**changed))
    assert answer.status_code == 422
    assert message in words(answer)
    assert f'id="case-{field}-fault"' in answer.text
    assert 'id="new-case" open' in answer.text
    assert 'value="某某餐饮店"' in answer.text or field == "subject_name"
    assert _titles(handler.get("/", params={"q": "无证经营案"})) == []


def test_a_form_in_another_form_is_refused(handler: httpx.Client) -> None:
    assert handler.post("/cases", json=_new_case()).status_code == 400
    assert handler.post("/cases", data=_new_case(title="x" * 70_000)).status_code == 413

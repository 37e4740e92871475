"""Searching in a browser: two characters from any page, results while typing, and numbers that stand in no address."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import seed
from tests.support.seed import PASSWORD, PEOPLE

NUMBER = "530111198503120018"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bureau = seed.new_bureau(tmp_path_factory.mktemp("search") / "home")
    resident = Identifier(IdentifierKind.RESIDENT_ID, NUMBER)
    for number, title in {"官综执罚〔2026〕31号": "占道经营烧烤摊点案", "官综执检〔2026〕214号": "扬尘检查"}.items():
        open_case(
            bureau.services.database, bureau.services.identifiers, number=number, title=title, category=Category.PENALTY,
            subject=NewSubject("王某某", SubjectKind.PERSON, resident), by=bureau.people[Role.CASE_HANDLER], at=bureau.now(),
        )  # fmt: skip
    dock = seed.new_dock(bureau, "北市区中队采集站")
    seed.deliver(bureau, dock, b"one", "BWC0117_20260302.mp4", case_number="官综执罚〔2026〕31号")
    with seed.listening(create_app(bureau.services)) as address:
        yield address
    bureau.services.close()


@pytest.fixture
def page(chromium: Browser, base: str) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="zh-CN", reduced_motion="reduce")
    opened = context.new_page()
    sign_in(opened, base, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
    yield opened
    context.close()


def _is_found(page: Page, *titles: str) -> None:
    listed = "[...document.querySelectorAll('.list-found .row-link')].map((link) => link.textContent)"
    until(page, f"JSON.stringify({listed}) === JSON.stringify({list(titles)!r})")


def test_two_characters_from_any_page_and_results_while_typing(page: Page, base: str) -> None:
    page.goto(base + "/upload")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type("烧烤")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=**")
    _is_found(page, "占道经营烧烤摊点案")
    assert page.locator("mark").all_inner_texts() == ["烧烤"]
    page.fill("#search", "2026〕31")
    _is_found(page, "占道经营烧烤摊点案", "BWC0117_20260302.mp4")
    page.click("text=音像和证据")
    _is_found(page, "BWC0117_20260302.mp4")
    assert page.url.endswith("&kind=item"), "what was not chosen stands in no address"
    page.click(".kind-choice >> nth=0")
    _is_found(page, "占道经营烧烤摊点案", "BWC0117_20260302.mp4")
    page.click("text=查看案内音像和文书")
    page.wait_for_url("**/search?case=**")
    _is_found(page, "占道经营烧烤摊点案", "BWC0117_20260302.mp4")


def test_a_number_of_a_person_stands_in_no_address(page: Page, base: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(base + "/search")
    page.locator("#search").press_sequentially(NUMBER, delay=60)
    page.wait_for_timeout(400)
    page.press("#search", "Enter")
    page.wait_for_url("**/subjects/search")
    assert "王某某" in page.inner_text("#results")
    page.goto(base + "/upload")
    page.fill("#find", f"{NUMBER[:6]} {NUMBER[6:]}")
    page.press("#find", "Enter")
    page.wait_for_url("**/subjects/search")
    assert "王某某" in page.inner_text("#results")
    assert [address for address in asked if "53011" in address] == []


def test_a_list_is_taken_away(page: Page, base: str) -> None:
    page.goto(base + "/search?q=官综")
    with page.expect_download() as download:
        page.click("button[value=csv]")
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert [row[1] for row in rows[1:]] == ["扬尘检查", "占道经营烧烤摊点案", "BWC0117_20260302.mp4"]

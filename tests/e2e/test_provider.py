"""Signing in by a real provider in a real browser, whose content security policy has its say, and out of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from tests.support.deployment import new_database
from tests.support.provider import Joined, joined
from tests.support.signing_in import make


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    folder = tmp_path_factory.mktemp("provider")
    with joined(folder, new_database(folder / "test.sqlite3")) as made:
        make(made.home, "wang", Role.UNIT_HEAD)
        yield made


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def test_from_the_sign_in_page_to_the_provider_and_back_and_out_of_both(house: Joined, page: Page) -> None:
    page.goto(f"{house.base}/account")
    page.click("text=使用单位统一身份登录")
    page.fill("input[name=login]", "u1")
    page.fill("input[name=password]", "x")
    page.click("button[type=submit]")
    page.click("button[type=submit]")  # that the archive may know the name
    page.wait_for_url(f"{house.base}/account")
    assert "王芳" in page.inner_text("h1 + .lead") or "Wang" in page.inner_text("h1 + .lead")
    page.click("form[action='/sign-out'] button")
    page.wait_for_url(f"{house.peer.url}/session/end**")
    page.click("button[name=logout]")
    page.wait_for_url(f"{house.base}/sign-in**")
    page.goto(f"{house.base}/account")
    page.wait_for_url("**/sign-in?next=/account")

"""The editor of retention schedules in a real browser: rows by the keyboard, checks as one types, nothing lost."""

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bureau: Bureau = seed.new_bureau(tmp_path_factory.mktemp("schedules") / "home")
    with seed.listening(create_app(bureau.services)) as base:
        yield base
    bureau.services.close()


@contextlib.contextmanager
def opened(chromium: Browser, base: str, language: str) -> Iterator[tuple[Page, list[str]]]:
    """Give a records manager's page, and what its console complains of."""
    context = chromium.new_context(locale=language, viewport={"width": 1280, "height": 800})
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, base, PEOPLE[Role.RECORDS_MANAGER][0], PASSWORD)
    yield page, complaints
    context.close()


@pytest.mark.parametrize(("language", "good"), [("zh-CN", "没有发现问题"), ("en-GB", "No problems found")])
def test_a_rule_is_added_checked_and_saved_with_the_keyboard(
    chromium: Browser, served: str, language: str, good: str
) -> None:
    with opened(chromium, served, language) as (page, complaints):
        page.goto(f"{served}/schedules/new")
        assert good in page.inner_text("#checks")
        page.fill("#rules-title", f"二〇二七 {language}")
        page.focus("button[value=add]")
        page.keyboard.press("Enter")
        until(page, "document.activeElement.id === 'rules-r7-title'")
        until(page, "document.querySelectorAll('#checks .alert-bad li').length >= 4")
        page.keyboard.type("另一条")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("another")
        page.keyboard.press("Tab")
        page.keyboard.type("40")
        page.select_option("#rules-r7-basis", "received")
        page.fill("#rules-r7-legal_basis", "某规定第九条")
        until(page, "document.querySelector('#checks .alert-warn') !== null")  # it beats a shipped rule
        page.click("[value=remove-0]")
        until(page, "document.querySelectorAll('.rule-row').length === 7")
        assert page.input_value("#rules-r6-title") == "另一条"
        assert page.input_value("#rules-title") == f"二〇二七 {language}"
        page.press("#rules-r6-code", "Enter")  # what a form does by itself: the first of its buttons, which saves
        page.wait_for_selector(".changes")
        changed = page.inner_text(".changes")
        assert "another" in changed
        assert "marked_evidence" in changed
        assert complaints == []

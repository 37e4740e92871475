"""What a case handler does with subjects, in a real browser: find, choose, see a number, merge, undo."""

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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Bureau]]:
    """A bureau with subjects and no footage."""
    bureau = seed.new_bureau(tmp_path_factory.mktemp("subjects") / "home")
    seed.make_subjects(bureau)
    with seed.listening(create_app(bureau.services)) as base:
        yield base, bureau
    bureau.services.close()


@contextlib.contextmanager
def opened(chromium: Browser, base: str, language: str) -> Iterator[tuple[Page, list[str]]]:
    """Give a case handler's page, and what its console complains of."""
    context = chromium.new_context(locale=language, viewport={"width": 1280, "height": 800})
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, base, PEOPLE[Role.CASE_HANDLER][0], PASSWORD)
    yield page, complaints
    context.close()


def open_case(page: Page, number: str) -> None:
    page.click("#new-case > summary")
    page.fill("#case-number", number)
    page.select_option("#case-category", "penalty")
    page.fill("#case-title", f"{number} 占道经营")


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
def test_a_case_is_opened_for_somebody_who_was_offered(
    chromium: Browser, served: tuple[str, Bureau], language: str
) -> None:
    base, bureau = served
    with opened(chromium, base, language) as (page, complaints):
        open_case(page, f"甲 {language}")
        page.fill("#case-identifier", "530111198503120018")
        page.wait_for_selector("#new-case .option")
        assert page.locator("#new-case .option-subject").count() == 1
        page.fill("#case-subject_name", "王某某")
        until(page, "document.querySelectorAll('#new-case .option-subject').length === 2")
        page.check("#new-case .option-subject input >> nth=0")
        page.click("#new-case button.primary")
        page.wait_for_selector("#case-number")
        page.click(f"a[href='/subjects/{bureau.subjects['王某某']}']")
        page.wait_for_selector("#things")
        assert f"甲 {language}" in page.inner_text("#things")
        page.click(".filters a >> nth=1")
        until(page, "new URL(location).searchParams.get('kind') === 'case'")
        assert complaints == []


def test_a_number_is_shown_for_a_purpose(chromium: Browser, served: tuple[str, Bureau]) -> None:
    base, bureau = served
    with opened(chromium, base, "zh-CN") as (page, complaints):
        page.goto(f"{base}/subjects")
        page.fill("#number", "cd24")
        page.press("#number", "Enter")
        until(page, "document.querySelectorAll('.list-subjects tbody tr').length === 1")
        assert "cd24" not in page.url
        page.click(".row-link")
        page.wait_for_selector("#numbers")
        assert "92530111MA6PA8CD24" not in page.content()
        page.click("#numbers summary >> nth=0")
        page.fill("#numbers input[name=purpose]", "核对身份")
        page.press("#numbers input[name=purpose]", "Enter")
        page.wait_for_selector("#numbers [role=status]")
        assert "92530111MA6PA8CD24" in page.inner_text("#numbers")
        assert page.url.endswith(f"/subjects/{bureau.subjects['官渡区阿明烧烤店']}")
        page.reload()
        assert "92530111MA6PA8CD24" not in page.content()
        assert complaints == []


def test_two_are_merged_after_a_look_at_both_and_separated_again(chromium: Browser, served: tuple[str, Bureau]) -> None:
    base, bureau = served
    with opened(chromium, base, "zh-CN") as (page, complaints):
        page.goto(f"{base}/subjects/{bureau.subjects['官渡区阿明烧烤店']}")
        page.click("#merge > summary")
        page.fill("#merge-subject_name", "阿明")
        page.wait_for_selector("#merge .option")
        page.check(f"#merge input[value='{bureau.subjects['阿明烧烤']}']")
        page.click("#merge button.primary")
        page.wait_for_selector(".list-compare")
        page.fill("#merge-reason", "店主说是同一家")
        page.click(".merge button.primary")
        page.wait_for_selector(".merged-line >> nth=1")
        assert "店主说是同一家" in page.inner_text(".merged-line >> nth=1")
        page.click(".merged-line >> nth=1 >> summary")
        page.fill(".merged-line >> nth=1 >> input[name=reason]", "两家")
        page.click(".merged-line >> nth=1 >> button.primary")
        page.wait_for_selector(".notice")
        assert page.inner_text("h1") == "阿明烧烤"
        assert complaints == []

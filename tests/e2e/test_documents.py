"""Documents and archives in the browser: pages are turned, text is read, long lists go on; nothing of theirs runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import papers, seed
from tests.support.seed import PASSWORD, PEOPLE

pytestmark = pytest.mark.e2e

SCRIPT = (
    "<svg xmlns='http://www.w3.org/2000/svg' onload='window.harmed = true'><script>window.harmed = true</script></svg>"
)


@pytest.fixture(scope="module")
def made(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, dict[str, ObjectId]]]:
    """A page that a supervisor has signed in to, and the items."""
    folder = tmp_path_factory.mktemp("documents")
    bureau = seed.new_bureau(folder / "home")
    dock = seed.new_dock(bureau, "采集站")
    (folder / "a.svg").write_text(SCRIPT, encoding="utf-8")
    files = {
        "pdf": papers.pdf(folder / "a.pdf", [[f"Page {number}"] for number in range(1, 6)]),
        "svg": folder / "a.svg",
        "zip": papers.zip_file(folder / "a.zip", {f"{number:03d}.jpg": b"" for number in range(250)}),
    }
    ids = {name: seed.deliver(bureau, dock, _bytes(path), path.name, device=None) for name, path in files.items()}
    seed.work(bureau)
    with seed.listening(create_app(bureau.services)) as base:
        context = chromium.new_context(locale="zh-CN", base_url=base)
        page = context.new_page()
        sign_in(page, base, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
        yield page, ids
        context.close()
    bureau.services.close()


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def opened(page: Page, object_id: ObjectId) -> None:
    page.goto(f"/items/{object_id}")
    page.fill("#play-purpose", "案卷评查")
    page.fill("#play-reference", "任务 1")
    page.click("button.play")
    page.wait_for_selector(".granted")


def test_pages_are_turned_by_key_and_button(made: tuple[Page, dict[str, ObjectId]]) -> None:
    page, ids = made
    opened(page, ids["pdf"])
    until(page, "[...document.querySelectorAll('[data-page]')].slice(0, 1).every((one) => one.naturalWidth === 1131)")
    place = page.locator("[data-place]")
    assert place.inner_text() == "1 / 5"
    page.keyboard.press("ArrowRight")
    assert place.inner_text() == "2 / 5"
    page.click("[data-do=next]")
    assert place.inner_text() == "3 / 5"
    until(page, "document.querySelector('[data-page=\"3\"]').naturalWidth === 1131")
    page.keyboard.press("ArrowLeft")
    assert place.inner_text() == "2 / 5"
    for _ in range(9):
        page.click("[data-do=next]")
    assert place.inner_text() == "5 / 5"
    before = page.locator("[data-page='5']").bounding_box()
    page.click("[data-do=larger]")
    after = page.locator("[data-page='5']").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]
    assert page.locator("[data-do=larger]").get_attribute("aria-pressed") == "true"


def test_scrolling_tells_which_page_is_read(made: tuple[Page, dict[str, ObjectId]]) -> None:
    page, ids = made
    opened(page, ids["pdf"])
    page.evaluate("document.querySelector('[data-pages]').scrollTo({top: 1e6, behavior: 'instant'})")
    until(page, "document.querySelector('[data-place]').textContent.startsWith('5')")
    page.click("summary:has-text('文字内容')")
    assert "Page 4" in page.locator(".reader-text").inner_text()


def test_a_drawing_with_a_script_is_text(made: tuple[Page, dict[str, ObjectId]]) -> None:
    page, ids = made
    opened(page, ids["svg"])
    assert page.locator(".reader-text").inner_text() == SCRIPT
    assert page.evaluate("window.harmed === undefined")


def test_a_long_list_goes_on_when_it_is_asked_for(made: tuple[Page, dict[str, ObjectId]]) -> None:
    page, ids = made
    opened(page, ids["zip"])
    assert page.locator(".entry-name").count() == 200
    page.click(".more")
    until(page, "document.querySelectorAll('.entry-name').length === 250")
    assert page.locator(".more").count() == 0

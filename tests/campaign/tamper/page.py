"""verify.html as a verifier among the others: a browser that is kept open and asked again and again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from archive.packages.verifier import verify_html
from tests.e2e.browser import open_browser, until


class PageVerifier:
    """Asks the page about a package."""

    def __init__(self, page: Page) -> None:
        """Hold the page."""
        self._page = page

    def __call__(self, folder: Path, trust: bytes) -> dict:
        """Return its report."""
        page = self._page
        page.reload()
        page.set_input_files("#folder", folder)
        page.fill("#trust", trust.decode())
        page.click("#start")
        until(page, "['done', 'failed'].includes(document.body.dataset.state)")
        if problem := page.inner_text("#problem"):
            raise AssertionError(problem)
        return json.loads(str(page.text_content("#report")))


@contextmanager
def page_verifier(scratch: Path) -> Iterator[PageVerifier]:
    """Open the page from the disk, with the network off."""
    place = scratch / "verify.html"
    place.write_bytes(verify_html())
    with open_browser() as browser:
        page = browser.new_context(offline=True, locale="en-GB").new_page()
        page.goto(place.as_uri())
        yield PageVerifier(page)

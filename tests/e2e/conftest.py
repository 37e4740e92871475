"""One chromium for the tests of a module; where there is none, the tests are skipped, in CI they fail.

Not longer than a module: Playwright keeps an event loop running in this thread, and others need theirs.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import CHROMIUM, open_browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with open_browser() as browser:
        yield browser

"""Debian's chromium through Playwright, closed to everything but this machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def until(page: Page, expression: str, *, timeout_s: float = 20) -> None:
    """Wait until an expression is true in the page; the strict CSP forbids Playwright's own way, which uses eval."""
    ends = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        if time.monotonic() > ends:
            raise TimeoutError(expression)
        page.wait_for_timeout(50)


def sign_in(page: Page, base: str, username: str, password: str) -> None:
    """Sign in as a person does."""
    page.goto(f"{base}/sign-in")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.click("form[action='/sign-in'] button")
    page.wait_for_load_state()

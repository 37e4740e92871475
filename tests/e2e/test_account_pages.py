"""Pages about signing in, light and dark, wide and narrow: read and used by everybody, as all other pages."""

import re
from collections.abc import Iterator
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.access.terms import load_terms
from archive.web.app import create_app
from tests.e2e.browser import sign_in
from tests.e2e.test_accessibility import _AUDIT, _open_everything
from tests.e2e.test_passkeys import Device
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, make_home
from tests.support.deployment import new_database
from tests.support.signing_in import make


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ArchiveHome]]:
    folder = tmp_path_factory.mktemp("accounts")
    home = make_home(folder, new_database(folder / "test.sqlite3"), terms="asked")
    make(home, "zhou", Role.ADMINISTRATOR, display_name="周敏")
    make(home, "wang", display_name="王芳")
    with seed.listening(create_app(home.services)) as address:
        yield address.replace("127.0.0.1", "localhost"), home
    home.services.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_every_page_can_be_read_and_used_by_everybody(
    chromium: Browser, house: tuple[str, ArchiveHome], scheme: Any, width: int
) -> None:
    base, _ = house
    found: dict[str, list[str]] = {}
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 844}, locale="zh-CN")
    page = context.new_page()
    Device(page)

    def look(name: str) -> None:
        _open_everything(page)
        found[name] = page.evaluate(_AUDIT)

    page.goto(f"{base}/recovery")
    look("recovery")
    sign_in(page, base, "wang", PASSWORD)
    look("terms")
    page.click("form[action='/terms/acceptance'] button")
    page.goto(f"{base}/account")
    look("account")
    _set_factor(page, base, look)
    page.goto(f"{base}/account")
    look("account with a second factor")
    page.fill("#passkey-name", "办公电脑")
    page.fill("#passkey-password", PASSWORD)
    page.click("form[action='/account/passkeys/offers'] button")
    look("passkey")
    page.click("form[action='/account/passkeys'] button")
    page.wait_for_selector("td:has-text('办公电脑')")
    look("account with a passkey")
    page.click("form[action='/sign-out'] button")
    sign_in(page, base, "wang", PASSWORD)
    look("code")
    sign_in(page, base, "zhou", PASSWORD)
    page.click("form[action='/terms/acceptance'] button")
    page.goto(f"{base}/admin/accounts")
    look("accounts")
    page.goto(f"{base}/admin/accounts")
    page.click("text=王芳")
    page.wait_for_selector("#change-display_name")
    look("one account")
    page.fill("#recovery-reason", "手机遗失")
    page.click("form[action$='/recoveries'] button")
    page.wait_for_selector(".notice")
    look("recovery under way")
    context.close()
    assert len(found) == 12
    assert {name: faults for name, faults in found.items() if faults} == {}


def _set_factor(page: Page, base: str, look: Any) -> None:
    page.fill("#offer-password", PASSWORD)
    page.click("form[action='/account/second-factor/offers'] button")
    page.wait_for_selector("#totp-secret")
    look("setup")
    page.fill("#totp-code", pyotp.TOTP(page.inner_text("#totp-secret")).now())
    page.click("form[action='/account/second-factor'] button")
    page.wait_for_selector("#recovery-codes")
    look("recovery codes")


def test_recovery_codes_are_copied_one_on_a_line(chromium: Browser, house: tuple[str, ArchiveHome]) -> None:
    base, home = house
    home.execute("UPDATE account SET terms_version = :version", version=load_terms().version)
    context = chromium.new_context(locale="zh-CN")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    sign_in(page, base, "wang", PASSWORD)
    page.goto(f"{base}/account")
    _open_everything(page)
    _set_factor(page, base, lambda _: None)
    page.click("[data-copy='recovery-codes']")
    page.wait_for_selector(".copied")
    copied = page.evaluate("navigator.clipboard.readText()").split()
    assert len(copied) == 10
    assert all(re.fullmatch(r"[a-z2-9]{5}-[a-z2-9]{5}", code) for code in copied)
    context.close()

"""Passkeys with Chromium's virtual authenticator: made, used to sign in without a name, several, removed, copied."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page
from sqlalchemy import select, update

from archive.access.models import Account, Passkey
from archive.access.policy import Role
from archive.web.app import create_app
from tests.e2e.browser import sign_in
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, make_home
from tests.support.deployment import new_database
from tests.support.signing_in import make

_AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveHome]:
    base: Path = tmp_path_factory.mktemp("passkeys")
    made = make_home(base, new_database(base / "test.sqlite3"))
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def base(home: ArchiveHome) -> Iterator[str]:
    with seed.listening(create_app(home.services)) as address:
        yield address.replace("127.0.0.1", "localhost")  # passkeys are bound to a name, not to an address


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    opened = chromium.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


class Device:
    """An authenticator that a page's browser has."""

    def __init__(self, page: Page, **options: object) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        added = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": {**_AUTHENTICATOR, **options}})
        self.id: str = added["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})[
            "credentials"
        ]
        return found

    def verified(self, is_verified: bool) -> None:
        self.session.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": is_verified})


def person(home: ArchiveHome, name: str) -> None:
    make(home, name, Role.SUPERVISOR)


def add(page: Page, base: str, name: str) -> None:
    page.goto(f"{base}/account")
    page.click("text=添加通行密钥")
    page.fill("#passkey-name", name)
    page.fill("#passkey-password", PASSWORD)
    page.click("form[action='/account/passkeys/offers'] button")
    page.click("form[action='/account/passkeys'] button")
    page.wait_for_selector(f"td:has-text('{name}')")


def with_passkey(page: Page, base: str, address: str = "/sign-in") -> None:
    page.goto(base + address)
    page.click("form[action='/sign-in/passkey'] button")


def refused(page: Page) -> None:
    page.wait_for_selector(".alert-bad")
    assert "这个通行密钥不能登录" in page.inner_text(".alert-bad")


def sign_out(page: Page) -> None:
    page.click("form[action='/sign-out'] button")
    page.wait_for_url("**/sign-in?done=signed_out")


def test_a_passkey_signs_in_without_name_and_password(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "wang")
    device = Device(page)
    sign_in(page, base, "wang", PASSWORD)
    add(page, base, "办公电脑")
    assert page.locator("#recovery-codes li").count() == 10
    (credential,) = device.credentials()
    assert credential["isResidentCredential"]
    assert credential["rpId"] == "localhost"
    sign_out(page)
    with_passkey(page, base, "/sign-in?next=/account")
    page.wait_for_url(f"{base}/account")
    assert home.types()[-3:] == ["admin.factor_set", "admin.signed_out", "admin.signed_in"]
    with home.database.read() as tx:
        mine = select(Passkey).join(Account, Account.id == Passkey.account_id).where(Account.username == "wang")
        row = tx.scalars(mine).one()
    assert (row.name, row.last_used_at is not None) == ("办公电脑", True)
    sign_out(page)
    sign_in(page, base, "wang", PASSWORD)
    assert "/sign-in/code" in page.url, "the password alone is not enough any more"
    page.click("form[action='/sign-in/passkey'] button")
    page.wait_for_url(f"{base}/")


def test_several_passkeys_have_names_and_go_one_by_one(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "li")
    sign_in(page, base, "li", PASSWORD)
    first = Device(page)
    add(page, base, "办公电脑")
    first.session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": first.id})
    second = Device(page)
    add(page, base, "工作手机")
    assert "通行密钥已添加" in page.inner_text(".notice")
    assert len(second.credentials()) == 1
    page.click("summary:has-text('移除'):has-text('工作手机')")
    page.fill("details[open] input[name=password]", "not the password")
    page.click("details[open] button.danger")
    page.wait_for_selector(".fault")
    page.fill("details[open] input[name=password]", PASSWORD)
    page.click("details[open] button.danger")
    page.wait_for_selector(".notice")
    assert page.locator("td:has-text('工作手机')").count() == 0
    assert home.types()[-1] == "admin.factor_removed"
    sign_out(page)
    with_passkey(page, base)
    refused(page)


def test_without_finger_or_number_a_passkey_opens_nothing(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "zhao")
    device = Device(page)
    sign_in(page, base, "zhao", PASSWORD)
    add(page, base, "x")
    sign_out(page)
    device.verified(False)
    with_passkey(page, base)
    page.wait_for_selector("[data-failed]:visible")
    assert page.url.endswith("/sign-in")
    device.verified(True)
    with_passkey(page, base)
    page.wait_for_url(f"{base}/")


def test_what_was_signed_counts_once(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "sun")
    Device(page)
    sign_in(page, base, "sun", PASSWORD)
    add(page, base, "x")
    sign_out(page)
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.post_data or "") if request.method == "POST" else None)
    with_passkey(page, base)
    page.wait_for_url(f"{base}/")
    sent = posted[-1]
    assert "credential=" in sent
    again = page.context.request.post(
        f"{base}/sign-in/passkey",
        data=sent,
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"},
        max_redirects=0,
    )
    assert again.status == 401


def test_a_device_that_was_copied_is_refused_and_told_of(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "zhou")
    Device(page)
    sign_in(page, base, "zhou", PASSWORD)
    add(page, base, "x")
    sign_out(page)
    with home.database.begin() as tx:  # as if a copy had signed more often
        tx.execute(update(Passkey).values(sign_count=1000))
    with_passkey(page, base)
    refused(page)
    assert home.types()[-1] == "admin.sign_in_refused"


def test_a_disabled_account_is_not_opened_by_its_passkey(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "wu")
    Device(page)
    sign_in(page, base, "wu", PASSWORD)
    add(page, base, "x")
    sign_out(page)
    home.execute("UPDATE account SET disabled_at = :at WHERE username = 'wu'", at=str(home.clock.now())[:26])
    with_passkey(page, base)
    refused(page)


def test_the_same_device_is_not_written_down_twice(home: ArchiveHome, page: Page, base: str) -> None:
    person(home, "zheng")
    device = Device(page)
    sign_in(page, base, "zheng", PASSWORD)
    add(page, base, "first")
    page.goto(f"{base}/account")
    page.click("text=添加通行密钥")
    page.fill("#passkey-name", "again")
    page.fill("#passkey-password", PASSWORD)
    page.click("form[action='/account/passkeys/offers'] button")
    page.click("form[action='/account/passkeys'] button")
    page.wait_for_selector("[data-failed]:visible")
    assert len(device.credentials()) == 1

"""Pictures of signing in and of accounts. Each person in them is a new one, so that no picture changes another."""

import itertools
from uuid import UUID

import pyotp
from playwright.sync_api import Page

from archive.access.accounts import create_account
from archive.access.callers import caller_as
from archive.access.models import Account
from archive.access.policy import Role
from archive.access.recoveries import begin_recovery
from archive.access.second_factors import offer_totp, set_totp
from archive.access.terms import load_terms
from archive.kernel.ids import AccountId
from archive.ledger.entries import OPERATOR
from archive.notify.addresses import set_mail_address
from tests.e2e.browser import sign_in
from tests.e2e.shot import Place, Shot, said
from tests.e2e.test_passkeys import Device
from tests.support import seed
from tests.support.seed import PASSWORD, Bureau

_numbers = itertools.count(1)
_PHONE = (
    "Mozilla/5.0 (Linux; Android 12; HarmonyOS) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/114.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.49"
)


def _newcomer(bureau: Bureau, role: Role = Role.CASE_HANDLER, name: str = "王芳") -> tuple[AccountId, str]:
    """Make an account that nobody has signed in with; return its id and its user name."""
    username = f"wangfang{next(_numbers)}"
    account_id = create_account(
        bureau.services.database, username=username, display_name=name, roles=[role], password=PASSWORD,
        by=OPERATOR, at=bureau.now(),
    )  # fmt: skip
    return account_id, username


def _set_factor(bureau: Bureau, account_id: AccountId, username: str) -> None:
    sign_ins = bureau.services.sign_ins
    offer = offer_totp(sign_ins, account_id, username=username, organisation="")
    code = pyotp.TOTP(offer.secret).now()
    set_totp(sign_ins, account_id, sealed=offer.sealed, code=code, by=OPERATOR, at=bureau.now())


def _base(page: Page) -> str:
    """Return the server's address by its name: passkeys are bound to a name."""
    return str(page.evaluate("location.origin")).replace("127.0.0.1", "localhost")


def _elsewhere(page: Page, username: str) -> None:
    """Sign somebody in on a phone, too."""
    browser = page.context.browser
    assert browser is not None
    phone = browser.new_context(user_agent=_PHONE, locale="zh-CN")
    sign_in(phone.new_page(), _base(page), username, PASSWORD)
    phone.close()


def _code(page: Page, bureau: Bureau) -> None:
    account_id, username = _newcomer(bureau)
    _set_factor(bureau, account_id, username)
    sign_in(page, _base(page), username, PASSWORD)
    page.wait_for_selector("#code-code")


def _wrong_code(page: Page, bureau: Bureau) -> None:
    _code(page, bureau)
    page.fill("#code-code", "000000")
    page.click("form[action='/sign-in/code'] button")
    page.wait_for_selector(".fault")


def _wrong_recovery(page: Page, bureau: Bureau) -> None:
    del bureau
    page.fill("#recover-username", "wangfang")
    page.fill("#recover-code", "abcde-fghjk-mnpqr")
    page.fill("#recover-new", "a sentence to remember")
    page.fill("#recover-again", "a sentence to forget")
    page.click("form[action='/recovery'] button")
    page.wait_for_selector(".fault")


def _terms(page: Page, bureau: Bureau) -> None:
    """Ask for the terms, and only while this picture is taken."""
    sign_ins = bureau.services.sign_ins
    _, username = _newcomer(bureau)
    object.__setattr__(sign_ins, "terms", load_terms())
    try:
        sign_in(page, _base(page), username, PASSWORD)
        page.wait_for_selector(".terms")
    finally:
        object.__setattr__(sign_ins, "terms", None)


def _own(page: Page, bureau: Bureau) -> tuple[AccountId, str]:
    """Open the own account of somebody new who has signed in on a phone too."""
    account_id, username = _newcomer(bureau)
    base = _base(page)
    _elsewhere(page, username)
    sign_in(page, base, username, PASSWORD)
    page.goto(f"{base}/account")
    return account_id, username


def _own_account(page: Page, bureau: Bureau) -> None:
    _own(page, bureau)
    page.click("#password > summary")


def _wrong_password(page: Page, bureau: Bureau) -> None:
    _own(page, bureau)
    page.click("#password > summary")
    page.fill("#password-present", "not the password")
    page.fill("#password-new", "a sentence to remember")
    page.fill("#password-again", "a sentence to remember")
    page.click("#password button.primary")
    page.wait_for_selector(".fault")


def _setup(page: Page, bureau: Bureau) -> None:
    _own(page, bureau)
    page.click("details:has(#offer-password) > summary")
    page.fill("#offer-password", PASSWORD)
    page.click("form[action='/account/second-factor/offers'] button")
    page.wait_for_selector("#totp-secret")
    page.evaluate("document.activeElement.blur()")


def _codes(page: Page, bureau: Bureau) -> None:
    _setup(page, bureau)
    page.fill("#totp-code", pyotp.TOTP(page.inner_text("#totp-secret")).now())
    page.click("form[action='/account/second-factor'] button")
    page.wait_for_selector("#recovery-codes")
    page.evaluate("document.activeElement.blur()")


def _passkeys(page: Page, bureau: Bureau) -> None:
    """Add a passkey on this computer, and offer another one."""
    Device(page)
    account_id, username = _own(page, bureau)
    _set_factor(bureau, account_id, username)
    page.reload()
    page.click("details:has(#passkey-name) > summary")
    page.fill("#passkey-name", said(page, "办公电脑", "Office computer"))
    page.fill("#passkey-password", PASSWORD)
    page.click("form[action='/account/passkeys/offers'] button")
    page.click("form[action='/account/passkeys'] button")
    page.wait_for_selector("details.confirm")
    page.click("details.confirm > summary")
    page.evaluate("document.activeElement.blur()")


def _of(bureau: Bureau) -> str:
    account_id, _ = _newcomer(bureau)
    return f"/admin/accounts/{account_id}"


def _of_signed_in(page: Page, bureau: Bureau) -> None:
    """Sign the person in on a phone, and look again."""
    account_id = AccountId(UUID(page.url.rsplit("/", 1)[1]))
    with bureau.services.database.read() as tx:
        username = tx.get_one(Account, account_id).username
    _elsewhere(page, username)
    page.reload()


def _recovery(page: Page, bureau: Bureau) -> None:
    """Look at a recovery that another administrator has begun."""
    account_id, _ = _newcomer(bureau)
    other_id, _ = _newcomer(bureau, Role.ADMINISTRATOR, "周军")
    with bureau.services.database.read() as tx:
        other = caller_as(tx, tx.get_one(Account, other_id), auth="session:shot", at=bureau.now())
    reason = "工作手机遗失，本人已到场核验身份"
    begin_recovery(bureau.services.database, account_id, reason=reason, by=other, at=bureau.now())
    page.goto(f"{page.evaluate('location.origin')}/admin/accounts/{account_id}")


def _recovery_code(page: Page, bureau: Bureau) -> None:
    _recovery(page, bureau)
    page.click("form[action$='/confirmation'] button")
    page.wait_for_selector("#recovery-code")
    page.evaluate("document.activeElement.blur()")


def _made(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#account > summary")
    page.fill("#account-username", f"lixia{next(_numbers)}")
    page.fill("#account-display_name", "李霞")
    page.select_option("#account-unit", index=1)
    page.check("input[name=role-case_handler]")
    page.click("#account button.primary")
    page.wait_for_selector("#first-password")
    page.evaluate("document.activeElement.blur()")


def _bad_account(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#account > summary")
    page.fill("#account-username", "supervisor")
    page.fill("#account-display_name", "陈力")
    page.select_option("#account-unit", index=1)
    page.check("input[name=role-operator]")
    page.check("input[name=role-case_handler]")
    page.click("#account button.primary")
    page.wait_for_selector(".fault")


def _mailed(page: Page, bureau: Bureau) -> None:
    """Look at the notice settings while an address waits for its code."""
    account_id, _ = _own(page, bureau)
    set_mail_address(
        bureau.services.database, account_id, "wangfang@gd-zhzf.example", language="zh-Hans", by=OPERATOR,
        at=bureau.now(),
    )  # fmt: skip
    page.goto(f"{_base(page)}/account/notices")


def _organised(bureau: Bureau) -> str:
    seed.organise(bureau)
    return "/admin/accounts"


_accounts = Place("/admin/accounts", _organised)
_own_place = Place("/account", lambda _: "/sign-in")
_code_place = Place("/sign-in/code", lambda _: "/sign-in")
_account_of = Place("/admin/accounts/{account_id}", _of)

ACCOUNT_SHOTS = (
    Shot("accounts", Role.ADMINISTRATOR, _accounts),
    Shot("accounts-390", Role.ADMINISTRATOR, _accounts, width=390, languages=("zh",)),
    Shot("accounts-fault", Role.ADMINISTRATOR, _accounts, _bad_account, expected="422"),
    Shot("accounts-made", Role.ADMINISTRATOR, _accounts, _made, is_whole=False),
    Shot("account-of", Role.ADMINISTRATOR, _account_of, _of_signed_in),
    Shot("account-recovery", Role.ADMINISTRATOR, _account_of, _recovery),
    Shot("account-recovery-code", Role.ADMINISTRATOR, _account_of, _recovery_code),
    Shot("sign-in-390", None, "/sign-in", width=390, languages=("zh",)),
    Shot("sign-in-code", None, _code_place, _code),
    Shot("sign-in-code-390", None, _code_place, _wrong_code, width=390, expected="401"),
    Shot("recovery", None, "/recovery"),
    Shot("recovery-fault", None, "/recovery", _wrong_recovery, languages=("zh",), expected="422"),
    Shot("terms", None, Place("/terms", lambda _: "/sign-in"), _terms),
    Shot("account", None, _own_place, _own_account),
    Shot("account-390", None, _own_place, _own_account, width=390, languages=("zh",)),
    Shot("account-password", None, _own_place, _wrong_password, expected="422"),
    Shot("account-factor", None, _own_place, _setup),
    Shot("account-factor-dark", None, _own_place, _setup, dark=True, languages=("zh",)),
    Shot("account-codes", None, _own_place, _codes),
    Shot("account-passkeys", None, _own_place, _passkeys),
    Shot("account-notices", None, Place("/account/notices", lambda _: "/sign-in"), _mailed),
)

"""The own account and the administrator's pages of accounts, over the real application."""

import html
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pyotp
import pytest
from sqlalchemy import select

from archive.access.models import Account
from archive.access.policy import Role
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import record_unit
from archive.web.app import create_app
from archive.web.pages.formats import local_input
from tests.integration.web.conftest import browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.signing_in import WRONG, make

NEW = "a sentence to remember"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def base(home: ArchiveHome) -> Iterator[str]:  # noqa: F811
    make(home, "admin", Role.ADMINISTRATOR, display_name="周敏")
    make(home, "wang", display_name="王芳")
    with seed.listening(create_app(home.services)) as address:
        yield address


@contextmanager
def enter(base: str, username: str = "wang", password: str = PASSWORD) -> Iterator[httpx.Client]:
    client = browser(base)
    answer = client.post("/sign-in", data={"username": username, "password": password})
    assert answer.status_code == 303, answer.text
    yield client
    client.close()


@pytest.fixture
def client(base: str) -> Iterator[httpx.Client]:
    with enter(base) as opened:
        yield opened


@pytest.fixture
def admin(base: str) -> Iterator[httpx.Client]:
    with enter(base, "admin") as opened:
        yield opened


def account(home: ArchiveHome, username: str) -> Account:  # noqa: F811
    with home.database.read() as tx:
        return tx.scalars(select(Account).where(Account.username == username)).one()


def fields(answer: httpx.Response, name: str) -> str:
    return html.unescape(re.findall(rf'name="{name}" value="([^"]*)"', answer.text)[-1])


# ---- sessions ------------------------------------------------------------------------------------------------------


def test_everybody_sees_the_own_browsers_and_ends_one_or_all_others(client: httpx.Client, base: str) -> None:
    with enter(base) as second, enter(base) as third:
        client.headers["user-agent"] = "x"
        told = words(client.get("/account"))
        assert told.count("其他浏览器，其他系统") >= 3
        assert told.count("当前浏览器") == 1
        page = client.get("/account").text
        ids = re.findall(r"/account/sessions/([0-9a-f-]{36})/removal", page)
        assert len(ids) == 2, "not for this one"
        assert client.post(f"/account/sessions/{ids[0]}/removal").headers["location"] == "/account?done=session_ended"
        assert sorted([second.get("/account").status_code, third.get("/account").status_code]) == [200, 303]
        answer = client.post("/account/sessions/removals")
        assert "已退出其他全部浏览器" in words(client.get(answer.headers["location"]))
        assert second.get("/account").status_code == third.get("/account").status_code == 303
        assert client.get("/account").status_code == 200


def test_a_browser_is_named_in_plain_words(base: str) -> None:
    client = browser(base)
    client.headers["user-agent"] = FIREFOX
    client.post("/sign-in", data={"username": "wang", "password": PASSWORD})
    assert "火狐浏览器，Linux 系统" in words(client.get("/account"))
    assert "Firefox on Linux" in words(client.get("/account", headers={"Accept-Language": "en"}))
    client.close()


def test_a_session_of_somebody_else_cannot_be_ended(
    home: ArchiveHome,  # noqa: F811
    client: httpx.Client,
    admin: httpx.Client,
) -> None:
    theirs = home.rows("SELECT s.id FROM session s JOIN account a ON a.id = s.account_id WHERE a.username = 'admin'")
    assert client.post(f"/account/sessions/{UUID(str(theirs[0][0]))}/removal").status_code == 404
    assert client.post(f"/account/sessions/{uuid4()}/removal").status_code == 404
    assert client.post("/account/sessions/nonsense/removal").status_code == 404
    assert admin.get("/account").status_code == 200


def test_a_session_that_was_idle_is_over_and_one_in_use_is_not(
    home: ArchiveHome,  # noqa: F811
    client: httpx.Client,
    base: str,
) -> None:
    with enter(base) as idle:
        for _ in range(3):
            home.clock.step(timedelta(minutes=40))
            assert client.get("/account").status_code == 200
        assert idle.get("/account").status_code == 303


# ---- signing in ----------------------------------------------------------------------------------------------------


def test_no_session_that_somebody_planted_is_ever_opened(base: str) -> None:
    with browser(base) as victim:
        victim.cookies.set("liuhen_session", "planted" * 6)
        victim.post("/sign-in", data={"username": "wang", "password": PASSWORD})
        given = [cookie.value for cookie in victim.cookies.jar if cookie.name == "liuhen_session"]
        assert len(given) == 2
        assert len(set(given)) == 2, "the one that was planted is not taken over"
    with browser(base) as attacker:
        attacker.cookies.set("liuhen_session", "planted" * 6)
        assert attacker.get("/account").status_code == 303


def test_a_browser_that_signed_in_before_is_not_held_up_by_strangers(client: httpx.Client, base: str) -> None:
    assert len(client.cookies["liuhen_browser"]) > 60
    client.post("/sign-out")
    with browser(base) as stranger:
        for _ in range(7):
            answer = stranger.post("/sign-in", data={"username": "wang", "password": WRONG})
        assert answer.status_code == 429
        assert stranger.post("/sign-in", data={"username": "wang", "password": PASSWORD}).status_code == 429
    assert client.post("/sign-in", data={"username": "wang", "password": PASSWORD}).status_code == 303


def test_a_name_that_nobody_has_is_slowed_alike(base: str) -> None:
    told = []
    for name in ("wang", "nobody"):
        with browser(base) as stranger:
            answers = [stranger.post("/sign-in", data={"username": name, "password": WRONG}) for _ in range(8)]
            told.append([(answer.status_code, words(answer).replace(name, "")) for answer in answers])
    assert told[0] == told[1]


def test_the_cookie_of_a_known_browser_goes_nowhere_else(base: str) -> None:
    with browser(base) as client:
        cookies = client.post("/sign-in", data={"username": "wang", "password": PASSWORD}).headers.get_list(
            "set-cookie"
        )
        (known,) = [cookie for cookie in cookies if cookie.startswith("liuhen_browser=")]
        for part in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert part in known


def test_over_tls_every_cookie_is_bound_to_the_host(home: ArchiveHome) -> None:  # noqa: F811
    authority = home.path / "ca"
    trust = ssl.create_default_context(cafile=authority / "root.cert.pem")
    make(home)
    with (
        seed.listening(create_app(home.services), tls=authority / "tls.pem") as base,
        browser(base, verify=trust) as client,
    ):
        given = client.post("/sign-in", data={"username": "wang", "password": PASSWORD}).headers.get_list("set-cookie")
        assert sorted(cookie.partition("=")[0] for cookie in given) == [
            "__Host-liuhen_browser",
            "__Host-liuhen_session",
        ]
        for cookie in given:
            assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")}
            assert "Domain" not in cookie
            assert "SameSite=lax" in cookie or "SameSite=strict" in cookie
        assert client.get("/account").status_code == 200


# ---- password ------------------------------------------------------------------------------------------------------


def test_changing_the_password_signs_the_other_browsers_out(client: httpx.Client, base: str) -> None:
    before = client.cookies["liuhen_session"]
    with enter(base) as other:
        answer = client.post("/account/password", data={"present": PASSWORD, "new": NEW, "again": NEW})
        assert answer.headers["location"] == "/account?done=password_changed"
        assert client.cookies["liuhen_session"] != before
        assert client.get("/account").status_code == 200
        assert other.get("/account").status_code == 303
    with enter(base, password=NEW):
        pass


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "请填写此项"),
        ({"present": WRONG, "new": NEW, "again": NEW}, "当前密码不正确"),
        ({"present": PASSWORD, "new": NEW, "again": NEW + "x"}, "两次输入的新密码不一致"),
        ({"present": PASSWORD, "new": "brief!", "again": "brief!"}, "密码至少 12 个字符"),
        ({"present": PASSWORD, "new": "wang12345678", "again": "wang12345678"}, "密码不能是用户名"),
        ({"present": PASSWORD, "new": "password1234", "again": "password1234"}, "这个密码太常见"),
        ({"present": PASSWORD, "new": "x" * 1025, "again": "x" * 1025}, "最多 1024 个字"),
    ],
)
def test_what_is_wrong_with_a_new_password_is_said_beside_it(
    client: httpx.Client, given: dict[str, str], told: str
) -> None:
    answer = client.post("/account/password", data=given or {"nothing": ""})
    assert answer.status_code == 422
    assert told in words(answer)
    for secret in given.values():
        assert secret not in answer.text


# ---- second factor -------------------------------------------------------------------------------------------------


def set_factor(client: httpx.Client, home: ArchiveHome) -> tuple[str, list[str]]:  # noqa: F811
    shown = client.post("/account/second-factor/offers", data={"password": PASSWORD})
    assert shown.status_code == 200
    assert "<svg xmlns" in shown.text
    secret = re.search(r'id="totp-secret" class="break">([A-Z2-7]{32})<', shown.text)
    assert secret is not None
    code = code_of(secret[1], home)
    sealed = fields(shown, "sealed")
    wrong = client.post("/account/second-factor", data={"sealed": sealed, "code": "12"})
    assert wrong.status_code == 422
    assert fields(wrong, "sealed") == sealed
    done = client.post("/account/second-factor", data={"sealed": sealed, "code": code})
    assert done.status_code == 200, words(done)
    codes = re.findall(r"<code>([a-z0-9]{5}-[a-z0-9]{5})</code>", done.text)
    assert len(codes) == 10
    return secret[1], codes


def code_of(secret: str, home: ArchiveHome) -> str:  # noqa: F811
    return pyotp.TOTP(secret).generate_otp(int(home.clock.now().timestamp()) // 30)


def test_a_second_factor_from_setting_it_to_signing_in(
    home: ArchiveHome,  # noqa: F811
    client: httpx.Client,
    base: str,
) -> None:
    assert client.post("/account/second-factor/offers", data={"password": WRONG}).status_code == 422
    secret, codes = set_factor(client, home)
    home.clock.step(timedelta(minutes=1))
    with browser(base) as other:
        data = {"username": "wang", "password": PASSWORD, "next": "/account?a=1"}
        answer = other.post("/sign-in", data=data)
        where = answer.headers["location"]
        assert where == "/sign-in/code?next=/account%3Fa%3D1"
        assert "liuhen_browser" not in other.cookies, "known only once it is in"
        half = other.cookies["liuhen_session"]
        assert other.get("/account").status_code == 303
        page = other.get(where)
        assert fields(page, "next") == "/account?a=1"
        wrong = other.post("/sign-in/code", data={"code": "000000", "next": "/"})
        assert wrong.status_code == 401
        assert "动态码不正确" in words(wrong)
        assert other.post("/sign-in/code", data={"code": "", "next": "/"}).status_code == 422
        done = other.post("/sign-in/code", data={"code": code_of(secret, home), "next": "/account?a=1"})
        assert done.headers["location"] == "/account?a=1"
        assert other.cookies["liuhen_session"] != half
        assert "liuhen_browser" in other.cookies
        assert other.get("/account").status_code == 200
        assert other.get("/sign-in/code").headers["location"] == "/sign-in"
        assert other.post("/sign-in/code", data={"code": codes[0]}).headers["location"] == "/sign-in"
    with browser(base) as third:
        third.post("/sign-in", data={"username": "wang", "password": PASSWORD})
        assert third.post("/sign-in/code", data={"code": codes[0]}).headers["location"] == "/"
        assert "剩余恢复码 9" in words(third.get("/account"))
        fresh = third.post("/account/second-factor/codes", data={"password": PASSWORD})
        assert codes[1] not in fresh.text
        assert third.post("/account/second-factor/removal", data={"password": WRONG}).status_code == 422
        gone = third.post("/account/second-factor/removal", data={"password": PASSWORD})
        assert gone.headers["location"] == "/account?done=factor_removed"
    with enter(base):
        pass


@pytest.mark.parametrize("next_address", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_nobody_is_led_elsewhere_after_the_second_factor(
    home: ArchiveHome,  # noqa: F811
    client: httpx.Client,
    base: str,
    next_address: str,
) -> None:
    _, codes = set_factor(client, home)
    with browser(base) as other:
        data = {"username": "wang", "password": PASSWORD, "next": next_address}
        assert other.post("/sign-in", data=data).headers["location"] == "/sign-in/code"
        assert fields(other.get("/sign-in/code", params={"next": next_address}), "next") == "/"
        assert other.post("/sign-in/code", data={"code": codes[0], "next": next_address}).headers["location"] == "/"


def test_an_offer_that_does_not_come_back_as_it_was_is_refused(client: httpx.Client) -> None:
    answer = client.post("/account/second-factor", data={"sealed": "x.y", "code": "123456"})
    assert answer.status_code == 422
    assert "本次设置已失效" in words(answer)
    assert client.post("/account/second-factor", data={"code": "123456"}).status_code == 422


def test_wrong_codes_say_how_long_to_wait(home: ArchiveHome, client: httpx.Client, base: str) -> None:  # noqa: F811
    set_factor(client, home)
    with browser(base) as other:
        other.post("/sign-in", data={"username": "wang", "password": PASSWORD})
        answers = [other.post("/sign-in/code", data={"code": "nothing"}) for _ in range(7)]
        assert answers[-1].status_code == 429
        assert f"请在 {answers[-1].headers['retry-after']} 秒后再试" in words(answers[-1])


def test_a_role_that_needs_a_second_factor_can_do_nothing_before(home: ArchiveHome) -> None:  # noqa: F811
    home.settings = home.settings.model_copy(update={"second_factor_roles": ("administrator",)})
    home.reopen()
    make(home, "admin", Role.ADMINISTRATOR)
    make(home, "wang")
    with seed.listening(create_app(home.services)) as base:
        with enter(base, "admin") as admin:
            assert admin.get("/admin").headers["location"] == "/account"
            assert admin.get("/admin/accounts", headers={"HX-Request": "true"}).headers["hx-redirect"] == "/account"
            machine = admin.get("/admin/accounts", headers={"Accept": "application/json"})
            assert (machine.status_code, machine.json()["code"]) == (403, "access.second_factor_due")
            assert admin.post("/api/v1/door/manifests", json={}).status_code == 403
            assert "您的角色必须启用二次验证" in words(admin.get("/account"))
            set_factor(admin, home)
            assert admin.get("/admin").status_code == 200
            assert "不要求二次验证" not in words(admin.get("/admin/accounts"))
            assert admin.post("/sign-out").status_code == 303
        with enter(base) as other:
            assert other.get("/account").status_code == 200
            assert other.get("/items").status_code == 200


# ---- the administrator ---------------------------------------------------------------------------------------------


def test_an_administrator_makes_an_account_in_a_unit_as_an_officer(
    home: ArchiveHome,  # noqa: F811
    admin: httpx.Client,
    base: str,
) -> None:
    at = home.clock.now()
    unit_id = record_unit(home.database, parent_id=FIRST_UNIT, code="01", name="北市区中队", by=OPERATOR, at=at)
    officer_id = record_officer(home.database, OfficerFacts("530111-0042", "赵强", "官渡区"), by=OPERATOR, at=at)
    page = admin.get("/admin/accounts")
    assert "\u3000北市区中队" in page.text
    assert "目前不要求二次验证" in words(page)
    given = {
        "username": "zhao", "display_name": "赵强", "unit": str(unit_id), "certificate": "530111-0042",
        "role-officer": "1", "role-case_handler": "1",
    }  # fmt: skip
    answer = admin.post("/admin/accounts", data=given)
    assert answer.status_code == 200
    password = re.search(r'id="first-password">([^<]+)<', answer.text)
    assert password is not None
    made = account(home, "zhao")
    assert (made.unit_id, made.officer_id, made.roles) == (unit_id, officer_id, "case_handler officer")
    assert home.types()[-1] == "admin.account_created"
    assert home.entries()[-1]["actor"] == str(account(home, "admin").id)
    assert password[1] not in admin.get("/admin/accounts").text
    assert "执法证 530111-0042" in words(admin.get("/admin/accounts"))
    with enter(base, "zhao", html.unescape(password[1])):
        pass


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"username": ""}, "请填写此项"),
        ({"username": "wang"}, "已有同名账号"),
        ({"username": "a\u202eb"}, "含有不能使用的字符"),
        ({"display_name": ""}, "请填写此项"),
        ({"unit": "nonsense"}, "请选择一项"),
        ({"unit": str(uuid4())}, "请选择一项"),
        ({"certificate": "no such"}, "没有登记持此执法证号的执法人员"),
        ({"role-officer": ""}, "请选择一项"),
        ({"role-administrator": "1"}, "系统管理与运维角色不能兼任办案角色"),
    ],
)
def test_what_is_wrong_with_an_account_is_said_and_nothing_is_made(
    home: ArchiveHome,  # noqa: F811
    admin: httpx.Client,
    changed: dict[str, str],
    told: str,
) -> None:
    given = {"username": "li", "display_name": "李", "unit": str(FIRST_UNIT), "role-officer": "1", **changed}
    answer = admin.post("/admin/accounts", data=given)
    assert answer.status_code == 422
    assert told in words(answer)
    assert home.count("account") == 2
    assert home.types().count("admin.account_created") == 2


def test_an_administrator_changes_disables_and_signs_out(
    home: ArchiveHome,  # noqa: F811
    admin: httpx.Client,
    client: httpx.Client,
    base: str,
) -> None:
    wang = account(home, "wang").id
    where = f"/admin/accounts/{wang}"
    assert "其他浏览器，其他系统" in words(admin.get(where))
    assert admin.post(f"{where}/sessions/removals").headers["location"] == f"{where}?done=account_sessions_ended"
    assert client.get("/account").status_code == 303
    entry = home.entries()[-1]
    assert (entry["type"], entry["obj"]["id"]) == ("admin.session_ended", str(wang))
    given = {"display_name": "王芳", "unit": str(FIRST_UNIT), "role-auditor": "1", "enabled": "1"}
    with enter(base) as again:
        assert admin.post(f"{where}/changes", data=given).status_code == 303
        assert "审计人员" in words(again.get("/account"))
        given.pop("enabled")
        assert admin.post(f"{where}/changes", data=given).status_code == 303
        assert again.get("/account").status_code == 303
    with browser(base) as refused:
        assert refused.post("/sign-in", data={"username": "wang", "password": PASSWORD}).status_code == 401
    assert home.types().count("admin.account_changed") == 2
    assert "已停用" in words(admin.get("/admin/accounts"))


def test_nobody_changes_the_own_account(home: ArchiveHome, admin: httpx.Client) -> None:  # noqa: F811
    own = account(home, "admin").id
    assert "/changes" not in admin.get(f"/admin/accounts/{own}").text
    given = {"display_name": "周敏", "unit": str(FIRST_UNIT), "role-auditor": "1", "enabled": "1"}
    answer = admin.post(f"/admin/accounts/{own}/changes", data=given)
    assert answer.status_code == 422
    assert "自己的账号不能由自己更改" in words(answer)
    assert account(home, "admin").roles == "administrator"


@pytest.mark.parametrize("path", ["", "/changes", "/sessions/removals"])
@pytest.mark.parametrize("account_id", ["00000000-0000-7000-8000-00000000beef", "nonsense"])
def test_an_account_that_there_is_not_is_not_found(admin: httpx.Client, path: str, account_id: str) -> None:
    address = f"/admin/accounts/{account_id}{path}"
    answer = admin.post(address, data={"nothing": ""}) if path else admin.get(address)
    assert answer.status_code == 404


def test_only_administrators_see_accounts(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    wang = account(home, "wang").id
    assert client.get("/admin/accounts").status_code == 403
    assert client.post("/admin/accounts", data={"nothing": ""}).status_code == 403
    assert client.get(f"/admin/accounts/{wang}").status_code == 403
    assert client.post(f"/admin/accounts/{wang}/changes", data={"nothing": ""}).status_code == 403
    assert client.post(f"/admin/accounts/{wang}/sessions/removals").status_code == 403


def test_two_administrators_who_make_one_name_at_once_make_one_account(
    home: ArchiveHome,  # noqa: F811
    base: str,
) -> None:
    make(home, "admin2", Role.ADMINISTRATOR)
    given = {"username": "li", "display_name": "李", "unit": str(FIRST_UNIT), "role-officer": "1"}
    answers: list[int] = []

    def post(client: httpx.Client) -> None:
        answers.append(client.post("/admin/accounts", data=given).status_code)

    with ExitStack() as opened:
        clients = [opened.enter_context(enter(base, name)) for name in ("admin", "admin2")]
        threads = [threading.Thread(target=post, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [200, 422]


def test_a_clearance_is_given_for_a_time_and_ended(
    home: ArchiveHome,  # noqa: F811
    admin: httpx.Client,
    client: httpx.Client,
) -> None:
    wang, own = account(home, "wang").id, account(home, "admin").id
    here = f"/admin/accounts/{wang}"
    assert "未获任何限制类别授权" in words(admin.get(here))
    late = local_input(home.clock.now() + timedelta(days=400))
    for data, told in (
        ({"class": ""}, "请选择一项"),
        ({"class": "minors", "reason": "承办"}, "请填写此项"),
        ({"class": "minors", "reason": "承办", "until": late}, "不超过 366 天"),
    ):
        answer = admin.post(f"{here}/clearances", data=data)
        assert answer.status_code == 422
        assert told in words(answer)
    until = home.clock.now() + timedelta(days=30)
    data = {"class": "minors", "reason": "承办 <b>", "until": local_input(until)}
    assert admin.post(f"/admin/accounts/{own}/clearances", data=data).status_code == 422, "nobody clears oneself"
    assert admin.post(f"{here}/clearances", data=data).headers["location"] == f"{here}?done=clearance_granted"
    shown = admin.get(here)
    assert "未成年人 承办 <b>" in words(shown)
    ending = re.search(r'action="([^"]+/end)"', shown.text)
    assert ending is not None
    assert admin.post(ending[1].replace(str(wang), str(own))).status_code == 404
    assert client.post(ending[1]).status_code == 403
    assert admin.post(ending[1]).headers["location"] == f"{here}?done=clearance_ended"
    assert admin.post(ending[1]).status_code == 404
    assert "未获任何限制类别授权" in words(admin.get(here))
    assert home.types()[-2:] == ["admin.clearance_granted", "admin.clearance_ended"]
    home.assert_sound()


# ---- systems -------------------------------------------------------------------------------------------------------


def test_a_system_is_put_into_a_unit_and_shows_its_last_use(
    home: ArchiveHome,  # noqa: F811
    admin: httpx.Client,
    base: str,
) -> None:
    at = home.clock.now()
    unit_id = record_unit(home.database, parent_id=FIRST_UNIT, code="01", name="北市区中队", by=OPERATOR, at=at)
    given = {
        "name": "cms",
        "title": "办案系统",
        "scope-items.read": "1",
        "expires_on": str((at + timedelta(days=9)).date()),
    }
    made = admin.post("/admin/systems/keys", data={**given, "unit": str(unit_id)})
    key = re.search(r"lh_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", made.text)
    assert key is not None
    page = admin.get("/admin/systems")
    assert key[0] not in page.text
    assert "北市区中队" in words(page).partition("所属机构")[2]
    with browser(base) as system:
        system.get("/api/v1/items", headers={"Authorization": f"Bearer {key[0]}", "Accept": "application/json"})
    assert home.rows("SELECT count(*) FROM api_key WHERE last_used_at IS NOT NULL") == [(1,)]
    moved = admin.post("/admin/systems/cms/unit", data={"unit": str(FIRST_UNIT)})
    assert "所属机构已调整" in words(admin.get(moved.headers["location"]))
    assert home.types()[-1] == "admin.integration_changed"
    for unit in ("", "nonsense", str(uuid4())):
        assert admin.post("/admin/systems/cms/unit", data={"unit": unit}).status_code == 422
    assert admin.post("/admin/systems/nobody/unit", data={"unit": str(FIRST_UNIT)}).status_code == 404
    refused = admin.post("/admin/systems/keys", data={**given, "unit": str(uuid4())})
    assert refused.status_code == 422

"""Signing in by a real OpenID provider, and out of it; and everything that such a sign-in must not open."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select

from archive.access.accounts import change_account
from archive.access.models import Account
from archive.access.policy import Role
from archive.kernel.ids import AccountId, UnitId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from archive.organisation.units import record_unit
from archive.settings import SettingsInvalid
from tests.integration.web.conftest import browser, words
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.provider import Joined, joined
from tests.support.signing_in import make


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[Joined]:
    with joined(tmp_path, database_url) as made:
        yield made


@pytest.fixture
def open_house(tmp_path: Path, database_url: str) -> Iterator[Joined]:
    """One where somebody without an account gets one."""
    with joined(tmp_path, database_url, oidc_make_accounts=True, oidc_units={"一中队": "1/10"}) as made:
        at = made.home.clock.now()
        record_unit(made.home.database, parent_id=UnitId(FIRST_UNIT), code="10", name="一中队", by=OPERATOR, at=at)
        yield made


def answer_of(client: httpx.Client, house: Joined, login: str, next_address: str = "/account") -> str:
    """Sign in at the provider as a person does; return the address that leads back to us."""
    leaving = client.get("/sign-in/provider", params={"next": next_address})
    assert leaving.status_code == 303, leaving.text
    at = leaving.headers["location"]
    asked = parse_qs(urlsplit(at).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    for _ in range(20):
        if at.startswith(f"{house.base}/sign-in/provider/back"):
            return at
        page = client.get(at)
        if page.is_redirect:
            at = str(page.url.join(page.headers["location"]))
            continue
        action = re.search(r'action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
        assert action is not None, page.text
        assert prompt is not None, page.text
        sent = client.post(page.url.join(action[1]), data={"prompt": prompt[1], "login": login, "password": "x"})
        at = str(sent.url.join(sent.headers["location"]))
    raise AssertionError(f"never came back: {at}")


@contextmanager
def person(house: Joined) -> Iterator[httpx.Client]:
    with browser(house.base) as client:
        yield client


def account(home: ArchiveHome, username: str) -> Account:  # noqa: F811
    with home.database.read() as tx:
        return tx.scalars(select(Account).where(Account.username == username)).one()


def refused(answer: httpx.Response) -> bool:
    return answer.status_code == 401 and "单位统一身份平台的登录没有成功" in words(answer) and (
        "liuhen_session=" not in str(answer.headers.get_list("set-cookie"))
    )  # fmt: skip


def test_somebody_signs_in_and_out_again(house: Joined) -> None:
    make(house.home, "wang", Role.UNIT_HEAD)
    with person(house) as client:
        assert "使用单位统一身份登录" in words(client.get("/sign-in"))
        back = client.get(answer_of(client, house, "u1", "/account?a=1"))
        assert back.status_code == 303, words(back)
        assert back.headers["location"] == "/account?a=1"
        assert "liuhen_trip" not in client.cookies
        assert client.get("/account").status_code == 200
        assert house.home.types()[-2:] == ["admin.factor_set", "admin.signed_in"]
        assert account(house.home, "wang").provider_subject == "u1"
        out = client.post("/sign-out")
        assert out.status_code == 200
        assert client.get("/account").status_code == 303
        leading = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', out.text)
        assert leading is not None
        page = client.get(leading[1].replace("&amp;", "&"))
        assert page.status_code == 200
        action, token = re.search(r'action="([^"]+)"', page.text), re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert action is not None
        assert token is not None
        done = client.post(action[1], data={"xsrf": token[1], "logout": "yes"})
        assert done.headers["location"].startswith(f"{house.base}/sign-in")
        asked = client.get(client.get("/sign-in/provider").headers["location"])
        assert "/interaction/" in asked.headers["location"], "the provider asks again who is there"
        again = client.get(answer_of(client, house, "u1"))
        assert again.status_code == 303
        assert house.home.types().count("admin.factor_set") == 1


def test_roles_follow_the_groups_and_each_change_has_its_entry(house: Joined) -> None:
    make(house.home, "li", Role.AUDITOR)
    with person(house) as client:
        client.get(answer_of(client, house, "u2"))
        assert account(house.home, "li").roles == "case_handler unit_head"
        client.get(answer_of(client, house, "u2"))
    assert house.home.types().count("admin.account_changed") == 1


@pytest.mark.parametrize("login", ["u3", "u5", "u6"])
def test_who_has_no_role_no_name_or_roles_that_do_not_go_together_stays_outside(house: Joined, login: str) -> None:
    for name in ("zhao", "both"):
        make(house.home, name)
    with person(house) as client:
        assert refused(client.get(answer_of(client, house, login)))
    assert "admin.account_changed" not in house.home.types()
    assert "admin.signed_in" not in house.home.types()


def test_without_an_account_nobody_gets_in_unless_the_house_makes_them(house: Joined) -> None:
    with person(house) as client:
        assert refused(client.get(answer_of(client, house, "u1")))
    assert house.home.count("account") == 0


def test_a_house_can_make_accounts_on_the_first_sign_in(open_house: Joined) -> None:
    with person(open_house) as client:
        assert client.get(answer_of(client, open_house, "u1")).status_code == 303
        made = account(open_house.home, "wang")
        assert (made.display_name, made.roles) == ("王芳", "unit_head")
        assert open_house.home.types()[-3:] == ["admin.account_created", "admin.factor_set", "admin.signed_in"]
    with person(open_house) as other:
        assert refused(other.get(answer_of(other, open_house, "u4"))), "the same name, and somebody else"
        assert refused(other.get(answer_of(other, open_house, "u3"))), "no group of ours"
    open_house.home.execute("UPDATE account SET disabled_at = created_at")
    with person(open_house) as client:
        assert refused(client.get(answer_of(client, open_house, "u1")))
    assert open_house.home.count("account") == 1


def test_an_account_that_is_made_is_in_the_unit_of_the_department(open_house: Joined) -> None:
    with person(open_house) as client:
        assert client.get(answer_of(client, open_house, "u1")).status_code == 303
        unit = open_house.home.rows("SELECT name FROM unit JOIN account ON account.unit_id = unit.id")
        assert unit == [("一中队",)]
        # Moved by hand, and the provider says it again: it follows, with its entry.
        open_house.home.execute("UPDATE account SET unit_id = :unit", unit=open_house.home.id_value(FIRST_UNIT))
        assert client.get(answer_of(client, open_house, "u1")).status_code == 303
        assert open_house.home.rows("SELECT name FROM unit JOIN account ON account.unit_id = unit.id") == unit
        assert open_house.home.types().count("admin.account_changed") == 1


def test_without_a_unit_a_new_account_waits_without_rights_until_it_is_given_both(open_house: Joined) -> None:
    at = open_house.home.clock.now
    with person(open_house) as client:
        for _ in range(2):
            answer = client.get(answer_of(client, open_house, "u7"))
            assert answer.status_code == 403
            assert "须由管理员分配机构和角色" in words(answer)
            assert "liuhen_session=" not in str(answer.headers.get_list("set-cookie"))
        made = account(open_house.home, "sun")
        assert (made.roles, made.provider_subject) == ("", "u7")
        assert open_house.home.count("session") == 0
        assert "admin.signed_in" not in open_house.home.types()
        assert open_house.home.types().count("admin.factor_set") == 1, "whom it is bound to is kept"
        change_account(
            open_house.home.database, AccountId(made.id), display_name="孙丽", roles=[Role.AUDITOR], unit_id=FIRST_UNIT,
            officer_id=None, is_enabled=True, by=OPERATOR, at=at(),
        )  # fmt: skip
        assert client.get(answer_of(client, open_house, "u7")).status_code == 303
        assert account(open_house.home, "sun").roles == "unit_head", "from now on the groups say the roles"
    open_house.home.assert_sound()


def test_an_account_that_waits_is_shown_so_to_the_administrator(open_house: Joined) -> None:
    make(open_house.home, "admin", Role.ADMINISTRATOR)
    with person(open_house) as client, browser(open_house.base) as admin:
        client.get(answer_of(client, open_house, "u7"))
        admin.post("/sign-in", data={"username": "admin", "password": PASSWORD})
        assert "等待分配机构和角色" in words(admin.get("/admin/accounts"))
        page = admin.get(f"/admin/accounts/{account(open_house.home, 'sun').id}")
        assert "由统一身份平台首次登录时建立" in words(page)
        assert '<option value="">请选择</option>' in page.text, "nobody is put anywhere unseen"


def test_an_answer_counts_once_in_its_own_browser_and_for_ten_minutes(house: Joined) -> None:
    make(house.home, "wang", Role.UNIT_HEAD)
    with person(house) as client, person(house) as thief:
        back = answer_of(client, house, "u1")
        assert refused(thief.get(back)), "without the cookie"
        other = answer_of(thief, house, "u2")
        state = parse_qs(urlsplit(other).query)["state"][0]
        mixed = re.sub(r"state=[^&]+", f"state={state}", back)
        assert refused(thief.get(mixed)), "a code of another sign-in: its verifier does not fit"
        assert refused(client.get(back.replace("state=", "state=x")))
    with person(house) as client:
        back = answer_of(client, house, "u1")
        trip = client.cookies["liuhen_trip"]
        assert client.get(back).status_code == 303
        client.cookies.set("liuhen_trip", trip, domain="localhost.local")
        assert refused(client.get(back)), "a second time"
    with person(house) as client:
        back = answer_of(client, house, "u1")
        house.home.clock.step(timedelta(minutes=11))
        assert refused(client.get(back))


@pytest.mark.parametrize("query", ["", "?error=access_denied&state=x", "?code=x", "?code=x&state=x&iss=http://evil"])
def test_what_nobody_was_sent_for_is_refused(house: Joined, query: str) -> None:
    with person(house) as client:
        assert refused(client.get(f"/sign-in/provider/back{query}"))
        client.get("/sign-in/provider")
        assert refused(client.get(f"/sign-in/provider/back{query}"))


@pytest.mark.parametrize("next_address", ["//evil.example", "https://evil.example/"])
def test_nobody_is_led_elsewhere_by_way_of_the_provider(house: Joined, next_address: str) -> None:
    make(house.home, "wang", Role.UNIT_HEAD)
    with person(house) as client:
        assert client.get(answer_of(client, house, "u1", next_address)).headers["location"] == "/"


def test_a_provider_that_is_away_is_said_so_and_passwords_go_on(house: Joined) -> None:
    make(house.home, "wang", Role.UNIT_HEAD)
    house.peer.process.kill()
    house.peer.process.wait()
    with person(house) as client:
        answer = client.get("/sign-in/provider")
        assert answer.status_code == 503
        assert "暂时连接不上" in words(answer)
        assert client.post("/sign-in", data={"username": "wang", "password": PASSWORD}).status_code == 303


def test_nothing_is_asked_outside_the_issuers_own_host(tmp_path: Path, database_url: str) -> None:
    """`localhost` is not the name that the provider calls itself, and its network is not allowed here."""
    with joined(tmp_path, database_url, oidc_networks=()) as house, person(house) as client:
        assert client.get("/sign-in/provider").status_code == 503


def test_a_house_without_a_provider_has_no_such_door(home: ArchiveHome) -> None:  # noqa: F811
    from archive.web.app import create_app
    from tests.support import seed

    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        assert client.get("/sign-in/provider").status_code == 404
        assert client.get("/sign-in/provider/back").status_code == 404
        assert "使用单位统一身份登录" not in words(client.get("/sign-in"))


@pytest.mark.parametrize(
    "changed",
    [
        {"oidc_client_id": ""},
        {"oidc_client_secret_file": None},
        {"oidc_scopes": "profile"},
        {"oidc_roles": {"x": ("emperor",)}},
        {"oidc_make_accounts": True, "oidc_roles": {}},
    ],
)
def test_settings_that_do_not_go_together_keep_the_archive_from_starting(
    home: ArchiveHome,  # noqa: F811
    tmp_path: Path,
    changed: dict[str, object],
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    given = {"oidc_issuer": "https://id.example", "oidc_client_id": "x", "oidc_client_secret_file": secret}
    before = home.settings
    home.settings = before.model_copy(update={**given, **changed})
    with pytest.raises(SettingsInvalid):
        home.reopen()
    home.settings = before.model_copy(update=given)
    home.reopen()

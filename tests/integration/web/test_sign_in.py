"""Signing in and out, the session's cookie, going back to where one was, and the language."""

import re
import ssl
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from archive.access.policy import Role
from archive.web.app import create_app
from tests.integration.web.conftest import HTML, browser, signed_in, words
from tests.support import seed
from tests.support.archive_home import PASSWORD as HOME_PASSWORD
from tests.support.archive_home import ArchiveHome, clock, home  # noqa: F401
from tests.support.seed import PASSWORD, Bureau

_RIGHT = {"username": "supervisor", "password": PASSWORD}


def test_the_right_password_opens_a_session_and_leads_on(anybody: httpx.Client) -> None:
    answer = anybody.post("/sign-in", data={**_RIGHT, "next": "/items?q=a"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/items?q=a"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("liuhen_session=")
    for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=36000"):
        assert part in cookie
    assert "Secure" not in cookie  # plain HTTP is served on localhost only
    assert "Domain" not in cookie
    page = anybody.get("/")
    assert page.status_code == 200
    assert "陈立群" in words(page)


def test_over_tls_the_cookie_is_bound_to_the_host(app: FastAPI, bureau: Bureau) -> None:
    authority = bureau.services.settings.home / "ca"
    trust = ssl.create_default_context(cafile=authority / "root.cert.pem")
    with seed.listening(app, tls=authority / "tls.pem") as base, browser(base, verify=trust) as client:
        cookie = client.post("/sign-in", data=_RIGHT).headers["set-cookie"]
        assert cookie.startswith("__Host-liuhen_session=")
        for part in ("Secure", "HttpOnly", "Path=/"):
            assert part in cookie
        assert client.get("/").status_code == 200
        assert "Secure" in client.post("/language", data={"language": "en"}).headers["set-cookie"]


@pytest.mark.parametrize("username", ["supervisor", "nobody", "x' OR 1=1 --"])
def test_a_wrong_password_and_an_unknown_name_look_alike(anybody: httpx.Client, username: str) -> None:
    answer = anybody.post("/sign-in", data={"username": username, "password": "wrong" * 4})
    assert answer.status_code == 401
    assert "用户名或密码不正确" in words(answer)
    assert "set-cookie" not in answer.headers
    assert "wrong" * 4 not in answer.text


def test_empty_fields_are_named(anybody: httpx.Client) -> None:
    answer = anybody.post("/sign-in", data={"username": " ", "password": ""})
    assert answer.status_code == 422
    assert words(answer).count("请填写此项") == 2
    assert answer.text.count("aria-invalid") == 2


def test_too_many_attempts_say_how_long_to_wait(home: ArchiveHome) -> None:  # noqa: F811
    home.person(Role.SUPERVISOR)
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        wrong = {"username": "supervisor", "password": "not the password"}
        answers = [client.post("/sign-in", data=wrong) for _ in range(7)]
        refused = answers[-1]
        assert refused.status_code == 429
        wait_s = int(refused.headers["retry-after"])
        assert 1 <= wait_s <= 300
        assert f"请在 {wait_s} 秒后再试" in words(refused)
        right = {"username": "supervisor", "password": HOME_PASSWORD}
        assert client.post("/sign-in", data=right).status_code == 429
        home.clock.step(timedelta(minutes=6))
        assert client.post("/sign-in", data=right).status_code == 303


def test_signing_out_ends_the_session_on_the_server(base: str) -> None:
    client = signed_in(base, Role.SUPERVISOR)
    token = client.cookies["liuhen_session"]
    answer = client.post("/sign-out")
    assert answer.headers["location"] == "/sign-in?done=signed_out"
    assert "liuhen_session" not in client.cookies
    assert "已退出登录" in words(client.get("/sign-in?done=signed_out"))
    client.cookies.set("liuhen_session", token)
    assert client.get("/").status_code == 303
    client.close()


def test_signing_in_anew_ends_the_session_before(base: str) -> None:
    client = signed_in(base, Role.SUPERVISOR)
    before = client.cookies["liuhen_session"]
    client.post("/sign-in", data={"username": "auditor", "password": PASSWORD})
    assert client.cookies["liuhen_session"] != before
    with browser(base) as other:
        other.cookies.set("liuhen_session", before)
        assert other.get("/").status_code == 303
    client.close()


def test_a_session_ends_by_itself(home: ArchiveHome) -> None:  # noqa: F811
    home.person(Role.SUPERVISOR)
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        client.post("/sign-in", data={"username": "supervisor", "password": HOME_PASSWORD})
        assert client.get("/").status_code == 200
        home.clock.step(timedelta(hours=10, seconds=1))
        assert client.get("/").status_code == 303


def test_whoever_is_signed_in_is_led_on(supervisor: httpx.Client) -> None:
    assert supervisor.get("/sign-in?next=/items").headers["location"] == "/items"


@pytest.mark.parametrize("next_address", ["//evil.example", "https://evil.example/", "/\\evil.example", "/\n/evil"])
def test_nobody_is_led_elsewhere(anybody: httpx.Client, next_address: str) -> None:
    shown = anybody.get("/sign-in", params={"next": next_address})
    assert 'name="next" value="/"' in shown.text
    answer = anybody.post("/sign-in", data={**_RIGHT, "next": next_address})
    assert answer.headers["location"] == "/"
    for path, form in (("/language", {"language": "en"}), ("/sign-in", _RIGHT)):
        answer = anybody.post(path, data={**form, "next": next_address})
        assert answer.headers["location"] == "/"


def test_a_page_without_session_comes_back_after_signing_in(anybody: httpx.Client, bureau: Bureau) -> None:
    wanted = f"/cases/{bureau.cases['main']}?done=linked"
    answer = anybody.get(wanted)
    shown = anybody.get(answer.headers["location"])
    back = re.findall(r'name="next" value="([^"]*)"', shown.text)[-1]
    assert anybody.post("/sign-in", data={**_RIGHT, "next": back}).headers["location"] == wanted


def test_a_part_of_a_page_leads_the_whole_page_to_the_sign_in(anybody: httpx.Client, bureau: Bureau) -> None:
    item = f"/items/{bureau.items['pending']}"
    shown = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{item}?a=1"}
    answer = anybody.get(f"{item}/stage", headers=shown)
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == f"/sign-in?next={item}%3Fa%3D1"
    shown["HX-Current-URL"] = "http://evil.example//evil.example/x"
    assert anybody.get(f"{item}/stage", headers=shown).headers["hx-redirect"] == "/sign-in"


# ---- other sites ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/language", "/cases", "/admin/invitations"])
def test_other_sites_cannot_post(supervisor: httpx.Client, path: str, headers: dict[str, str]) -> None:
    answer = supervisor.post(path, data=_RIGHT, headers=headers)
    assert answer.status_code == 403
    assert supervisor.get("/").status_code == 200


def test_the_own_site_can_post(anybody: httpx.Client, base: str) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": base}
    assert anybody.post("/language", data={"language": "zh-Hans"}, headers=headers).status_code == 303


# ---- language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "shown", "title"),
    [("zh-CN,zh;q=0.9", "zh-Hans", "登录"), ("en-GB", "en", "Sign in"), ("fr", "zh-Hans", "登录")],
)
def test_the_browser_says_which_language(anybody: httpx.Client, accepted: str, shown: str, title: str) -> None:
    answer = anybody.get("/sign-in", headers={"Accept-Language": accepted})
    assert f'<html lang="{shown}">' in answer.text
    assert f"<h1>{title}</h1>" in answer.text


def test_the_language_is_switched_on_the_page_and_remembered(anybody: httpx.Client) -> None:
    answer = anybody.post("/language", data={"language": "en", "next": "/sign-in?next=/items"})
    assert answer.headers["location"] == "/sign-in?next=/items"
    assert '<html lang="en">' in anybody.get("/sign-in", headers=HTML).text
    back = anybody.get("/sign-in?next=/items")
    assert 'name="next" value="/sign-in?next=/items"' in back.text
    anybody.post("/language", data={"language": "zh-Hans"})
    assert '<html lang="zh-Hans">' in anybody.get("/sign-in").text


def test_an_unknown_language_is_chinese(anybody: httpx.Client) -> None:
    anybody.post("/language", data={"language": "tlh"})
    assert '<html lang="zh-Hans">' in anybody.get("/sign-in").text

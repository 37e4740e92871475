"""Requests that another site has a browser send: refused at every address that changes something, before anything else."""

import httpx
import pytest
from fastapi import FastAPI

from archive.access.policy import Role
from tests.integration.web.attacks.conftest import DOORS, UNSAFE, filled, routes_of
from tests.integration.web.conftest import browser
from tests.support.seed import PASSWORD, Bureau

_ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{base}"},
    {"Sec-Fetch-Site": "anything"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "{base}.evil.example"},
    {"Origin": "https://evil.example/{base}"},
    {"Referer": "https://evil.example/"},
    {"Referer": "https://evil.example/{base}/"},
]


@pytest.mark.parametrize("headers", _ELSEWHERE, ids=lambda headers: " ".join(f"{n}={v}" for n, v in headers.items()))
def test_nothing_is_changed_from_another_site(
    app: FastAPI, base: str, browsers: dict[Role | None, httpx.Client], bureau: Bureau, headers: dict[str, str]
) -> None:
    sent = {name: value.replace("{base}", base) for name, value in headers.items()}
    unsafe = [(method, path) for method, path, _ in routes_of(app) if method in UNSAFE]
    assert len(unsafe) > 100
    for role in (None, Role.ADMINISTRATOR):
        for method, route in [*unsafe, *DOORS]:
            answer = browsers[role].request(method, filled(route, {}), headers={**sent, "Accept": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (403, "access.cross_site"), (method, route)


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "{base}"}, {"Referer": "{base}/a"}, {}],
)
def test_the_own_pages_and_programs_are_let_through(base: str, headers: dict[str, str]) -> None:
    sent = {name: value.replace("{base}", base) for name, value in headers.items()}
    with browser(base) as client:
        assert client.post("/language", data={"language": "en"}, headers=sent).status_code == 303


def test_no_safe_method_changes_anything(app: FastAPI) -> None:
    """The check is for unsafe methods only; each address has either kind, and browsers send Lax cookies with the safe one."""
    methods: dict[str, set[str]] = {}
    for method, path, _ in routes_of(app):
        methods.setdefault(path, set()).add(method)
    assert {path for path, found in methods.items() if "OPTIONS" in found or "TRACE" in found} == set()


def test_a_browser_that_tells_nothing_has_no_cookie_to_send_along(base: str) -> None:
    """What is older than all three headers is older than `SameSite`, or keeps Lax cookies from posts of other sites."""
    with browser(base) as client:
        answer = client.post("/sign-in", data={"username": "supervisor", "password": PASSWORD})
    for cookie in answer.headers.get_list("set-cookie"):
        assert "SameSite=lax" in cookie or "SameSite=strict" in cookie


def test_a_page_cannot_be_framed_or_read_from_elsewhere(anybody: httpx.Client) -> None:
    for answer in (
        anybody.get("/sign-in"),
        anybody.get("/nothing"),
        anybody.post("/language", headers={"Origin": "null"}),
    ):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control-")]

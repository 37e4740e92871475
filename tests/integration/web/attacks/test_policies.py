"""What every answer carries against attacks in the browser: the policy, the cookies' bounds, addresses that stay here."""

import re
import ssl

import httpx
import pytest
from fastapi import FastAPI

from archive.access.policy import Role
from archive.web import STATIC
from tests.integration.web.attacks.conftest import DOORS, filled, new_case, routes_of
from tests.integration.web.conftest import browser, signed_in
from tests.support import seed
from tests.support.seed import PASSWORD, Bureau

_AWAY = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https://evil.example",
    "/%2f%2fevil.example/../..//evil.example", "javascript:alert(1)", "data:text/html,x", "/\t/evil.example", "/\r\nLocation: x",
    " //evil.example", "//\\evil.example", "http:/\\/\\evil.example", "/\u2028/evil.example", "//evil.example@localhost", "?x", "",
]  # fmt: skip


def test_every_answer_of_every_address_carries_the_policy(
    app: FastAPI, browsers: dict[Role | None, httpx.Client], named: dict[str, object]
) -> None:
    """Pages, parts, refusals, faults, files and the doors of machines alike."""
    asked = [
        (method, filled(path, named))
        for method, path, _ in routes_of(app)
        if path not in {"/sign-out", "/account/sessions/removals"}
    ]
    asked += [
        *DOORS,
        ("GET", "/static/app.css"),
        ("GET", "/static/none"),
        ("GET", "/nowhere"),
        ("PATCH", "/"),
        ("GET", "/api/v1/openapi.json"),
    ]
    for role in (None, Role.SUPERVISOR):
        for method, address in asked:
            answer = browsers[role].request(method, address)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'"), (method, address)
            assert "frame-ancestors 'none'" in policy or address.startswith("/content/"), (method, address)
            assert "unsafe-inline" not in policy
            assert "unsafe-eval" not in policy.replace("wasm-unsafe-eval", "")
            for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")):
                assert answer.headers[name] == value, (method, address, name)
            assert "server" not in answer.headers
            assert answer.status_code < 500


def test_over_tls_every_cookie_is_bound_to_this_host(app: FastAPI, bureau: Bureau) -> None:
    authority = bureau.services.settings.home / "ca"
    trust = ssl.create_default_context(cafile=authority / "root.cert.pem")
    names = set()
    with seed.listening(app, tls=authority / "tls.pem") as base, browser(base, verify=trust) as client:
        answers = [
            client.post("/sign-in", data={"username": "head", "password": PASSWORD}),
            client.post("/language", data={"language": "en"}),
            client.post("/sign-out"),
        ]
    for answer in answers:
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, rest = cookie.partition("=")
            names.add(name)
            assert "; Secure" in rest
            assert "; HttpOnly" in rest
            assert re.search(r"; SameSite=(lax|strict)", rest)
            assert "; Path=/" in rest
            assert "domain" not in rest.lower()
    assert names == {"__Host-liuhen_session", "__Host-liuhen_browser", "liuhen_language"}


@pytest.mark.parametrize("away", _AWAY, ids=ascii)
def test_no_address_that_is_gone_on_to_leads_to_another_host(
    base: str, supervisor: httpx.Client, anybody: httpx.Client, away: str
) -> None:
    right = {"username": "supervisor", "password": PASSWORD}
    fresh = signed_in(base, Role.SUPERVISOR)
    told = [
        anybody.get("/sign-in", params={"next": away}),
        anybody.get("/sign-in/code", params={"next": away}),
        anybody.post("/language", data={"language": "en", "next": away}),
        supervisor.get("/sign-in", params={"next": away}),
        fresh.post("/sign-in", data={**right, "next": away}),
        fresh.post("/sign-out", data={"next": away}),
        anybody.get("/items/x", headers={"HX-Request": "true", "HX-Current-URL": ascii(away)}),
        anybody.get("/items", params={"q": away, "next": away}),
    ]
    fresh.close()
    for answer in told:
        for name in ("location", "hx-redirect", "hx-location", "hx-push-url", "refresh"):
            led = answer.headers.get(name, "/")
            assert re.match(r"/(?![/\\])[\x21-\x7e]*$", led), (answer.request.url, name, led)
            assert not led.startswith("/\\")
        assert not re.search(r'(?:href|action|src)="(?:https?:|//|\\|javascript:)', answer.text), answer.request.url


def test_header_injection_by_an_address_changes_no_header(
    app: FastAPI, browsers: dict[Role | None, httpx.Client]
) -> None:
    sent = "%0d%0aSet-Cookie:%20a=b%0d%0aX-Evil:%201%0d%0a%0d%0a<script>"
    for role in (None, Role.SUPERVISOR):
        for method, path, _ in routes_of(app):
            if method == "GET" and not path.startswith("/sign-in/provider"):
                answer = browsers[role].get(f"{filled(path, {})}?next={sent}&q={sent}&done={sent}&cursor={sent}")
                assert "x-evil" not in answer.headers
                assert not any("a=b" in cookie for cookie in answer.headers.get_list("set-cookie"))
                assert "<script>" not in answer.text
                assert answer.status_code < 500


@pytest.mark.parametrize(
    "name", ['a"b.pdf', "a\r\nX-Evil: 1.pdf", "a;filename=evil.exe.pdf", "名“称”.pdf", "../..\\x.pdf", "%0d%0a.pdf"]
)
def test_no_name_of_a_file_breaks_the_header_of_its_download(
    handler: httpx.Client, supervisor: httpx.Client, bureau: Bureau, name: str
) -> None:
    pdf = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n" + name.encode() + b" header"
    case = new_case(handler)
    sent = handler.post(
        f"{case}/records",
        data={"form": "inspection_record", "title": f"名称 {name!a}"},
        files={"file": (name, pdf, "application/pdf")},
    )
    assert sent.status_code == 303
    page = supervisor.get(case).text
    for record in re.findall(r"/records/([0-9a-f-]{36})", page):
        given = supervisor.post(f"/records/{record}/export", data={"purpose": "移送"})
        answer = supervisor.get(given.headers["location"])
        if answer.content == pdf:
            break
    assert answer.content == pdf
    told = answer.headers["content-disposition"]
    assert answer.headers.get_list("content-disposition") == [told]
    assert re.fullmatch(r"attachment; filename=\"[\w .()-]+\"; filename\*=UTF-8''[\w.%~-]+", told, re.ASCII), told
    assert "x-evil" not in answer.headers
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_no_script_of_ours_writes_markup() -> None:
    """DOM injection: what scripts show they show as text."""
    for path in STATIC.glob("*.js"):
        source = path.read_text("utf-8")
        found = re.findall(
            r"\.(?:innerHTML|outerHTML)\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", source
        )
        assert found == [], path.name

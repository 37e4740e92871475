"""Addresses that lead out of where they belong: climbing, NUL, backslashes, overlong forms, at every route that takes one."""

import socket
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from archive.access.policy import Role
from tests.integration.web.attacks.conftest import filled, new_case, parameters_of, routes_of
from tests.support.deployment import RawStores
from tests.support.seed import Bureau

_CLIMBING = [
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2f%2e%2e%2fkeys%2flog.key",
    "..%5c..%5c..%5ckeys%5clog.key",
    "%252e%252e%252fetc%252fpasswd",
    "..%c0%af..%c0%af..%c0%afetc%c0%afpasswd",
    "%c0%ae%c0%ae/keys/log.key",
    "checkpoint%00.pem",
    "%00",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "liuhen.toml",
    "seg-0.mp4/../../../../keys/log.key",
    "x" * 4000,
    "%ff%fe",
    "%0d%0aSet-Cookie:%20a=b",
    "\u202e%F0%9F%92%A9",
]
_SECRET = (b"root:x:0", b"PRIVATE KEY", b"BEGIN OPENSSH", b"secret", b"sqlite format")


@pytest.mark.parametrize("climb", _CLIMBING, ids=lambda climb: climb[:40])
def test_no_parameter_of_an_address_leads_to_another_file(
    app: FastAPI, base: str, browsers: dict[Role | None, httpx.Client], climb: str
) -> None:
    found = [(method, path) for method, path, _ in routes_of(app) if parameters_of(path) and method in {"GET", "HEAD"}]
    assert len(found) > 50
    found += [("GET", "/static/{path:path}"), ("GET", "/api/v1/uploads/{path:path}"), ("GET", "/axis/{path:path}")]
    raw = quote(climb, safe="%/.~:")
    for method, route in found:
        for name in parameters_of(route):
            address = filled(route, {name: raw})
            answer = browsers[Role.AUDITOR].request(method, httpx.URL(base).copy_with(raw_path=address.encode()))
            assert 300 <= answer.status_code < 500, (method, address, answer.status_code)
            assert answer.status_code >= 400 or answer.headers["location"].startswith("/"), address
            assert not [word for word in _SECRET if word in answer.content.lower()], address
            assert "set-cookie" not in answer.headers


def test_an_address_that_climbs_above_the_root_stays_in_the_house(base: str) -> None:
    """A client tidies addresses before it sends them; a socket does not."""
    host, port = base.removeprefix("http://").split(":")
    for path in (
        "/static/../../keys/log.key",
        "/static//etc/passwd",
        "/../../etc/passwd",
        "/static/..\\..\\keys",
        "//evil.example/",
    ):
        with socket.create_connection((host, int(port)), timeout=30) as door:
            door.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            said = b"".join(iter(lambda: door.recv(65536), b""))
        assert said.split()[1] == b"404", path
        assert b"location:" not in said.lower()


@pytest.mark.parametrize(
    "name",
    [
        "../../../keys/log.key",
        "..\\..\\x.pdf",
        "/etc/passwd",
        "a\x00.pdf",
        "a\r\nb.pdf",
        ".",
        "..",
        "CON",
        "a" * 900 + ".pdf",
    ],
)
def test_the_name_of_a_file_that_is_sent_leads_nowhere(handler: httpx.Client, bureau: Bureau, name: str) -> None:
    home = bureau.services.settings.home
    content = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n" + name.encode()
    answer = handler.post(
        f"{new_case(handler)}/records",
        data={"form": "inspection_record", "title": "名称"},
        files={"file": (name, content, "application/pdf")},
    )
    assert answer.status_code == 303, answer.status_code
    stored = RawStores.of(bureau.services.settings) / "store"
    found = {*home.parent.rglob("*"), *stored.rglob("*")}
    kept = [path for path in found if path.is_file() and path.read_bytes() == content]
    assert len(kept) == 1
    assert kept[0].parts[-4:-1] == ("v1", "content", "original")
    assert kept[0].is_relative_to(stored)

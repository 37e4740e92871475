"""The pages behind nginx, with the files of `docker/nginx`: who is believed, who sends the bytes, what stays closed."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from archive.access.policy import Role
from archive.kernel.ids import GrantId
from archive.retrieval.models import Grant
from archive.web.app import create_app
from archive.web.limits import Cost, Meter
from archive.web.sending import INTERNAL
from tests.integration.web.conftest import PASSWORD, PEOPLE, browser
from tests.integration.web.test_content import _play, _rendition
from tests.support import seed
from tests.support.nginx import Proxy, proxied
from tests.support.seed import Bureau


@pytest.fixture(scope="module")
def behind(bureau: Bureau) -> FastAPI:
    given = {"send_bytes": "nginx", "trusted_proxies": (ip_network("127.0.0.1/32"),)}
    return create_app(replace(bureau.services, settings=bureau.services.settings.model_copy(update=given)))


@pytest.fixture(scope="module")
def proxy(bureau: Bureau, behind: FastAPI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    home, folder = bureau.services.settings.home, tmp_path_factory.mktemp("proxy") / "nginx"
    with seed.listening(behind) as base:
        upstreams, tls = [base.removeprefix("http://")], home / "ca" / "tls.pem"
        with proxied(folder, upstreams=upstreams, renditions=home / "renditions", tls=tls) as made:
            yield made


@pytest.fixture(scope="module")
def supervisor(proxy: Proxy) -> Iterator[httpx.Client]:
    with browser(proxy.address, verify=False) as client:
        told = {"username": PEOPLE[Role.SUPERVISOR][0], "password": PASSWORD}
        answer = client.post("/sign-in", data=told)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-liuhen_session=")
        assert "Secure" in cookie
        yield client


def test_the_address_is_what_the_proxy_saw_and_not_what_the_client_says(
    proxy: Proxy, behind: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(behind.state.limits.meters, Cost.STRANGERS, Meter(3, holds_s=60))
    with browser(proxy.address, verify=False) as stranger:
        answers = [
            stranger.get("/pki/root.pem", headers={"X-Forwarded-For": f"203.0.{number}.9"}).status_code
            for number in range(4)
        ]
    assert answers == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("asked", "part"),
    [(None, slice(0, None)), ("bytes=0-99", slice(0, 100)), ("bytes=1000-", slice(1000, None)),
     ("bytes=-7", slice(-7, None)), ("bytes=3-99999999", slice(3, None))],
)  # fmt: skip
def test_nginx_sends_what_is_granted(supervisor: httpx.Client, bureau: Bureau, asked: str | None, part: slice) -> None:
    item = bureau.items["video"]
    data, under = _rendition(bureau, item, "playable"), _play(supervisor, item)
    answer = supervisor.get(f"{under}/playable", headers={} if asked is None else {"Range": asked})
    assert answer.status_code == (200 if asked is None else 206)
    assert answer.content == data[part]
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["cache-control"] == "private, no-store"
    assert asked is not None or answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-request-id"]
    assert "x-accel-redirect" not in answer.headers
    again = supervisor.get(f"{under}/playable", headers={"Range": "bytes=5-9", "If-Range": answer.headers["etag"]})
    assert (again.status_code, again.content) == (206, data[5:10])
    other = supervisor.get(f"{under}/playable", headers={"Range": "bytes=5-9", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, data)
    assert supervisor.get(f"{under}/playable", headers={"Range": f"bytes={len(data)}-"}).status_code == 416
    head = supervisor.head(f"{under}/playable")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(data)), b"")


def test_a_grant_that_has_ended_leads_nowhere(supervisor: httpx.Client, bureau: Bureau) -> None:
    under = _play(supervisor, bureau.items["video"])
    grant_id = GrantId(seed.UUID(under.rpartition("/")[2]))
    with browser(str(supervisor.base_url), verify=False) as stranger:
        assert stranger.get(f"{under}/playable").status_code == 303
    with bureau.services.database.begin() as tx:
        ended = bureau.services.clock.now() - timedelta(seconds=1)
        tx.execute(update(Grant).where(Grant.id == grant_id).values(expires_at=ended))
    assert supervisor.get(f"{under}/playable").status_code == 404


def test_what_is_no_whole_rendition_comes_from_the_archive_itself(supervisor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    answer = supervisor.post(f"/items/{item}/export", data={"purpose": "x", "reference": "1"}, follow_redirects=True)
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert len(answer.content) > 1000


@pytest.mark.parametrize("way", ["", "../keys/log.pem", "%2e%2e/keys/log.pem", "..%2fkeys/log.pem"])
def test_the_folder_is_closed_from_outside(supervisor: httpx.Client, bureau: Bureau, way: str) -> None:
    store = bureau.services.renditions
    for key in list(store.keys())[:1]:
        answer = supervisor.get(INTERNAL + (way or key))
        assert answer.status_code == 404
        assert b"PRIVATE" not in answer.content


def test_what_goes_up_is_not_held_back_and_the_log_tells_nothing(proxy: Proxy, supervisor: httpx.Client) -> None:
    cookie = supervisor.cookies["__Host-liuhen_session"]
    supervisor.get("/search?q=hidden-word")
    data = b"x" * 3_000_000
    answer = supervisor.post("/validation", files={"file": ("a.pdf", data, "application/pdf")})
    assert answer.status_code in {303, 403, 422}
    told = proxy.log()
    assert hashlib.sha256(data).hexdigest() not in told
    for secret in (cookie, "hidden-word", "/search", "127.0.0.1"):
        assert secret not in told.replace('"upstream":"127.0.0.1', "")
    assert '"event":"proxied"' in told


def test_certificates_are_looked_up_over_plain_http(proxy: Proxy) -> None:
    plain = f"http://127.0.0.1:{proxy.pki_port}"
    with httpx.Client(base_url=plain, trust_env=False) as client:
        assert client.get("/pki/root.pem").status_code == 200
        led = client.get("/cases")
        assert (led.status_code, led.headers["location"]) == (308, "https://127.0.0.1/cases")

"""Taking a case away in the browser and over REST: asked for, watched, fetched in parts, on record each time."""

import io
import zipfile

import httpx
import pytest

from archive.access.policy import Role
from tests.integration.web.conftest import HTMX, words
from tests.support import seed
from tests.support.seed import Bureau


@pytest.fixture(scope="module")
def ready(supervisor_once: httpx.Client, bureau: Bureau) -> str:
    """A package that was asked for on the page and is built; its id."""
    case = f"/cases/{bureau.cases['main']}"
    answer = supervisor_once.post(f"{case}/packages", data={"purpose": "送检察院"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{case}?done=package_asked#packages"
    waiting = supervisor_once.get(f"{case}/packages", headers=HTMX)
    assert 'hx-trigger="every 1500ms"' in waiting.text
    assert "等待生成" in words(waiting)
    seed.work(bureau)
    seed.sequence(bureau)
    page = supervisor_once.get(case)
    assert "可以下载" in words(page)
    assert "陈立群" in words(page)
    return page.text.split('action="/packages/')[1].split("/")[0]


@pytest.fixture(scope="module")
def supervisor_once(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.SUPERVISOR]


def fetch(client: httpx.Client, package_id: str) -> str:
    granted = client.post(f"/packages/{package_id}/downloads")
    assert granted.status_code == 303
    return granted.headers["location"]


def exports(bureau: Bureau) -> int:
    with bureau.services.database.read() as tx:
        rows = tx.connection().exec_driver_sql("SELECT body FROM log_entry").scalars().all()
    return sum(b'"type":"access.export"' in bytes(body) for body in rows)


def test_each_download_is_on_record_and_whole(supervisor: httpx.Client, bureau: Bureau, ready: str) -> None:
    before = exports(bureau)
    place = fetch(supervisor, ready)
    assert exports(bureau) == before + 1
    answer = supervisor.get(place)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "filename*=UTF-8''%E5%AE%98%E7%BB%BC" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as judged:
        assert judged.testzip() is None
        names = {name.split("/", 1)[1] for name in judged.namelist()}
    assert {"bagit.txt", "verify.py", "data/case.json", "proofs/checkpoint"} <= names
    assert exports(bureau) == before + 1


def test_a_download_that_broke_off_goes_on(supervisor: httpx.Client, ready: str) -> None:
    place = fetch(supervisor, ready)
    whole = supervisor.get(place)
    etag = whole.headers["etag"]
    half = len(whole.content) // 2
    rest = supervisor.get(place, headers={"Range": f"bytes={half}-", "If-Range": etag})
    assert rest.status_code == 206
    assert rest.content == whole.content[half:]
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    middle = supervisor.get(place, headers={"Range": "bytes=70-90"})
    assert middle.content == whole.content[70:91]
    head = supervisor.head(place)
    assert head.headers["content-length"] == str(len(whole.content))
    # A new grant serves the same bytes, so that what broke off yesterday goes on too.
    again = supervisor.get(fetch(supervisor, ready), headers={"Range": "bytes=10-", "If-Range": etag})
    assert again.content == whole.content[10:]


def test_the_purpose_is_asked_for(supervisor: httpx.Client, bureau: Bureau) -> None:
    before = exports(bureau)
    answer = supervisor.post(f"/cases/{bureau.cases['main']}/packages", data={"purpose": " "})
    assert answer.status_code == 422
    assert 'id="package-purpose-fault"' in answer.text
    assert exports(bureau) == before


def test_others_see_that_there_is_one_and_cannot_fetch_it(
    handler: httpx.Client, auditor: httpx.Client, supervisor: httpx.Client, bureau: Bureau, ready: str
) -> None:
    place = fetch(supervisor, ready)
    for client in (handler, auditor):
        page = client.get(f"/cases/{bureau.cases['main']}")
        assert "可以下载" in words(page)
        assert "/downloads" not in page.text
        assert 'id="package"' not in page.text
        assert client.post(f"/packages/{ready}/downloads").status_code == 403
        assert client.get(place).status_code == 403


def test_over_rest(supervisor: httpx.Client, bureau: Bureau, ready: str) -> None:
    del ready
    number = "官综执罚〔2026〕第031号"
    asked = supervisor.post(f"/api/v1/cases/{number}/packages", json={"purpose": "送检察院", "renditions": True})
    assert asked.status_code == 202
    told = asked.json()
    assert (told["state"], told["size_bytes"], told["renditions"]) == ("waiting", None, True)
    place = asked.headers["location"]
    again = supervisor.post(f"/api/v1/cases/{number}/packages", json={"purpose": "x"})
    assert (again.status_code, again.json()["code"]) == (409, "package.under_way")
    early = supervisor.post(f"{place}/downloads")
    assert (early.status_code, early.json()["code"]) == (404, "package.not_found")
    seed.work(bureau)
    told = supervisor.get(place).json()
    assert (told["state"], told["object_count"]) == ("ready", 2)
    granted = supervisor.post(f"{place}/downloads")
    assert granted.status_code == 201
    assert granted.headers["location"] == granted.json()["location"]
    answer = supervisor.get(granted.json()["location"])
    assert len(answer.content) == told["size_bytes"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as judged:
        assert any("/data/renditions/" in name for name in judged.namelist())
    for wrong in ({}, {"purpose": ""}, {"purpose": "x", "more": 1}, {"purpose": "x" * 501}):
        assert supervisor.post(f"/api/v1/cases/{number}/packages", json=wrong).status_code == 422
    missing = supervisor.post("/api/v1/cases/nothing/here/packages", json={"purpose": "x"})
    assert (missing.status_code, missing.json()["code"]) == (404, "cases.not_found")

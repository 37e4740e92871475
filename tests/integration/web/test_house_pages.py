"""The administrator's page, the log's page, pages of errors, headers and static files."""

import html
import json
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from archive.access.policy import Role
from archive.db.sight import FIRST_UNIT
from archive.jobs.queue import PROMPT
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.models import LogEntry, LogLeaf
from archive.web.app import create_app
from archive.worker.loop import Worker
from ingest.docks import docks, enrol_dock
from tests.integration.web.conftest import HTML, HTMX, browser, signed_in, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401
from tests.support.seed import Bureau


def test_an_invitation_is_shown_once_and_works(administrator: httpx.Client, bureau: Bureau) -> None:
    given = {"name": "新采集站 <1>", "unit": str(FIRST_UNIT)}
    missing = administrator.post("/admin/invitations", data={"name": given["name"]})
    assert missing.status_code == 422
    assert 'id="invite-unit-fault"' in missing.text
    answer = administrator.post("/admin/invitations", data=given)
    assert answer.status_code == 200
    match = re.search(r'<code id="invitation">([0-9A-Z-]+)</code>', answer.text)
    assert match is not None
    assert "“新采集站 <1>”的一次性登记码" in words(answer)
    assert match[1] not in administrator.get("/admin").text
    enrolment = enrol_dock(bureau.services.database, code=match[1], public_key=b"\1" * 32, at=bureau.now())
    assert "新采集站 <1>" in words(administrator.get("/admin"))
    assert administrator.post(f"/admin/docks/{enrolment.dock_id}/revocation").status_code == 303
    assert "采集站已停用" in words(administrator.get("/admin?done=dock_revoked"))
    with bureau.services.database.read() as tx:
        row = next(found for found in docks(tx) if found.id == enrolment.dock_id)
    assert row.revoked_at is not None
    again = administrator.post(f"/admin/docks/{enrolment.dock_id}/revocation")
    assert again.status_code == 404
    assert "已经停用" in words(again)


def test_an_invitation_needs_a_name(administrator: httpx.Client) -> None:
    answer = administrator.post("/admin/invitations", data={"name": " "})
    assert answer.status_code == 422
    assert 'id="invite-name-fault"' in answer.text


def test_the_administrator_sees_how_the_house_is(home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    home.person(Role.ADMINISTRATOR)
    home.person(Role.AUDITOR, "another")
    home.deliver(dock, b"good", "secret-name.mp4")
    upload = home.bring(dock, b"bad!", "mismatch.mp4", said=b"good")
    with pytest.raises(Exception, match="not the ones"):
        seed.finish_upload(home.intake, upload)
    later = home.clock.step(timedelta(minutes=1))
    job = seed.claim_job(home.database, queues=[seed.PROMPT], at=later, lease_s=9)
    assert job is not None
    seed.fail_job(home.database, job, error="media.tool_missing: no ffmpeg <here>", retryable=False, at=later)
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        client.post("/sign-in", data={"username": "administrator", "password": PASSWORD})
        assert client.get("/").headers["location"] == "/admin"
        text = words(client.get("/admin"))
    for part in (
        "Dock 1",
        "mismatch.mp4",
        "收到的字节与清单不符",
        "media.tool_missing: no ffmpeg <here>",
        "another",
        "审计人员",
    ):
        assert part in text, part
    assert re.search(r"等待 0 进行中 0 失败 1", text)
    assert "secret-name.mp4" not in text


# ---- the log -------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_tried_again(home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    """The original is not where it should be, and then it is."""
    home.person(Role.ADMINISTRATOR, "admin")
    original = home.file_of(home.deliver(dock, b"a text", "notes.mp4"), "original/notes.mp4")
    aside = original.rename(original.with_name("aside"))
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    assert worker.run_once([PROMPT])
    aside.rename(original)
    with seed.listening(create_app(home.services)) as address, browser(address) as client:
        client.post("/sign-in", data={"username": "admin", "password": PASSWORD})
        page = client.get("/admin").text
        (action,) = re.findall(r'action="(/admin/jobs/[0-9a-f-]{36}/retry)"', page)
        answer = client.post(action)
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin?done=job_retried")
        told = words(client.get("/admin?done=job_retried"))
        assert "任务将重新执行" in told
        assert "重试" not in told
        again = client.post(action)
        assert again.status_code == 409
        assert "该任务并未放弃" in words(again)
    assert home.types().count("admin.job_retried") == 1
    assert worker.run_once([PROMPT])
    assert home.count("job", "state = 'dead'") == 0


def test_the_log_is_shown_as_it_is_stored(auditor: httpx.Client, bureau: Bureau) -> None:
    with bureau.services.database.begin() as tx:  # more than one page of entries, whatever ran before
        for _ in range(60):
            append_entry(tx, NewEntry(EntryType.ADMIN_SIGNED_OUT, OPERATOR), at=bureau.services.clock.now())
    seed.sequence(bureau)
    page = auditor.get("/log")
    checkpoint = auditor.get("/log/checkpoint").text
    shown = re.search(r'<pre id="note">(.*?)</pre>', page.text, re.DOTALL)
    assert shown is not None
    assert html.unescape(shown[1]).strip() == checkpoint.strip()
    assert str(bureau.services.trust).strip() in html.unescape(page.text)
    rows = re.findall(r'<tr><td class="num tabular">(\d+)</td><td><code class="break">(.*?)</code>', page.text)
    assert len(rows) == 50
    with bureau.services.database.read() as tx:
        for index, body in rows:
            stored = tx.scalar(
                select(LogEntry.body).join(LogLeaf, LogLeaf.entry_id == LogEntry.id).where(LogLeaf.index == int(index))
            )
            assert html.unescape(body).encode() == stored
    indexes = [int(index) for index, _ in rows]
    assert indexes == list(range(indexes[0], indexes[0] - 50, -1))
    more = re.search(r'hx-get="(/log\?before=\d+)"', page.text)
    assert more is not None
    part = auditor.get(more[1], headers=HTMX)
    assert part.text.lstrip().startswith("<tr>")
    assert f">{indexes[-1] - 1}</td>" in part.text
    assert "占道经营" not in page.text  # entries hold no personal data


def test_an_empty_log_has_a_page(home: ArchiveHome) -> None:  # noqa: F811
    home.person(Role.AUDITOR)
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        client.post("/sign-in", data={"username": "auditor", "password": PASSWORD})
        text = words(client.get("/log"))
    assert "日志里还没有条目" in text
    assert re.search(r"等待编号 [1-9]", text)


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "title"), [("zh-CN", "没有找到"), ("en", "Not found")])
@pytest.mark.parametrize("path", ["/nowhere", "/items/not-an-id", "/cases/00000000-0000-7000-8000-000000000000"])
def test_what_is_not_there_has_a_page(supervisor: httpx.Client, path: str, language: str, title: str) -> None:
    answer = supervisor.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 404
    assert f"<h1>{title}</h1>" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-request-id"] in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_is_not_allowed_has_a_page(supervisor: httpx.Client) -> None:
    answer = supervisor.get("/admin", headers={"Accept-Language": "en"})
    assert answer.status_code == 403
    assert "Your role does not allow this." in words(answer)


def test_machines_get_problems(supervisor: httpx.Client) -> None:
    for path, headers in (("/api/v1/nowhere", HTML), ("/nowhere", {"Accept": "application/json"})):
        answer = supervisor.get(path, headers=headers)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.content)["code"] == "input.not_found"
    assert supervisor.post("/api/v1/docks/enrolment", json={}, headers=HTML).headers["content-type"] == (
        "application/problem+json"
    )


def test_a_wrong_method_has_a_page(supervisor: httpx.Client) -> None:
    answer = supervisor.delete("/items")
    assert answer.status_code == 405
    assert "不能这样访问" in words(answer)


@pytest.fixture
def broken(bureau: Bureau) -> FastAPI:
    """The application with a page that fails."""
    app = create_app(bureau.services)

    @app.get("/broken")
    def fails() -> None:
        raise RuntimeError("the password of the database is hunter2")

    return app


@pytest.mark.parametrize(("language", "title"), [("zh-CN", "系统出错了"), ("en", "Something went wrong")])
def test_our_own_fault_has_a_page_that_tells_nothing_of_its_cause(broken: FastAPI, language: str, title: str) -> None:
    with seed.listening(broken) as base, browser(base) as client:
        answer = client.get("/broken", headers={"Accept-Language": language})
    assert answer.status_code == 500
    assert f"<h1>{title}</h1>" in answer.text
    assert "hunter2" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


# ---- headers and static files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/items", "/sign-in", "/nowhere", "/admin"])
def test_every_page_carries_the_strict_headers(supervisor: httpx.Client, path: str) -> None:
    headers = supervisor.get(path).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_static_files_are_kept_for_ever_under_their_hash(anybody: httpx.Client) -> None:
    page = anybody.get("/sign-in").text
    addresses = set(re.findall(r'(?:src|href)="(/static/[^"#]*)', page))
    assert len(addresses) >= 5
    for address in addresses:
        answer = anybody.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        bare = anybody.get(address.partition("?")[0])
        assert bare.headers["cache-control"] == "no-cache"
        assert anybody.get(address + "0").headers["cache-control"] == "no-cache"
    assert anybody.get("/static/nothing.css?v=1").headers["cache-control"] == "no-store"


def test_static_files_lead_nowhere_else(anybody: httpx.Client) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/"):
        assert anybody.get(path).status_code == 404, path


def test_a_session_is_worth_nothing_elsewhere(base: str, tmp_path: Path) -> None:
    client = signed_in(base, Role.SUPERVISOR)
    token = client.cookies["liuhen_session"]
    with browser(base) as other:
        other.cookies.set("liuhen_session", token[:-1] + ("A" if token[-1] != "A" else "B"))
        assert other.get("/").status_code == 303
    client.close()

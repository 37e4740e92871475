"""The bell, the list of notices, and the own account."""

from pathlib import Path

import httpx
import pytest

from archive.access.policy import Role
from archive.notify.notices import NoticeKind, notify
from tests.integration.web.conftest import words
from tests.support.seed import Bureau


def tell(bureau: Bureau, role: Role, number: str, kind: NoticeKind = NoticeKind.COMPLAINT_ASSIGNED) -> None:
    with bureau.services.database.begin() as tx:
        notify(tx, [bureau.people[role].id], kind, params={"number": number}, link="/subjects", at=bureau.now())


def test_the_bell_counts_what_is_unread(supervisor: httpx.Client, bureau: Bureau) -> None:
    supervisor.post("/notices/read")
    assert "bell-count" not in supervisor.get("/").text
    tell(bureau, Role.SUPERVISOR, "投〔2026〕00007号")
    assert '<span class="bell-count" aria-hidden="true">1</span>' in supervisor.get("/").text
    page = supervisor.get("/notices")
    assert "投诉举报（投〔2026〕00007号）已交由您承办" in words(page)
    link = page.text.split('class="row-link" href="')[1].split('"')[0]
    opened = supervisor.get(link)
    assert (opened.status_code, opened.headers["location"]) == (303, "/subjects")
    assert "bell-count" not in supervisor.get("/").text


def test_what_a_notice_holds_is_text(supervisor: httpx.Client, bureau: Bureau) -> None:
    tell(bureau, Role.SUPERVISOR, "<b>1</b>")
    assert "<b>1</b>" not in supervisor.get("/notices").text
    supervisor.post("/notices/read")


def test_one_notice_is_marked_and_the_others_stay(handler: httpx.Client, bureau: Bureau) -> None:
    handler.post("/notices/read")
    for number in ("1", "2"):
        tell(bureau, Role.CASE_HANDLER, number)
    page = handler.get("/notices").text
    assert page.count("notice-unread") == 2
    notice = page.split('action="/notices/')[2].split("/read")[0]
    assert handler.post(f"/notices/{notice}/read").status_code == 303
    assert handler.get("/notices").text.count("notice-unread") == 1
    handler.post("/notices/read")


def test_nobody_marks_the_notices_of_others(handler: httpx.Client, auditor: httpx.Client, bureau: Bureau) -> None:
    tell(bureau, Role.CASE_HANDLER, "3")
    notice = handler.get("/notices").text.split('href="/notices/')[1].split('"')[0]
    for address in (f"/notices/{notice}", f"/notices/{notice}/read"):
        answer = auditor.request("POST" if address.endswith("read") else "GET", address)
        assert answer.status_code == 404
    handler.post("/notices/read")


def test_more_notices_come_in_a_fragment(auditor: httpx.Client, bureau: Bureau) -> None:
    for number in range(60):
        tell(bureau, Role.AUDITOR, f"N{number}")
    page = auditor.get("/notices").text
    assert page.count("notice-line") == 50
    more = page.split('hx-get="')[1].split('"')[0]
    rest = auditor.get(more, headers={"HX-Request": "true"}).text
    assert "<html" not in rest
    assert "（N0）" in rest
    assert '<span class="bell-count" aria-hidden="true">' in page
    auditor.post("/notices/read")


def test_without_a_mail_server_no_address_is_taken(handler: httpx.Client) -> None:
    assert "没有配置邮件服务器" in words(handler.get("/account/notices"))
    answer = handler.post("/account/mail", data={"address": "li@zhzf.example"})
    assert answer.status_code == 422


def test_the_choice_of_notices_is_kept(handler: httpx.Client) -> None:
    answer = handler.post("/account/notices", data={"mailed": [NoticeKind.COMPLAINT_DUE.value, "nonsense"]})
    assert answer.status_code == 303
    page = handler.get("/account/notices").text
    assert 'value="complaint.due" checked' in page
    assert page.count("checked") == 1
    handler.post("/account/notices", data={"nothing": ""})
    assert "checked" not in handler.get("/account/notices").text


@pytest.mark.parametrize("address", ["x", "a@b.example\r\nBcc: c@d.example", "张三@b.example"])
def test_what_is_no_address_is_told(tmp_path: Path, handler: httpx.Client, address: str) -> None:
    assert handler.post("/account/mail", data={"address": address}).status_code == 422

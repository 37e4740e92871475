"""Mail as an operator sets it and a person asks for it: settings, the account's page, the code, a notice that arrives."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from archive.access.policy import Role
from archive.jobs.queue import DELIVERY
from archive.notify.notices import NoticeKind, notify
from archive.settings import SettingsInvalid, load_settings
from archive.web.app import create_app
from archive.wiring.mail import mail_jobs
from archive.worker.loop import Worker
from signing.keyfiles import KeyExposed, KeyMissing
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, SteppedClock, make_home
from tests.support.deployment import new_database
from tests.support.mail_server import MailServer, mail_server

HTML = {"Accept": "text/html", "Accept-Language": "en"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path, password=(b"liuhen", b"geheim")) as made:
        yield made


@pytest.fixture
def mailing(tmp_path: Path, server: MailServer) -> Iterator[ArchiveHome]:
    """An archive whose settings name the mail server."""
    secret = tmp_path / "smtp.password"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    made = make_home(
        tmp_path,
        new_database(tmp_path / "test.sqlite3"),
        SteppedClock(),
        smtp_host=server.host,
        smtp_port=server.port,
        smtp_ca=server.ca,
        smtp_username="liuhen",
        smtp_password_file=secret,
        smtp_sender="liuhen@zhzf.example",
        smtp_link="https://archive.example",
        tls=False,
    )
    yield made
    made.services.close()


def work(home: ArchiveHome) -> None:
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    while worker.run_once([DELIVERY]):
        pass


def test_a_person_gets_mail_from_the_own_page_on(mailing: ArchiveHome, server: MailServer) -> None:
    person = mailing.person(Role.UNIT_HEAD, "head")
    with (
        seed.listening(create_app(mailing.services)) as base,
        httpx.Client(base_url=base, headers=HTML, timeout=60, trust_env=False) as browser,
    ):
        browser.post("/sign-in", data={"username": "head", "password": PASSWORD})
        assert browser.post("/account/mail", data={"address": "li@zhzf.example\nBcc: x@y.example"}).status_code == 422
        assert browser.post("/account/mail", data={"address": "li@zhzf.example"}).status_code == 303
        assert browser.post("/account/mail", data={"address": "li@zhzf.example"}).status_code == 422  # a moment ago
        work(mailing)
        told = server.mails()[-1].get_content()
        assert "https://archive.example/account" in told
        code = re.search(r"\b[2-9A-Z]{4}-[2-9A-Z]{4}\b", told)
        assert code is not None
        assert browser.post("/account/mail/code", data={"code": "AAAA-2222"}).status_code == 422
        assert browser.post("/account/mail/code", data={"code": code[0]}).status_code == 303
        browser.post("/account/notices", data={"mailed": NoticeKind.COMPLAINT_OVERDUE.value})
        with mailing.database.begin() as tx:
            params = {"number": "投〔2026〕00001号", "day": "2026-12-01"}
            notify(
                tx, [person.account_id], NoticeKind.COMPLAINT_OVERDUE, params=params, link="/complaints", at=mailing.clock.now()
            )  # fmt: skip
        work(mailing)
        mail = server.mails()[-1]
        link = re.search(r"https://archive\.example(/notices/\S+)", mail.get_content())
        assert link is not None
        assert "00001" not in mail.as_string()
        assert "A complaint or report is overdue." in mail.get_content()
        opened = browser.get(link[1])
        assert (opened.status_code, opened.headers["location"]) == (303, "/complaints")
        assert browser.post("/account/mail/removal").status_code == 303
        assert browser.post("/account/mail/removal").status_code == 404
    assert server.sent_to == ["li@zhzf.example"] * 2


def test_a_server_needs_a_sender_and_a_link(mailing: ArchiveHome) -> None:
    for missing in ("smtp_sender", "smtp_link"):
        with pytest.raises(SettingsInvalid):
            mail_jobs(mailing.settings.model_copy(update={missing: None}), mailing.database, mailing.clock)
    for link in ("archive.example", "https://archive.example/path", "javascript:x", "https://a b"):
        with pytest.raises(SettingsInvalid):
            load_settings(home=mailing.path, smtp_link=link)


def test_a_password_that_others_can_read_is_not_used(mailing: ArchiveHome, tmp_path: Path) -> None:
    exposed = tmp_path / "exposed"
    exposed.write_text("geheim")
    exposed.chmod(0o644)
    for path, cause in ((exposed, KeyExposed), (tmp_path / "missing", KeyMissing)):
        with pytest.raises(cause):
            mail_jobs(mailing.settings.model_copy(update={"smtp_password_file": path}), mailing.database, mailing.clock)

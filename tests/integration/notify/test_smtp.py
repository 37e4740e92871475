"""Mail over a real SMTP server: encrypted, admitted, refused, slow, away; and nothing gets into a header."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archive.adapters.smtp import SmtpMailer, SmtpServer
from archive.kernel.clock import SystemClock
from archive.ports.mailer import (
    Mail,
    MailAddressInvalid,
    MailNotAdmitted,
    MailRefused,
    MailServerUntrusted,
    Unmailed,
)
from tests.support.mail_server import MailServer, certificate, mail_server, silent_server

MAIL = Mail("li@zhzf.example", "留痕：您有一条新消息", "有一件投诉举报即将到期。\n", "0198@zhzf.example")


def place(server: MailServer) -> SmtpServer:
    return SmtpServer(
        server.host, server.port, "starttls", "liuhen@zhzf.example", "综合执法局", ca=server.ca, timeout_s=10
    )


def mailer(server: SmtpServer) -> SmtpMailer:
    return SmtpMailer(server, SystemClock())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as made:
        yield made


def test_a_mail_arrives_as_it_was_meant(server: MailServer) -> None:
    mailer(place(server)).send(MAIL)
    (mail,) = server.mails()
    assert server.sent_to == ["li@zhzf.example"]
    assert mail["subject"] == MAIL.subject
    assert mail["to"] == "li@zhzf.example"
    assert mail["from"].addresses[0].display_name == "综合执法局"
    assert mail["message-id"] == "<0198@zhzf.example>"
    assert mail["auto-submitted"] == "auto-generated"
    assert mail.get_content() == MAIL.text.replace("\n", "\r\n") or mail.get_content() == MAIL.text
    assert b"\n" not in server.got[0].replace(b"\r\n", b"")


def test_tls_from_the_start(tmp_path: Path) -> None:
    with mail_server(tmp_path, is_tls=True) as server:
        mailer(replace(place(server), security="tls")).send(MAIL)
        assert len(server.got) == 1


def test_a_user_name_and_password_admit(tmp_path: Path) -> None:
    with mail_server(tmp_path, password=(b"liuhen", b"geheim")) as server:
        known = replace(place(server), username="liuhen", password="geheim")
        mailer(known).send(MAIL)
        with pytest.raises(MailNotAdmitted):
            mailer(replace(known, password="wrong")).send(MAIL)
        assert len(server.got) == 1


def test_a_server_without_encryption_gets_neither_password_nor_mail(tmp_path: Path) -> None:
    with mail_server(tmp_path, is_encrypted=False, password=(b"a", b"b")) as server:
        with pytest.raises(MailServerUntrusted):
            mailer(replace(place(server), username="a", password="b")).send(MAIL)
        assert server.got == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_an_unknown_certificate_gets_nothing(tmp_path: Path, security: str) -> None:
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")
    with mail_server(tmp_path, is_tls=security == "tls") as server:
        for ca in (None, other):
            with pytest.raises(MailServerUntrusted):
                mailer(replace(place(server), security=security, ca=ca)).send(MAIL)  # type: ignore[arg-type]
        assert server.got == []


def test_a_certificate_of_another_name_gets_nothing(tmp_path: Path) -> None:
    with mail_server(tmp_path) as server, pytest.raises(MailServerUntrusted):
        mailer(replace(place(server), host="localhost")).send(MAIL)


@pytest.mark.parametrize("where", ["recipient", "data"])
@pytest.mark.parametrize(("answer", "cause"), [("550 no such user", MailRefused), ("451 later", Unmailed)])
def test_a_refusal_is_for_good_or_for_now(server: MailServer, where: str, answer: str, cause: type[Exception]) -> None:
    setattr(server, where, answer)
    with pytest.raises(cause) as refused:
        mailer(place(server)).send(MAIL)
    assert type(refused.value) is cause
    assert server.got == []


@pytest.mark.parametrize("drip", [b"", b"2", b"220-wait\r\n"])
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_slow_server_is_left_in_time(drip: bytes, security: str) -> None:
    with silent_server(drip=drip) as port, pytest.raises(Unmailed):
        mailer(SmtpServer("127.0.0.1", port, security, "a@b.example", timeout_s=0.3)).send(MAIL)  # type: ignore[arg-type]


def test_a_server_that_is_away_is_named_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unmailed):
        mailer(SmtpServer("127.0.0.1", port, "starttls", "a@b.example", timeout_s=5)).send(MAIL)


def test_a_name_that_nobody_knows_is_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unmailed):
        mailer(SmtpServer("no-such-host.invalid", 25, "starttls", "a@b.example", timeout_s=5)).send(MAIL)


@pytest.mark.parametrize(
    "text",
    ["x\r\nBcc: all@evil.example", "x\nBcc: all@evil.example", "x\rBcc: a@evil.example", "x\u2028Bcc: y", "x\0y"],
)
def test_nothing_gets_into_a_header(server: MailServer, text: str) -> None:
    mailer(replace(place(server), sender_name=text)).send(replace(MAIL, subject=text, message_id=f"{text}@b"))
    (mail,) = server.mails()
    assert mail["bcc"] is None
    assert server.sent_to == ["li@zhzf.example"]
    assert [name.lower() for name in mail].count("to") == 1
    assert mail.get_content().strip() == MAIL.text.strip()


@pytest.mark.parametrize(
    "address",
    [
        "li@zhzf.example\r\nBcc: all@evil.example", "li@zhzf.example\nRCPT TO:<all@evil.example>", "", "li", "@b", "a@",
        "a@b>, <c@d",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(server: MailServer, address: str) -> None:
    with pytest.raises(MailAddressInvalid):
        mailer(place(server)).send(replace(MAIL, to_address=address))
    assert server.got == []

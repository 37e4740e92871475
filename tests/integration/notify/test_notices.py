"""Notices: written with their change, read by whom they are for, sent by mail to who proved an address and wants it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.adapters.smtp import SmtpMailer, SmtpServer
from archive.jobs.queue import DELIVERY
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import NoticeId, new_uuid7
from archive.notify.addresses import (
    MailAddressMissing,
    MailCodeWrong,
    MailTooSoon,
    choose_notices,
    mail_address,
    remove_mail_address,
    set_mail_address,
    verify_mail_address,
)
from archive.notify.mailing import GIVEN_UP_AFTER, MailJobs
from archive.notify.models import Notice
from archive.notify.notices import (
    MOST_COUNTED,
    PARAMS,
    NoticeKind,
    NoticeNotFound,
    mark_all_read,
    mark_read,
    notices,
    notify,
    unread_count,
)
from archive.notify.texts import LANGUAGES, code_text, kind_name, mail_text, page_text, texts
from archive.ports.mailer import MailAddressInvalid, Mailer
from archive.worker.loop import Worker
from tests.support.archive_home import ArchiveHome
from tests.support.mail_server import MailServer, mail_server

DUE = NoticeKind.COMPLAINT_DUE
_serial = iter(range(1, 10_000))


@pytest.fixture
def person(home: ArchiveHome) -> Caller:
    return home.person(Role.UNIT_HEAD, f"head{next(_serial)}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as made:
        yield made


def tell(home: ArchiveHome, *people: Caller, kind: NoticeKind = DUE, number: str = "投〔2026〕00001号") -> None:
    params = {"number": number, "day": "2026-12-01"}
    with home.database.begin() as tx:
        notify(
            tx,
            [person.account_id for person in people],
            kind,
            params={name: params[name] for name in PARAMS[kind]},
            link="/complaints/1",
            at=home.clock.now(),
        )


def rows(home: ArchiveHome, person: Caller) -> list[Notice]:
    with home.database.read() as tx:
        return list(notices(tx, person.account_id).rows)


def unread(home: ArchiveHome, person: Caller) -> int:
    with home.database.read() as tx:
        return unread_count(tx, person.account_id)


def jobs(home: ArchiveHome, mailer: Mailer | None) -> MailJobs:
    return MailJobs(home.database, home.clock, mailer, "https://archive.example", "zhzf.example")


def smtp(home: ArchiveHome, server: MailServer) -> SmtpMailer:
    place = SmtpServer(server.host, server.port, "starttls", "liuhen@zhzf.example", ca=server.ca, timeout_s=10)
    return SmtpMailer(place, home.clock)


def work(home: ArchiveHome, mailer: Mailer | None) -> int:
    worker = Worker(home.database, handlers=jobs(home, mailer).handlers, clock=home.clock, lease_s=30)
    count = 0
    while worker.run_once([DELIVERY]):
        count += 1
    return count


def ask(home: ArchiveHome, person: Caller, address: str = "li@zhzf.example") -> None:
    set_mail_address(
        home.database, person.account_id, address, language="zh-Hans", by=person.actor, at=home.clock.now()
    )


def give(home: ArchiveHome, person: Caller, code: str) -> None:
    verify_mail_address(home.database, person.account_id, code, by=person.actor, at=home.clock.now())


def code_in(server: MailServer) -> str:
    found = re.search(r"\b[2-9A-Z]{4}-[2-9A-Z]{4}\b", server.mails()[-1].get_content())
    assert found is not None
    return found[0]


def wants_mail(home: ArchiveHome, person: Caller, server: MailServer, *kinds: NoticeKind) -> None:
    ask(home, person)
    work(home, smtp(home, server))
    give(home, person, code_in(server))
    choose_notices(home.database, person.account_id, kinds, by=person.actor, at=home.clock.now())


# ---- in the page ---------------------------------------------------------------------------------------------------


def test_each_reader_has_an_own_notice(home: ArchiveHome, person: Caller) -> None:
    other = home.person(Role.UNIT_HEAD, f"head{next(_serial)}")
    tell(home, person, other, person)
    assert [unread(home, each) for each in (person, other)] == [1, 1]
    (mine,) = rows(home, person)
    assert mark_read(home.database, person.account_id, NoticeId(mine.id), at=home.clock.now()) == "/complaints/1"
    assert [unread(home, each) for each in (person, other)] == [0, 1]


def test_a_notice_of_somebody_else_looks_as_if_it_did_not_exist(home: ArchiveHome, person: Caller) -> None:
    other = home.person(Role.UNIT_HEAD, f"head{next(_serial)}")
    tell(home, person)
    for notice_id in (rows(home, person)[0].id, new_uuid7()):
        with pytest.raises(NoticeNotFound):
            mark_read(home.database, other.account_id, NoticeId(notice_id), at=home.clock.now())
    assert unread(home, person) == 1


def test_reading_twice_keeps_the_first_time(home: ArchiveHome, person: Caller) -> None:
    tell(home, person)
    notice_id = NoticeId(rows(home, person)[0].id)
    mark_read(home.database, person.account_id, notice_id, at=home.clock.now())
    first = rows(home, person)[0].read_at
    mark_read(home.database, person.account_id, notice_id, at=home.clock.step(timedelta(hours=1)))
    assert rows(home, person)[0].read_at == first


def test_all_are_read_but_what_came_later(home: ArchiveHome, person: Caller) -> None:
    tell(home, person)
    tell(home, person)
    shown = home.clock.now()
    home.clock.step(timedelta(seconds=1))
    tell(home, person)
    mark_all_read(home.database, person.account_id, at=shown)
    assert unread(home, person) == 1


def test_pages_hold_each_notice_once(home: ArchiveHome, person: Caller) -> None:
    for number in range(7):
        tell(home, person, number=str(number))
    found, cursor = [], None
    with home.database.read() as tx:
        while True:
            page = notices(tx, person.account_id, cursor=cursor, limit=3)
            found += [row.params["number"] for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(InvalidInput):
            notices(tx, person.account_id, cursor="cases~x~y")
    assert found == ["6", "5", "4", "3", "2", "1", "0"]


def test_more_than_the_bell_shows_are_not_counted(home: ArchiveHome, person: Caller) -> None:
    with home.database.begin() as tx:
        for _ in range(MOST_COUNTED + 5):
            notify(
                tx, [person.account_id], NoticeKind.COMPLAINT_ASSIGNED, params={"number": "1"}, link="/", at=home.clock.now()
            )  # fmt: skip
    assert unread(home, person) == MOST_COUNTED + 1


def test_what_is_rolled_back_told_nobody(home: ArchiveHome, person: Caller) -> None:
    with pytest.raises(RuntimeError), home.database.begin() as tx:
        notify(
            tx,
            [person.account_id],
            NoticeKind.COMPLAINT_ASSIGNED,
            params={"number": "1"},
            link="/",
            at=home.clock.now(),
        )
        raise RuntimeError
    assert unread(home, person) == 0


@pytest.mark.parametrize(
    ("params", "link"),
    [({}, "/"), ({"number": "1", "who": "张三"}, "/"), ({"number": "1"}, "//evil.example"), ({"number": "1"}, "x")],
)
def test_other_parameters_and_links_are_refused(
    home: ArchiveHome, person: Caller, params: dict[str, str], link: str
) -> None:
    with pytest.raises(ValueError, match="parameters"), home.database.begin() as tx:
        notify(tx, [person.account_id], NoticeKind.COMPLAINT_ASSIGNED, params=params, link=link, at=home.clock.now())


# ---- texts ---------------------------------------------------------------------------------------------------------


def test_each_kind_has_its_texts_in_both_languages() -> None:
    assert set(PARAMS) == set(NoticeKind)
    for language in LANGUAGES:
        for kind in NoticeKind:
            params = {name: f"<{name}>" for name in PARAMS[kind]}
            shown = page_text(kind.value, params, language)
            assert all(value in shown for value in params.values())
            assert kind_name(kind, language)


def test_a_mail_says_nothing_of_a_case() -> None:
    for language in LANGUAGES:
        for kind in NoticeKind:
            subject, text = mail_text(kind, link="https://archive.example/notices/1", language=language)
            assert "{" not in subject + text
            assert "https://archive.example/notices/1" in text
        assert "AAAA-BBBB" in code_text("AAAA-BBBB", link="x", language=language)[1]
    assert texts("fr") == texts("zh-Hans")


@given(st.text(), st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_an_unknown_kind_stands_for_itself(kind: str, params: dict[str, str]) -> None:
    assert page_text(kind, params, "en") == kind or kind in set(NoticeKind)


# ---- by mail ---------------------------------------------------------------------------------------------------------


def test_an_address_is_used_once_its_code_came_back(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    before = len(home.entries())
    choose_notices(home.database, person.account_id, [DUE], by=person.actor, at=home.clock.now())
    ask(home, person)
    tell(home, person)
    work(home, smtp(home, server))
    assert len(server.got) == 1  # the code, and no notice
    give(home, person, code_in(server).lower())
    tell(home, person)
    tell(home, person, kind=NoticeKind.COMPLAINT_OVERDUE)  # not wanted by mail
    work(home, smtp(home, server))
    assert len(server.got) == 2
    mail = server.mails()[-1]
    assert f"https://archive.example/notices/{rows(home, person)[1].id}" in mail.get_content()
    assert "00001" not in mail.as_string()
    assert [row.mail_state for row in rows(home, person)] == ["none", "sent", "none"]
    assert home.types()[before:] == ["admin.mail_changed"] * 3
    assert "li@zhzf.example" not in str(home.entries())


def test_wrong_codes_are_counted(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    ask(home, person)
    with pytest.raises(MailCodeWrong):  # none was sent yet
        give(home, person, "")
    work(home, smtp(home, server))
    code = code_in(server)
    for _ in range(4):
        with pytest.raises(MailCodeWrong):
            give(home, person, "2222-2222")
    with pytest.raises(MailCodeWrong):
        give(home, person, code)
    home.clock.step(timedelta(minutes=2))
    ask(home, person)
    work(home, smtp(home, server))
    with pytest.raises(MailCodeWrong):
        give(home, person, code)  # of the mail before
    give(home, person, code_in(server))
    with pytest.raises(MailAddressMissing):
        give(home, person, code_in(server))


def test_an_old_code_is_good_for_nothing(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    ask(home, person)
    work(home, smtp(home, server))
    home.clock.step(timedelta(hours=2))
    with pytest.raises(MailCodeWrong):
        give(home, person, code_in(server))


def test_nobody_is_flooded_with_codes(home: ArchiveHome, person: Caller) -> None:
    ask(home, person)
    with pytest.raises(MailTooSoon):
        ask(home, person, "other@zhzf.example")
    home.clock.step(timedelta(minutes=1))
    ask(home, person, "other@zhzf.example")
    assert work(home, None) == 2


def test_another_address_needs_an_own_code(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    wants_mail(home, person, server, DUE)
    home.clock.step(timedelta(minutes=5))
    ask(home, person, "new@zhzf.example")
    tell(home, person)
    assert rows(home, person)[0].mail_state == "none"
    work(home, smtp(home, server))
    assert server.sent_to == ["li@zhzf.example", "new@zhzf.example"]
    remove_mail_address(home.database, person.account_id, by=person.actor, at=home.clock.now())
    with pytest.raises(MailAddressMissing):
        remove_mail_address(home.database, person.account_id, by=person.actor, at=home.clock.now())
    with home.database.read() as tx:
        assert mail_address(tx, person.account_id) is None


@pytest.mark.parametrize(
    "address",
    ["", "li", "li@", "@b.example", "li@b", "li@b.example\r\nBcc: x@y.example", "a b@c.example", "张@b.example", "a@-b.example",
     "a@b..example", ".a@b.example", f"{'a' * 65}@b.example", "a@" + "b." * 130 + "example", "a@b.example,c@d.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(home: ArchiveHome, person: Caller, address: str) -> None:
    before = len(home.entries())
    with pytest.raises(MailAddressInvalid):
        ask(home, person, address)
    assert len(home.entries()) == before


def test_a_server_that_is_away_gets_it_later(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    wants_mail(home, person, server, DUE)
    tell(home, person)
    server.data = "451 later"
    assert work(home, smtp(home, server)) == 1
    assert rows(home, person)[0].mail_state == "waiting"
    server.data = "250 OK"
    assert work(home, smtp(home, server)) == 0  # not at once
    home.clock.step(timedelta(minutes=1))
    work(home, smtp(home, server))
    assert rows(home, person)[0].mail_state == "sent"
    assert len(server.got) == 2


def test_a_refusal_for_good_ends_it(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    wants_mail(home, person, server, DUE)
    tell(home, person)
    server.recipient = "550 no such user"
    work(home, smtp(home, server))
    assert rows(home, person)[0].mail_state == "refused"
    home.clock.step(timedelta(days=1))
    assert work(home, smtp(home, server)) == 0


def test_a_mail_is_given_up_after_days(home: ArchiveHome, person: Caller, server: MailServer) -> None:
    wants_mail(home, person, server, DUE)
    tell(home, person)
    server.data = "451 later"
    home.clock.step(GIVEN_UP_AFTER)
    work(home, smtp(home, server))
    assert rows(home, person)[0].mail_state == "dropped"
    assert home.count("job", "state = 'dead'") == 0


def test_what_was_read_or_is_not_wanted_any_more_is_not_sent(
    home: ArchiveHome, person: Caller, server: MailServer
) -> None:
    wants_mail(home, person, server, DUE, NoticeKind.COMPLAINT_ASSIGNED)
    tell(home, person)
    mark_read(home.database, person.account_id, NoticeId(rows(home, person)[0].id), at=home.clock.now())
    tell(home, person, kind=NoticeKind.COMPLAINT_ASSIGNED)
    choose_notices(home.database, person.account_id, [DUE], by=person.actor, at=home.clock.now())
    work(home, smtp(home, server))
    assert len(server.got) == 1
    assert {row.mail_state for row in rows(home, person)} == {"dropped"}


def test_the_same_choice_again_writes_nothing(home: ArchiveHome, person: Caller) -> None:
    for kinds, entries in (([DUE], 1), ([DUE], 0), ([], 1), ([], 0)):
        before = len(home.entries())
        choose_notices(home.database, person.account_id, kinds, by=person.actor, at=home.clock.now())
        assert len(home.entries()) - before == entries


def test_without_a_mail_server_nothing_is_sent_and_nothing_hangs(
    home: ArchiveHome, person: Caller, server: MailServer
) -> None:
    wants_mail(home, person, server, DUE)
    tell(home, person)
    work(home, None)
    assert rows(home, person)[0].mail_state == "dropped"
    assert home.services.mail.mailer is None

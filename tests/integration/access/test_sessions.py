"""Sessions that people see and end, idleness, and changing one's password."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from archive.access.accounts import create_account
from archive.access.attempts import TooManyAttempts
from archive.access.browsers import Browser, Origin, System
from archive.access.models import Account
from archive.access.passwords import PasswordUnfit
from archive.access.policy import Role
from archive.access.sessions import (
    SessionNotFound,
    SessionView,
    SignInRefused,
    change_password,
    end_session,
    end_sessions,
    forget_ended_sessions,
    note_seen,
    sessions_of,
)
from archive.kernel.ids import AccountId, SessionId, new_uuid7
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import PASSWORD, ArchiveHome
from tests.support.signing_in import WRONG, caller_of, enter, known, make, signed_in

NEW = "a sentence to remember"


def listed(home: ArchiveHome, account_id: AccountId, this: SessionId | None = None) -> list[SessionView]:
    with home.database.read() as tx:
        return list(sessions_of(tx, account_id, this=this, at=home.clock.now(), idle=home.services.sign_ins.idle))


def change(home: ArchiveHome, token: str, present: str = PASSWORD, new: str = NEW) -> str:
    return change_password(
        home.services.sign_ins, token=token, present=present, new=new, at=home.clock.now(), request="r-2"
    )


def test_everybody_sees_the_own_sessions_and_nobody_elses(home: ArchiveHome) -> None:
    account_id, other_id = make(home), make(home, "li")
    enter(home, origin=Origin(browser=Browser.FIREFOX, system=System.LINUX))
    home.clock.step(timedelta(minutes=3))
    this = signed_in(home, enter(home, origin=Origin(browser=Browser.EDGE, system=System.WINDOWS)))
    enter(home, "li")
    found = listed(home, account_id, this.session_id)
    assert [(view.browser, view.system, view.is_this) for view in found] == [
        ("edge", "windows", True),
        ("firefox", "linux", False),
    ]
    assert len(listed(home, other_id)) == 1


def test_one_session_is_ended_and_the_others_go_on(home: ArchiveHome) -> None:
    account_id = make(home)
    first, second = enter(home), enter(home)
    gone, caller = signed_in(home, first), signed_in(home, second)
    end_session(home.database, account_id, gone.session_id, by=caller.actor, at=home.clock.now())
    assert caller_of(home, first) is None
    assert caller_of(home, second) is not None
    (entry,) = [entry for entry in home.entries() if entry["type"] == "admin.session_ended"]
    assert (entry["actor"], entry["auth"]) == (str(account_id), caller.actor.auth)
    with pytest.raises(SessionNotFound):
        end_session(home.database, account_id, gone.session_id, by=caller.actor, at=home.clock.now())
    assert home.types().count("admin.session_ended") == 1


def test_nobody_ends_a_session_of_somebody_else_by_its_id(home: ArchiveHome) -> None:
    account_id = make(home)
    make(home, "li")
    token = enter(home, "li")
    theirs = signed_in(home, token)
    mine = signed_in(home, enter(home))
    for session_id in (theirs.session_id, SessionId(new_uuid7())):
        with pytest.raises(SessionNotFound):
            end_session(home.database, account_id, session_id, by=mine.actor, at=home.clock.now())
    assert caller_of(home, token) is not None
    assert "admin.session_ended" not in home.types()


def test_all_others_are_ended_and_a_second_time_there_is_nothing_to_write(home: ArchiveHome) -> None:
    account_id = make(home)
    tokens = [enter(home) for _ in range(3)]
    this = signed_in(home, tokens[1])
    for ended in (2, 0):
        assert end_sessions(home.database, account_id, but=this.session_id, by=this.actor, at=home.clock.now()) == ended
    assert [caller_of(home, token) is not None for token in tokens] == [False, True, False]
    assert home.types().count("admin.session_ended") == 1
    assert end_sessions(home.database, account_id, by=OPERATOR, at=home.clock.now()) == 1
    assert caller_of(home, tokens[1]) is None


def test_a_session_that_nobody_uses_ends_and_one_in_use_goes_on(home: ArchiveHome) -> None:
    home.settings = home.settings.model_copy(update={"session_idle_min": 30})
    home.reopen()
    account_id = make(home)
    used, left = enter(home), enter(home)
    for _ in range(5):
        home.clock.step(timedelta(minutes=20))
        note_seen(home.database, signed_in(home, used).session_id, at=home.clock.now())
    assert caller_of(home, left) is None
    assert [view.last_seen_at for view in listed(home, account_id)] == [listed(home, account_id)[0].last_seen_at]
    home.clock.step(timedelta(minutes=30))
    assert caller_of(home, used) is None
    with pytest.raises(SignInRefused):
        change(home, used)


def test_being_seen_is_written_once_a_minute(home: ArchiveHome) -> None:
    account_id = make(home)
    caller = signed_in(home, enter(home))
    (before,) = listed(home, account_id)
    note_seen(home.database, caller.session_id, at=before.last_seen_at + timedelta(seconds=59))
    assert listed(home, account_id)[0].last_seen_at == before.last_seen_at
    later = before.last_seen_at + timedelta(seconds=60)
    note_seen(home.database, caller.session_id, at=later)
    assert listed(home, account_id)[0].last_seen_at == later
    assert listed(home, account_id)[0].created_at == before.created_at


def test_sessions_whose_time_is_over_are_removed(home: ArchiveHome) -> None:
    make(home)
    enter(home)
    home.clock.step(timedelta(hours=9))
    last = enter(home)
    home.clock.step(timedelta(hours=2))
    note_seen(home.database, SessionId(new_uuid7()), at=home.clock.now())
    forget_ended_sessions(home.database, at=home.clock.now())
    assert home.count("session") == 1
    assert caller_of(home, last) is None, "it was idle for too long"


def test_the_token_is_new_after_each_sign_in_and_after_a_change_of_the_password(home: ArchiveHome) -> None:
    make(home)
    first = enter(home)
    second = enter(home)
    third = change(home, second)
    assert len({first, second, third}) == 3
    assert [caller_of(home, token) is not None for token in (first, second, third)] == [False, False, True]


def test_changing_the_password_needs_the_present_one_and_ends_the_other_sessions(home: ArchiveHome) -> None:
    account_id = make(home)
    other, token = enter(home), enter(home)
    with pytest.raises(SignInRefused):
        change(home, token, present=WRONG)
    assert caller_of(home, other) is not None
    caller = signed_in(home, token)
    change(home, token)
    assert caller_of(home, other) is None
    with pytest.raises(SignInRefused):
        enter(home)
    assert enter(home, password=NEW)
    entries = [entry for entry in home.entries() if entry["type"].startswith(("admin.password", "admin.sign_in_r"))]
    assert [entry["type"] for entry in entries] == [
        "admin.sign_in_refused", "admin.password_changed", "admin.sign_in_refused",
    ]  # fmt: skip
    assert {entry["actor"] for entry in entries} == {str(account_id)}
    assert entries[1]["auth"] == caller.actor.auth
    assert home.rows("SELECT count(*) FROM session") == [(2,)]


def test_wrong_present_passwords_slow_down_the_session_that_they_come_from(home: ArchiveHome) -> None:
    make(home)
    token, other = enter(home), enter(home)
    for _ in range(6):
        with pytest.raises(SignInRefused):
            change(home, token, present=WRONG)
    with pytest.raises(TooManyAttempts):
        change(home, token)
    assert change(home, other), "another session is not held up"


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "short"),
        ("x" * 1025, "long"),
        ("wang12345678", "name"),
        ("WANG-wang-2026", "name"),
        ("aaaaaaaaaaaaaaaa", "plain"),
        ("121212121212", "plain"),
        ("Password1234", "common"),
        ("1qaz2wsx3edc", "common"),
        ("administrator", "common"),
    ],
)
def test_what_is_easily_guessed_does_not_become_a_password(home: ArchiveHome, password: str, reason: str) -> None:
    make(home)
    token = enter(home)
    with pytest.raises(PasswordUnfit) as refused:
        change(home, token, new=password)
    assert refused.value.facts == {"reason": reason}
    with pytest.raises(PasswordUnfit):
        create_account(
            home.database, username="Wang " if reason == "name" else "li", display_name="x", roles=[Role.OFFICER],
            password=password, by=OPERATOR, at=home.clock.now(),
        )  # fmt: skip
    assert enter(home)


def test_of_two_changes_at_once_one_is_made(home: ArchiveHome) -> None:
    make(home)
    tokens = [enter(home), enter(home)]
    barrier = threading.Barrier(2)
    results: list[object] = []

    def work(number: int) -> None:
        barrier.wait()
        try:
            results.append(change(home, tokens[number], new=f"{NEW} {number}"))
        except SignInRefused as error:
            results.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [result for result in results if isinstance(result, str)]
    assert len(made) == 1
    assert caller_of(home, made[0]) is not None
    assert home.count("session") == 1
    assert home.types().count("admin.password_changed") == 1


def test_a_browser_is_not_known_any_more_once_the_password_has_changed(home: ArchiveHome) -> None:
    make(home)
    token = enter(home)
    before = known(home, token)
    fresh = change(home, token)
    after = known(home, fresh, *before.marks)
    with home.database.read() as tx:
        account = tx.scalars(select(Account)).one()
    sources = home.services.sign_ins.sources_of
    assert sources(account, before, at=home.clock.now())[0].startswith("net:")
    assert sources(account, after, at=home.clock.now())[0].startswith("browser:")

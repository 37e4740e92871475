"""Accounts and sessions: who gets in, how wrong passwords slow down, and when a session is over."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from archive.access.accounts import UsernameTaken, create_account
from archive.access.attempts import TooManyAttempts
from archive.access.callers import Caller
from archive.access.models import Account, Session, SignInDelay
from archive.access.policy import Capability, Role, may, require
from archive.access.session_rows import SESSION_LIFETIME
from archive.access.sessions import SignInRefused, sign_in, sign_out, signed_in_caller
from archive.kernel.errors import Forbidden, InvalidInput
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import PASSWORD, ArchiveHome


def make(home: ArchiveHome, username: str = "王芳", password: str = PASSWORD, role: Role = Role.SUPERVISOR) -> object:
    return create_account(
        home.database, username=username, display_name="王芳", roles=[role], password=password, by=OPERATOR,
        at=home.clock.now(),
    )  # fmt: skip


def enter(home: ArchiveHome, username: str = "王芳", password: str = PASSWORD) -> str:
    return sign_in(home.services.sign_ins, username=username, password=password, at=home.clock.now(), request="r-1")


def caller_of(home: ArchiveHome, token: str) -> Caller | None:
    with home.database.read() as tx:
        return signed_in_caller(tx, token=token, at=home.clock.now())


def delay(home: ArchiveHome) -> SignInDelay:
    with home.database.read() as tx:
        return tx.scalars(select(SignInDelay).where(SignInDelay.source == "net:")).one()


def wrong(home: ArchiveHome, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(SignInRefused):
            enter(home, password="wrong password")


def test_the_right_password_opens_a_session(home: ArchiveHome) -> None:
    account_id = make(home)
    token = enter(home)
    found = caller_of(home, token)
    assert found is not None
    assert (found.account_id, found.username, found.roles) == (account_id, "王芳", {Role.SUPERVISOR})
    assert caller_of(home, token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    assert caller_of(home, "") is None


def test_neither_password_nor_token_is_kept_anywhere(home: ArchiveHome) -> None:
    make(home)
    token = enter(home)
    home.sequence()
    secrets = (PASSWORD.encode(), token.encode())
    with home.database.read() as tx:
        rows = [*tx.execute(select(Account)).all(), *tx.execute(select(Session)).all()]
    kept = repr(rows) + repr(home.entries()) + repr(home.rows("SELECT detail FROM log_detail"))
    files = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret.decode() not in kept
        assert secret not in files
    found = caller_of(home, token)
    assert found is not None
    assert found.actor.auth is not None
    stored = home.rows("SELECT token_hash FROM session")[0][0]
    assert found.actor.auth.removeprefix("session:") not in bytes(stored).hex(), "the log holds no key to the session"


def test_the_log_holds_no_names(home: ArchiveHome) -> None:
    make(home)
    enter(home)
    assert "王芳" not in repr(home.entries())


@pytest.mark.parametrize("given", ["王芳", " 王芳 ", "王芳\t"])
def test_blanks_around_a_name_do_not_matter(home: ArchiveHome, given: str) -> None:
    make(home)
    assert enter(home, username=given)


def test_one_spelling_of_a_name_is_one_account(home: ArchiveHome) -> None:
    make(home, "José")
    with pytest.raises(UsernameTaken):
        make(home, "Jose\N{COMBINING ACUTE ACCENT}")
    assert enter(home, username="Jose\N{COMBINING ACUTE ACCENT}")


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\x00b", "a\nb", "a\N{RIGHT-TO-LEFT OVERRIDE}b"])
def test_an_unusable_name_is_refused(home: ArchiveHome, name: str) -> None:
    with pytest.raises(InvalidInput):
        make(home, name)


@pytest.mark.parametrize("name", ["nobody", "", "a\x00b", "x" * 5000, "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_a_name_that_nobody_has_is_refused_like_a_wrong_password(home: ArchiveHome, name: str) -> None:
    make(home)
    with pytest.raises(SignInRefused) as unknown:
        enter(home, username=name)
    with pytest.raises(SignInRefused) as known:
        enter(home, password="wrong password")
    assert (str(unknown.value), unknown.value.facts) == (str(known.value), known.value.facts)


def test_two_accounts_made_at_once_under_one_name_are_one(home: ArchiveHome) -> None:
    results: list[object] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        try:
            results.append(make(home))
        except BaseException as error:  # noqa: BLE001 - told by the test
            results.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(UsernameTaken) == 3
    assert home.types().count("admin.account_created") == 1


def test_wrong_passwords_slow_down_and_never_lock(home: ArchiveHome) -> None:
    make(home)
    wrong(home, 5)
    enter(home)
    wrong(home, 6)
    waits = []
    for _ in range(12):
        with pytest.raises(TooManyAttempts) as slowed:
            enter(home)
        assert slowed.value.retryable
        waits.append(slowed.value.facts["retry_after_s"])
        home.clock.step(timedelta(seconds=waits[-1]))
        wrong(home)
    assert waits[:4] == sorted(waits[:4])
    assert waits[0] <= 3
    assert max(waits) <= 301
    home.clock.step(timedelta(minutes=6))
    assert enter(home)
    wrong(home)
    assert enter(home), "and then one begins anew"


def test_the_delay_holds_however_often_somebody_tried(home: ArchiveHome) -> None:
    make(home)
    wrong(home)
    for failed in (40, 60, 5000):
        with home.database.begin() as tx:
            tx.execute(update(SignInDelay).values(failed=failed, refuse_until=None))
        wrong(home)
        until = delay(home).refuse_until
        assert until is not None
        assert until - home.clock.now() > timedelta(minutes=4)


def test_attempts_at_the_same_time_do_not_hide_each_other(home: ArchiveHome) -> None:
    make(home)
    wrong(home, 5)

    def guess() -> None:
        with pytest.raises((SignInRefused, TooManyAttempts)):
            enter(home, password="wrong password")

    threads = [threading.Thread(target=guess) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = delay(home)
    assert found.failed == home.types().count("admin.sign_in_refused")
    assert found.refuse_until is not None
    with pytest.raises(TooManyAttempts):
        enter(home)


def test_refusals_while_a_right_password_is_checked_count_against_it(home: ArchiveHome) -> None:
    """Guessing side by side must not be a way around the delay."""
    make(home)
    wrong(home)
    started: datetime = home.clock.now()
    with home.database.begin() as tx:
        tx.execute(update(SignInDelay).values(failed=8))
    results: list[object] = []

    def right() -> None:
        try:
            results.append(sign_in(home.services.sign_ins, username="王芳", password=PASSWORD, at=started))
        except TooManyAttempts as error:
            results.append(error)

    def guess() -> None:
        with pytest.raises((SignInRefused, TooManyAttempts)):
            sign_in(home.services.sign_ins, username="王芳", password="wrong password", at=started)

    threads = [threading.Thread(target=work) for work in (guess, guess, guess, right)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Whoever came first decides: either the right one was quicker than every guess, or it must wait.
    admitted = home.types().count("admin.signed_in")
    assert admitted == sum(isinstance(result, str) for result in results)
    assert home.count("session") == admitted


def test_every_attempt_that_is_somebodys_has_its_entry(home: ArchiveHome) -> None:
    account_id = make(home)
    wrong(home)
    token = enter(home)
    sign_out(home.database, token=token, at=home.clock.now())
    entries = home.entries()[-3:]
    assert [entry["type"] for entry in entries] == ["admin.sign_in_refused", "admin.signed_in", "admin.signed_out"]
    assert {entry["actor"] for entry in entries} == {str(account_id)}
    assert [entry.get("req") for entry in entries] == ["r-1", "r-1", None]
    assert entries[1]["auth"] == entries[2]["auth"]
    assert "auth" not in entries[0]


def test_a_session_ends_by_itself(home: ArchiveHome) -> None:
    make(home)
    token = enter(home)
    home.clock.step(SESSION_LIFETIME - timedelta(minutes=1))
    assert caller_of(home, token) is not None
    home.clock.step(timedelta(minutes=1))
    assert caller_of(home, token) is None


def test_a_session_ends_when_one_signs_out_and_the_others_go_on(home: ArchiveHome) -> None:
    make(home)
    first, second = enter(home), enter(home)
    sign_out(home.database, token=first, at=home.clock.now())
    sign_out(home.database, token=first, at=home.clock.now())
    sign_out(home.database, token="never was one", at=home.clock.now())
    assert caller_of(home, first) is None
    assert caller_of(home, second) is not None
    assert home.types().count("admin.signed_out") == 1


def test_a_session_ends_when_the_account_is_disabled_and_no_new_one_begins(home: ArchiveHome) -> None:
    make(home)
    token = enter(home)
    with home.database.begin() as tx:
        tx.execute(update(Account).values(disabled_at=home.clock.now()))
    assert caller_of(home, token) is None
    with pytest.raises(SignInRefused):
        enter(home)


def test_a_session_cookie_is_as_long_as_it_must_be(home: ArchiveHome) -> None:
    make(home)
    assert len({enter(home) for _ in range(4)}) == 4
    assert all(len(enter(home)) >= 43 for _ in range(2)), "256 bits"


_LOOKS = {Capability.READ_CATALOGUE, Capability.VIEW_CONTENT, Capability.VERIFY}
_FILES = {
    Capability.FILE_CASES, Capability.SHOW_IDENTIFIERS, Capability.CLASSIFY, Capability.UPLOAD, Capability.BREAK_GLASS,
    Capability.WRITE_RECORDS,
}  # fmt: skip
_LEADS = {
    Capability.EXPORT_CONTENT, Capability.READ_TRACE, Capability.HANDLE_COMPLAINTS, Capability.MOVE, Capability.SEAL,
    Capability.SEND_FIRST,
}  # fmt: skip
EXPECTED = {
    Role.OFFICER: _LOOKS | {Capability.UPLOAD, Capability.WRITE_RECORDS},
    Role.CASE_HANDLER: _LOOKS | _FILES,
    Role.UNIT_HEAD: _LOOKS | _FILES | _LEADS | {Capability.APPROVE_RETRIEVAL},
    Role.SUPERVISOR: _LOOKS | _FILES | _LEADS | {Capability.READ_LOG_HEALTH},
    Role.AUDITOR: {
        Capability.READ_CATALOGUE, Capability.VERIFY, Capability.READ_LOG, Capability.READ_LOG_HEALTH,
        Capability.READ_TRACE,
    },
    Role.RECORDS_MANAGER: {Capability.READ_CATALOGUE, Capability.VERIFY, Capability.READ_LOG_HEALTH},
    Role.LEGAL_REVIEWER: _LOOKS,
    Role.PUBLICITY_EDITOR: {Capability.READ_CATALOGUE, Capability.VERIFY},
    Role.ADMINISTRATOR: {Capability.ADMINISTER, Capability.OPERATE, Capability.READ_LOG_HEALTH},
    Role.OPERATOR: {Capability.OPERATE, Capability.READ_LOG_HEALTH},
}  # fmt: skip


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("capability", Capability)
def test_the_policy_is_this_table(role: Role, capability: Capability) -> None:
    allowed = capability in EXPECTED[role]
    assert may([role], capability) is allowed
    if allowed:
        require([role], capability)
    else:
        with pytest.raises(Forbidden):
            require([role], capability)

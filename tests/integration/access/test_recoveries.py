"""Letting somebody in again: two administrators, neither of them the person, one code, one use."""

import threading
from datetime import timedelta

import pyotp
import pytest

from archive.access.accounts import AccountNotFound
from archive.access.attempts import TooManyAttempts
from archive.access.callers import Caller
from archive.access.passwords import PasswordUnfit
from archive.access.policy import Role
from archive.access.recoveries import (
    RecoveryNeedsTwo,
    RecoveryNotFound,
    RecoveryOpen,
    RecoveryRefused,
    begin_recovery,
    confirm_recovery,
    open_recovery,
    recover_account,
    withdraw_recovery,
)
from archive.access.second_factors import offer_totp, set_totp
from archive.access.sessions import SignInRefused
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.ids import AccountId, RecoveryId, new_uuid7
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import ArchiveHome
from tests.support.signing_in import caller_of, enter, make, signed_in

NEW, REASON = "a sentence to remember", "工作手机遗失，本人已到场"


class House:
    """Two administrators, and somebody who is locked out."""

    def __init__(self, home: ArchiveHome) -> None:
        self.home = home
        self.lost: AccountId = make(home)
        self.first, self.second = (self.caller(name, Role.ADMINISTRATOR) for name in ("zhou", "wu"))

    def caller(self, name: str, role: Role) -> Caller:
        make(self.home, name, role)
        return signed_in(self.home, enter(self.home, name))

    def begin(self, by: Caller | None = None, account_id: AccountId | None = None, reason: str = REASON) -> RecoveryId:
        return begin_recovery(
            self.home.database, account_id or self.lost, reason=reason, by=by or self.first, at=self.home.clock.now()
        )

    def confirm(self, recovery_id: RecoveryId, by: Caller | None = None) -> str:
        return confirm_recovery(
            self.home.services.sign_ins, recovery_id, by=by or self.second, at=self.home.clock.now()
        )

    def withdraw(self, recovery_id: RecoveryId, by: Caller | None = None) -> None:
        withdraw_recovery(self.home.database, recovery_id, by=by or self.first, at=self.home.clock.now())

    def recover(self, code: str, password: str = NEW, username: str = "wang") -> None:
        recover_account(
            self.home.services.sign_ins, username=username, code=code, password=password, at=self.home.clock.now(),
            request="r-3",
        )  # fmt: skip

    def set_factor(self) -> None:
        sign_ins, at = self.home.services.sign_ins, self.home.clock.now()
        offer = offer_totp(sign_ins, self.lost, username="wang", organisation="x")
        code = pyotp.TOTP(offer.secret).generate_otp(int(at.timestamp()) // 30)
        set_totp(sign_ins, self.lost, sealed=offer.sealed, code=code, by=OPERATOR, at=at)


@pytest.fixture
def house(home: ArchiveHome) -> House:
    return House(home)


def test_two_administrators_let_somebody_in_again(house: House) -> None:
    home = house.home
    old = enter(home)
    house.set_factor()
    recovery_id = house.begin()
    code = house.confirm(recovery_id)
    assert caller_of(home, old) is not None, "until the code is used nothing changes"
    house.recover(f" {code.upper()} ")
    assert caller_of(home, old) is None
    with pytest.raises(SignInRefused):
        enter(home)
    assert caller_of(home, enter(home, password=NEW)) is not None, "no second factor is asked for"
    assert home.count("totp_secret") == home.count("recovery_code") == 0
    entries = [entry for entry in home.entries() if "recover" in entry["type"]]
    assert [(entry["type"], entry["actor"]) for entry in entries] == [
        ("admin.recovery_begun", str(house.first.account_id)),
        ("admin.recovery_confirmed", str(house.second.account_id)),
        ("admin.account_recovered", str(house.lost)),
    ]
    assert {entry["obj"]["id"] for entry in entries} == {str(house.lost)}
    assert REASON not in repr(entries), "the reason stands in the detail"
    assert home.rows("SELECT reason FROM recovery") == [(REASON,)]
    home.sequence()


def test_neither_of_the_two_is_the_person_and_they_are_two(house: House) -> None:
    lost_admin = house.caller("zheng", Role.ADMINISTRATOR)
    with pytest.raises(RecoveryNeedsTwo):
        house.begin(by=lost_admin, account_id=lost_admin.account_id)
    recovery_id = house.begin(account_id=lost_admin.account_id)
    for by in (lost_admin, house.first):
        with pytest.raises(RecoveryNeedsTwo):
            house.confirm(recovery_id, by=by)
    with pytest.raises(RecoveryNeedsTwo):
        house.withdraw(recovery_id, by=lost_admin)
    assert house.confirm(recovery_id)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_only_administrators_let_somebody_in(house: House, role: Role) -> None:
    other = house.caller("li", role)
    with pytest.raises(Forbidden):
        house.begin(by=other)
    recovery_id = house.begin()
    for act in (house.confirm, house.withdraw):
        with pytest.raises(Forbidden):
            act(recovery_id, by=other)


def test_a_code_is_good_for_one_use_and_one_hour(house: House) -> None:
    code = house.confirm(house.begin())
    house.recover(code)
    with pytest.raises(RecoveryRefused):
        house.recover(code)
    late = house.confirm(house.begin())
    house.home.clock.step(timedelta(minutes=61))
    with pytest.raises(RecoveryRefused):
        house.recover(late)
    assert house.begin(), "and then one begins anew"


def test_what_nobody_confirmed_within_a_day_is_over(house: House) -> None:
    recovery_id = house.begin()
    with pytest.raises(RecoveryOpen):
        house.begin(by=house.second)
    house.home.clock.step(timedelta(hours=24))
    for act in (house.confirm, house.withdraw):
        with pytest.raises(RecoveryNotFound):
            act(recovery_id)
    assert house.begin(by=house.second)


def test_a_code_is_worth_nothing_before_it_is_confirmed_or_after_it_was_taken_back(house: House) -> None:
    recovery_id = house.begin()
    for code in ("", "x", "a" * 20):
        with pytest.raises(RecoveryRefused):
            house.recover(code)
    code = house.confirm(recovery_id)
    with pytest.raises(RecoveryNotFound):
        house.confirm(recovery_id)
    house.withdraw(recovery_id)
    with pytest.raises(RecoveryRefused):
        house.recover(code)
    with pytest.raises(RecoveryNotFound):
        house.withdraw(recovery_id)
    assert house.home.types().count("admin.recovery_withdrawn") == 1
    with house.home.database.read() as tx:
        assert open_recovery(tx, house.lost, at=house.home.clock.now()) is None


def test_a_code_is_one_persons(house: House) -> None:
    make(house.home, "li")
    code = house.confirm(house.begin())
    for name in ("li", "nobody", "", "a\x00b"):
        with pytest.raises(RecoveryRefused):
            house.recover(code, username=name)
    house.recover(code)


def test_a_password_that_is_easily_guessed_costs_no_code(house: House) -> None:
    code = house.confirm(house.begin())
    with pytest.raises(PasswordUnfit):
        house.recover(code, password="short")
    house.recover(code)


def test_guessing_codes_slows_down_like_guessing_passwords(house: House) -> None:
    code = house.confirm(house.begin())
    for name in ("wang", "nobody"):
        for _ in range(6):
            with pytest.raises(RecoveryRefused):
                house.recover("a" * 20, username=name)
        with pytest.raises(TooManyAttempts):
            house.recover(code, username=name)
    assert house.home.types().count("admin.sign_in_refused") == 6


def test_somebody_who_is_disabled_or_not_there_is_not_let_in(house: House) -> None:
    for account_id in (AccountId(new_uuid7()),):
        with pytest.raises(AccountNotFound):
            house.begin(account_id=account_id)
    code = house.confirm(house.begin())
    at = str(house.home.clock.now())[:26]
    house.home.execute("UPDATE account SET disabled_at = :at WHERE username = 'wang'", at=at)
    with pytest.raises(RecoveryRefused):
        house.recover(code)
    with pytest.raises(AccountNotFound):
        house.begin()
    for reason in ("", " ", "x" * 501, "a\x00b"):
        with pytest.raises(InvalidInput):
            house.begin(reason=reason)


def test_the_code_stands_nowhere_in_the_open(house: House) -> None:
    code = house.confirm(house.begin())
    house.home.sequence()
    files = b"".join(path.read_bytes() for path in house.home.path.rglob("*") if path.is_file())
    kept = repr([tuple(row) for row in house.home.rows("SELECT * FROM recovery")]) + repr(house.home.entries())
    for form in (code, code.replace("-", "")):
        assert form.encode() not in files
        assert form not in kept


@pytest.mark.parametrize("what", ["begin", "confirm", "recover"])
def test_of_two_at_once_one_does_it(house: House, what: str) -> None:
    third = house.caller("zheng", Role.ADMINISTRATOR)
    results: list[object] = []
    barrier = threading.Barrier(2)
    recovery_id = RecoveryId(new_uuid7()) if what == "begin" else house.begin()
    code = house.confirm(recovery_id) if what == "recover" else ""

    def work(by: Caller) -> None:
        barrier.wait()
        try:
            if what == "begin":
                house.begin(by=by)
            elif what == "confirm":
                house.confirm(recovery_id, by=by)
            else:
                house.recover(code, password=f"{NEW} of {by.username}")
        except (RecoveryOpen, RecoveryNotFound, RecoveryRefused) as error:
            results.append(error)

    threads = [threading.Thread(target=work, args=(by,)) for by in (house.second, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1
    done = {
        "begin": "admin.recovery_begun",
        "confirm": "admin.recovery_confirmed",
        "recover": "admin.account_recovered",
    }
    assert house.home.types().count(done[what]) == 1

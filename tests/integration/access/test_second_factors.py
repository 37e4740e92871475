"""Codes from an authenticator app: set, asked for at each sign-in, used once, lost, given a new key."""

import threading
from datetime import timedelta

import pyotp
import pytest

from archive.access.attempts import TooManyAttempts
from archive.access.models import TotpSecret
from archive.access.rekeying import keys_of_second_factors, rekey_second_factors
from archive.access.second_factors import (
    CodeRefused,
    EnrolmentStale,
    SecondFactorMissing,
    SecondFactorSet,
    confirm_code,
    has_second_factor,
    offer_totp,
    remove_totp,
    renew_recovery_codes,
    second_factor_of,
    set_totp,
)
from archive.kernel.ids import AccountId
from archive.ledger.entries import OPERATOR, Actor
from archive.ports.identifiers import IdentifierUnreadable
from archive.settings import SettingsInvalid
from tests.support.archive_home import ArchiveHome
from tests.support.signing_in import caller_of, enter, known, make, signed_in


class Phone:
    """An authenticator app that took in an account's secret."""

    def __init__(self, home: ArchiveHome, account_id: AccountId, username: str = "wang") -> None:
        self.home, self.account_id = home, account_id
        offer = offer_totp(home.services.sign_ins, account_id, username=username, organisation="官渡区 & Co")
        self.secret, self.sealed, self.address = offer.secret, offer.sealed, offer.address

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).generate_otp(int(self.home.clock.now().timestamp()) // 30 + steps)

    def set(self, code: str | None = None) -> list[str]:
        return list(
            set_totp(
                self.home.services.sign_ins, self.account_id, sealed=self.sealed,
                code=self.code() if code is None else code, by=Actor(self.account_id), at=self.home.clock.now(),
            )
        )  # fmt: skip


@pytest.fixture
def phone(home: ArchiveHome) -> Phone:
    return Phone(home, make(home))


def confirm(home: ArchiveHome, token: str, code: str) -> str:
    return confirm_code(home.services.sign_ins, token=token, code=code, at=home.clock.now(), request="r-9")


def later(home: ArchiveHome, seconds: int = 30) -> None:
    home.clock.step(timedelta(seconds=seconds))


def test_with_a_second_factor_the_password_alone_opens_nothing(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    later(home)
    half = enter(home)
    assert caller_of(home, half) is None
    token = confirm(home, half, phone.code())
    assert token != half
    assert signed_in(home, token).has_second_factor
    assert caller_of(home, half) is None
    assert home.types()[-2:] == ["admin.sign_in_begun", "admin.signed_in"]
    assert home.entries()[-1]["auth"] == signed_in(home, token).actor.auth
    assert home.entries()[-1]["req"] == "r-9"


def test_nothing_is_kept_until_a_code_has_come_back(home: ArchiveHome, phone: Phone) -> None:
    for code in ("000000", "", "abcdef", phone.code(-3), phone.code(3)):
        if code == phone.code():
            continue
        with pytest.raises(CodeRefused):
            phone.set(code)
    assert home.count("totp_secret") == 0
    assert "admin.factor_set" not in home.types()
    assert len(phone.set()) == 10
    with pytest.raises(SecondFactorSet):
        phone.set()
    assert home.types().count("admin.factor_set") == 1


def test_an_offer_is_one_persons_and_this_houses(home: ArchiveHome, phone: Phone) -> None:
    other = make(home, "li")
    for account_id, sealed in ((other, phone.sealed), (phone.account_id, "x.!!"), (phone.account_id, "a.b")):
        with pytest.raises(EnrolmentStale):
            set_totp(
                home.services.sign_ins, account_id, sealed=sealed, code=phone.code(), by=OPERATOR, at=home.clock.now()
            )
    with home.database.read() as tx:
        assert not has_second_factor(tx, other)


def test_the_secret_stands_nowhere_in_the_open(home: ArchiveHome, phone: Phone) -> None:
    codes = phone.set()
    home.sequence()
    assert "%26" in phone.address, "a name of a bureau is quoted in the address"
    files = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    kept = repr([tuple(row) for row in home.rows("SELECT * FROM totp_secret")]) + repr(home.entries())
    kept += repr(home.rows("SELECT detail FROM log_detail")) + repr(home.rows("SELECT * FROM recovery_code"))
    for secret in (phone.secret, *codes, *(code.replace("-", "") for code in codes)):
        assert secret not in kept
        assert secret.encode() not in files


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_code_of_the_neighbouring_half_minutes_counts(home: ArchiveHome, phone: Phone, steps: int) -> None:
    phone.set()
    later(home, 120)
    assert confirm(home, enter(home), phone.code(steps))


@pytest.mark.parametrize("given", ["{0} {1}", " {0}{1} ", "{0}-{1}"])
def test_people_type_codes_with_blanks(home: ArchiveHome, phone: Phone, given: str) -> None:
    phone.set()
    later(home, 60)
    code = phone.code()
    assert confirm(home, enter(home), given.format(code[:3], code[3:]))


def test_a_code_is_used_once_and_so_is_every_older_one(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    with pytest.raises(CodeRefused):
        confirm(home, enter(home), phone.code())  # it was used to set the factor
    later(home, 60)
    code, older = phone.code(), phone.code(-1)
    confirm(home, enter(home), code)
    for again in (code, older):
        with pytest.raises(CodeRefused):
            confirm(home, enter(home), again)
    assert home.types().count("admin.sign_in_refused") == 3


@pytest.mark.parametrize("kind", ["totp", "recovery"])
def test_of_two_who_use_one_code_at_once_one_gets_in(home: ArchiveHome, phone: Phone, kind: str) -> None:
    codes = phone.set()
    later(home, 60)
    code = phone.code() if kind == "totp" else codes[3]
    tokens = [enter(home) for _ in range(4)]
    barrier = threading.Barrier(4)
    results: list[object] = []

    def work(token: str) -> None:
        barrier.wait()
        try:
            results.append(confirm(home, token, code))
        except CodeRefused as error:
            results.append(error)

    threads = [threading.Thread(target=work, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, str) for result in results) == 1
    assert home.types().count("admin.signed_in") == 1


def test_a_half_session_is_opened_once(home: ArchiveHome, phone: Phone) -> None:
    codes = phone.set()
    half = enter(home)
    barrier = threading.Barrier(2)
    results: list[object] = []

    def work(code: str) -> None:
        barrier.wait()
        try:
            results.append(confirm(home, half, code))
        except CodeRefused as error:
            results.append(error)

    threads = [threading.Thread(target=work, args=(code,)) for code in codes[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, str) for result in results) == 1
    assert home.count("session") == 1
    assert home.count("recovery_code", "used_at IS NOT NULL") == 1, "the other code was not used up"


def test_each_recovery_code_signs_in_once(home: ArchiveHome, phone: Phone) -> None:
    codes = phone.set()
    assert len(set(codes)) == 10
    for code in codes[:2]:
        assert confirm(home, enter(home), f" {code.upper()} ")
        with pytest.raises(CodeRefused):
            confirm(home, enter(home), code)
    with home.database.read() as tx:
        assert second_factor_of(tx, phone.account_id).codes_left == 8
    fresh = renew_recovery_codes(
        home.services.sign_ins, phone.account_id, by=Actor(phone.account_id), at=home.clock.now()
    )
    with pytest.raises(CodeRefused):
        confirm(home, enter(home), codes[5])
    assert confirm(home, enter(home), fresh[5])


def test_recovery_codes_are_one_persons(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    other = Phone(home, make(home, "li"), "li")
    codes = other.set()
    with pytest.raises(CodeRefused):
        confirm(home, enter(home), codes[0])


def test_wrong_codes_slow_down_whoever_has_the_password_and_not_a_known_browser(
    home: ArchiveHome, phone: Phone
) -> None:
    browser = known(home, enter(home))
    phone.set()
    half = enter(home)
    for _ in range(6):
        with pytest.raises(CodeRefused):
            confirm(home, half, "not a code")
    with pytest.raises(TooManyAttempts):
        confirm(home, half, phone.code())
    later(home, 1)
    with pytest.raises(TooManyAttempts):
        confirm(home, enter(home), phone.code())
    later(home, 29)
    own = enter(home, origin=browser)
    assert confirm_code(
        home.services.sign_ins, token=own, code=phone.code(), at=home.clock.now(), origin=browser, request=None
    )


def test_a_right_password_waits_for_its_code_for_ten_minutes(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    half = enter(home)
    later(home, 601)
    for token in (half, "never was one", ""):
        with pytest.raises(CodeRefused):
            confirm(home, token, phone.code())


def test_an_open_session_takes_no_code(home: ArchiveHome, phone: Phone) -> None:
    token = enter(home)
    phone.set()
    later(home, 60)
    with pytest.raises(CodeRefused):
        confirm(home, token, phone.code())
    assert caller_of(home, token) is not None


def test_without_its_second_factor_an_account_signs_in_by_password(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    by = Actor(phone.account_id)
    remove_totp(home.services.sign_ins, phone.account_id, by=by, at=home.clock.now())
    assert caller_of(home, enter(home)) is not None
    assert home.count("recovery_code") == 0
    assert home.types().count("admin.factor_removed") == 1
    for act in (remove_totp, renew_recovery_codes):
        with pytest.raises(SecondFactorMissing):
            act(home.services.sign_ins, phone.account_id, by=by, at=home.clock.now())


def test_secrets_get_a_new_key_with_the_numbers_of_subjects(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    vault = home.services.identifiers
    (first,) = vault.key_ids
    vault.add_key()
    assert rekey_second_factors(home.database, vault, by=OPERATOR, clock=home.clock) == 1
    assert rekey_second_factors(home.database, vault, by=OPERATOR, clock=home.clock) == 0
    with home.database.read() as tx:
        assert list(keys_of_second_factors(tx)) == [vault.key_ids[-1]]
    assert vault.forget_keys(but=[]) == [first]
    later(home, 60)
    assert confirm(home, enter(home), phone.code())
    assert home.types().count("admin.factor_set") == 2


def test_a_secret_that_was_moved_to_another_account_opens_nothing(home: ArchiveHome, phone: Phone) -> None:
    phone.set()
    other = make(home, "li")
    home.execute("UPDATE totp_secret SET account_id = :other", other=home.id_value(other))
    later(home, 60)
    with pytest.raises(IdentifierUnreadable):
        confirm(home, enter(home, "li"), phone.code())
    with home.database.read() as tx:
        assert tx.get(TotpSecret, phone.account_id) is None


def test_a_role_that_there_is_not_cannot_be_required(home: ArchiveHome) -> None:
    home.settings = home.settings.model_copy(update={"second_factor_roles": ("emperor",)})
    with pytest.raises(SettingsInvalid):
        home.reopen()
    home.settings = home.settings.model_copy(update={"second_factor_roles": ()})
    home.reopen()

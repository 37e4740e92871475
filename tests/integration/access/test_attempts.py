"""Wrong passwords hold up where they come from and nobody else; names that nobody has are answered alike."""

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from archive.access import attempts
from archive.access.attempts import FREE_ATTEMPTS_OF_ALL, TooManyAttempts, tidy_attempts
from archive.access.browsers import Origin
from archive.access.models import SignInDelay
from archive.access.sessions import SignInRefused
from archive.ledger.models import LogDetail, LogEntry
from tests.support.archive_home import ArchiveHome
from tests.support.signing_in import WRONG, enter, known, make

HERE, THERE = Origin(network="192.0.2.0/24"), Origin(network="203.0.113.0/24")


def wrong(home: ArchiveHome, times: int = 1, origin: Origin = HERE, username: str = "wang") -> None:
    for _ in range(times):
        with pytest.raises(SignInRefused):
            enter(home, username, WRONG, origin)


def held_up(home: ArchiveHome, origin: Origin = HERE, username: str = "wang") -> int:
    with pytest.raises(TooManyAttempts) as slowed:
        enter(home, username, origin=origin)
    return int(slowed.value.facts["retry_after_s"])


def test_wrong_passwords_from_one_network_do_not_hold_up_another(home: ArchiveHome) -> None:
    make(home)
    wrong(home, 6)
    assert held_up(home) <= 3
    assert enter(home, origin=THERE)
    assert held_up(home), "and a success elsewhere lets nobody in here"


def test_a_known_browser_is_never_held_up_by_strangers(home: ArchiveHome) -> None:
    make(home)
    browser = known(home, enter(home))
    for number in range(FREE_ATTEMPTS_OF_ALL + 1):
        wrong(home, origin=Origin(network=f"10.0.{number}.0/24"))
    held_up(home, THERE)
    assert held_up(home, Origin(network=browser.network)), "the network of the known browser is held up"
    assert enter(home, origin=browser)


def test_a_known_browser_is_slowed_by_its_own_wrong_passwords_and_holds_up_nobody(home: ArchiveHome) -> None:
    make(home)
    browser = known(home, enter(home))
    wrong(home, 6, browser)
    held_up(home, browser)
    assert enter(home, origin=Origin(network=browser.network))


@pytest.mark.parametrize("change", ["mac", "id", "made", "other account", "old", "nonsense"])
def test_a_mark_that_is_not_the_accounts_makes_no_browser_known(home: ArchiveHome, change: str) -> None:
    make(home)
    make(home, "li")
    (mark,) = known(home, enter(home, "li" if change == "other account" else "wang")).marks
    browser_id, made, mac = mark.split(".")
    if change == "old":
        home.clock.step(timedelta(days=181))
    mark = {
        "mac": f"{browser_id}.{made}.{'0' * 64}",
        "id": f"{'0' * 32}.{made}.{mac}",
        "made": f"{browser_id}.{int(made) + 1}.{mac}",
        "nonsense": "\N{SNOWMAN}.1.x",
    }.get(change, mark)
    wrong(home, 6, Origin(network="192.0.2.0/24", marks=(mark,)))
    held_up(home)


def test_several_people_can_be_known_in_one_browser(home: ArchiveHome) -> None:
    names = [f"person{number}" for number in range(9)]
    marks: tuple[str, ...] = ()
    for name in names:
        make(home, name)
        marks = known(home, enter(home, name), *marks).marks
    assert len(marks) == 8
    shared = Origin(network="192.0.2.0/24", marks=marks)
    for name in reversed(names):
        wrong(home, 6, HERE, name)
    held_up(home, shared, names[0])  # at once: the first delay is short
    for name in names[1:]:
        assert enter(home, name, origin=shared)


def test_guessing_from_everywhere_comes_to_a_slow_rate(home: ArchiveHome) -> None:
    make(home)
    for number in range(FREE_ATTEMPTS_OF_ALL + 1):
        wrong(home, origin=Origin(network=f"10.0.{number}.0/24"))
    assert held_up(home, THERE) <= 31
    home.clock.step(timedelta(seconds=31))
    assert enter(home, origin=THERE)


def test_a_name_that_nobody_has_is_slowed_like_one_that_somebody_has(home: ArchiveHome) -> None:
    make(home)
    waits = []
    for name in ("wang", "nobody"):
        wrong(home, 6, username=name)
        waits.append(held_up(home, username=name))
        wrong(home, 6, THERE, name)
        waits.append(held_up(home, THERE, name))
    assert waits[:2] == waits[2:]


def test_every_refusal_of_an_account_has_its_entry_and_names_that_nobody_has_have_one_an_hour(
    home: ArchiveHome,
) -> None:
    make(home)
    wrong(home, 3)
    for number in range(40):
        wrong(home, username=f"nobody{number}")
    assert home.types().count("admin.sign_in_refused") == 3
    tidy_attempts(home.database, at=home.clock.now())
    assert home.types().count("admin.sign_in_refused") == 3
    home.clock.step(timedelta(hours=1))
    for _ in range(2):
        tidy_attempts(home.database, at=home.clock.now())
    assert home.types().count("admin.sign_in_refused") == 4
    with home.database.read() as tx:
        rows = tx.execute(
            select(LogEntry.body, LogDetail.detail).join(LogDetail, LogDetail.entry_id == LogEntry.id)
        ).all()
    (told,) = [json.loads(detail) for body, detail in rows if b"unknown_names" in detail]
    assert told["unknown_names"] == 40
    assert not [entry for entry in home.entries() if "nobody" in json.dumps(entry)]
    wrong(home, username="nobody0")
    home.clock.step(timedelta(hours=1))
    tidy_attempts(home.database, at=home.clock.now())
    assert home.types().count("admin.sign_in_refused") == 5


def test_a_refusal_costs_one_transaction_of_the_same_rows_whoever_is_named(home: ArchiveHome) -> None:
    make(home)
    found = []
    for name in ("wang", "nobody"):
        before = home.count("sign_in_delay")
        wrong(home, username=name)
        found.append(home.count("sign_in_delay") - before)
    assert found == [2, 2]
    assert home.count("refused_names") == 1


def test_no_name_stands_among_delays(home: ArchiveHome) -> None:
    wrong(home, username="my password by mistake")
    kept = repr(home.rows("SELECT * FROM sign_in_delay")) + repr(home.rows("SELECT * FROM refused_names"))
    assert "mistake" not in kept
    key = (home.path / "keys" / "sign-in.key").read_bytes()
    (home.path / "keys" / "sign-in.key").write_bytes(bytes(byte ^ 1 for byte in key))
    before = home.rows("SELECT subject FROM sign_in_delay")
    home.reopen()
    wrong(home, username="my password by mistake")
    assert len({bytes(row[0]) for row in home.rows("SELECT subject FROM sign_in_delay")}) == len(before)


def test_delays_are_forgotten_after_a_day_and_invented_names_are_bounded(
    home: ArchiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_MOST_UNKNOWN", 10)  # ten stand for fifty thousand
    make(home)
    wrong(home, 6)
    for number in range(9):
        wrong(home, username=f"nobody{number}")
    tidy_attempts(home.database, at=home.clock.now())
    assert home.count("sign_in_delay", "is_known = false") <= 10
    assert held_up(home), "delays of accounts stay"
    home.clock.step(timedelta(hours=25))
    tidy_attempts(home.database, at=home.clock.now())
    assert home.count("sign_in_delay") == 0


def test_wrong_passwords_at_once_are_all_counted(home: ArchiveHome) -> None:
    make(home)
    barrier = threading.Barrier(5)

    def guess(name: str) -> None:
        barrier.wait()
        with pytest.raises((SignInRefused, TooManyAttempts)):
            enter(home, name, WRONG, HERE)

    for name in ("wang", "nobody"):
        threads = [threading.Thread(target=guess, args=(name,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with home.database.read() as tx:
        assert tx.scalars(select(SignInDelay.failed)).all() == [5, 5, 5, 5]
    assert home.rows("SELECT count FROM refused_names") == [(5,)]


def test_the_delay_has_an_upper_limit_however_often_somebody_tried(home: ArchiveHome) -> None:
    make(home)
    wrong(home)
    with home.database.begin() as tx:
        tx.execute(update(SignInDelay).values(failed=100_000))
    wrong(home)
    assert 290 < held_up(home) <= 301

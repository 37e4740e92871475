"""Limits where several processes answer: together they give out what is promised, and no more."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from archive.access.allowances import FORGOTTEN_AFTER, draw, forget_full
from archive.access.models import Allowance
from archive.web.limits import Meter, TooManyRequests
from tests.support.archive_home import ArchiveHome


def metered(home: ArchiveHome, per_minute: int) -> Meter:
    """Return the meter of one more process, all at one moment."""
    at = home.clock.now()
    return Meter(
        per_minute,
        holds_s=60,
        name="test",
        draw=lambda meter, who, rate, wanted: draw(home.database, meter, who, rate=rate, wanted=wanted, at=at),
    )


def taken(meter: Meter, who: str, times: int, *, now_s: float = 0.0) -> int:
    count = 0
    for _ in range(times):
        try:
            meter.take(who, now_s=now_s)
        except TooManyRequests as refused:
            assert refused.facts["retry_after_s"] >= 1
        else:
            count += 1
    return count


def test_processes_share_one_bucket(home: ArchiveHome) -> None:
    one, other = metered(home, 60), metered(home, 60)
    assert taken(one, "a", 100) == 60, "one alone gets all of it"
    assert taken(other, "a", 10) == 0
    assert taken(other, "b", 10) == 10, "everybody has a bucket"
    got = sum(taken(each, "c", 1, now_s=turn * 5.0) for turn in range(100) for each in (one, other))
    assert got == 60, "also whoever asks seldom, now here and now there"


def test_many_threads_of_many_processes_never_get_more(home: ArchiveHome) -> None:
    meters = [metered(home, 120) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        got = sum(threads.map(lambda number: taken(meters[number % 4], "a", 50), range(8)))
    assert 120 - 4 * 6 <= got <= 120, "what a process has drawn and not given out is its last portion"


@pytest.mark.parametrize(("later_s", "got"), [(0.5, 0), (1, 1), (3, 3), (600, 60)])
def test_a_bucket_fills_again(home: ArchiveHome, later_s: float, got: int) -> None:
    assert taken(metered(home, 60), "a", 70) == 60
    home.clock.step(timedelta(seconds=later_s))
    found = taken(metered(home, 60), "a", 70)
    assert got <= found <= got + 1  # the machine's own clock goes on too


def test_full_buckets_are_forgotten(home: ArchiveHome) -> None:
    taken(metered(home, 60), "a", 5)
    forget_full(home.database, at=home.clock.now())
    assert home.count(Allowance.__tablename__) == 1
    forget_full(home.database, at=home.clock.now() + FORGOTTEN_AFTER + timedelta(seconds=1))
    assert home.count(Allowance.__tablename__) == 0

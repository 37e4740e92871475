"""How fast rounds read: within the rate, slower under pressure; by credit that goes through everything in time."""

import io
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from retention.rounds.pacing import LEAST_WEIGHT_BYTES, Credit, Throttle, weight

START = datetime(2026, 11, 30, tzinfo=UTC)
DAYS_90 = timedelta(days=90)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def throttle(clock: Clock, rate: int, *, pressed: bool = False) -> Throttle:
    return Throttle(rate, is_pressed=lambda: pressed, monotonic=clock, sleep=clock.sleep)


def test_reading_takes_as_long_as_the_rate_says() -> None:
    clock = Clock()
    made = throttle(clock, 1000)
    for _ in range(20):
        made.take(500)
    assert 9.0 <= clock.now_s <= 10.0


def test_under_pressure_it_takes_four_times_as_long() -> None:
    clock = Clock()
    made = throttle(clock, 1000, pressed=True)
    assert made.is_pressed
    for _ in range(20):
        made.take(500)
    assert 37.0 <= clock.now_s <= 40.0


def test_without_a_limit_nothing_waits_but_under_pressure() -> None:
    clock = Clock()
    throttle(clock, 0).take(1 << 40)
    assert clock.slept == []
    pressed = throttle(clock, 0, pressed=True)
    pressed.take(320 << 20)
    pressed.take(1)
    assert clock.now_s == 10.0


def test_a_paced_source_gives_the_same_bytes() -> None:
    clock = Clock()
    data = bytes(range(256)) * 100
    source = throttle(clock, 10_000).paced(io.BytesIO(data))
    found = b"".join(iter(lambda: source.read(1000), b""))
    assert found == data
    assert clock.now_s > 2.0
    buffer = bytearray(len(data))
    again = throttle(clock, 0).paced(io.BytesIO(data))
    assert again.readinto(buffer) == len(data)  # type: ignore[attr-defined]
    assert bytes(buffer) == data


@given(sizes=st.lists(st.integers(0, 1 << 32), min_size=1, max_size=60), step_h=st.integers(1, 24))
def test_credit_goes_through_everything_within_the_period_and_not_much_sooner(sizes: list[int], step_h: int) -> None:
    """Reading the oldest first whenever there is credit: nobody waits for longer than a period, nor is it a rush."""
    whole = sum(weight(size) for size in sizes)
    credit, at, read, first_round = Credit(0, START), START, 0, None
    last = dict.fromkeys(range(len(sizes)), START)
    while at < START + 2 * DAYS_90:
        at += timedelta(hours=step_h)
        credit = credit.at_moment(at, whole_bytes=whole, period=DAYS_90)
        while credit.size_bytes > 0:
            oldest = min(last, key=lambda each: last[each])
            credit, last[oldest], read = credit.spent(weight(sizes[oldest])), at, read + 1
            if read == len(sizes):
                first_round = at - START
        assert at - min(last.values()) <= DAYS_90
    before_the_last = (whole - weight(sizes[-1])) / whole
    assert first_round is not None
    assert first_round >= 0.89 * before_the_last * DAYS_90 - timedelta(hours=step_h)


@given(days=st.integers(2, 3000))
def test_what_was_not_read_while_nothing_ran_is_a_day_s_worth(days: int) -> None:
    whole = 90 * LEAST_WEIGHT_BYTES
    grown = Credit(0, START).at_moment(START + timedelta(days=days), whole_bytes=whole, period=DAYS_90)
    assert grown.size_bytes <= whole / 81 + 1
    assert Credit(-5, START).at_moment(START - timedelta(days=1), whole_bytes=whole, period=DAYS_90).size_bytes == -5

"""Peaks: the lowest and highest sample of each stretch, bounded whatever the length."""

import itertools
import struct
from array import array

from hypothesis import given
from hypothesis import strategies as st

from ingest.media.peaks import MOST_PEAKS, SAMPLE_RATE, Peaks

_HEAD = struct.Struct("<iIiiIi")


def read(data: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Return samples in a stretch, and the pairs."""
    version, flags, rate, stretch, length, channels = _HEAD.unpack_from(data)
    assert (version, flags, rate, channels) == (2, 1, SAMPLE_RATE, 1)
    values = array("b", data[_HEAD.size :])
    assert len(values) == 2 * length
    return stretch, list(zip(values[::2], values[1::2], strict=True))


def made(samples: list[int], *, cuts: list[int] | None = None, start_ms: int = 0) -> bytes:
    data = struct.pack(f"<{len(samples)}h", *samples)
    peaks = Peaks()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    for begin, end in itertools.pairwise(places):
        peaks.feed(data[begin:end])
    return peaks.finish(start_ms=start_ms)


@given(st.lists(st.integers(-32768, 32767), max_size=600), st.lists(st.integers(0, 1200), max_size=6))
def test_each_stretch_has_its_extremes_however_the_bytes_come(samples: list[int], cuts: list[int]) -> None:
    stretch, pairs = read(made(samples, cuts=cuts))
    parts = [samples[at : at + stretch] for at in range(0, len(samples), stretch)]
    assert pairs == [(min(part) >> 8, max(part) >> 8) for part in parts]


def test_a_long_sound_has_no_more_pairs_than_a_short_one() -> None:
    peaks = Peaks()
    block = array("h", [0] * SAMPLE_RATE)
    loud_at_s = 250
    for second in range(300):
        block[5] = 20_000 if second == loud_at_s else 0
        peaks.feed(block.tobytes())
    assert peaks.duration_ms == 300_000
    stretch, pairs = read(peaks.finish())
    assert len(pairs) <= MOST_PEAKS
    assert stretch % 80 == 0
    loud = [number for number, pair in enumerate(pairs) if pair[1] > 50]
    assert loud == [loud_at_s * SAMPLE_RATE // stretch]


def test_sound_that_begins_later_is_silent_before() -> None:
    stretch, pairs = read(made([30_000] * 800, start_ms=1000))
    before = SAMPLE_RATE // stretch
    assert pairs[:before] == [(0, 0)] * before
    assert pairs[before:] == [(117, 117)] * 10


def test_sound_that_begins_after_days_is_still_bounded() -> None:
    stretch, pairs = read(made([30_000] * 8000, start_ms=72 * 3600 * 1000))
    assert len(pairs) <= MOST_PEAKS
    assert pairs[-1][1] == 117
    assert abs(len(pairs) * stretch - 72 * 3600 * SAMPLE_RATE) <= 2 * stretch


def test_no_sound_is_an_empty_file() -> None:
    assert read(Peaks().finish()) == (80, [])

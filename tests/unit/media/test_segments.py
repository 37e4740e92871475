"""Where segments begin, and the playlist that lists them before they are there."""

import itertools
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.media.allowed import Kind
from ingest.media.facts import Probe, Stream
from ingest.media.segments import (
    SEGMENT_TICKS,
    Entry,
    clip_last_picture,
    decoding_head,
    entries,
    first_time_us,
    picture_times,
    playlist,
    segment_at,
    segment_count,
    segment_name,
    segment_number,
    segment_start,
)
from tests.unit.media.test_boxes import box

_RATES = st.sampled_from(["25/1", "30000/1001", "24000/1001", "7/1", "60/1", "1/1", "100/3"])


def probed(*, fps: str = "25/1", video_ms: int | None = 20_000, container_ms: int | None = 20_000) -> Probe:
    video = Stream(0, "video", "hevc", fps=fps, duration_ms=video_ms)
    return Probe(Kind.FOOTAGE, 1, "video/mp4", "mov", duration_ms=container_ms, streams=(video,))


@given(st.integers(0, 10**10), st.integers(0, 10**6))
def test_each_moment_lies_in_one_segment(ticks: int, origin: int) -> None:
    number = segment_at(origin + ticks, origin=origin)
    assert segment_start(number, origin=origin) <= origin + ticks < segment_start(number + 1, origin=origin)


def test_names_and_numbers() -> None:
    assert segment_number(segment_name(12)) == 12
    for strange in ("init.mp4", "-1.m4s", "1.5.m4s", "x.m4s", ".m4s", "1.m4s.tmp", "123456789.m4s", "१.m4s"):
        assert segment_number(strange) is None


@given(_RATES, st.integers(1, 2000), st.integers(0, 3 * SEGMENT_TICKS))
def test_there_are_as_many_segments_as_the_last_picture_needs(fps: str, pictures: int, origin: int) -> None:
    rate = Fraction(fps)
    exact_ms = pictures / rate * 1000
    found = segment_count(probed(fps=fps, video_ms=round(exact_ms)), origin=origin)
    last = (pictures - 1) / rate
    # Milliseconds are what a probe keeps: at the very edge of a segment they may tell one too many or too few.
    assert found is not None
    assert abs(found - (last // 2 + 1)) <= (1 if min(last % 2, 2 - last % 2) < Fraction(1, 500) else 0)


def test_where_nothing_is_known_of_the_length_nothing_is_promised() -> None:
    assert segment_count(probed(video_ms=None, container_ms=None), origin=0) is None
    assert segment_count(probed(video_ms=None, container_ms=7_500), origin=0) == 4
    assert segment_count(probed(video_ms=None, container_ms=7_500), origin=180_000) == 3


@given(_RATES, st.integers(1, 400), st.integers(0, 10**6))
def test_the_playlist_tells_when_each_first_picture_is_shown(fps: str, count: int, origin: int) -> None:
    rate = Fraction(fps)
    listed = entries(probed(fps=fps, container_ms=count * 2000), count, origin=origin)
    assert [entry.number for entry in listed] == list(range(count))
    assert all(entry.seconds > 0 for entry in listed)
    at = Fraction(0)
    for number, entry in enumerate(listed):
        if number:
            assert at == Fraction(origin, 90_000) + -(-2 * number * rate // 1) / rate
        at += entry.seconds


def test_holes_are_told_to_the_tick() -> None:
    told = {"empty": {3, 4, 5, 6}, "late": {7: 100_800}, "short": {2: 40_500}}
    listed = entries(probed(), 10, origin=0, **told)  # type: ignore[arg-type]
    shown = [(entry.number, float(entry.seconds)) for entry in listed]
    assert shown[2:6] == [(2, 0.45), (None, 10.67), (7, 0.88), (8, 2.0)]
    assert sum(entry.seconds for entry in listed) == 20
    # Between two segments, neither of which is empty.
    listed = entries(probed(), 10, origin=0, late={3: 81_000}, short={2: 135_000})
    assert [(entry.number, float(entry.seconds)) for entry in listed[2:5]] == [(2, 1.5), (None, 1.4), (3, 1.1)]
    assert sum(entry.seconds for entry in listed) == 20


@given(
    st.integers(1, 60),
    st.sets(st.integers(1, 59)),
    st.dictionaries(st.integers(1, 59), st.integers(1, SEGMENT_TICKS - 1)),
    st.dictionaries(st.integers(0, 59), st.integers(1, SEGMENT_TICKS)),
)
def test_whatever_is_missing_the_time_goes_on(
    count: int, empty: set[int], late: dict[int, int], short: dict[int, int]
) -> None:
    short = {number: max(ticks, late.get(number, 0) + 1) for number, ticks in short.items()}
    listed = entries(probed(container_ms=count * 2000), count, origin=0, empty=empty, late=late, short=short)
    at = Fraction(0)
    for entry in listed:
        assert entry.seconds > 0
        if entry.number:
            assert at == 2 * entry.number + Fraction(late.get(entry.number, 0), 90_000)
        at += entry.seconds
    assert [entry.number for entry in listed if entry.number is not None] == sorted(set(range(count)) - empty)


def test_a_playlist_of_what_is_there_and_what_is_not() -> None:
    text = playlist([Entry(0, Fraction(2)), Entry(None, Fraction(3)), Entry(2, Fraction(2))], folder="live")
    assert text.splitlines()[:3] == ["#EXTM3U", "#EXT-X-VERSION:8", "#EXT-X-TARGETDURATION:3"]
    assert '#EXT-X-MAP:URI="live/init.mp4"' in text
    assert text.count("#EXTINF:2.000000,") == 2
    assert "#EXT-X-GAP\n#EXTINF:3.000000,\nlive/hole\n" in text
    assert text.endswith("live/2.m4s\n#EXT-X-ENDLIST\n")
    growing = playlist([Entry(0, Fraction(2))], folder="live", is_whole=False)
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in growing
    assert "ENDLIST" not in growing
    assert "#EXT-X-TARGETDURATION:2" in playlist([], folder="live", is_whole=False)


def _fragment(track: int, start: int, durations: list[int], *, usual: int | None = None) -> bytes:
    head = (0x020000 | (0x8 if usual is not None else 0)).to_bytes(4, "big") + track.to_bytes(4, "big")
    head += usual.to_bytes(4, "big") if usual is not None else b""
    flags = 0x1 if usual is not None else 0x101
    samples = b"" if usual is not None else b"".join(value.to_bytes(4, "big") for value in durations)
    run = flags.to_bytes(4, "big") + len(durations).to_bytes(4, "big") + bytes(4) + samples
    began = b"\1\0\0\0" + start.to_bytes(8, "big")
    return box(b"moof", box(b"traf", box(b"tfhd", head), box(b"tfdt", began), box(b"trun", run)))


@given(st.integers(0, 1 << 40), st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_times_of_pictures_are_read_from_fragments(
    tmp_path_factory: pytest.TempPathFactory, start: int, durations: list[int]
) -> None:
    path = tmp_path_factory.mktemp("fragments") / "x.m4s"
    path.write_bytes(box(b"styp", b"msdh") + _fragment(1, start, durations) + _fragment(2, 5, [1, 1]) + box(b"mdat"))
    times = picture_times(path)
    assert times[0] == start
    assert [after - before for before, after in itertools.pairwise(times)] == durations[:-1]
    path.write_bytes(_fragment(1, start, durations, usual=7))
    assert picture_times(path) == tuple(range(start, start + 7 * len(durations), 7))


@given(st.lists(st.integers(1, 10**5), min_size=1, max_size=20), st.booleans(), st.integers(1, 10**5))
def test_the_last_picture_lasts_no_longer_than_it_may(
    tmp_path_factory: pytest.TempPathFactory, durations: list[int], is_usual: bool, longest: int
) -> None:
    path = tmp_path_factory.mktemp("clipped") / "x.m4s"
    durations = durations[:1] if is_usual else durations
    usual = durations[0] if is_usual else None
    path.write_bytes(_fragment(1, 1000, durations, usual=usual) + box(b"mdat", b"x"))
    clip_last_picture(path, longest=longest, usual=1)
    expected = [*durations[:-1], durations[-1] if durations[-1] <= longest else 1]
    made = _fragment(1, 1000, expected, usual=None if usual is None else expected[0])
    assert path.read_bytes() == made + box(b"mdat", b"x")


@given(st.binary(max_size=400))
def test_what_is_no_segment_has_no_pictures(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path: Path = tmp_path_factory.mktemp("noise") / "x.m4s"
    for junk in (data, box(b"moof", box(b"traf", box(b"tfhd", data), box(b"trun", data)))):
        path.write_bytes(junk)
        assert isinstance(picture_times(path), tuple)


def test_heads_that_decode_alike_are_alike() -> None:
    one, other = (b"moov....btrt" + bytes([value]) * 12 + b"avcC\1\x64\0\x1f" for value in (1, 2))
    assert decoding_head(one) == decoding_head(other)
    assert decoding_head(one) != decoding_head(one.replace(b"\x1f", b"\x28"))


def test_the_first_of_anything_counts() -> None:
    def track(scale: int) -> bytes:
        return box(b"trak", box(b"mdia", box(b"mdhd", bytes(12), scale.to_bytes(4, "big"), bytes(8))))

    head = box(b"moov", track(90_000), track(48_000))
    assert first_time_us(head, _fragment(1, 90_000, [1]) + _fragment(2, 24_000, [1])) == 500_000
    assert first_time_us(head, _fragment(1, 9_000, [1])) == 100_000
    assert first_time_us(head, b"") == 0

"""What is heard of a pass: packets with gaps between them, and what the filters say; whatever else is said is not."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.media.pass_report import MOST_PLACES, PassReport, Track

BLACK = "[blackdetect @ 0x55d0] [info] black_start:{} black_end:{} black_duration:{}"
FREEZE = "[freezedetect @ 0x55d0] [info] lavfi.freezedetect.freeze_{}: {}"
SILENCE = "[silencedetect @ 0x55d0] [info] silence_{}: {}"


def report(*lines: str, duration_ms: int | None = None, said: list[int] | None = None) -> PassReport:
    made = PassReport(
        (Track("video"), Track("audio")),
        duration_ms=duration_ms,
        on_progress=None if said is None else said.append,
    )
    for line in ("#tb 0: 1/1000", "#tb 1: 1/48000", *lines):
        made.take(line)
    made.close()
    return made


def packet(number: int, dts: int, pts: int | None = None, length: int = 40) -> str:
    return f"{number}, {dts:10d}, {dts if pts is None else pts:10d}, {length:8d},     1234, 0x0dd80c2d, F=0x0"


def test_packets_without_a_gap() -> None:
    made = report(*(packet(0, 40 * number) for number in range(100)))
    assert (made.tracks[0].packets, made.tracks[0].start_ms, made.tracks[0].end_ms) == (100, 0, 4000)
    assert made.tracks[0].gaps() == []
    assert made.tracks[1].packets == 0


@given(st.integers(2, 50), st.integers(541, 100_000), st.integers(1, 50))
def test_a_gap_lies_between_what_was_shown_last_and_what_comes_next(before: int, step: int, after: int) -> None:
    times = [40 * number for number in range(before)]
    times += [times[-1] + step + 40 * number for number in range(after)]
    made = report(*(packet(0, at) for at in times))
    assert made.tracks[0].gaps() == [[40 * before, 40 * (before - 1) + step]]


def test_reordered_pictures_are_no_gap_and_do_not_move_one() -> None:
    # Stored as I P B B, shown as I B B P.
    group = [(-40, 0), (0, 120), (40, 40), (80, 80)]
    times = [(dts + begin, pts + begin) for begin in (0, 160, 5000) for dts, pts in group]
    made = report(*(packet(0, dts, pts) for dts, pts in times))
    assert made.tracks[0].gaps() == [[320, 5000]]
    assert (made.tracks[0].start_ms, made.tracks[0].end_ms) == (0, 5160)


def test_a_slow_stream_has_no_gaps_between_its_pictures() -> None:
    made = report(*(packet(0, 1000 * number, length=1000) for number in range(20)))
    assert made.tracks[0].gaps() == []


def test_what_the_filters_find() -> None:
    made = report(
        packet(0, 0),
        packet(0, 19_960),
        packet(1, 0, length=48_000),
        packet(1, 30 * 48_000, length=48_000),
        BLACK.format(1.5, 4, 2.5),
        FREEZE.format("start", 6),
        FREEZE.format("end", 12.25),
        FREEZE.format("start", 15),
        SILENCE.format("start", "-0.00113379"),
        "[silencedetect @ 0x55d0] [info] silence_end: 3.25 | silence_duration: 3.25113",
        SILENCE.format("start", 28),
    )
    assert made.black == [[1500, 4000]]
    assert made.freeze == [[6000, 12_250], [15_000, 20_000]]
    assert made.silence == [[0, 3250], [28_000, 31_000]]


def test_stills_have_the_times_of_their_pictures() -> None:
    made = report(
        "[Parsed_showinfo_6 @ 0x5601] [info] config in time_base: 1/15360, frame_rate: 30/1",
        "[Parsed_showinfo_6 @ 0x5601] [info] n:   0 pts:      0 pts_time:0       pos:      48 fmt:yuv420p",
        "[Parsed_showinfo_6 @ 0x5601] [info]   side data - User Data Unregistered:",
        "[Parsed_showinfo_6 @ 0x5601] [info] n:   1 pts:110592123 pts_time:7200.01 pos:112849797 fmt:yuv420p",
    )
    assert made.pictures_ms == [0, 7_200_008]


def test_loudness_is_told_in_the_summary_only() -> None:
    lines = ("    I:         -21.8 LUFS", "    LRA:         6.5 LU", "    Peak:      -16.3 dBFS")
    assert report(*lines).loudness == {}
    made = report("[Parsed_ebur128_1 @ 0x55] [info] Summary:", "", "  Integrated loudness:", *lines)
    assert made.loudness == {"integrated_clufs": -2180, "range_clu": 650, "true_peak_cdb": -1630}
    silent = report("[Parsed_ebur128_1 @ 0x55] [info] Summary:", "    I:  -70.0 LUFS", "    Peak:       -inf dBFS")
    assert silent.loudness == {"integrated_clufs": -7000}


def test_what_a_file_says_of_itself_is_not_what_a_filter_found() -> None:
    made = report(
        "    title           : " + BLACK.format(1, 4, 3),
        "                    : " + BLACK.format(1, 4, 3),
        "[info] " + BLACK.format(1, 4, 3),
        "[blackdetect @ 0x55d0] [info] black_start:nan black_end:inf black_duration:inf",
        "[blackdetect @ 0x55d0] [info] black_start:x black_end:- black_duration:x",
        "[blackdetect @ 0x55d0] [info] black_start:9 black_end:4 black_duration:x",
    )
    assert made.black == []


@given(st.lists(st.text(max_size=60) | st.from_regex(r"\A\d, *-?\d{1,18}, *-?\d{1,18}, *\d{1,18}, *\d+, 0x1\Z")))
def test_no_line_breaks_it(lines: list[str]) -> None:
    made = report(*lines)
    for track in made.tracks:
        for begin, end in track.gaps():
            assert -(1 << 50) <= begin <= end <= 1 << 50


def test_lists_are_bounded() -> None:
    lines = [BLACK.format(number, number + 1, 1) for number in range(3 * MOST_PLACES)]
    gaps = [packet(0, 10_000 * (number // 5) + 40 * (number % 5)) for number in range(10 * MOST_PLACES)]
    made = report(*lines, *gaps)
    assert len(made.black) == MOST_PLACES
    assert len(made.tracks[0].gaps()) == MOST_PLACES


def test_progress_only_grows() -> None:
    said: list[int] = []
    report(*(packet(0, 40 * number) for number in (0, 10, 5, 50, 100, 10_000)), duration_ms=4000, said=said)
    assert said == sorted(set(said))
    assert said[-1] == 990

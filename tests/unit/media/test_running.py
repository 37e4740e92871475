"""Progress only grows; complaints have their place."""

from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.findings import Outcome
from ingest.media.running import Observer, complaint_findings, failure, seconds
from ingest.media.supervise import Ended, Ran


def observer(said: list[int], duration_ms: int | None = 10_000) -> Observer:
    return Observer(duration_ms, 1_000_000, on_progress=said.append)


@given(
    st.lists(
        st.tuples(st.sampled_from(("out_time_us", "total_size", "frame", "x")), st.text(max_size=12) | st.integers())
    )
)
def test_progress_only_grows_and_stays_below_done(lines: list[tuple[str, object]]) -> None:
    for duration_ms in (10_000, None):
        said: list[int] = []
        seen = observer(said, duration_ms)
        take = seen.hooks().on_line
        assert take is not None
        for name, value in lines:
            take(f"{name}={value}")
        assert said == sorted(set(said))
        assert all(0 <= permille <= 990 for permille in said)
        seen.say(1000)
        assert said[-1] == 1000


def test_places_follow_the_frames() -> None:
    seen = observer([])
    take = seen.hooks().on_error_line
    assert take is not None
    for line in (
        "[h264 @ 0x1] [error] before anything was decoded",
        "#tb 0: 1/25",
        "#tb 1: 1/48000",
        "0,          0,          0,        1,   115200, 0xe47317de",
        "1,      96000,      96000,     1024,     2048, 0x6910ef25",
        "[h264 @ 0x1] [error] error while decoding MB 3 4",
        "[h264 @ 0x1] [warning] nothing to complain of",
        "0,         75,         75,        1,   115200, 0xe47317de",
        "[aac @ 0x1] [error] channel element 1.2 is not allocated",
    ):
        take(line)
    assert seen.complaints == 3
    assert seen.places_ms == [2000, 3000]
    (finding,) = complaint_findings(seen, doing="decoding")
    assert (finding.code, finding.outcome, finding.where) == ("media.damaged", Outcome.INVALID, "2.000 s")


def test_without_complaints_there_is_no_finding() -> None:
    assert complaint_findings(observer([]), doing="decoding") == []


def test_seconds() -> None:
    assert seconds(12_045) == "12.045 s"


def test_failures_are_told_apart() -> None:
    def ran(ended: Ended = Ended.EXIT, code: int = 1, told: str = "") -> str:
        return failure(Ran(code, ended, b"", told, 0, 0)).code

    assert ran() == "media.unreadable"
    assert ran(Ended.CPU) == "media.too_costly"
    assert ran(Ended.OUTPUT) == "media.output_too_large"
    assert ran(code=153) == "media.output_too_large"
    assert ran(told="Cannot allocate memory") == "media.too_costly"

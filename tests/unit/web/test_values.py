"""How values read, which addresses are safe to go on to, which part of a file is meant."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archive.kernel.errors import InvalidInput
from archive.web.pages import formats
from archive.web.pages.content import disposition
from archive.web.pages.forms import Form
from archive.web.pages.guards import safe_next, sign_in_address
from archive.web.pages.ranges import Range, Unsatisfiable, is_current, is_known, wanted_range

_AT = datetime(2026, 3, 2, 1, 30, 15, 987654, tzinfo=UTC)


def test_times_are_those_of_the_bureau_and_say_utc_beside() -> None:
    assert formats.local_minute(_AT) == "2026-03-02 09:30"
    assert formats.local_second(_AT) == "2026-03-02 09:30:15"
    assert formats.local_day(datetime(2026, 3, 1, 16, 0, tzinfo=UTC)) == "2026-03-02"
    assert formats.utc_text(_AT) == "2026-03-02 01:30:15.987 UTC"
    assert formats.machine_text(_AT.astimezone(timezone(timedelta(hours=-5)))) == "2026-03-02T01:30:15.987Z"


@given(st.integers(0, 3_000_000_000))
def test_a_local_time_comes_back_as_it_was_meant(second: int) -> None:
    local = (datetime(1992, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).isoformat().removesuffix("+00:00")
    assert formats.local_second(formats.parse_local(local)) == local.replace("T", " ")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-02T09:30Z", "2026-02-30T09:30", "0001-01-01T00:00"])
def test_what_is_no_local_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        formats.parse_local(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (1_601_522, "1.60 MB"),
        (12_345_678, "12.3 MB"),
        (999_949, "1.00 MB"),
        (999_400, "999 kB"),
        (99_960_000, "100 MB"),
        (10_737_418_240, "10.7 GB"),
        (10**18, "1000 PB"),
    ],
)
def test_sizes_have_three_digits(size_bytes: int, text: str) -> None:
    assert formats.size(size_bytes) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0:00"), (499, "0:00"), (59_600, "1:00"), (61_000, "1:01"), (3_661_000, "1:01:01")]
)
def test_durations_read_as_clocks(milliseconds: int, text: str) -> None:
    assert formats.duration(milliseconds) == text


@pytest.mark.parametrize(("milliseconds", "text"), [(1300, "1.3"), (-4200, "4.2"), (86_400_000, "86,400")])
def test_a_clock_offset_is_told_without_its_sign(milliseconds: int, text: str) -> None:
    assert formats.seconds(milliseconds) == text


# ---- going on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/cases/1?done=x", "/items?q=%E6%A1%88", "/sign-in?next=/a"])
def test_local_addresses_are_kept(address: str) -> None:
    assert safe_next(address) == address


@pytest.mark.parametrize(
    "address",
    [
        None, "", "x", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example",
        "javascript:alert(1)", "/\tevil", "/\n/evil.example", " /", "/a\\..\\b", "/" + "a" * 2000, "http:/evil",
    ],
)  # fmt: skip
def test_whatever_could_lead_elsewhere_leads_to_the_first_page(address: str | None) -> None:
    assert safe_next(address) == "/"


@given(st.text(alphabet=st.sampled_from("/\\:.?#@abhtps \t\n%0aevil"), max_size=30))
@example("//evil")
@example("/\\/evil")
def test_no_address_leads_to_another_host(address: str) -> None:
    """As a browser reads it: backslashes are slashes, control characters and blanks are not there."""
    shown = "".join(char for char in safe_next(address) if ord(char) > 32).replace("\\", "/")
    gone = urlsplit(urljoin("https://archive.example/sign-in", shown))
    assert (gone.scheme, gone.netloc) == ("https", "archive.example")


def test_the_way_to_the_sign_in_page_carries_the_way_back() -> None:
    assert sign_in_address("/cases/1?q=a&b=c") == "/sign-in?next=/cases/1%3Fq%3Da%26b%3Dc"
    assert sign_in_address("/") == sign_in_address("//evil") == "/sign-in"


# ---- ranges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-", Range(0, 100, 100)),
        ("bytes=0-0", Range(0, 1, 100)),
        ("bytes=10-19", Range(10, 10, 100)),
        ("Bytes=90-1000", Range(90, 10, 100)),
        ("bytes=-5", Range(95, 5, 100)),
        ("bytes=-500", Range(0, 100, 100)),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes=0x1-2", None),
    ],
)
def test_ranges_are_read_as_the_standard_says(header: str | None, part: Range | None) -> None:
    assert wanted_range(header, size_bytes=100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=9999999999999999999-"])
def test_a_range_behind_the_end_cannot_be_served(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_range(header, size_bytes=100)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_a_range_never_leaves_the_file(first: int, last: int, size_bytes: int) -> None:
    try:
        part = wanted_range(f"bytes={first}-{last}", size_bytes=size_bytes)
    except Unsatisfiable:
        assert first >= size_bytes
        return
    if part is not None:
        assert part.offset == first
        assert part.length > 0
        assert part.offset + part.length <= size_bytes
        assert part.content_range == f"bytes {first}-{min(last, size_bytes - 1)}/{size_bytes}"


def test_only_the_same_bytes_continue_a_download() -> None:
    assert is_current(None, etag='"a"')
    assert is_current('"a"', etag='"a"')
    assert not is_current('"b"', etag='"a"')
    assert not is_current('W/"a"', etag='"a"')
    assert not is_current("Wed, 21 Oct 2026 07:28:00 GMT", etag='"a"')
    assert is_known('"x", W/"a"', etag='"a"')
    assert not is_known(None, etag='"a"')


# ---- names and forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("a b.mp4", "a b.mp4", "a%20b.mp4"),
        ("现场.mp4", "__.mp4", "%E7%8E%B0%E5%9C%BA.mp4"),
        ('x"; filename="evil.exe', "x__ filename__evil.exe", "x_%3B%20filename%3D_evil.exe"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie_ x", "aSet-Cookie_%20x"),
    ],
)
def test_names_of_downloads_are_given_twice(name: str, plain: str, encoded: str) -> None:
    assert disposition("attachment", name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


@given(st.text(max_size=80))
def test_no_name_breaks_a_header(name: str) -> None:
    value = disposition("attachment", name)
    assert value.isascii()
    assert not any(ord(char) < 32 for char in value)
    assert value.count('"') == 2


def test_a_form_tells_the_fault_of_each_field() -> None:
    form = Form({"a": "  ", "b": "x" * 11, "c": "a\x00b", "d": " é ", "e": "nonsense"})
    assert form.text("d", most=10) == "é"
    assert form.is_good
    form.text("a", most=10)
    form.text("b", most=10)
    form.text("c", most=10)
    form.text("missing", most=10)
    assert form.moment("missing", required=False) is None
    form.moment("e")
    assert {name: fault.key for name, fault in form.faults.items()} == {
        "a": "form.required",
        "b": "form.too_long",
        "c": "form.control_characters",
        "missing": "form.required",
        "e": "form.not_a_time",
    }

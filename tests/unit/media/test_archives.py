"""The lines in which a program lists an archive are read whatever the archive puts into its names."""

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.errors import InvalidInput
from ingest.media.archives import Entry, Listing, entry_of

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
LINE = "-rw-r--r--  0 0      0         530 Nov 24 20:45 "


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (LINE + "a.zip", Entry("a.zip", "file", 530, "2025-11-24 20:45")),
        ("-rw-rw----+ 1 501    20  9999999999 Mar  2  2019 a b", Entry("a b", "file", 9999999999, "2019-03-02")),
        ("drwxr-xr-x  0 0      0           0 Jan  1  1970 folder/", Entry("folder/", "folder", 0, "1970-01-01")),
        (
            "lrwxrwxrwx  0 0      0           0 Jun  1 11:59 link -> ../x",
            Entry("link", "link", 0, "2026-06-01 11:59", "../x"),
        ),
        ("hrw-r--r--  0 0      0           0 Jun  1 11:59 b link to a", Entry("b", "file", 0, "2026-06-01 11:59", "a")),
        ("brw-rw----  0 0      0  8, 1 Jun  1 11:59 disk", Entry("disk", "other", 0, "2026-06-01 11:59")),
        (LINE + "\\317\\326\\263\\241.txt", Entry("现场.txt", "file", 530, "2025-11-24 20:45")),
        (LINE + "现\\n场\\t\\\\x", Entry("现 场 \\x", "file", 530, "2025-11-24 20:45")),
        (LINE + "\\342\\200\\256gpj.exe", Entry("gpj.exe", "file", 530, "2025-11-24 20:45")),
        (LINE, Entry("", "file", 530, "2025-11-24 20:45")),
    ],
)
def test_lines(line: str, entry: Entry) -> None:
    assert entry_of(line, now=NOW) == entry


@pytest.mark.parametrize("line", ["", "bsdtar: Error", "total 12", "-rw-r--r-- 0 0 0 x Mar 2 2026 name"])
def test_other_lines_tell_of_nothing(line: str) -> None:
    assert entry_of(line, now=NOW) is None


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("Jan  1 00:00", "2026-01-01 00:00"),
        ("Dec 31 23:59", "2025-12-31 23:59"),
        ("Feb 29 10:00", ""),
        ("Feb 31 10:00", ""),
        ("Jun  1 25:00", ""),
        ("Foo  1  2026", ""),
    ],
)
def test_the_year_that_is_left_out_is_the_nearest(told: str, at: str) -> None:
    found = entry_of(f"-rw-r--r--  0 0      0         530 {told} x", now=NOW)
    assert found is not None
    assert found.at == at


@given(st.text(max_size=300))
def test_any_name_is_one_that_can_be_shown(name: str) -> None:
    found = entry_of(LINE + name, now=NOW)
    assert found is not None
    assert len(found.name) <= 400
    assert all(unicodedata.category(char)[0] != "C" for char in found.name + found.to)


def test_what_is_no_listing_is_refused() -> None:
    listing = Listing((Entry("a", "file", 1, ""),), is_cut=False, is_encrypted=True, findings=(), tool="bsdtar 3.6.2")
    assert Listing.from_json(listing.as_json()) == listing
    for broken in ({}, {**listing.as_json(), "entries": [{"name": 1}]}, {**listing.as_json(), "findings": [3]}):
        with pytest.raises(InvalidInput):
            Listing.from_json(broken)

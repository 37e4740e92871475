"""Lists: pages that hold still while rows come in, and words that are searched for as they stand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from archive.cases.filing import link_object
from archive.cases.listings import cases, items, unlinked_items
from archive.cases.models import Case
from archive.evidence.models import EvidenceItem
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import ArchiveHome

Deliver = Callable[..., ObjectId]


def numbers(home: ArchiveHome, words: str = "") -> list[str]:
    with home.database.read() as tx:
        return [row.case.number for row in cases(tx, words=words).rows]


def names(home: ArchiveHome, words: str = "") -> list[str]:
    with home.database.read() as tx:
        return sorted(row.original.name for row in items(tx, words=words).rows)


def walk(home: ArchiveHome, listing: Callable[..., Any], *, limit: int, between: Callable[[], Any]) -> list[Any]:
    """Turn every page of a list, doing something between two of them."""
    seen: list[Any] = []
    cursor = None
    for _ in range(50):
        with home.database.read() as tx:
            page = listing(tx, cursor=cursor, limit=limit)
        assert len(page.rows) <= limit
        seen.extend(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            return seen
        between()
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_pages_of_cases_skip_and_repeat_nothing_while_cases_come_in(home: ArchiveHome, limit: int) -> None:
    before = [home.case(f"old-{number}") for number in range(7)]
    fresh = iter(range(100))
    seen = walk(home, cases, limit=limit, between=lambda: home.case(f"new-{next(fresh)}"))
    assert [row.case.id for row in seen] == before[::-1]


def test_rows_of_one_instant_are_told_apart(home: ArchiveHome, deliver: Deliver) -> None:
    """The cursor ends in a key that is unique: a whole batch may have one time."""
    delivered = [deliver(f"{number}".encode()) for number in range(6)]
    with home.database.begin() as tx:
        tx.execute(update(EvidenceItem).values(received_at=home.clock.now()))
    for listing in (items, unlinked_items):
        seen = walk(home, listing, limit=2, between=lambda: None)
        assert sorted(row.item.object_id for row in seen) == sorted(delivered)
    ids = [home.case(str(number)) for number in range(5)]
    with home.database.begin() as tx:
        tx.execute(update(Case).values(opened_at=home.clock.now()))
    assert sorted(row.case.id for row in walk(home, cases, limit=2, between=lambda: None)) == sorted(ids)


def test_what_is_linked_between_two_pages_is_not_repeated(home: ArchiveHome, deliver: Deliver) -> None:
    delivered = [deliver(f"{number}".encode()) for number in range(6)]
    case_id = home.case()
    waiting = iter(delivered)

    def link_one() -> None:
        link_object(home.database, case_id, next(waiting), act_id=None, reason="x", by=OPERATOR, at=home.clock.now())

    seen = [row.item.object_id for row in walk(home, unlinked_items, limit=2, between=link_one)]
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=True)


def test_every_row_counts_what_is_filed(home: ArchiveHome, deliver: Deliver) -> None:
    home.case("1")
    home.case("2")
    deliver(b"a", case="1")
    deliver(b"b", case="1")
    with home.database.read() as tx:
        found = {row.case.number: (row.footage_count, row.record_count) for row in cases(tx).rows}
        assert len(unlinked_items(tx).rows) == 0
    assert found == {"1": (2, 0), "2": (0, 0)}


def test_words_are_searched_for_in_number_title_and_subject(home: ArchiveHome) -> None:
    home.case("昆市监罚〔2026〕1号", title="无证经营案", subject="张三餐饮店")
    home.case("GX-100%", title="Noise_at night", subject="O'Neil & Sons")
    home.case("GX-1000", title="Noise at night", subject="x\\y")
    for words, found in {
        "检查": [],
        "经营": ["昆市监罚〔2026〕1号"],
        "〔2026〕": ["昆市监罚〔2026〕1号"],
        "张三": ["昆市监罚〔2026〕1号"],
        "100%": ["GX-100%"],
        "%": ["GX-100%"],
        "_": ["GX-100%"],
        "e_a": ["GX-100%"],
        "noise": ["GX-1000", "GX-100%"],
        "gx-100": ["GX-1000", "GX-100%"],
        "\\": ["GX-1000"],
        "O'Neil": ["GX-100%"],
        "'; DROP TABLE case_file; --": [],
        "  ": ["GX-1000", "GX-100%", "昆市监罚〔2026〕1号"],
        "  经营 ": ["昆市监罚〔2026〕1号"],
        "\x00": [],
        "经\x00营": [],
        "x" * 100_000: [],
    }.items():
        assert numbers(home, words) == found, words[:20]


def test_words_are_found_in_either_unicode_form(home: ArchiveHome) -> None:
    home.case("1", title="Café")
    assert numbers(home, "Cafe\N{COMBINING ACUTE ACCENT}") == ["1"]


def test_items_are_found_by_name_and_device(home: ArchiveHome, deliver: Deliver) -> None:
    deliver(b"a", "现场 100%.mp4", device={"serial": "CAM_7"})
    deliver(b"b", "x.mp4", device={"serial": "CAMX7"})
    deliver(b"c", "y.mp4", device={})
    for words, found in {
        "现场": ["现场 100%.mp4"], "%": ["现场 100%.mp4"], "cam_7": ["现场 100%.mp4"], "CAM": ["x.mp4", "现场 100%.mp4"],
        "y": ["y.mp4"], "": ["x.mp4", "y.mp4", "现场 100%.mp4"], "\x00": [],
    }.items():  # fmt: skip
        assert names(home, words) == found


def test_a_cursor_of_another_list_or_a_broken_one_is_refused(home: ArchiveHome, deliver: Deliver) -> None:
    for number in range(3):
        home.case(str(number))
        deliver(str(number).encode())
    with home.database.read() as tx:
        cursors = {listing: listing(tx, limit=1).next_cursor for listing in (cases, items, unlinked_items)}
        for listing in cursors:
            for owner, cursor in cursors.items():
                if owner is not listing:
                    with pytest.raises(InvalidInput):
                        listing(tx, cursor=cursor)
        name, at, row_id = str(cursors[cases]).split("~")
        for broken in (
            "", "~", "cases", f"{name}~{at}", f"{name}~{at}~", f"{name}~~{row_id}", f"{name}~{at}~{row_id}~",
            f"{name}~2026-13-01T00:00:00Z~{row_id}", f"{name}~{at}~{row_id.upper()}", f"{name}~{at}~x\x00", "\ud800",
        ):  # fmt: skip
            with pytest.raises(InvalidInput):
                cases(tx, cursor=broken)


def test_a_cursor_beyond_the_end_is_an_empty_page(home: ArchiveHome) -> None:
    case_id = home.case("1")
    past = home.clock.now() - timedelta(days=1)
    with home.database.read() as tx:
        page = cases(tx, cursor=f"cases~{past.isoformat()}~{case_id}")
    assert (page.rows, page.next_cursor) == ([], None)

"""One suite of what is found, on both databases: an index of documents without the domains behind them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from archive.db.database import Database
from archive.db.migrate import migrate
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import new_uuid7
from archive.search.documents import Depth, Document, Kind, clear_index, index_documents, remove_documents
from archive.search.models import SearchDocument
from archive.search.queries import Filters, Found, found_ids, query_words, search

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


class Shelf:
    """An index and what stands in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.documents: dict[UUID, Document] = {}

    def put(self, *fields: str | tuple[str, str], kind: Kind = Kind.ITEM, content: str = "", **given: Any) -> UUID:
        ref_id = given.pop("ref_id", None) or new_uuid7()
        named = [field if isinstance(field, tuple) else ("name", field) for field in fields]
        at = given.pop("at", None) or START + timedelta(seconds=len(self.documents))
        self.documents[ref_id] = Document(
            kind, ref_id, named, given.pop("facets", ()), given.pop("taken_at", at), at, content
        )
        self.index(ref_id)
        return ref_id

    def index(self, *ref_ids: UUID) -> None:
        with self.database.begin() as tx:
            index_documents(tx, ref_ids, lambda ids: [self.documents[ref_id] for ref_id in ids])

    def search(self, words: str = "", **given: Any) -> Found:
        filters = {name: given.pop(name) for name in Filters.__slots__ if name in given}
        with self.database.read() as tx:
            return search(tx, words, filters=Filters(**filters), **given)

    def titles(self, words: str = "", **given: Any) -> list[str]:
        return [hit.title.text for hit in self.search(words, **given).hits]


@pytest.fixture
def shelf(database_url: str) -> Iterator[Shelf]:
    database = Database(database_url)
    migrate(database)
    yield Shelf(database)
    database.close()


@pytest.fixture
def full(shelf: Shelf) -> Shelf:
    for name in (
        "现场检查笔录", "BWC0117_20260302.mp4", "昆综执罚〔2026〕12号", "昆综执罚〔2026〕1号 2026-12", "询问笔录 Café.pdf",
        "GX-100% Noise_at night", "O'Neil \"&\" Sons\\x", "张三餐饮店", "检验报告查收", "17 011", "Ünïcode ﬁle ＡＢＣ", "emoji 🚓 car",
    ):  # fmt: skip
        shelf.put(name)
    return shelf


FOUND = [
    ("检查", ["现场检查笔录"]),
    ("0117", ["BWC0117_20260302.mp4"]),
    ("bwc", ["BWC0117_20260302.mp4"]),
    ("WC01", ["BWC0117_20260302.mp4"]),
    ("7_20", ["BWC0117_20260302.mp4"]),
    (".mp4", ["BWC0117_20260302.mp4"]),
    ("2026〕12", ["昆综执罚〔2026〕12号"]),
    ("2026)12", ["昆综执罚〔2026〕12号"]),
    ("［2026］１２", ["昆综执罚〔2026〕12号"]),
    ("2026〕1", ["昆综执罚〔2026〕1号 2026-12", "昆综执罚〔2026〕12号"]),
    ("笔录", ["询问笔录 Café.pdf", "现场检查笔录"]),
    ("笔录 询问", ["询问笔录 Café.pdf"]),
    ("笔录询问", []),
    ("检 查", ["检验报告查收", "现场检查笔录"]),
    ('"检 查"', ["现场检查笔录"]),
    ("“检查”", ["现场检查笔录"]),
    ('"at night"', ["GX-100% Noise_at night"]),
    ('"night at"', []),
    ("night at", ["GX-100% Noise_at night"]),
    ('"at night', ["GX-100% Noise_at night"]),
    ("检", ["检验报告查收", "现场检查笔录"]),
    ("号", ["昆综执罚〔2026〕12号"]),
    ("%", ["GX-100% Noise_at night"]),
    ("_", ["GX-100% Noise_at night", "BWC0117_20260302.mp4"]),
    ("\\", ['O\'Neil "&" Sons\\x']),
    ("'", ['O\'Neil "&" Sons\\x']),
    ("o'neil", ['O\'Neil "&" Sons\\x']),
    ("&", ['O\'Neil "&" Sons\\x']),
    ("café", ["询问笔录 Café.pdf"]),
    ("CAFE\N{COMBINING ACUTE ACCENT}", ["询问笔录 Café.pdf"]),
    ("abc file", ["Ünïcode ﬁle ＡＢＣ"]),
    ("🚓", ["emoji 🚓 car"]),
    ("emoji 🚓 car", ["emoji 🚓 car"]),
    ("收", ["检验报告查收"]),
    ("0117 检查", []),
    ("无此词", []),
    ("1号2", []),
]


def test_what_is_found(full: Shelf) -> None:
    for words, found in FOUND:
        titles = full.titles(words)
        # One character stands anywhere: the rest of the shelf has it too.
        assert (titles if len(words) > 1 else [title for title in titles if title in found]) == found, words


def test_no_words_find_everything(full: Shelf) -> None:
    for words in ("", "  ", '""', "\u200b", "\u3000"):
        assert len(full.titles(words)) == 12, repr(words)


HARMLESS = [
    "检查 OR 0117", "检查 NOT x", "NEAR(检查 笔录)", "words : x", "facets:1", "{words} : x", "检查*", "*", "^检查", "(", ")", "-x",
    "a AND b", '"', "'", "';--", "%", "\\", "检查" * 500, "x " * 400, "x" * 1024, "y" * 1025, "\0", "检\0查", "\ud800", "\udfff检",
    "🚓" * 200, "\u202e\u202dx", "مرحبا بالعالم", "\r\n\t", "\ue022", "\uffff", "\U0010ffff", "a\x1fb", '"' * 999, "〔" * 300,
    "0" * 900, "\N{COMBINING ACUTE ACCENT}" * 300, "ﷺ" * 300,
]  # fmt: skip


def test_whatever_is_asked_is_harmless(full: Shelf) -> None:
    everything = set(full.titles())
    for words in HARMLESS:
        for given in ({}, {"device": words}, {"place": words}, {"facets": ((words, words),)}):
            assert set(full.titles(words, **given)) <= everything, ascii(words)
        with full.database.read() as tx:
            assert found_ids(tx, words, filters=Filters(), depth=Depth.CATALOGUE, cursor=None, limit=5) is not None
    for words in (
        "检查 OR 0117",
        "检查*",
        "^检查",
        "x" * 1024,
        "y" * 1025,
        "\0",
        "检\0查",
        "\ue022",
        "\ud800",
        "0" * 900,
    ):
        assert full.titles(words) == [], ascii(words)
    assert full.titles("检查") == ["现场检查笔录"]


def test_a_query_that_no_text_could_hold_has_no_words() -> None:
    assert query_words("x" * 1025) is None
    assert query_words("a\0b") is None
    assert query_words('检查 检查 "检 查" B b') == ("检查", "b")
    assert query_words('a"b c"d') == ("a", "b c", "d")
    assert len(query_words(" ".join(f"w{number}" for number in range(99))) or ()) == 32


def test_pairs_that_stand_apart_are_no_word(shelf: Shelf) -> None:
    shelf.put("检查现场，查现，场检")
    shelf.put("查现场检")
    assert shelf.titles("查现场检") == ["查现场检"]
    shelf.put("bwc bw c01 017 117")
    assert shelf.titles("bwc01") == []


def test_no_word_reaches_from_one_field_into_the_next(shelf: Shelf) -> None:
    shelf.put("现场检", "查笔录", ("device", "CAM"), ("place", "7号"))
    assert shelf.titles("检查") == shelf.titles("录c") == shelf.titles("cam7") == []
    assert shelf.titles("检 查 cam 7") == ["现场检"]


def test_cases_and_subjects_come_first_then_records_then_items_newest_first(shelf: Shelf) -> None:
    kinds = [Kind.ITEM, Kind.CASE, Kind.RECORD, Kind.SUBJECT, Kind.ITEM, Kind.RECORD, Kind.CASE, Kind.ITEM]
    for number, kind in enumerate(kinds):
        shelf.put(f"官渡 {number}", kind=kind)
    assert shelf.titles("官渡") == [f"官渡 {number}" for number in (6, 3, 1, 5, 2, 7, 4, 0)]
    assert shelf.titles("官渡", kind=Kind.RECORD) == ["官渡 5", "官渡 2"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_pages_skip_and_repeat_nothing_while_documents_come_and_go(shelf: Shelf, limit: int) -> None:
    before = [shelf.put(f"检查 {number}") for number in range(9)]
    for number in range(9):
        shelf.put(f"询问 {number}")
    seen: list[UUID] = []
    cursor = None
    for round_ in range(50):
        page = shelf.search("检查", limit=limit, cursor=cursor)
        seen += [hit.ref_id for hit in page.hits]
        assert len(page.hits) <= limit
        cursor = page.next_cursor
        if cursor is None:
            break
        shelf.put(f"检查 new {round_}")
        shelf.put(f"检查 again {round_}", ref_id=before[-1], at=START + timedelta(seconds=8))  # where it was
    assert seen == before[::-1]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "find~",
        "find~x",
        "find~-1",
        "find~1~2",
        "cases~1",
        f"find~{1 << 63}",
        "find~" + "9" * 20,
        "\ud800",
        "find~１",
    ],
)
def test_a_cursor_that_is_none_is_refused(shelf: Shelf, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        shelf.search("x", cursor=cursor)


def test_facets_are_exact_and_all_must_be_there(shelf: Shelf) -> None:
    shelf.put("a", facets=[("state", "playable"), ("case", "1"), ("case", "2")])
    shelf.put("b", facets=[("state", "damaged"), ("case", "2")])
    shelf.put("c", facets=[("state", "playable2")])
    assert shelf.titles(facets=(("state", "playable"),)) == ["a"]
    assert shelf.titles(facets=(("case", "2"),)) == ["b", "a"]
    assert shelf.titles(facets=(("case", "2"), ("state", "playable"))) == ["a"]
    assert shelf.titles("b", facets=(("case", "1"),)) == []
    assert shelf.titles(facets=(("case", "\0' OR *"),)) == []
    (hit,) = shelf.search("a").hits[-1:]
    assert (hit.facet("state"), hit.facet("nothing")) == ("playable", None)


def test_device_and_place_are_looked_for_in_their_own_fields(shelf: Shelf) -> None:
    shelf.put("CAM-0042 官渡", ("device", "BWC-0117"), ("place", "五华区"))
    shelf.put("other", ("device", "CAM-0042"), ("place", "官渡区关上街道"), ("place", "盘龙区"))
    shelf.put("none")
    assert shelf.titles(device="cam-00") == ["other"]
    assert shelf.titles(place="官渡") == ["other"]
    assert shelf.titles(place="盘龙") == ["other"]
    assert shelf.titles(place="区盘龙") == []
    assert shelf.titles(device="０１１７", place="五华") == ["CAM-0042 官渡"]
    assert shelf.titles(device=" ", place="") == ["none", "other", "CAM-0042 官渡"]


def test_a_period_is_exact_at_both_ends(shelf: Shelf) -> None:
    for number in range(4):
        shelf.put(f"{number}", at=START + timedelta(hours=number), taken_at=START + timedelta(days=400 - number))
    hour = timedelta(hours=1)
    assert shelf.titles(since=START + hour, until=START + 3 * hour) == ["2", "1"]
    assert shelf.titles(since=START + 3 * hour) == ["3"]
    assert shelf.titles(until=START + hour) == ["0"]
    assert shelf.titles(since=START + timedelta(days=399), until=START + timedelta(days=500), by_taken=True) == [
        "1",
        "0",
    ]
    assert shelf.titles(since=START, until=START) == shelf.titles(since=START + hour, until=START) == []
    assert shelf.titles(since=datetime(1, 1, 1, tzinfo=UTC), until=datetime(9999, 12, 31, tzinfo=UTC)) == list("3210")
    assert shelf.titles("2", since=START) == ["2"]


def test_the_text_inside_is_found_by_those_who_may_see_it_and_shown_to_nobody(shelf: Shelf) -> None:
    shelf.put(
        "笔录", kind=Kind.RECORD, content="当事人称：现场\n检查时未办理许可证。检查结束。", facets=[("form", "x")]
    )
    shelf.put("检查", kind=Kind.RECORD)
    assert shelf.titles("检查") == ["检查"]
    assert shelf.titles("检查", depth=Depth.CONTENT) == ["检查", "笔录"]
    assert shelf.titles("笔录 许可证", depth=Depth.CONTENT) == ["笔录"]
    assert shelf.titles("笔录") == shelf.titles("笔录", depth=Depth.CONTENT) == ["笔录"]
    hit = shelf.search("检查 笔录", depth=Depth.CONTENT).hits[0]
    assert hit.in_content == 2
    assert [(part.text, part.is_marked) for part in hit.shown] == [("笔录", True)]
    shelf.put("笔录", kind=Kind.RECORD, ref_id=hit.ref_id)
    assert shelf.titles("许可证", depth=Depth.CONTENT) == []
    assert shelf.titles("笔录", depth=Depth.CONTENT) == ["笔录"]


def test_what_changes_is_found_anew_and_the_old_no_more(shelf: Shelf) -> None:
    ref_id = shelf.put("现场检查", ("device", "CAM-0042"), facets=[("state", "pending")])
    shelf.put("询问笔录", ref_id=ref_id, facets=[("state", "playable")])
    assert shelf.titles("检查") == shelf.titles("cam") == shelf.titles("0042") == shelf.titles("场") == []
    assert shelf.titles(facets=(("state", "pending"),)) == []
    assert shelf.titles("询问", facets=(("state", "playable"),)) == ["询问笔录"]
    with shelf.database.begin() as tx:
        remove_documents(tx, [ref_id])
    assert shelf.titles("询问") == shelf.titles() == []


def test_what_says_the_same_is_not_written(shelf: Shelf) -> None:
    ref_id = shelf.put("现场检查", content="x")
    before = _stored(shelf)
    shelf.index(ref_id, ref_id)
    assert _stored(shelf) == before
    if shelf.database.is_sqlite:
        with shelf.database.read() as tx:
            assert tx.execute(text("SELECT count(*) FROM search_index('检查')")).scalar() == 2  # one for each depth


def test_things_of_one_instant_have_places_of_their_own(shelf: Shelf) -> None:
    """Only the end of an id counts for its place."""
    base = new_uuid7().int & ~(0xFF << 40)
    ids = [UUID(int=base | number << 40) for number in range(5)]
    for number, ref_id in enumerate(ids[:4]):
        shelf.put(f"检查{number}", ref_id=ref_id, content="深处", at=START)
    with shelf.database.begin() as tx:  # and several at once
        index_documents(
            tx,
            ids,
            lambda asked: [Document(Kind.ITEM, ref_id, [("name", "检查")], (), START, START) for ref_id in asked],
        )
    assert sorted(hit.ref_id for hit in shelf.search("检查", depth=Depth.CONTENT).hits) == ids
    assert len(shelf.titles("检查")) == 5


def test_what_turns_out_to_have_happened_earlier_is_found_there(shelf: Shelf) -> None:
    first, second = shelf.put("检查 1"), shelf.put("检查 2", content="深处")
    assert shelf.titles("检查") == ["检查 2", "检查 1"]
    shelf.put("检查 2", content="深处", ref_id=second, at=START - timedelta(days=3))
    for depth in Depth:
        assert shelf.titles("检查", depth=depth) == ["检查 1", "检查 2"]
        assert shelf.titles("检查", depth=depth, until=START - timedelta(days=2)) == ["检查 2"]
    shelf.put("检查 1", ref_id=first, at=datetime(1066, 10, 14, tzinfo=UTC))
    assert shelf.titles("检查", until=datetime(1901, 1, 1, tzinfo=UTC)) == ["检查 1"]
    shelf.put("检查 1", ref_id=first, at=datetime(9998, 1, 1, tzinfo=UTC))
    assert shelf.titles("检查") == shelf.titles("检查", until=datetime.max.replace(tzinfo=UTC)) == ["检查 1", "检查 2"]
    assert shelf.titles("检查", since=datetime(9999, 1, 1, tzinfo=UTC)) == []


def test_an_index_is_emptied_and_filled_again(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(f"检查{number}", content="深处")
    before = _stored(shelf)
    with shelf.database.begin() as tx:
        clear_index(tx)
    assert shelf.titles() == shelf.titles("检查") == []
    shelf.index(*shelf.documents)
    assert _stored(shelf) == before
    assert len(shelf.titles("检查", depth=Depth.CONTENT)) == 5


def _stored(shelf: Shelf) -> Sequence[Any]:
    with shelf.database.read() as tx:
        return sorted(tuple(map(repr, row)) for row in tx.execute(select(SearchDocument.__table__)))

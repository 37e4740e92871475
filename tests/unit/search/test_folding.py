"""What is the same to a search, and where a found word stands in what is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.search.folding import fold, occurrences


@pytest.mark.parametrize(
    ("given_text", "folded"),
    [
        ("昆综执罚〔2026〕12号", "昆综执罚(2026)12号"),
        ("昆综执罚[2026]12号", "昆综执罚(2026)12号"),
        ("昆综执罚（２０２６）１２号", "昆综执罚(2026)12号"),
        ("BWC0117_20260302.MP4", "bwc0117_20260302.mp4"),
        ("ＢＷＣ０１１７", "bwc0117"),
        ("Straße", "strasse"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("现场\n检查  笔录", "现场检查笔录"),
        ("官渡 101 室", "官渡 101 室"),
        ("a\t\r\n b", "a b"),
        ("a\0b\x07c", "a b c"),
        ("BWC\u200b0117\u202e", "bwc0117"),
        ("\ud800x", "\ufffdx"),
        ("\ue022", "\ufffd"),
        ("A–B—C−D", "a-b-c-d"),
        ("  \u3000 ", ""),
        ("", ""),
    ],
)
def test_what_a_text_is_folded_to(given_text: str, folded: str) -> None:
    assert fold(given_text) == folded


@given(st.text(max_size=60))
def test_a_folded_text_is_plain_and_stays_as_it_is(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert folded == folded.strip()
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in folded)
    folded.encode()


@pytest.mark.parametrize(
    ("shown", "words", "marked"),
    [
        ("现场检查笔录", ["检查"], ["检查"]),
        ("BWC0117_20260302.mp4", ["0117", "MP4"], ["0117", "mp4"]),
        ("昆综执罚〔2026〕12号", ["2026)12"], ["2026〕12"]),
        ("检查 检查站", ["检查"], ["检查", "检查"]),
        ("现场 检 查", ["场检查"], ["场 检 查"]),
        ("aaa", ["aa"], ["aaa"]),
        ("ﬁle", ["fi"], ["ﬁ"]),
        ("ﬁle", ["i"], ["ﬁ"]),
        ("现场检查笔录", ["现场", "场检"], ["现场检"]),
        ("nothing", ["检查"], []),
        ("", ["x"], []),
    ],
)
def test_where_words_stand_in_what_is_shown(shown: str, words: list[str], marked: list[str]) -> None:
    found = occurrences(shown, tuple(fold(word) for word in words))
    assert [shown[first:end] for first, end in found] == marked


@given(st.text(max_size=40), st.text(min_size=1, max_size=3))
def test_marks_are_ranges_of_the_text_in_order(shown: str, word: str) -> None:
    at = -1
    for first, end in occurrences(shown, (fold(word),) if fold(word) else ()):
        assert at < first < end <= len(shown)
        at = end

"""Tokens: enough to find every word, and kept apart where they must not touch."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from archive.search.folding import fold
from archive.search.tokens import codes, facet_number, facet_word, needed_numbers, numbers, phrase, runs

_TEXT = st.text(alphabet="检查现场 ab01_()\N{GRINNING FACE}\ue000é", max_size=30).map(fold)


@given(_TEXT, st.data())
def test_a_text_has_all_that_a_word_of_it_needs(text: str, data: st.DataObject) -> None:
    if text:
        first = data.draw(st.integers(0, len(text) - 1))
        word = text[first : data.draw(st.integers(first + 1, len(text)))]
        assert needed_numbers(word) <= numbers(text)


@given(st.text(max_size=6))
def test_every_token_of_a_text_is_a_number_above_zero_that_fits(text: str) -> None:
    assert all(0 <= number < 1 << 63 for number in numbers(fold(text)))


@given(_TEXT)
def test_fts5_cannot_cut_a_token_nor_read_it_as_syntax(text: str) -> None:
    tokens = [*phrase(text).split(" "), *codes(text).split(" ")]
    assert all(char.isalnum() or ord(char) > 127 for token in tokens for char in token)
    assert phrase(text) == "" or len(phrase(text).split(" ")) == len(list(pairwise(text)))


def test_triples_are_those_of_letters_and_digits_and_runs_are_kept_apart() -> None:
    assert codes("bwc0 1177-ab") == "bwc wc0 \ue000 117 177 \ue000"
    assert codes("检查") == ""
    assert list(runs("昆(2026)12_bwc0117")) == ["2026", "bwc0117"]


def test_a_long_run_needs_no_pairs() -> None:
    assert len(needed_numbers("bwc0117")) == 5
    assert len(needed_numbers("2026)12")) == 5
    assert needed_numbers("检") == {ord("检")}


def test_facets_are_tokens_of_their_own() -> None:
    assert facet_number("kind", "item") != facet_number("kind", "items")
    assert facet_number("a", "b") < 0
    assert facet_word(facet_number("device", "\ud800 NEAR *")).isalnum()

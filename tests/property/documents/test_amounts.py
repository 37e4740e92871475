"""Every amount reads back from both its spellings, and a changed spelling never reads as another amount unseen."""

from hypothesis import given
from hypothesis import strategies as st

from archive.documents.amounts import MOST_FEN, AmountUnreadable, capitals, figures, read_capitals, read_figures

# Amounts with many zeros are where spelling goes wrong, so most are made of few digits.
sparse = st.lists(st.sampled_from("000012359"), min_size=1, max_size=14).map(lambda digits: int("".join(digits)))
amounts = sparse | st.integers(0, MOST_FEN)


@given(amounts)
def test_each_spelling_reads_back(fen: int) -> None:
    assert read_capitals(capitals(fen)) == fen
    assert read_figures(figures(fen)) == fen
    assert read_figures(figures(fen).replace(",", "")) == fen


@given(amounts, amounts)
def test_different_amounts_are_spelled_differently(one: int, other: int) -> None:
    assert (capitals(one) == capitals(other)) is (one == other)


@given(amounts)
def test_zeros_never_stand_together_and_no_group_is_empty(fen: int) -> None:
    text = capitals(fen)
    for wrong in ("零零", "零万", "零亿", "亿万", "零拾", "零佰", "零仟"):
        assert wrong not in text
    assert "零元" not in text or fen == 0


@given(amounts, st.data())
def test_a_character_less_never_reads_as_the_same_amount_unless_the_rules_leave_it_open(
    fen: int, data: st.DataObject
) -> None:
    text = capitals(fen)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + text[place + 1 :]
    try:
        found = read_capitals(changed)
    except AmountUnreadable:
        return
    assert found != fen or text[place] in "零整"


@given(st.text("零壹贰叁拾佰仟万亿元角分整正圆人民币", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        fen = read_capitals(text)
    except AmountUnreadable:
        return
    assert 0 <= fen <= MOST_FEN

"""Amounts in figures and capital characters: the examples of the annex, and what must not pass."""

import pytest

from archive.documents.amounts import MOST_FEN, AmountUnreadable, capitals, figures, read_capitals, read_figures


@pytest.mark.parametrize(
    ("fen", "usual", "others"),
    [
        # The examples of 《支付结算办法》, annex 1.
        (140_950, "壹仟肆佰零玖元伍角整", ["壹仟肆佰零玖元伍角"]),
        (600_714, "陆仟零柒元壹角肆分", []),
        (168_032, "壹仟陆佰捌拾元零叁角贰分", ["壹仟陆佰捌拾元叁角贰分"]),
        (10_700_053, "壹拾万柒仟元零伍角叁分", ["壹拾万零柒仟元伍角叁分"]),
        (1_640_902, "壹万陆仟肆佰零玖元零贰分", []),
        (32_504, "叁佰贰拾伍元零肆分", []),
        # Beyond them.
        (0, "零元整", ["人民币零圆正"]),
        (5, "伍分", []),
        (50, "伍角整", ["伍角"]),
        (53, "伍角叁分", []),
        (500_000, "伍仟元整", ["人民币伍仟圆整", "伍仟元正"]),
        (1_000, "壹拾元整", []),
        (1_000_000_00, "壹佰万元整", []),
        (100_000_000_00, "壹亿元整", []),
        (100_005_000_00, "壹亿零伍仟元整", []),
        (100_000_001_00, "壹亿零壹元整", []),
        (1_000_100_000_00, "壹拾亿零壹拾万元整", []),
        (1_010_000_000_00, "壹拾亿壹仟万元整", ["壹拾亿零壹仟万元整"]),
        (MOST_FEN, "玖仟玖佰玖拾玖亿玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分", []),
    ],
)
def test_capital_characters(fen: int, usual: str, others: list[str]) -> None:
    assert capitals(fen) == usual
    for text in [usual, "人民币" + usual, *others]:
        assert read_capitals(text) == fen


@pytest.mark.parametrize(
    "text",
    ["", "元整", "整", "人民币", "伍仟", "伍仟元", "五千元整", "伍千元整", "拾元整", "伍仟元整整", "伍仟零元整", "壹仟伍元整",
     "壹仟零零伍元整", "伍分整", "零伍分", "壹元伍分", "叁佰贰拾伍元零零肆分", "壹佰壹仟元整", "壹万万元整", "壹零佰元整", "壹元零角整",
     "壹亿伍仟元整", "壹元角整", "5000元整", "伍仟元整。", "玖" * 100 + "元整", "壹元壹贰角", "壹万亿元整"],
)  # fmt: skip
def test_what_is_not_spelled_so_is_refused(text: str) -> None:
    with pytest.raises(AmountUnreadable):
        read_capitals(text)


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("0", 0),
        ("0.5", 50),
        ("5000", 500_000),
        ("5,000.00", 500_000),
        ("12,345.6", 1_234_560),
        ("999999999999.99", MOST_FEN),
    ],
)
def test_figures_are_read(text: str, fen: int) -> None:
    assert read_figures(text) == fen


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".5", "1.234", "01", "1,00", "1,0000", "1e3", "１", "1 000", "1" * 13]
)
def test_other_figures_are_refused(text: str) -> None:
    with pytest.raises(AmountUnreadable):
        read_figures(text)


@pytest.mark.parametrize("fen", [-1, MOST_FEN + 1])
def test_amounts_have_bounds(fen: int) -> None:
    for spell in (figures, capitals):
        with pytest.raises(AmountUnreadable):
            spell(fen)

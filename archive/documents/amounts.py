"""Amounts of money: figures and capital characters (人民币大写), both ways, exact to the fen.

Source: 《支付结算办法》 annex 1, items 1 to 3 (正确填写票据和结算凭证的基本规定), from 0 up to below a trillion yuan.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

from archive.kernel.errors import InvalidInput

MOST_FEN: Final = 10**14 - 1
"""The greatest amount in fen: 999,999,999,999.99 yuan."""
_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_PLACES: Final = ("", "拾", "佰", "仟")
_GROUPS: Final = ("", "万", "亿")
_FIGURES: Final = re.compile(r"(?:0|[1-9][0-9]{0,11}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,3})(?:\.[0-9]{1,2})?")
_WORDS: Final = re.compile(
    r"(?:(?P<yuan>[零壹贰叁肆伍陆柒捌玖拾佰仟万亿]+)元)?零?(?:(?P<jiao>[壹贰叁肆伍陆柒捌玖])角)?零?(?:(?P<fen>[壹贰叁肆伍陆柒捌玖])分)?"
)
_MOST_CHARACTERS: Final = 60


class AmountUnreadable(InvalidInput):
    """An amount is written as 12,345.60 or in capital characters, from 0 to 999,999,999,999.99 yuan."""

    code = "documents.amount_unreadable"


def figures(fen: int) -> str:
    """Return an amount in fen as figures in yuan, `12,345.60`. Raises: AmountUnreadable beyond the bounds."""
    _check(fen)
    return f"{fen // 100:,}.{fen % 100:02}"


def read_figures(text: str) -> int:
    """Return the fen of figures in yuan; commas, where there are any, part groups of three.

    Raises: AmountUnreadable.
    """
    if not _FIGURES.fullmatch(text):
        raise AmountUnreadable
    yuan, _, rest = text.replace(",", "").partition(".")
    return int(yuan) * 100 + int(rest.ljust(2, "0"))


def capitals(fen: int) -> str:
    """Return an amount in fen in capital characters: 壹万陆仟肆佰零玖元零贰分, 伍仟元整.

    Raises: AmountUnreadable beyond the bounds.
    """
    _check(fen)
    return next(_spellings(fen))


def read_capitals(text: str) -> int:
    """Return the fen of an amount in capital characters, in any spelling that the rules allow.

    Allowed beside the usual one: 人民币 before it, 圆 for 元, 正 for 整, no 整 after 角, and 零 put or left out where
    the annex leaves that open.
    Raises: AmountUnreadable.
    """
    bare = text.removeprefix("人民币").replace("圆", "元")
    if bare.endswith("正"):
        bare = bare[:-1] + "整"
    if len(bare) <= _MOST_CHARACTERS and (found := _WORDS.fullmatch(bare.removesuffix("整"))):
        fen = 100 * _integer(found["yuan"] or "")
        fen += 10 * _digit(found["jiao"]) + _digit(found["fen"])
        if fen <= MOST_FEN and bare in _spellings(fen):
            return fen
    raise AmountUnreadable


def _check(fen: int) -> None:
    if not 0 <= fen <= MOST_FEN:
        raise AmountUnreadable


def _digit(character: str | None) -> int:
    return max(_DIGITS.find(character), 0) if character else 0


def _integer(text: str) -> int:
    """Return the number that the characters add up to; whether they are spelled well is for `_spellings` to say."""
    total = group = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS.index(character)
        elif character in _PLACES:
            group, digit = group + digit * 10 ** _PLACES.index(character), 0
        else:
            total, group, digit = total + (group + digit) * 10_000 ** _GROUPS.index(character), 0, 0
    return total + group + digit


def _spellings(fen: int) -> Iterator[str]:
    """Yield every allowed spelling, the usual one first.

    1. within a group zeros between digits are one 零; at the end of a group they are not written
    2. where only the last places of a group are zero and the next begins with its thousands, 零 may be put
    3. after a yuan that ends with zero, 零 before the jiao may be left out; a jiao of zero before fen is 零
    4. after yuan stands 整; after jiao it may be left out; after fen it is not written
    """
    yuan, jiao, last = fen // 100, fen // 10 % 10, fen % 10
    pieces = [*_yuan(yuan)] if yuan or not fen else []
    if pieces:
        pieces.append(("元",))
    if jiao:
        if yuan and yuan % 10 == 0:
            pieces.append(("零", ""))  # 3.
        pieces.append((_DIGITS[jiao] + "角",))
    elif last and yuan:
        pieces.append(("零",))  # 3.
    if last:
        pieces.append((_DIGITS[last] + "分",))
    else:
        pieces.append(("整", "") if jiao else ("整",))  # 4.
    for chosen in product(*pieces):
        yield "".join(chosen)


def _yuan(yuan: int) -> Iterator[tuple[str, ...]]:
    """Yield the pieces of whole yuan, each with its alternatives."""
    if yuan == 0:
        yield ("零",)
        return
    digits = [int(character) for character in str(yuan)]
    zeros = 0
    for index, digit in enumerate(digits):
        place = len(digits) - 1 - index
        if digit == 0:
            zeros += 1
        else:
            if zeros:
                is_open = place % 4 == 3 and zeros < 4
                yield ("", "零") if is_open else ("零",)  # 2., 1.
            zeros = 0
            yield (_DIGITS[digit] + _PLACES[place % 4],)
        if place % 4 == 0 and place and any(digits[max(0, index - 3) : index + 1]):
            yield (_GROUPS[place // 4],)

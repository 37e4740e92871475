"""Folding: the one form in which texts and queries are compared.

NFKC and case folding; brackets and dashes of every shape become one; what has no width goes; controls and runs of
blanks become one blank, and a blank between two Chinese characters goes, since lines of a document break anywhere.
"""

import re
import sys
import unicodedata
from functools import cache
from typing import Final

_CJK: Final = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BLANKS: Final = re.compile(r"\s+")
_BLANK_IN_CHINESE: Final = re.compile(f"(?<=[{_CJK}]) (?=[{_CJK}])")
_IS_CJK: Final = re.compile(f"[{_CJK}]")
_ALIKE: Final = {
    **dict.fromkeys("〔【〖［[｛{〈《「『", "("),
    **dict.fromkeys("〕】〗］]｝}〉》」』", ")"),
    **dict.fromkeys("‐‑‒–—―−﹘", "-"),
}
# These stand for ASCII characters in the index.
PRIVATE: Final = 0xE000


@cache
def _table() -> dict[int, str | None]:
    """Return what becomes of single characters after NFKC; made once, from the whole of Unicode."""
    table: dict[int, str | None] = {ord(char): to for char, to in _ALIKE.items()}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Cc":
            table[code] = " "
        elif category == "Cf":
            table[code] = None
        elif category == "Cs" or PRIVATE <= code < PRIVATE + 128:
            table[code] = "\ufffd"
    return table


def fold(text: str) -> str:
    """Return the form in which `text` is compared; never holds a line feed, a control character or a surrogate."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = unicodedata.normalize("NFKC", folded).translate(_table())
    return _BLANK_IN_CHINESE.sub("", _BLANKS.sub(" ", folded)).strip()


def occurrences(shown: str, words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return where folded `words` stand in a text that was not folded, as ranges in order that do not touch."""
    folded, origins = _with_origins(shown)
    marked = bytearray(len(shown))
    for word in words:
        at = folded.find(word)
        while at >= 0:
            first, last = origins[at], origins[at + len(word) - 1]
            marked[first : last + 1] = b"\1" * (last + 1 - first)
            at = folded.find(word, at + 1)
    return [match.span() for match in re.finditer(rb"\x01+", marked)]


def _with_origins(shown: str) -> tuple[str, list[int]]:
    """Fold character by character, and keep from where each comes."""
    chars: list[str] = []
    origins: list[int] = []
    for origin, char in enumerate(shown):
        for part in _folded_character(char):
            if part == " " and (not chars or chars[-1] == " "):
                continue
            chars.append(part)
            origins.append(origin)
    kept = [
        at for at, char in enumerate(chars) if not (char == " " and _is_cjk(chars, at - 1) and _is_cjk(chars, at + 1))
    ]
    return "".join(chars[at] for at in kept), [origins[at] for at in kept]


@cache
def _folded_character(char: str) -> str:
    folded = unicodedata.normalize("NFKC", char).casefold()
    return _BLANKS.sub(" ", unicodedata.normalize("NFKC", folded).translate(_table()))


def _is_cjk(chars: list[str], at: int) -> bool:
    return 0 <= at < len(chars) and _IS_CJK.match(chars[at]) is not None

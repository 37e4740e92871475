"""Tokens: what the index holds of folded texts and of facets.

Of a text: every two characters that follow each other, so that a run of two or more is found wherever it begins; every
single character, for those who look for one; and every three in a run of ASCII letters and digits, where pairs would
tell too little. FTS5 keeps their order and finds a word as a phrase. PostgreSQL keeps them as numbers without order;
what has all of them is held against the folded text.
"""

import hashlib
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

from archive.search.folding import PRIVATE

END: Final = "\n"
"""Stands after each field: no word goes beyond one."""
_PLAIN: Final = frozenset(string.ascii_lowercase + string.digits)
# FTS5's `ascii` tokenizer cuts at ASCII characters that are no letters or digits, and at nothing else.
_UNCUT: Final = {code: chr(PRIVATE + code) for code in range(128) if chr(code) not in _PLAIN}
_GAP: Final = chr(PRIVATE)


def phrase(folded: str) -> str:
    """Return the pairs of a text or word of two or more characters in their order, as FTS5 is given them."""
    uncut = folded.translate(_UNCUT)
    return " ".join([first + second for first, second in pairwise(uncut)])


def start(character: str) -> str:
    """Return with what the pairs of one character begin."""
    return character.translate(_UNCUT)


def codes(folded: str) -> str:
    """Return the triples of ASCII letters and digits in their order; a gap keeps runs apart."""
    found: list[str] = []
    was_run = False
    for first, second, third in zip(folded, folded[1:], folded[2:], strict=False):
        is_run = first in _PLAIN and second in _PLAIN and third in _PLAIN
        if is_run:
            found.append(first + second + third)
        elif was_run:
            found.append(_GAP)
        was_run = is_run
    return " ".join(found)


def runs(word: str) -> Iterator[str]:
    """Yield each run of three or more ASCII letters and digits in a word."""
    run = ""
    for char in word + END:
        if char in _PLAIN:
            run += char
        else:
            if len(run) >= 3:
                yield run
            run = ""


def numbers(folded: str) -> set[int]:
    """Return everything that PostgreSQL keeps of a text."""
    found = {ord(char) for char in set(folded)}
    found.update(ord(pair[0]) << 21 | ord(pair[1]) for pair in set(pairwise(folded)))
    triples = set(zip(folded, folded[1:], folded[2:], strict=False))
    found.update(_number("".join(triple)) for triple in triples if _PLAIN.issuperset(triple))
    return found


def needed_numbers(word: str) -> set[int]:
    """Return what a text must have for the word to be in it: as few as say most."""
    if len(word) == 1:
        return {ord(word)}
    triples = [_PLAIN.issuperset(word[at : at + 3]) and at + 3 <= len(word) for at in range(len(word))]
    found: set[int] = set()
    for at in range(len(word) - 1):
        if triples[at]:
            found.add(_number(word[at : at + 3]))
        elif at == 0 or not triples[at - 1]:  # else the triple before holds this pair
            found.add(_number(word[at : at + 2]))
    return found


@lru_cache(maxsize=4096)
def facet_number(name: str, value: str) -> int:
    """Return the token of a facet: below zero, where no text's token is."""
    digest = hashlib.blake2b(f"{name}\0{value}".encode("utf-8", "replace"), digest_size=8).digest()
    return -(int.from_bytes(digest, "big") >> 1) - 1


def facet_word(number: int) -> str:
    """Return the token of a facet as FTS5 has it."""
    return f"{-number:x}"


def facet_words(numbers: Iterable[int]) -> str:
    """Return tokens of facets as FTS5 is given them."""
    return " ".join(facet_word(number) for number in sorted(numbers))


def _number(gram: str) -> int:
    """Return a number for one to three characters, each with its own; 21 bits hold any of Unicode."""
    number = 0
    for char in gram:
        number = number << 21 | ord(char)
    return number

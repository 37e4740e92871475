"""The seal of words, as transactions carry it: what details hold for recovery alone (`signing.sealed_words`)."""

from typing import Final

from sqlalchemy.orm import Session

from archive.kernel.errors import LiuhenError
from signing.sealed_words import WordSeal

WORDS: Final = "words"
"""Where a transaction carries the seal."""


class WordSealMissing(LiuhenError):
    """The database was opened without the key that words in details are sealed with."""

    code = "words.seal_missing"
    exit_code = 78


def sealed_words(tx: Session, words: str, *, bound_to: str) -> str:
    """Return words as a detail holds them where not everybody who reads details may read them.

    Raises: WordSealMissing, KeyExposed, KeyUnreadable.
    """
    seal: WordSeal | None = tx.info.get(WORDS)
    if seal is None:
        raise WordSealMissing
    return seal.seal(words, bound_to=bound_to)
